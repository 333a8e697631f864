"""From a torch module, or a layer's words with a weight, to the layer with its numbers."""

import copy
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from segup.errors import ConfigError, ShapeError
from segup.explain.advice import built
from segup.explain.deconv import DeconvOperation
from segup.explain.language import Words
from segup.explain.numbers import Array, carried
from segup.explain.operation import Operation
from segup.explain.rearrange import CarafeOperation, ShuffleOperation
from segup.explain.resize import ResizeOperation
from segup.explain.windows import ConvOperation, PoolOperation
from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize
from segup.shapes.channels import out_channels_of
from segup.shapes.resize import MODES
from segup.unaltered import altered

KNOWN = "Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, Upsample, PixelShuffle or CARAFE"
Pair = tuple[int, int]


@runtime_checkable
class Reassembler(Protocol):
    """What a CARAFE module has, whoever wrote it: the kernels that it predicts, and their shape."""

    kernel_size: int
    groups: int
    scale: int

    def kernels(self, x: Tensor) -> Tensor:
        """Return the kernels ``(N, groups·kernel_size², scale·h, scale·w)``."""
        ...


def operations_of(module: nn.Module, x: Tensor, output_size: Pair | None = None) -> list[Operation]:
    """Return the module with its numbers, once for each image of ``x`` ``(N, C, h, w)``.

    Raises:
        ConfigError: The module, or an option of it, is not one that can be explained.
        ShapeError: ``x`` or a parameter breaks a rule.
    """
    known = (nn.ConvTranspose2d, nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.Upsample, nn.PixelShuffle)
    own = () if isinstance(module, known) else (type(module),)
    reason = altered(module, *own) if own == () or isinstance(module, Reassembler) else ""
    if reason:
        raise ConfigError(
            f"explain goes by a layer's parameters: {reason}.\n  try: torch's own layer with them, without hooks."
        )
    size = (int(x.shape[2]), int(x.shape[3]))
    images = [image.numpy() for image in x.detach().cpu().double()]
    if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
        return _convolutions(module, images, size, output_size)
    _no_output_size(module, output_size)
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        return _pools(module, images, size)
    if isinstance(module, nn.Upsample):
        return [_resized(module, image) for image in images]
    if isinstance(module, nn.PixelShuffle):
        layer = PixelShuffle(module.upscale_factor)
        out_channels_of(layer, int(x.shape[1]))
        return [ShuffleOperation(layer, _alone(image)) for image in images]
    if isinstance(module, Reassembler):
        return _reassemblies(module, x)
    inside = [
        f"{name} ({type(part).__name__})"
        for name, part in module.named_modules()
        if name and isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.MaxPool2d | nn.AvgPool2d | nn.Upsample)
    ]
    hint = f"one of the layers inside, such as module.{inside[0]}" if inside else KNOWN
    raise ConfigError(f"explain takes one layer, {KNOWN}, not {type(module).__name__}.\n  try: {hint}.")


def operation_of(
    words: Words, x: Array, weight: Array | None, bias: Array | None, output_size: Pair | None
) -> Operation:
    """Return the layer that words name, with its numbers.

    Args:
        words: One layer's words.
        x: ``(C, h, w)``.
        weight: Of a conv or deconv as torch keeps it; of carafe the logits ``(groups·k², scale·h, scale·w)``, of which
            a softmax makes the kernels.
        bias: ``(Co,)`` or None.
        output_size: (height, width) that a deconv is to reach, or None.
    """
    size = (x.shape[1], x.shape[2])
    if words.kind == "carafe":
        assert weight is not None
        k2, groups = words.given["kernel_size"] ** 2, words.given["groups"]
        logits = torch.from_numpy(weight.astype(np.float64)).unflatten(0, (groups, k2))
        kernels = logits.softmax(dim=1).flatten(0, 1).numpy()
        (values,) = carried(x, products=k2)
        return CarafeOperation(Resize(words.given["scale"]), values, kernels, words.given["kernel_size"], groups)
    layer = built(words.kind, words.given, size, output_size)
    if isinstance(layer, Conv | ConvTranspose):
        assert weight is not None
        return _with_weight(layer, x, weight, bias)
    if isinstance(layer, Pool):
        return _pool(layer, x, words.pool)
    if isinstance(layer, Resize):
        return ResizeOperation(layer, _alone(x))
    out_channels_of(layer, x.shape[0])
    return ShuffleOperation(layer, _alone(x))


def weight_shape(words: Words, in_channels: int, out_channels: int, size: Pair) -> tuple[int, ...] | None:
    """Return the shape of the weight that a layer needs, as torch keeps it, or None for a layer without one.

    Raises:
        ShapeError: The groups do not divide the channels.
    """
    given = words.given
    if words.kind == "carafe":
        if in_channels % given["groups"]:
            raise ShapeError(f"groups={given['groups']} of carafe must divide in_channels={in_channels}.")
        return (given["groups"] * given["kernel_size"] ** 2, *(n * given["scale"] for n in size))
    if words.kind not in ("conv", "deconv"):
        return None
    kernel, groups = given["kernel_size"], given.get("groups", 1)
    kernel = tuple(kernel) if isinstance(kernel, tuple | list) else (kernel, kernel)
    # Groups are the same question for both kinds: the kernel, which may be wrong in itself, plays no part in it.
    plainest = Conv(1, groups=groups)
    try:
        out_channels_of(plainest, in_channels, out_channels)
    except ShapeError as reason:
        raise ShapeError(str(reason).replace(f"'{plainest}'", f"'{words.text}'")) from None
    if words.kind == "conv":
        return (out_channels, in_channels // groups, *kernel)
    return (in_channels, out_channels // groups, *kernel)


def _convolutions(
    module: nn.Conv2d | nn.ConvTranspose2d, images: Sequence[Array], size: Pair, output_size: Pair | None
) -> list[Operation]:
    channels = images[0].shape[0] if images else module.in_channels
    if channels != module.in_channels:
        raise ShapeError(
            f"{type(module).__name__} takes {module.in_channels} channels, and x has {channels}.\n"
            f"  try: x of the shape (N, {module.in_channels}, {size[0]}, {size[1]})."
        )
    given: dict[str, Any] = {
        name: getattr(module, name) for name in ("kernel_size", "stride", "padding", "dilation", "groups")
    }
    kind = "conv"
    if isinstance(module, nn.ConvTranspose2d):
        kind, given["output_padding"] = "deconv", module.output_padding
    else:
        _no_output_size(module, output_size)
    layer = built(kind, given, size, output_size)
    weight = module.weight.detach().cpu().double().numpy()
    bias = None if module.bias is None else module.bias.detach().cpu().double().numpy()
    return [_with_weight(layer, image, weight, bias, module.padding_mode) for image in images]


def _with_weight(
    layer: Conv | ConvTranspose, x: Array, weight: Array, bias: Array | None, padding_mode: str = "zeros"
) -> Operation:
    taps = int(np.prod(weight.shape[2:])) * (x.shape[0] // layer.groups)
    values, kernel, *more = carried(x, weight, *([] if bias is None else [bias]), products=taps)
    if isinstance(layer, ConvTranspose):
        return DeconvOperation(layer, values, kernel, *more)
    for axis, size in zip(layer.axes, x.shape[1:], strict=True):
        most = {"reflect": size - 1, "circular": size}.get(padding_mode)  # as torch: no more than there is
        if most is not None and max(axis.before, axis.after) > most:
            raise ShapeError(
                f'padding {max(axis.before, axis.after)} with padding_mode="{padding_mode}" needs more rows or columns '
                f"than the {size} there are.\n  try: padding={most}."
            )
    return ConvOperation(layer, values, kernel, more[0] if more else None, padding_mode)


def _pools(module: nn.MaxPool2d | nn.AvgPool2d, images: Sequence[Array], size: Pair) -> list[Operation]:
    given = {name: getattr(module, name) for name in ("kernel_size", "stride", "padding")}
    given["ceil_mode"] = bool(module.ceil_mode)
    options: tuple[Any, ...] = ("max",)
    if isinstance(module, nn.MaxPool2d):
        given["dilation"] = module.dilation
    else:
        options = ("avg", module.count_include_pad, module.divisor_override)
    layer = built("pool", given, size)
    return [_pool(layer, image, *options) for image in images]


def _pool(layer: Pool, x: Array, mode: str, count_pad: bool = True, divisor: int | None = None) -> Operation:
    if mode == "avg" and layer.dilation != 1:
        raise ShapeError(
            f"'{layer}' avg has dilation {layer.dilation}, and torch's average pooling has none.\n  try: d1, or max."
        )
    return PoolOperation(layer, _alone(x), mode, count_pad, divisor)


def _resized(module: nn.Upsample, image: Array) -> Operation:
    if module.mode not in MODES:
        raise ConfigError(f"explain knows the modes {', '.join(MODES)} of Upsample, not {module.mode!r}.")
    values, corners, (_, *size) = _alone(image), bool(module.align_corners), image.shape
    if module.size is not None:
        out = module.size if isinstance(module.size, tuple | list) else (module.size, module.size)
        high, wide = int(out[0]), int(out[1])
        factors = (Fraction(high, size[0]), Fraction(wide, size[1]))
        return ResizeOperation(Resize(factors, module.mode), values, (high, wide), corners)
    factor: Any = module.scale_factor
    pair = tuple(map(float, factor)) if isinstance(factor, tuple | list) else (float(factor), float(factor))
    exact = tuple(int(part) if part.is_integer() else part for part in pair)
    layer = built("resize", {"scale_factor": exact, "mode": module.mode}, (size[0], size[1]))
    reach = layer.out((size[0], size[1])) if module.recompute_scale_factor else None
    return ResizeOperation(layer, values, reach, corners)


def _reassemblies(module: Reassembler, x: Tensor) -> list[Operation]:
    project = getattr(module, "project", None)
    if project is not None and not isinstance(project, nn.Identity):
        raise ConfigError(
            "this CARAFE ends with a 1×1 convolution from its input's channels to others, a second layer.\n"
            "  try: out_channels equal to in_channels, and the convolution by itself."
        )
    twin: Any = copy.deepcopy(module)
    twin.cpu().double().eval()
    with torch.no_grad():
        kernels = twin.kernels(x.detach().cpu().double()).numpy()
    layer = Resize(module.scale)
    return [
        CarafeOperation(layer, image.double().numpy(), kernel, module.kernel_size, module.groups)
        for image, kernel in zip(x.detach().cpu(), kernels, strict=True)
    ]


def _alone(x: Array) -> Array:
    return carried(x, products=1)[0]


def _no_output_size(module: nn.Module, output_size: Pair | None) -> None:
    if output_size is not None:
        raise ShapeError(
            f"output_size is what a ConvTranspose2d can be asked for; {type(module).__name__} has one output size "
            f"alone.\n  try: without output_size."
        )
