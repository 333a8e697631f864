"""Encoders by their names: ``timm/resnet18``, ``segnet``, or a part from outside."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Annotated, Any

from segup.calls import check
from segup.conform import Count, Positive, Within, closed
from segup.encoders.contract import Encoder, encoders
from segup.errors import ConfigError, unknown
from segup.registry import check_options
from segup.streams import own_stream

Means = Annotated[list[float], Within(1, 2**12)]
Deviations = Annotated[list[Positive], Within(1, 2**12)]
OF_EVERY_ENCODER = closed(
    max_tokens=Count | None,
    output_stride=Count | None,
    mean=Means | None,
    std=Deviations | None,
    freeze=bool | Count | None,
)
"""The options that :func:`create_encoder` takes for every encoder, whoever wrote it."""
KEYS_OF_ITS_GROUP = frozenset({"max_tokens", "mean", "std", "freeze", "out_indices"})
"""The options that stand in the configuration's group ``encoder`` itself, not in ``encoder.options``."""


@own_stream()
def create_encoder(
    name: str,
    in_channels: int = 3,
    *,
    pretrained: bool = True,
    freeze: bool | Count = False,
    max_tokens: Count | None = None,
    output_stride: Count | None = None,
    mean: Means | None = None,
    std: Deviations | None = None,
    **options: Any,
) -> Encoder:
    """Build an encoder.

    Args:
        name: One of :func:`list_encoders` (``"efficientnet_lite0"``), ``"timm/<model>"``, ``"torchvision/<model>"``,
            or a bare name that timm knows (``"resnet18"``).
        in_channels: Channels of the image. Pretrained input kernels are adapted to any number.
        pretrained: Start from the library's weights. timm and torchvision download them; those of
            ``efficientnet_lite0`` are installed with segup.
        freeze: Keep the weights and BatchNorm's statistics as they are; a number: those of as many blocks or stages,
            from the input, and of what is before them.
        mean, std: Of each channel, for images with values in 0 … 1; None: those of the library's weights.
        max_tokens: The most tokens that may attend to each other, where attention grows with the square of the tokens.
            An image with more goes through in windows in evaluation, and is refused in training. None: as many as
            take 2 GiB for one image's scores and their softmax, in float32.
        output_stride: The stride of the last map: what would go below it dilates instead, and the weights keep their
            meaning. 16 is DeepLab's. None: as the library has it.
        **options: The library's options, and ``freeze_norm``, see :class:`Encoder`.

    Raises:
        ConfigError: A name or an option is unknown, the weights are not available, or the model gives no pyramid.

    >>> encoder = create_encoder("efficientnet_lite0", pretrained=False)
    >>> encoder.channels, encoder.strides
    ((16, 24, 40, 112, 320), (2, 4, 8, 16, 32))
    """
    family, model = family_of(name)
    build = encoders.get(family)
    check_options(build, options, f"encoder '{name}'", place=("model", *encoders.place), more=OF_EVERY_ENCODER)
    common = {"in_channels": in_channels, "pretrained": pretrained, "freeze": freeze is True}
    taken = inspect.signature(build).parameters
    kinds = {option: parameter.annotation | None for option, parameter in taken.items()} | {"in_channels": Count}
    kinds |= OF_EVERY_ENCODER
    own = {"max_tokens": max_tokens, "output_stride": output_stride, "mean": mean, "std": std, "freeze": freeze}
    for option, value in {**common, **options, **own}.items():
        check(f"encoder '{name}': {option}", kinds.get(option, Any), value)
    named = (model,) if model or "/" in name else ()
    _check_named(family, named, build)
    encoder = build(*named, **common, **options)
    if not isinstance(encoder, Encoder):
        raise ConfigError(f"encoder '{name}' makes a {type(encoder).__name__}, not a segup.encoders.Encoder")
    if output_stride is not None:
        encoder.dilate(output_stride)
    if max_tokens is not None:
        encoder.limit_tokens(max_tokens)
    encoder.normalise_by(mean, std)
    if not isinstance(freeze, bool):
        encoder.freeze_first(freeze)
    return encoder


def family_of(name: str) -> tuple[str, str]:
    """Return the word that an encoder is registered by, and the model's name in its library.

    Raises:
        ConfigError: No name, or one that neither segup nor timm knows.

    >>> family_of("segnet"), family_of("torchvision/resnet18"), family_of("resnet18")
    (('segnet', ''), ('torchvision', 'resnet18'), ('timm', 'resnet18'))
    """
    if not isinstance(name, str):
        raise ConfigError(f"encoder={name!r} must be a name, such as 'efficientnet_lite0' or 'timm/resnet18'")
    family, slash, model = name.partition("/")
    if not slash and name not in encoders and ":" not in name:
        _check_timm(name)
        return "timm", name
    return family, model


def list_encoders() -> list[str]:
    """Return the names of segup's own encoders and of the libraries it takes encoders from."""
    return encoders.names()


def _check_named(family: str, named: tuple[str, ...], build: Callable[..., Encoder]) -> None:
    """Raise a ConfigError where a library's model is not named, or one is named of what is no library."""

    def takes(*named: str) -> bool:
        try:
            inspect.signature(build).bind(*named, in_channels=3, pretrained=False, freeze=False)
        except TypeError:
            return False
        return True

    if takes(*named) and named != ("",):
        return
    if not named and not takes("name"):
        raise ConfigError(f"encoder '{family}' has to take in_channels, pretrained and freeze, by keyword")
    if takes("name"):
        raise ConfigError(f"encoder '{family}' needs a model's name.\n  try: {family}/resnet18")
    raise ConfigError(f"encoder '{family}' is not a library, so it has no model '{named[0]}'.\n  try: {family}")


def _check_timm(name: str) -> None:
    import timm

    if not timm.is_model(name):
        close = get_close_matches(name, timm.list_models(), n=3, cutoff=0.6)
        raise ConfigError(unknown("encoder", name, [*encoders, *close]) + ", and all models that timm lists")
