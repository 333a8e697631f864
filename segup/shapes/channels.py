"""Channel arithmetic: the shape, the parameters and the multiply-accumulates of a layer before anything is built."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod

from segup.calls import annotated
from segup.errors import ShapeError
from segup.shapes.arguments import Size, flag, height_width, is_pair, split, whole
from segup.shapes.chain import Chain, flat
from segup.shapes.layer import Layer
from segup.shapes.resize import PixelShuffle
from segup.shapes.transposed import ConvTranspose
from segup.shapes.windows import Conv


@annotated
@dataclass(frozen=True)
class Cost:
    """Learned ``parameters``, and ``macs``, the multiply-accumulates for one image.

    >>> Cost(10, 100) + Cost(1, 20)
    Cost(parameters=11, macs=120)
    """

    parameters: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.parameters + other.parameters, self.macs + other.macs)


def out_channels_of(layer: Layer, in_channels: int, out_channels: int | None = None) -> int:
    """Return the channels after ``layer``; for a convolution they are the ``out_channels`` that it is given.

    Pooling and resizing keep the channels, a pixel shuffle by r makes one of every r².

    Raises:
        ShapeError: A convolution without ``out_channels`` or with channels that its groups do not divide; another
            layer with other ``out_channels`` than it makes; a pixel shuffle whose r² does not divide ``in_channels``;
            a chain with convolutions, each of which has channels of its own (see :func:`costs`).

    >>> out_channels_of(PixelShuffle(2), 64)
    16
    """
    channels = whole(in_channels, "in_channels", 1)
    wanted = None if out_channels is None else whole(out_channels, "out_channels", 1)
    if isinstance(layer, Conv | ConvTranspose):
        return _learned_channels(layer, channels, wanted)
    made = channels
    if isinstance(layer, Chain):
        if any(isinstance(part, Conv | ConvTranspose) for part in layer.layers):
            raise ShapeError(
                f"each convolution of '{layer}' has channels of its own.\n"
                f"  try: costs(layers, size, channels), with the channels after each of them."
            )
        made = reduce(lambda before, part: out_channels_of(part, before), layer.layers, channels)
    if isinstance(layer, PixelShuffle):
        square = layer.upscale_factor**2
        if channels % square:
            raise ShapeError(
                f"'{layer}' makes one channel of every {layer.upscale_factor}² = {square}, which does not divide "
                f"in_channels={channels}.\n  try: in_channels={-(-channels // square) * square}."
            )
        made = channels // square
    if wanted not in (None, made):
        raise ShapeError(f"'{layer}' makes {made} channels of {channels}, not {wanted}.\n  try: out_channels=None.")
    return made


def _learned_channels(layer: Conv | ConvTranspose, channels: int, wanted: int | None) -> int:
    if wanted is None:
        raise ShapeError(f"'{layer}' can have any number of channels: out_channels is needed.")
    for name, value in (("in_channels", channels), ("out_channels", wanted)):
        if value % layer.groups:
            nearest = -(-value // layer.groups) * layer.groups
            raise ShapeError(
                f"groups={layer.groups} of '{layer}' must divide {name}={value}.\n  try: {name}={nearest}, or groups=1."
            )
    return wanted


def out_shape(layer: Layer, shape: tuple[int, int, int], out_channels: int | None = None) -> tuple[int, int, int]:
    """Return (channels, height, width) after ``layer``.

    >>> out_shape(Conv(5), (3, 28, 28), out_channels=8)
    (8, 24, 24)
    """
    if not is_pair(shape) or len(shape) != 3:
        raise ShapeError(f"shape must be (channels, height, width), not {shape!r}.")
    channels, height, width = shape
    return (out_channels_of(layer, channels, out_channels), *layer.out((height, width)))


def cost(layer: Layer, size: Size, in_channels: int, out_channels: int | None = None, *, bias: bool = True) -> Cost:
    """Return what ``layer`` costs for one image.

    A convolution has k²·Ci/groups·Co weights and uses each of them once per output position; a transposed convolution
    has as many and uses each once per INPUT position, the low-resolution ones. Biases count as parameters and not as
    multiply-accumulates. Pooling, resizing and pixel shuffling count as nothing, as in torch's FlopCounterMode (whose
    FLOPs are two per multiply-accumulate).

    Args:
        layer: A layer; for several, see :func:`costs`.
        size: Input size of both axes or a (height, width) pair.
        in_channels: Channels before the layer.
        out_channels: Channels after it; None for a layer that leaves no choice.
        bias: Whether it has one.

    Raises:
        ShapeError: As :func:`out_channels_of` and ``layer.out``.

    >>> cost(Conv(3, padding=1), 32, 16, 8)
    Cost(parameters=1160, macs=1179648)
    >>> cost(ConvTranspose(4, stride=2, padding=1), 16, 8, 4)
    Cost(parameters=516, macs=131072)
    """
    if not isinstance(layer, Layer):
        raise ShapeError(f"cost takes a layer such as Conv(3, stride=2, padding=1), not {layer!r}.")
    made, bias = out_channels_of(layer, in_channels, out_channels), flag(bias, "bias")
    pair = height_width(size)
    out = layer.out(pair)
    if not isinstance(layer, Conv | ConvTranspose):
        return Cost(0, 0)
    height, width = split(layer.kernel_size)
    weights = height * width * (in_channels // layer.groups) * made
    positions = prod(pair if isinstance(layer, ConvTranspose) else out)
    return Cost(weights + made * bias, weights * positions)


def costs(layers: Sequence[Layer], size: Size, channels: Sequence[int], *, bias: bool = True) -> list[Cost]:
    """Return what each layer of a chain costs.

    Args:
        layers: First to last.
        size: Input size of both axes or a (height, width) pair.
        channels: The input's channels, then those after each convolution; the other layers need no entry.
        bias: Whether the convolutions have one.

    Raises:
        ShapeError: As :func:`cost`; or ``channels`` has too few or too many entries.

    >>> from segup.shapes import parse
    >>> sum(costs(parse("conv k3 s2 p1, conv k3 p1, pixel_shuffle x2"), 32, [3, 16, 32]), Cost(0, 0))
    Cost(parameters=5088, macs=1290240)
    """
    parts = flat(layers, "layers")
    learned = sum(isinstance(layer, Conv | ConvTranspose) for layer in parts)
    if not is_pair(channels) or len(channels) != learned + 1:
        raise ShapeError(
            f"channels must hold the input's channels and those after each of the {learned} convolutions, "
            f"{learned + 1} numbers, not {channels!r}."
        )
    here, pair = channels[0], height_width(size)
    following = iter(channels[1:])
    result = []
    for layer in parts:
        wanted = next(following) if isinstance(layer, Conv | ConvTranspose) else None
        result.append(cost(layer, pair, here, wanted, bias=bias))
        here, pair = out_channels_of(layer, here, wanted), layer.out(pair)
    return result
