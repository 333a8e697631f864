"""Attention of every token to every other, whose memory grows with the square of the image's area."""

from dataclasses import dataclass
from math import isqrt, prod, sqrt

from segup.inspection.trace import ModelRun
from segup.inspection.traced import as_ints

MOST_BYTES = 2 << 30
_BYTES = 2 * 4  # of a score and its softmax, in float32


@dataclass(frozen=True)
class Attention:
    """How many tokens of an image attend to each other.

    Args:
        patch: Pixels of one token, a side.
        beside: Tokens that any image has: class and registers.
        fits: The most tokens of which one image's scores and their softmax take 2 GiB, in float32.

    >>> vit = Attention(patch=16, beside=1, fits=6688)
    >>> vit.tokens(224, 225), vit.side(197)
    (211, 224)
    """

    patch: int
    beside: int
    fits: int

    def tokens(self, height: int, width: int) -> int:
        """Return the tokens of an image."""
        return -(-height // self.patch) * -(-width // self.patch) + self.beside

    def side(self, tokens: int) -> int:
        """Return the side of the largest square image that has no more tokens."""
        return isqrt(max(0, tokens - self.beside)) * self.patch


def attention_of(near: ModelRun, far: ModelRun) -> Attention | None:
    """Return the widest attention of a module whose scores grow with the square of the image's area; None without any.

    Args:
        near, far: Runs at two squares, the second at least four times as wide.
    """
    shapes = [tuple(map(as_ints, run.record.shapes)) for run in (near, far)]
    if len(shapes[0]) != len(shapes[1]):
        return None
    growing = [
        (large, max(small[-2:]))
        for small, large in zip(*shapes, strict=True)
        if len(small) == len(large) > 1 and all(8 * a <= b for a, b in zip(small[-2:], large[-2:], strict=True))
    ]
    if not growing:
        return None
    widest, few = max(growing, key=lambda pair: prod(pair[0]))
    tokens = max(widest[-2:])
    area, small_area = prod(far.size), prod(near.size)
    patch = round(sqrt((area - small_area) / (tokens - few)))
    return Attention(
        patch, max(0, few - small_area // patch**2), isqrt(MOST_BYTES * tokens**2 // (_BYTES * prod(widest)))
    )
