"""Where a list of layers turns from the way down to the way up, and which stage up undoes which stage down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from segup.shapes.chain import flat
from segup.shapes.layer import Layer
from segup.shapes.resize import PixelShuffle, Resize
from segup.shapes.transposed import ConvTranspose


@dataclass(frozen=True)
class DownUp:
    """A list of layers as stages; with a way down and a way up, there are as many of the one as of the other.

    Args:
        down: The stages of the way down, first to last.
        up: The stages of the way up in the order of use: the first undoes the last of ``down``.
    """

    down: tuple[tuple[Layer, ...], ...]
    up: tuple[tuple[Layer, ...], ...]

    @property
    def turns(self) -> bool:
        """Whether there is a way down and a way up."""
        return bool(self.down and self.up)


def down_up(layers: Layer | Sequence[Layer]) -> DownUp:
    """Return the stages of a list of layers.

    The way up begins with the first transposed convolution, pixel shuffle or resize by 1 or more. A stage has one layer
    that changes the resolution; those that keep it belong to the one before them, leading ones to the first stage.
    Where no layer changes the resolution, each is a stage. Where the stages down and up do not pair off, or the way up
    goes down again, each way is one stage as a whole: then the ends alone are compared.

    Raises:
        ShapeError: A part is no layer.

    >>> from segup.shapes import parse
    >>> split = down_up(parse("conv k3 s2 p1, conv k3 p1, pool k2, deconv k2 s2, deconv k2 s2, conv k3 p1"))
    >>> [[str(layer) for layer in stage] for stage in split.down]
    [['conv k3 s2 p1', 'conv k3 p1'], ['pool k2 s2']]
    >>> [[str(layer) for layer in stage] for stage in split.up]
    [['deconv k2 s2'], ['deconv k2 s2', 'conv k3 p1']]
    """
    parts = flat(layers, "layers")
    ups = (
        isinstance(layer, ConvTranspose | PixelShuffle) or (isinstance(layer, Resize) and not _shrinks(layer))
        for layer in parts
    )
    turn = next((place for place, goes_up in enumerate(ups) if goes_up), len(parts))
    down, up = parts[:turn], parts[turn:]
    steps = sum(map(_shrinks, down))
    paired = steps == sum(map(_enlarges, up)) and not any(map(_shrinks, up))
    if paired and steps:
        return DownUp(_stages(down, _shrinks), _stages(up, _enlarges))
    if not down or not up or (paired and len(down) == len(up)):
        return DownUp(tuple((layer,) for layer in down), tuple((layer,) for layer in up))
    return DownUp((tuple(down),), (tuple(up),))


def _shrinks(layer: Layer) -> bool:
    return any(axis.pitch > 1 for axis in layer.axes)


def _enlarges(layer: Layer) -> bool:
    return any(axis.pitch < 1 for axis in layer.axes)


def _stages(layers: Sequence[Layer], begins: Callable[[Layer], bool]) -> tuple[tuple[Layer, ...], ...]:
    """Return the layers in groups of which each but the first starts with a layer that ``begins`` one."""
    starts = [place for place, layer in enumerate(layers) if begins(layer)]
    cuts = [0, *starts[1:], len(layers)]
    return tuple(tuple(layers[low:high]) for low, high in pairwise(cuts))
