"""Any torchvision classification model with maps, through torchvision's feature extraction."""

from copy import deepcopy
from typing import Any

import torch
import torchvision
from timm.models import adapt_input_conv
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from segup.conform import Count
from segup.encoders.contract import FROZEN, Encoder, register_encoder
from segup.errors import ConfigError, unknown

_PROBE = 256  # pixels a side: every stride up to 32 gives a size of its own
_USUAL = 224  # what models that are tied to one size are built for


@register_encoder("torchvision", storable={**FROZEN, "img_size": Count | None})
def from_torchvision(
    model: str,
    in_channels: int = 3,
    *,
    pretrained: bool = True,
    freeze: bool = False,
    freeze_norm: bool = False,
    img_size: Count | None = None,
) -> Encoder:
    """Build a torchvision classification model and take the last map of each resolution.

    Args:
        model: A name that ``torchvision.models.list_models(torchvision.models)`` lists, such as ``"resnet18"``.
        in_channels, pretrained, freeze, freeze_norm: See :func:`segup.encoders.create_encoder`.
        img_size: Build a model that is tied to one size for this one, in pixels a side; smaller images are extended.

    Raises:
        ConfigError: torchvision does not know the model, its graph gives no maps, or its weights cannot be downloaded.

    >>> from_torchvision("resnet18", pretrained=False).channels
    (64, 64, 128, 256, 512)
    """
    known = torchvision.models.list_models(torchvision.models)
    if model not in known:
        raise ConfigError(unknown("torchvision model", model, known))
    network = _built(model, pretrained, img_size)
    _adapt_input(network, in_channels)
    try:
        nodes, channels_last = last_node_of_each_size(network, in_channels, img_size or _PROBE)
        body = create_feature_extractor(network.eval(), nodes, suppress_diff_warning=True)
    except Exception as cause:  # tracing runs the model's own code, which may raise anything
        tied = img_size is None and _takes_size(model)
        way_out = (
            f"encoder.options.img_size={_USUAL}"
            if tied
            else "encoder=timm encoder.name=vit_tiny_patch16_224, or another of its models"
        )
        raise ConfigError(f"torchvision/{model} cannot be traced into a pyramid: {cause}\n  try: {way_out}") from cause
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Encoder(
        f"torchvision/{model}",
        body,
        in_channels=in_channels,
        mean=mean,
        std=std,
        freeze=freeze,
        freeze_norm=freeze_norm,
        img_size=img_size,
        channels_last=channels_last,
    )


def last_node_of_each_size(network: nn.Module, in_channels: int, size: int = _PROBE) -> tuple[list[str], bool]:
    """Return, from high to low resolution, the last graph node of each resolution below the input's.

    A resolution begins where the map is halved. Within one, a few rows may be lost to missing padding or to the
    classifier's pooling: the size that most nodes have counts. A 1×1 map is the classifier's.

    Returns:
        The names, and whether their maps are ``(N, H, W, C)``, as torchvision's Swin keeps them.

    Raises:
        ConfigError: No node gives a map.
    """
    names = get_graph_node_names(network.eval(), suppress_diff_warning=True)[1]
    everything = create_feature_extractor(deepcopy(network), names[1:], suppress_diff_warning=True)
    with torch.no_grad():
        outputs = everything(torch.zeros(1, in_channels, size, size))
    shapes = {
        name: tuple(v.shape) for name, v in outputs.items() if isinstance(v, torch.Tensor) and v.shape[:1] == (1,)
    }
    front = {name: shape[1] for name, shape in shapes.items() if len(shape) == 4 and shape[1] == shape[2] != shape[3]}
    behind = {name: shape[2] for name, shape in shapes.items() if len(shape) == 4 and shape[2] == shape[3]}
    channels_last = len(front) > len(behind)
    levels: list[dict[int, list[str]]] = []
    first = size
    for name, side in (front if channels_last else behind).items():
        if side == 1:
            continue
        if side <= (first + 1) // 2:
            levels.append({})
            first = side
        if levels:
            levels[-1].setdefault(side, []).append(name)
    if len(levels) < 2:
        raise ConfigError("its layers give tokens (N, L, C), which are no maps")
    return [max(level.values(), key=len)[-1] for level in levels], channels_last


def _takes_size(model: str) -> bool:
    """Return whether the model is tied to a size that its builder takes."""
    try:
        _built(model, False, _USUAL)
    except ConfigError:
        return False
    return True


def _built(model: str, pretrained: bool, img_size: int | None) -> nn.Module:
    sized: dict[str, Any] = {} if img_size is None else {"input_size": (img_size, img_size)}
    try:
        return torchvision.models.get_model(model, weights="DEFAULT" if pretrained else None, **sized)
    except OSError as cause:
        raise ConfigError(
            f"the weights of torchvision/{model} cannot be fetched: {cause}\n"
            f"  try: encoder.pretrained=false, or encoder=efficientnet_lite0, whose weights are installed."
        ) from cause
    except (TypeError, ValueError) as cause:
        raise ConfigError(f"torchvision/{model} cannot be built with img_size={img_size}: {cause}") from cause


def _adapt_input(network: nn.Module, in_channels: int) -> None:
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if in_channels == first.in_channels:
        return
    weight = adapt_input_conv(in_channels, first.weight.data)
    parent, _, attribute = name.rpartition(".")
    conv = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        first.stride,  # type: ignore[arg-type]
        first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    conv.weight = nn.Parameter(weight)
    if first.bias is not None:
        conv.bias = first.bias
    setattr(network.get_submodule(parent), attribute, conv)
