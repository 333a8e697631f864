"""An encoder's pyramid: channels, strides and accepted sizes, read from its maps, never computed as ``H // 2**k``."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import lcm

from torch import nn

from segup.encoders.lost_rows import functions_put_back, rows_put_back
from segup.errors import ConfigError
from segup.inspection import AcceptedSizes, inverse_of
from segup.inspection.attention import Attention
from segup.inspection.stages import MapSizes, Rounding, map_sizes
from segup.inspection.trace import ModelRun
from segup.inspection.traced import as_ints
from segup.inspection.tried import functions_of, try_sizes


@dataclass(frozen=True)
class Pyramid(MapSizes):
    """What an encoder was seen to do with the sizes that it was tried with.

    Args:
        channels: Of each map, from high to low resolution.
        accepted: The sizes of an image that it takes.
        channels_last: Whether the maps come as ``(N, H, W, C)``.
        proved: Whether the widths follow the same functions, and every size of ``accepted`` goes the same way: then
            ``functions`` say all that there is to say.
        attention: Of all tokens to all others; None where there is none.
        declared: The strides as the library declares them, where a single size cannot show them; else None.
    """

    channels: tuple[int, ...]
    accepted: AcceptedSizes
    channels_last: bool
    proved: bool = field(repr=False)
    attention: Attention | None = None
    declared: tuple[int, ...] | None = None

    @property
    def strides(self) -> tuple[int, ...]:
        """The reduction of each map, see :attr:`MapSizes.strides`."""
        return self.declared or super().strides

    @property
    def min_size(self) -> int:
        """The smallest input size that it accepts."""
        return self.accepted.least

    @property
    def one_stride(self) -> bool:
        """Whether there are several maps, all of one stride, as a plain transformer's blocks have them."""
        return len(self.strides) > 1 and len(set(self.strides)) == 1

    @property
    def roundings(self) -> tuple[Rounding | int | None, ...]:
        """How each map's size is rounded from the one before it, as matched operators take it: see ``inverse_of``."""
        return tuple(map(inverse_of, self.rules()))

    @property
    def fills_up(self) -> bool:
        """Whether some map has more rows than one that is rounded up would have."""
        factors = [low // high for high, low in itertools.pairwise((1, *self.strides))]
        return any(
            low > -(-high // factor)
            for size, maps in self.sizes.items()
            for high, low, factor in zip((size, *maps), maps, factors, strict=False)
        )

    def kept(self, places: Sequence[int]) -> "Pyramid":
        """Return the pyramid of some of the maps."""
        channels = tuple(self.channels[i] for i in places)
        sizes = {size: tuple(maps[i] for i in places) for size, maps in self.sizes.items()}
        functions = None if self.functions is None else tuple(self.functions[i] for i in places)
        declared = None if self.declared is None else tuple(self.declared[i] for i in places)
        return replace(self, channels=channels, sizes=sizes, functions=functions, declared=declared)

    def places(self) -> list[int]:
        """Return the maps that make a pyramid: of neighbours of one stride the last; all where all are of one."""
        strides = self.strides
        last = [i for i, (one, below) in enumerate(zip(strides, [*strides[1:], 0], strict=True)) if one != below]
        return last if len(last) > 1 else list(range(len(strides)))

    def with_rows_put_back(self) -> "Pyramid":
        """Return the pyramid after :func:`rows_put_back`; see there."""
        strides = self.strides
        sizes = {size: rows_put_back(size, maps, strides) for size, maps in self.sizes.items()}
        functions = None if self.functions is None else functions_put_back(self.functions, strides)
        return replace(self, sizes=sizes, functions=functions)


def probe_pyramid(
    encoder: nn.Module,
    in_channels: int = 3,
    img_size: int | None = None,
    *,
    channels_last: bool = False,
    strides: Sequence[int] | None = None,
    name: str = "encoder",
) -> Pyramid:
    """Try ``encoder`` on images of a few sizes, on shapes alone, and return what it did.

    Nothing is proved about which sizes are accepted: see :func:`segup.inspection.check_sizes` for that.

    Args:
        encoder: Any module from an image to a map, or a list or dict of maps, from high to low resolution.
        in_channels: Channels of the image.
        img_size, channels_last: See :func:`segup.inspection.tried.try_sizes`.
        strides: As the library declares them. They count where there is a single size, whose maps do not show them:
            6 rows of 100 pixels may have stride 16 as well as 17.
        name: As errors call it.

    Raises:
        ConfigError: The module is tied to one size, or its maps have neither one stride nor strides that are multiples
            of each other.
        ShapeError: ``in_channels`` is below 1.
    """
    tried = try_sizes(encoder, in_channels, img_size, channels_last=channels_last)
    runs, accepted = tried.runs, tried.accepted
    if accepted is None:
        size = img_size if img_size in tried.refused else max(tried.refused)
        reason = tried.refused[size]
        raise ConfigError(f"{name} does not take images of any size: at {size}×{size} pixels, {reason}")
    last, seen = runs[max(runs)], map_sizes(tried)
    channels = tuple(as_ints(shape)[1] for shape in last.outputs.values())
    functions = functions_of(last, 0, on_its_path=True)
    alike = functions is not None and functions == functions_of(last, 1, on_its_path=True)
    proved = alike and _goes_on(last, accepted)
    known = functions if proved else seen.functions
    alone = seen.sizes if known is None and seen.far is None else {}
    declared = tuple(strides) if strides is not None and _may_have(alone, strides) else None
    pyramid = Pyramid(
        seen.sizes, seen.refused, known, seen.far, channels, accepted, tried.channels_last, proved, tried.attention,
        declared,
    )  # fmt: skip
    found = [pyramid.strides[i] for i in pyramid.places()]
    if not pyramid.one_stride and any(low <= high or low % high for high, low in itertools.pairwise(found)):
        raise ConfigError(
            f"{name} gives maps at strides {', '.join(map(str, found))}: a pyramid needs strides that are "
            f"multiples of the ones before."
        )
    return pyramid


def _may_have(sizes: Mapping[int, Sequence[int]], strides: Sequence[int]) -> bool:
    """Return whether there is an image size, and maps of these strides have the rows that they have, or one off."""
    return bool(sizes) and all(
        len(maps) == len(strides) and all(abs(size - n * s) <= s for n, s in zip(maps, strides, strict=True))
        for size, maps in sizes.items()
    )


def _goes_on(run: ModelRun, accepted: AcceptedSizes) -> bool:
    """Return whether nothing that a run asked of a size comes out otherwise at another size that is accepted."""
    start, period = accepted.sizes.start, accepted.sizes.period
    return all(
        decision.at(size) == decision.outcome
        for decision in run.record.decisions
        for size in accepted.up_to(max(start, decision.repeats_from) + lcm(decision.function.period, period))
    )
