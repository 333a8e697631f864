"""What is printed: in ASCII where it cannot be shown, and no fault of the work's where it cannot be written."""

import codecs
import errno
import os
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

_ASCII = {
    "×": "x", "·": "*", "∗": "*", "…": "...", "−": "-", "–": "-", "—": "-", "²": "^2", "³": "^3", "¹": "^1",
    "→": "->", "←": "<-", "↔": "<->", "↑": "^", "↓": "v", "↦": "->", "⌊": "floor(", "⌋": ")", "⌈": "ceil(", "⌉": ")",
    "⟨": "<", "⟩": ">", "±": "+/-", "≥": ">=", "≤": "<=", "≠": "!=", "≈": "~", "∞": "inf", "½": "1/2", "°": " deg",
    "Σ": "sum", "σ": "sigma", "Δ": "delta", "µ": "u", "μ": "u", "ᵢ": "_i", "√": "sqrt", "✓": "+", "✗": "x",
    "•": "*", "‘": "'", "’": "'", "“": '"', "”": '"', "«": '"', "»": '"', "§": "section ", "\u00a0": " ",
}  # fmt: skip
"""Signs; letters are part of names, which stay what they are: they are written out."""
_ERRORS = "segup.ascii"


def in_ascii(text: str) -> str:
    r"""Return text in readable ASCII; letters beyond it are written out.

    >>> print(in_ascii("3×3 → ⌊h/2⌋ … größe ┏━┓"))
    3x3 -> floor(h/2) ... gr\xf6\xdfe +-+
    """
    return "".join(sign if sign.isascii() else _ASCII.get(sign) or _drawn(sign) for sign in text)


def show_everything() -> None:
    """Let standard output and error write what their encoding lacks as :func:`in_ascii` does, in place of an error.

    Where they cannot be written at all (a full disk, a reader that has gone, a terminal that has closed), what is
    printed from then on goes nowhere: that keeps no work from being done and saved. :func:`unwritten` tells of it.
    """
    codecs.register_error(_ERRORS, _replaced)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed before the process began
            stream = open(os.open(os.devnull, os.O_WRONLY), "w", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if not isinstance(stream, TextIOWrapper):
            continue
        if not _is_own(stream):
            stream.reconfigure(errors=_ERRORS)
            continue
        stream.flush()
        raw = _Output(stream.fileno(), "wb", closefd=False)
        buffer: Any = raw if isinstance(stream.buffer, FileIO) else BufferedWriter(raw)
        at_once = stream.line_buffering or raw.isatty()
        text = TextIOWrapper(buffer, stream.encoding, _ERRORS, None, at_once, stream.write_through)
        setattr(sys, name, text)


def unwritten() -> OSError | None:
    """Return what kept standard output from being written, but for a terminal's closing; None where nothing did."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.flush()
        raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
        return raw.refused if isinstance(raw, _Output) else None
    return None


@contextmanager
def endings_answered(answer: Callable[[int], None], signals: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Let ``answer`` meet the signals with which a person, a scheduler or a closing terminal ends a process.

    A signal that is ignored, as SIGHUP is under ``nohup``, stays so. After SIGHUP nobody reads what is printed, and
    printing would be an error: it goes nowhere.

    Args:
        answer: Takes the signal's number.
        signals: Which.
    """

    def met(number: int, _frame: object) -> None:
        if number == signal.SIGHUP:
            _let_go()
        answer(number)

    before = {one: found for one in signals if (found := signal.getsignal(one)) != signal.SIG_IGN}
    for one in before:
        signal.signal(one, met)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


class _Output(FileIO):
    refused: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as cause:
            if not (cause.errno == errno.EIO and self.isatty()):
                self.refused = cause
            _lead_nowhere(self.fileno())
            return len(data)


def _is_own(stream: TextIOWrapper) -> bool:
    """Return whether a stream writes to the process's own output or error, and not to what stands in for it."""
    try:
        return stream.fileno() in (1, 2)
    except OSError:
        return False


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end


def _drawn(sign: str) -> str:
    """Return a line of a table, a sign that is a variant of ASCII, or the sign's number."""
    name = unicodedata.name(sign, "")
    if name.startswith("BOX DRAWINGS"):
        straight = " AND " not in name
        return "-" if straight and "HORIZONTAL" in name else "|" if straight and "VERTICAL" in name else "+"
    if name.startswith(("BLOCK", "FULL BLOCK", "BRAILLE")):
        return "#"
    if "\udc80" <= sign <= "\udcff":  # a byte that is no text, in the name of a file
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode()


def _let_go() -> None:
    """Lead standard output and error nowhere where they led to a terminal."""
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            _lead_nowhere(descriptor)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
