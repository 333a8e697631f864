"""The sizes of an encoder's maps: read from the maps themselves, never computed as ``H // 2**k``."""

from dataclasses import dataclass, field

from torch import nn

from segup.calls import annotated
from segup.errors import ShapeError
from segup.inspection.lines import Line
from segup.inspection.rules import Rounding, fitted, rounding_of
from segup.inspection.sketch import sketch
from segup.inspection.trace import Run, Tracer
from segup.inspection.traced import TracedSize, values
from segup.shapes import Conv
from segup.shapes.arguments import AXIS_NAMES, two, whole

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
        lines: Each map's size as a function of the image's, where every layer is known to the calculus; else None.
        proved: Whether the widths follow the same functions, and every size from the smallest on is accepted: then
            ``lines`` say all that there is to say.
    """

    channels: tuple[int, ...]
    sizes: dict[int, tuple[int, ...]]
    refused: dict[int, str]
    lines: tuple[Line, ...] | None = field(default=None, repr=False)
    proved: bool = field(default=False, repr=False)

    @property
    def min_size(self) -> int:
        """The smallest input size that it accepts."""
        return min(self._accepted)

    @property
    def _accepted(self) -> dict[int, tuple[int, ...]]:
        if not self.sizes:
            size, message = max(self.refused.items())
            raise ShapeError(f"the encoder refuses every size that was tried; {size}×{size}: {message}")
        return self.sizes

    @property
    def gaps(self) -> tuple[int, ...]:
        """Sizes above :attr:`min_size` that it refuses."""
        return tuple(size for size in sorted(self.refused) if size > self.min_size)

    @property
    def strides(self) -> tuple[int, ...]:
        """The reduction of each map: by how much the image has to grow for one more row.

        Where no functions of the size are known it is the product of the ratios of neighbours, each rounded.
        Convolutions without padding make 256 → 125 → 60 → 29; taken as 256/29 that would be stride 9.
        """
        if self.lines is not None and all(line.growth > 0 and line.period % line.growth == 0 for line in self.lines):
            return tuple(line.period // line.growth for line in self.lines)
        largest = max(self._accepted)
        strides, above, reduction = [], largest, 1
        for size in self.sizes[largest]:
            reduction *= round(above / size)
            strides.append(reduction)
            above = size
        return tuple(strides)

    def stem_rounding(self) -> Rounding | None:
        """Return how the first map's size follows from the image's: None where it is rounded neither way."""
        return rounding_of(self.rules()[0])

    def rules(self) -> tuple[Conv | None, ...]:
        """Return how each map's size follows from the one before it, the first from the image's.

        None where no one rule covers all sizes: see :func:`segup.inspection.stage_rules`.
        """
        paths = [(size, *maps) for size, maps in self.sizes.items()]
        strides = (1, *self.strides)
        lines = None if self.lines is None else (Line.identity(), *self.lines)
        return tuple(
            fitted(
                [(path[level], path[level + 1]) for path in paths],
                max(1, strides[level + 1] // strides[level]),
                None if lines is None else (lines[level], lines[level + 1]),
            )
            for level in range(len(self.strides))
        )

    def roundings(self) -> tuple[Rounding | None, ...]:
        """Return how each map's size follows from the map before it: None where it is rounded neither way."""
        return tuple(rounding_of(rule) for rule in self.rules()[1:])


@annotated
def feature_sizes(encoder: nn.Module, size: int | tuple[int, int], in_channels: int = 3) -> list[tuple[int, int]]:
    """Return ``(height, width)`` of every map that ``encoder`` makes of an image of ``size``, in evaluation mode.

    Nothing is computed: a copy of the encoder without weights is run on shapes alone, and the encoder, its weights,
    buffers and training flags stay as they are.

    Args:
        encoder: Any module from an image to a map, or a list or dict of maps: timm's, torchvision's, your own.
        size: Of the image, one int or (height, width), in pixels.
        in_channels: Channels of the image.

    Raises:
        ShapeError: The encoder refuses the size; or it, or ``in_channels``, is not made of ints of at least 1.

    >>> feature_sizes(nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1)), (67, 64))
    [(34, 32)]
    """
    height, width = (whole(n, name, 1) for n, name in zip(two(size, "size"), AXIS_NAMES, strict=True))
    run = Tracer(sketch(encoder).eval(), whole(in_channels, "in_channels", 1)).run((height, width))
    if run.refusal is not None:
        where = f" at layer '{run.refusal.layer}'" if run.refusal.layer else ""
        raise ShapeError(f"the encoder refuses {height}×{width}{where}: {run.refusal.message}")
    shapes = [values(shape) for shape in run.outputs.values()]
    return [(shape[-2], shape[-1]) for shape in shapes]


@annotated
def probe_pyramid(encoder: nn.Module, in_channels: int = 3) -> Pyramid:
    """Try ``encoder`` on square images of a few sizes, on shapes alone, and return what it did.

    The smallest accepted size is found by bisection up to 64; sizes just above it and around 64 are tried too.
    Nothing is proved about which sizes are accepted: see :func:`segup.inspection.check_sizes` for that.

    Args:
        encoder: Any module from an image to a map, or a list or dict of maps, from high to low resolution.
        in_channels: Channels of the image.

    Raises:
        ShapeError: ``in_channels`` is below 1.
    """
    tracer = Tracer(sketch(encoder).eval(), whole(in_channels, "in_channels", 1))
    seen: dict[int, Run] = {}
    refused: dict[int, str] = {}

    def accepts(size: int) -> bool:
        if size not in seen and size not in refused:
            run = tracer.run((size, size))
            if run.refusal is not None:
                refused[size] = run.refusal.message
            elif any(0 in values(shape) for shape in run.outputs.values()):
                refused[size] = "a map without pixels"
            else:
                seen[size] = run
        return size in seen

    low, high = 0, 1 if accepts(1) else _LARGEST_MINIMUM
    while accepts(high) and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if accepts(middle) else (middle, high)
    for size in (*range(high + 1, high + 4), *_SAMPLE):
        accepts(size)
    maps = {size: [values(shape) for shape in seen[size].outputs.values()] for size in sorted(seen)}
    channels = tuple(shape[1] for shape in next(iter(maps.values()))) if maps else ()
    sizes = {size: tuple(shape[-2] for shape in shapes) for size, shapes in maps.items()}
    if not seen:
        return Pyramid(channels, sizes, refused)
    run = seen[max(seen)]
    lines = _lines_of(run, 0)
    proved = lines is not None and lines == _lines_of(run, 1) and _accepts_from(run, min(seen))
    return Pyramid(channels, sizes, refused, lines, proved)


def _accepts_from(run: Run, least: int) -> bool:
    """Return whether nothing that a run asked of a size comes out otherwise at another size from ``least`` on."""
    return all(
        decision.at(size) == decision.outcome
        for decision in run.record.decisions
        for size in range(least, max(least, decision.settled_from) + decision.line.period)
    )


def _lines_of(run: Run, axis: int) -> tuple[Line, ...] | None:
    """Return each map's height (axis 0) or width as a function of the image's, where a run followed all of them."""
    branches = (decision for decision in run.record.decisions if not decision.required)
    if run.record.unfollowed or any(decision.axis == axis for decision in branches):
        return None
    lines = []
    for shape in run.outputs.values():
        dim = shape[axis - 2]
        single = dim.extent.single() if type(dim) is TracedSize and dim.extent is not None else None
        if single is None or single[0] != axis:
            return None
        lines.append(single[1])
    return tuple(lines)
