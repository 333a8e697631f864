"""The errors a person meets: each names the actual value, the rule, and the way out."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


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
    """Return the known name closest to ``name``, or None when nothing is close.

    >>> nearest("decov", ["deconv", "bilinear"])
    'deconv'
    """
    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """Return the one message for an unknown name: the name, the nearest match, and all that are known.

    >>> unknown("upsampler", "decov", ["bilinear", "deconv"])
    "unknown upsampler 'decov': did you mean 'deconv'? known: bilinear, deconv"
    """
    names = sorted(known)
    match = nearest(str(name), names)
    hint = f" did you mean '{match}'?" if match else ""
    return f"unknown {kind} '{name}':{hint} known: {', '.join(names) or 'none'}"
