"""The errors a person meets: each names the actual value, the rule, and the way out."""

import re
from collections.abc import Iterable, Iterator
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


INTERRUPTED = 130
"""The exit code of what was stopped, as shells have it."""


class RunInterruptedError(SegupError):
    """A run was stopped by Ctrl-C or a signal that ends processes, and can be continued."""


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


_SPOKEN = {
    "bce": "cross_entropy",
    "nll": "cross_entropy",
    "xent": "cross_entropy",
    "jaccard": "lovasz",
    "iou": "lovasz",
    "convtranspose": "deconv",
    "transposed": "deconv",
    "subpixel": "pixel_shuffle",
    "unpool": "max_unpool",
    "linear": "bilinear",
    "cellslong": "strong",
}
"""What the field calls things that have another name here, and what segup called them before, without capitals and
signs."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``name`` most likely means, or None: better none than a silly one.

    An abbreviation is looked for first (initials, a word, a beginning, what the field says), then a slip of the keys.

    >>> nearest("decov", ["deconv", "bilinear"]), nearest("BILINEAR", ["deconv", "bilinear"])
    ('deconv', 'bilinear')
    >>> nearest("ce", ["dice", "ce_dice", "cross_entropy"]), nearest("resnet", ["segnet", "timm"])
    ('cross_entropy', None)
    >>> nearest("mask", ["mask_kind", "masks"])
    'masks'
    """
    from difflib import SequenceMatcher  # wanted for a mistake alone; the size calculus loads in milliseconds

    asked = name.casefold()
    plain = "".join(letter for letter in asked if letter.isalnum())

    def likeness(other: str) -> float:
        words = other.casefold().split("_")
        initials = "".join(word[:1] for word in words)
        if other == _SPOKEN.get(plain) or "".join(words) in (plain, plain + "s", plain.removesuffix("s")):
            return 4
        if len(plain) > 1 and (plain in words or (len(words) > 1 and plain == initials)):
            return 3 if plain == initials else 2
        least = 0.6 if asked[:1] == other[:1].casefold() else 0.75
        matcher = SequenceMatcher(None, asked, other.casefold())
        bound = matcher.real_quick_ratio()  # by their lengths alone: one may have millions of letters
        ratio = matcher.ratio() if bound >= least else 0
        return ratio if ratio >= least else 0

    names = list(known)
    best = max(names, key=likeness, default="")
    if best and likeness(best):
        return best
    begun = [other for other in names if len(plain) > 1 and other.casefold().startswith(plain)]
    return begun[0] if len(begun) == 1 else None


def unreadable_number(text: str) -> str:
    """Return why a text holds a number that Python does not read, for its thousands of digits; nothing if not.

    >>> unreadable_number("k" + "9" * 5000), unreadable_number("k3")
    ("'999999999999…' has 5000 digits; numbers here have fewer than 1000", '')
    """
    digits = re.search(r"[0-9]{1000,}", text)
    if digits is None:
        return ""
    return f"'{digits.group()[:12]}…' has {len(digits.group())} digits; numbers here have fewer than 1000"


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


def wrong_map(owner: str, channels: int, given: Any) -> str:
    """Return the one message for what is no batch of maps of ``channels`` channels.

    >>> print(wrong_map("'deconv'", 4, "x"))
    'deconv' takes (N, 4, h, w) with h, w ≥ 1, not str
      try: a batch of maps, of four dimensions.
    """
    shape: Any = given.shape if hasattr(given, "dim") else ()  # arrays of numpy have a shape too
    got = figures(shape) if hasattr(given, "dim") else type(given).__name__
    if len(shape) == 3:
        hint = "x.unsqueeze(0), a batch of one"
    elif len(shape) != 4:
        hint = "a batch of maps, of four dimensions"
    elif shape[1] != channels:
        hint = f"in_channels={int(shape[1])} at construction, or a 1×1 convolution {int(shape[1])} → {channels} before"
    else:
        hint = "a map with one row and one column at least"
    return f"{owner} takes (N, {channels}, h, w) with h, w ≥ 1, not {got}\n  try: {hint}."
