"""An encoder's pyramid: channels, strides and accepted sizes, read from its maps, never computed as ``H // 2**k``."""

from dataclasses import dataclass, field

from torch import nn

from segup.inspection import inverse_of
from segup.inspection.stages import MapSizes, Rounding, functions_of, map_sizes, try_sizes
from segup.inspection.trace import Run
from segup.inspection.traced import as_ints


@dataclass(frozen=True)
class Pyramid(MapSizes):
    """What an encoder was seen to do with the sizes that it was tried with.

    Args:
        channels: Of each map, from high to low resolution.
        proved: Whether the widths follow the same functions, and every size from the smallest on is accepted: then
            ``functions`` say all that there is to say.
    """

    channels: tuple[int, ...]
    proved: bool = field(repr=False)

    @property
    def min_size(self) -> int:
        """The smallest input size that it accepts."""
        return min(self.accepted)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Sizes above :attr:`min_size` that it refuses."""
        return tuple(size for size in sorted(self.refused) if size > self.min_size)

    @property
    def roundings(self) -> tuple[Rounding | int | None, ...]:
        """How each map's size is rounded from the one before it, as matched operators take it: see ``inverse_of``."""
        return tuple(map(inverse_of, self.rules()))


def probe_pyramid(encoder: nn.Module, in_channels: int = 3) -> Pyramid:
    """Try ``encoder`` on square images of a few sizes, on shapes alone, and return what it did.

    Nothing is proved about which sizes are accepted: see :func:`segup.inspection.check_sizes` for that.

    Args:
        encoder: Any module from an image to a map, or a list or dict of maps, from high to low resolution.
        in_channels: Channels of the image.

    Raises:
        ShapeError: ``in_channels`` is below 1.
    """
    runs, refused = try_sizes(encoder, in_channels)
    seen = map_sizes(runs, refused)
    channels = tuple(as_ints(shape)[1] for shape in next(iter(runs.values())).outputs.values()) if runs else ()
    last = runs[max(runs)] if runs else None
    proved = (
        last is not None
        and seen.functions is not None
        and seen.functions == functions_of(last, 1)
        and _accepts_from(last, min(runs))
    )
    return Pyramid(seen.sizes, seen.refused, seen.functions, channels, proved)


def _accepts_from(run: Run, least: int) -> bool:
    """Return whether nothing that a run asked of a size comes out otherwise at another size from ``least`` on."""
    return all(
        decision.at(size) == decision.outcome
        for decision in run.record.decisions
        for size in range(least, max(least, decision.repeats_from) + decision.function.period)
    )
