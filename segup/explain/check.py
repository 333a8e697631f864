"""Every picture's numbers are held against torch's before they are shown."""

import numpy as np

from segup.errors import ConfigError
from segup.explain.numbers import LARGEST_EXACT, Array
from segup.explain.operation import Operation

ROUNDING = 2.0**-44
"""A sum of a few thousand products in float64 is off by less than this share of its largest possible value."""


class DisagreementError(AssertionError):
    """A view computed another output than torch: a fault of this package, never of the input."""


def checked(operation: Operation, way: str) -> Array:
    """Return the output as one view computes it.

    Raises:
        DisagreementError: It is not what torch computes.
        ConfigError: Nor do torch's own kernels agree on it: a matter of rounding.
    """
    made, theirs = operation.compute(way), operation.by_torch()
    if made.shape != theirs.shape or not _agree(operation, made.astype(np.float64), theirs):
        if made.shape == theirs.shape and operation.doubt():
            raise ConfigError(operation.doubt())
        apart = "" if made.shape != theirs.shape else f", by up to {np.abs(made.astype(float) - theirs).max():.3g}"
        raise DisagreementError(
            f"internal error: the view '{way}' of '{operation.words}' on {operation.x.shape} gives other numbers than "
            f"torch{apart} ({made.shape} and {theirs.shape}). Please report it with these words."
        )
    return made


def _agree(operation: Operation, made: Array, theirs: Array) -> bool:
    scale = operation.largest()
    if operation.whole() and scale < LARGEST_EXACT:
        return bool((made == theirs).all())
    with np.errstate(invalid="ignore"):  # −∞, where a pooling's window sees padding alone
        return bool(((made == theirs) | (np.abs(made - theirs) <= ROUNDING * scale)).all())
