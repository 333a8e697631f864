"""The errors a person meets: each names the actual value, the rule, and the way out."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class SegupError(Exception):
    """Base of every error that is the input's fault; the command line prints it as one message."""


class ShapeError(SegupError, ValueError):
    """A size, shape or integer layer parameter breaks a rule."""


class ConfigError(SegupError, ValueError):
    """A name, option or combination of options cannot be used."""


class DataError(SegupError, ValueError):
    """A file or folder of images, masks or weights cannot be used."""


@contextmanager
def refusals_named() -> Iterator[None]:
    """Turn what the operating system refuses (no permission, a full disk) into a DataError that names the file.

    >>> with refusals_named():
    ...     open("nowhere/image.png")
    Traceback (most recent call last):
    ...
    segup.errors.DataError: nowhere/image.png: No such file or directory
    """
    try:
        yield
    except OSError as cause:
        if cause.strerror is None:  # not the system's: some library's own error of that type
            raise
        file = "" if cause.filename is None else f"{cause.filename}: "
        raise DataError(f"{file}{cause.strerror}") from cause


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name``, capitals aside, or None when nothing is close.

    >>> nearest("decov", ["deconv", "bilinear"]), nearest("BILINEAR", ["deconv", "bilinear"])
    ('deconv', 'bilinear')
    """
    from difflib import get_close_matches  # wanted for a mistake alone; the size calculus loads in milliseconds

    names = {other.casefold(): other for other in known}
    matches = get_close_matches(name.casefold(), list(names), n=1, cutoff=0.6)
    return names[matches[0]] if matches else None


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the one message for an unknown name: the name, the nearest match, and all that are known.

    >>> unknown("upsampler", "decov", ["bilinear", "deconv"])
    "unknown upsampler 'decov': did you mean 'deconv'? known: bilinear, deconv"
    """
    names = sorted(known)
    match = nearest(str(name), names)
    hint = f" did you mean '{match}'?" if match else ""
    return f"unknown {kind} '{name}':{hint} known: {', '.join(names) or 'none'}"


def figures(shape: Iterable[Any]) -> str:
    """Return a shape as text; under torch.compile it may hold symbols, which are given by their values.

    >>> figures((2, 3)), figures((4,))
    ('(2, 3)', '(4,)')
    """
    numbers = [f"{int(n)}" for n in shape]
    return f"({', '.join(numbers)}{',' if len(numbers) == 1 else ''})"


def wrong_map(owner: str, channels: int, shape: Sequence[Any]) -> str:
    """Return the one message for a tensor that is no batch of maps of ``channels`` channels.

    >>> print(wrong_map("'deconv'", 4, (4, 6, 6)))
    'deconv' takes (N, 4, h, w) with h, w ≥ 1, not (4, 6, 6)
      try: x.unsqueeze(0), a batch of one.
    """
    if len(shape) == 3:
        hint = "x.unsqueeze(0), a batch of one"
    elif len(shape) != 4:
        hint = "a batch of maps, of four dimensions"
    elif shape[1] != channels:
        hint = f"in_channels={int(shape[1])} at construction, or a 1×1 convolution {int(shape[1])} → {channels} before"
    else:
        hint = "a map with one row and one column at least"
    return f"{owner} takes (N, {channels}, h, w) with h, w ≥ 1, not {figures(shape)}\n  try: {hint}."
