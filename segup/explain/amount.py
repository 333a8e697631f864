"""How much is explained: every figure is computed several times over, and is to be looked at."""

from collections.abc import Sequence
from math import prod

from segup.errors import ShapeError
from segup.explain.operation import Operation

MOST_NUMBERS = 2**24
"""Of an input, a weight, an output or what is padded between them."""
MOST_PRODUCTS = 2**31
"""Of inputs and weights, or looks at an input."""


def check_numbers(what: str, shape: Sequence[int]) -> None:
    """Raise a ShapeError for an array of more numbers than are explained, before it is made.

    >>> check_numbers("the input", (1, 20000, 20000))
    Traceback (most recent call last):
    ...
    segup.errors.ShapeError: the input: 1 × 20000 × 20000 numbers are more than the 16777216 that are explained.
      try: --input 64x64, or segup shapes, which tells the sizes alone.
    """
    if prod(shape) > MOST_NUMBERS:
        sizes = " × ".join(f"{size}" if abs(size) < 10**18 else f"{size:.0e}" for size in shape)
        raise ShapeError(
            f"{what}: {sizes} numbers are more than the {MOST_NUMBERS} that are explained.\n"
            f"  try: --input 64x64, or segup shapes, which tells the sizes alone."
        )


def check_amount(operation: Operation) -> None:
    """Raise a ShapeError for a layer on an image whose figures would not fit or not come to an end."""
    (channels, *size), (out_channels, *reached) = operation.x.shape, operation.shape
    check_numbers("the input", operation.x.shape)
    check_numbers("the output", operation.shape)
    axes = getattr(operation.layer, "axes", ())
    if not all(hasattr(axis, "kernel_size") for axis in axes):
        return
    for axis in axes:
        largest, name = max((getattr(axis, name), name) for name in ("kernel_size", "stride", "dilation"))
        if largest > MOST_PRODUCTS:
            raise ShapeError(f"{name} must be at most {MOST_PRODUCTS}, not {largest:.0e}.\n  try: {name}=2.")
    around = [sum(getattr(axis, side, 0) for side in ("before", "after", "padding", "padding")) for axis in axes]
    spread = [(axis.kernel_size - 1) * axis.dilation for axis in axes]
    padded = [
        max(ends) + sum(more) for ends, *more in zip(zip(size, reached, strict=True), around, spread, strict=True)
    ]
    check_numbers("the padded image", (max(channels, out_channels), *padded))
    products = prod(axis.kernel_size for axis in axes) * min(prod(size), prod(reached)) * channels * out_channels
    products //= getattr(operation.layer, "groups", 1) if hasattr(operation, "weight") else max(channels, out_channels)
    if products > MOST_PRODUCTS:
        raise ShapeError(
            f"'{operation.words}' on {' × '.join(map(str, operation.x.shape))} multiplies {products} times, more than "
            f"the {MOST_PRODUCTS} that are explained.\n  try: --input 64x64, or a smaller kernel_size."
        )
