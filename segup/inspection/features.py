"""The sizes of an encoder's maps: read from the maps themselves, never computed as ``H // 2**k``."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Rounding = Literal["up", "down"]

_LARGEST_MINIMUM = 64
# Both parities at every stride up to 32, and far enough from the minimum to meet a band of refused sizes.
_SAMPLE = (*range(61, 69), 72, 79, 80, 81, 88)


@dataclass(frozen=True)
class Pyramid:
    """What an encoder was seen to do with the sizes that it was tried with.

    Args:
        channels: Of each map, from high to low resolution.
        sizes: For each input size that it accepts, the sizes of its maps on one axis.
        refused: For each input size that it refuses, the message.
    """

    channels: tuple[int, ...]
    sizes: dict[int, tuple[int, ...]]
    refused: dict[int, str]

    @property
    def min_size(self) -> int:
        """The smallest input size that it accepts."""
        return min(self.sizes)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Sizes above :attr:`min_size` that it refuses."""
        return tuple(size for size in sorted(self.refused) if size > self.min_size)

    @property
    def strides(self) -> tuple[int, ...]:
        """The reduction of each map: the product of the ratios of neighbours, each rounded.

        Convolutions without padding make 256 → 125 → 60 → 29; taken as 256/29 that would be stride 9.
        """
        largest = max(self.sizes)
        strides, above, reduction = [], largest, 1
        for size in self.sizes[largest]:
            reduction *= round(above / size)
            strides.append(reduction)
            above = size
        return tuple(strides)

    def stem_rounding(self) -> Rounding | None:
        """Return how the first map's size follows from the image's: None where no one rule covers all sizes seen."""
        return _rounding([(size, maps[0]) for size, maps in self.sizes.items()], self.strides[0])

    def roundings(self) -> tuple[Rounding | None, ...]:
        """Return how each map's size follows from the one before it: None where no one rule covers all sizes seen."""
        return tuple(
            _rounding([(maps[level], maps[level + 1]) for maps in self.sizes.values()], low // high)
            for level, (high, low) in enumerate(zip(self.strides, self.strides[1:], strict=False))
        )


def feature_sizes(encoder: nn.Module, size: int | tuple[int, int], in_channels: int = 3) -> list[tuple[int, int]]:
    """Return ``(height, width)`` of every map that ``encoder`` makes of an image of ``size``.

    It is run once in evaluation mode without gradients: weights, buffers and training flags stay as they were.

    >>> feature_sizes(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1)), (67, 64))
    [(34, 32)]
    """
    height, width = (size, size) if isinstance(size, int) else size
    return [(m.shape[-2], m.shape[-1]) for m in _maps(encoder, height, width, in_channels)]


def probe_pyramid(encoder: nn.Module, in_channels: int = 3) -> Pyramid:
    """Try ``encoder`` on square images of a few sizes and return what it did.

    The smallest accepted size is found by bisection up to 64; sizes just above it and around 64 are tried too.
    Nothing is proved about other sizes: see ``check_sizes`` for that.
    """
    seen: dict[int, list[Tensor]] = {}
    refused: dict[int, str] = {}

    def accepts(size: int) -> bool:
        if size not in seen and size not in refused:
            try:
                maps = _maps(encoder, size, size, in_channels)
            except Exception as cause:  # an encoder refuses a size with whatever its layers raise
                refused[size] = f"{type(cause).__name__}: {cause}".splitlines()[0]
            else:
                if any(0 in m.shape for m in maps):
                    refused[size] = "a map without pixels"
                else:
                    seen[size] = maps
        return size in seen

    low, high = 0, 1 if accepts(1) else _LARGEST_MINIMUM
    while accepts(high) and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepts(middle) else (middle, high)
    for size in (*range(high + 1, high + 4), *_SAMPLE):
        accepts(size)
    channels = tuple(m.shape[1] for m in next(iter(seen.values()))) if seen else ()
    return Pyramid(channels, {size: tuple(m.shape[-2] for m in seen[size]) for size in sorted(seen)}, refused)


def _rounding(pairs: Sequence[tuple[int, int]], ratio: int) -> Rounding | None:
    if all(low == -(-high // ratio) for high, low in pairs):
        return "up"
    if all(low == high // ratio for high, low in pairs):
        return "down"
    return None


def _maps(module: nn.Module, height: int, width: int, in_channels: int) -> list[Tensor]:
    like = next(module.parameters(), torch.empty(0))
    image = torch.zeros(1, in_channels, height, width, device=like.device, dtype=like.dtype)
    with torch.no_grad(), _in_evaluation(module):
        out = module(image)
    if isinstance(out, Tensor):
        return [out]
    return list(out.values()) if isinstance(out, dict) else list(out)


@contextmanager
def _in_evaluation(module: nn.Module) -> Iterator[None]:
    flags = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in flags.items():
            part.training = training
