"""The calculus object of a torch layer."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from segup.errors import ConfigError
from segup.inspection.shape_rules.through import exact, pair
from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize
from segup.shapes.layer import Layer
from segup.shapes.resize import MODES
from segup.unaltered import altered

_KEEPING = (
    *(nn.Identity, nn.BatchNorm2d, nn.SyncBatchNorm, nn.InstanceNorm2d, nn.GroupNorm, nn.LocalResponseNorm),
    *(nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Softmax2d, nn.ChannelShuffle),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.LogSigmoid),
    *(nn.Threshold, nn.Softshrink, nn.Hardshrink, nn.Tanhshrink, nn.Softmax, nn.LogSoftmax, nn.Softmin),
)


def size_map(module: nn.Module) -> Layer[Any]:
    """Return what a layer does to sizes in evaluation mode, as an object of ``segup.shapes``.

    In training mode a BatchNorm, and an InstanceNorm that keeps its statistics, refuse maps of one pixel besides, the
    BatchNorm in a batch of one.

    Args:
        module: ``nn.Conv2d``, ``ConvTranspose2d``, ``MaxPool2d``, ``AvgPool2d``, ``Upsample`` with a factor,
            ``UpsamplingNearest2d``, ``UpsamplingBilinear2d``, ``PixelShuffle``, a layer that keeps sizes
            (activations, norms, dropout), or an ``nn.Sequential`` of them, which becomes a chain.

    Raises:
        ConfigError: Another layer, or one whose output does not follow from its input's size by a law; a norm that
            refuses maps of one pixel; or a layer that may do something else than its class in torch: a subclass with
            a forward of its own, hooks, a weight of another size than its parameters say.

    >>> size_map(nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2)))
    Conv(kernel_size=(3, 5), stride=2, padding=(1, 2), dilation=1, groups=1)
    >>> stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True))
    >>> print(size_map(stem), size_map(stem).out(417))
    conv k7 s2 p3, pool k3 s2 ceil 104
    """
    reason = altered(module) if isinstance(module, (nn.Sequential, *_KEEPING, *_RULES)) else ""
    if reason:
        raise ConfigError(
            f"no size rule of {module}: {reason}.\n  try: segup.inspection.check_sizes, which runs what it is given."
        )
    if isinstance(module, nn.Sequential):
        return Chain([size_map(part) for part in module])
    if isinstance(module, _KEEPING):
        _check_one_pixel(module)
        return Chain([])
    for kind, rule in _RULES.items():
        if isinstance(module, kind):
            return rule(module)
    kinds = ", ".join(kind.__name__ for kind in _RULES)
    reason = _WHY_NOT.get(type(module).__name__, "the calculus has no object for it")
    raise ConfigError(
        f"no size rule of {module}: {reason}.\n"
        f"  try: {kinds}, layers that keep sizes, or a Sequential of them; check_sizes takes any model."
    )


def _check_one_pixel(module: Any) -> None:
    """Raise a ConfigError for a norm of values of the map alone, which needs two: a rule of one axis cannot say so."""
    kind, other = type(module).__name__, ""
    if isinstance(module, nn.InstanceNorm2d) and not module.track_running_stats:
        why, other = "without track_running_stats", f"{kind}({module.num_features}, track_running_stats=True); "
    elif isinstance(module, nn.GroupNorm) and module.num_groups == module.num_channels:
        why = f"with one channel in each of its {module.num_groups} groups, and in a batch of one,"
        other = f"GroupNorm(1, {module.num_channels}); " if module.num_channels > 1 else ""
    elif isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) and module.running_mean is module.running_var is None:
        why = "without running statistics, and in a batch of one,"
        other = f"{kind}({module.num_features}, track_running_stats=True); "
    else:
        return
    raise ConfigError(
        f"no size rule of {module}: {why} it refuses maps of 1×1, and takes 1×2: height and width decide together.\n"
        f"  try: {other}segup.inspection.check_sizes, which takes any model."
    )


def _conv(module: Any) -> Conv:
    padding = module.padding
    if module.padding_mode in ("reflect", "circular") and (padding == "same" or any(pair(padding))):
        raise ConfigError(
            f'no size rule of {module}: padding_mode="{module.padding_mode}" also refuses maps that are smaller than '
            f"its padding.\n  try: segup.inspection.check_sizes, which takes any model."
        )
    padding = padding if isinstance(padding, str) else pair(padding)
    kernel, stride, dilation = pair(module.kernel_size), pair(module.stride), pair(module.dilation)
    return Conv(kernel, stride, padding, dilation, groups=module.groups)


def _conv_transpose(module: Any) -> ConvTranspose:
    values = (module.kernel_size, module.stride, module.padding, module.output_padding, module.dilation)
    return ConvTranspose(*map(pair, values), groups=module.groups)


def _pool(module: Any) -> Pool:
    kernel, stride = pair(module.kernel_size), pair(module.stride or module.kernel_size)
    return Pool(kernel, stride, pair(module.padding), pair(getattr(module, "dilation", 1)), module.ceil_mode)


def _resize(module: Any) -> Resize:
    if module.scale_factor is None or module.size is not None:
        raise ConfigError(
            f"no size rule of {module}: it gives {module.size} whatever comes in.\n"
            f"  try: Upsample(scale_factor=...); segup.inspection.check_sizes takes any model."
        )
    if module.mode not in MODES:
        raise ConfigError(
            f"no size rule of {module}: the modes {', '.join(MODES)} have one, and {module.mode!r} has none.\n"
            f"  try: segup.inspection.check_sizes, which takes any model."
        )
    height, width = map(exact, pair(module.scale_factor))
    return Resize((height, width), module.mode)


_RULES: Mapping[type[nn.Module], Callable[[Any], Layer[Any]]] = {
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _conv_transpose,
    nn.MaxPool2d: _pool,
    nn.AvgPool2d: _pool,
    nn.Upsample: _resize,
    nn.PixelShuffle: lambda module: PixelShuffle(module.upscale_factor),
}

_WHY_NOT: Mapping[str, str] = {
    "PixelUnshuffle": "it takes multiples of its factor alone, which no floor of a line says",
    "AdaptiveAvgPool2d": "it gives one size whatever comes in",
    "AdaptiveMaxPool2d": "it gives one size whatever comes in",
    "MaxUnpool2d": "its size is that of the pooling that it undoes",
}
