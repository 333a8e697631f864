"""Any torchvision classification CNN, through torchvision's feature extraction."""

from collections.abc import Sequence
from copy import deepcopy

import torch
import torchvision
from timm.models import adapt_input_conv
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from segup.encoders.contract import FROZEN, Encoder, register_encoder
from segup.errors import ConfigError, unknown

_PROBE = 256  # pixels a side: every stride up to 32 gives a size of its own


@register_encoder("torchvision", storable=FROZEN)
def from_torchvision(
    model: str, in_channels: int = 3, *, pretrained: bool = True, freeze: bool = False, freeze_norm: bool = False
) -> Encoder:
    """Build a torchvision classification model and take the last map of each resolution.

    Args:
        model: A name that ``torchvision.models.list_models(torchvision.models)`` lists, such as ``"resnet18"``.
        in_channels, pretrained, freeze, freeze_norm: See :func:`segup.encoders.create_encoder`.

    Raises:
        ConfigError: torchvision does not know the model, its graph cannot be traced, or its weights cannot be fetched.

    >>> from_torchvision("resnet18", pretrained=False).channels
    (64, 64, 128, 256, 512)
    """
    known = torchvision.models.list_models(torchvision.models)
    if model not in known:
        raise ConfigError(unknown("torchvision model", model, known))
    network = _pretrained(model) if pretrained else torchvision.models.get_model(model, weights=None)
    _adapt_input(network, in_channels)
    try:
        nodes = last_node_of_each_size(network, in_channels)
        body = create_feature_extractor(network.eval(), nodes, suppress_diff_warning=True)
    except Exception as cause:  # tracing runs the model's own code, which may raise anything
        raise ConfigError(f"torchvision/{model} cannot be traced into a pyramid: {cause}") from cause
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Encoder(
        f"torchvision/{model}",
        body,
        in_channels=in_channels,
        mean=mean,
        std=std,
        freeze=freeze,
        freeze_norm=freeze_norm,
    )


def last_node_of_each_size(network: nn.Module, in_channels: int) -> list[str]:
    """Return, from high to low resolution, the last graph node of each resolution below the input's.

    A resolution begins where the map is halved. Within one, a few rows may be lost to missing padding or to the
    classifier's pooling: the size that most nodes have counts. A 1×1 map is the classifier's.
    """
    names = get_graph_node_names(network.eval(), suppress_diff_warning=True)[1]
    everything = create_feature_extractor(deepcopy(network), names[1:], suppress_diff_warning=True)
    with torch.no_grad():
        outputs = everything(torch.zeros(1, in_channels, _PROBE, _PROBE))
    maps = {name: value for name, value in outputs.items() if isinstance(value, torch.Tensor) and value.dim() == 4}
    _check_layout([value.shape for value in maps.values()])
    levels: list[dict[int, list[str]]] = []
    first = _PROBE
    for name, value in maps.items():
        if value.shape[-1] == 1:
            continue
        if value.shape[-1] <= (first + 1) // 2:
            levels.append({})
            first = value.shape[-1]
        if levels:
            levels[-1].setdefault(value.shape[-1], []).append(name)
    return [max(level.values(), key=len)[-1] for level in levels]


def _check_layout(shapes: Sequence[torch.Size]) -> None:
    """Raise a ConfigError if most maps of a square image are ``(N, H, W, C)``, as torchvision's Swin keeps them."""
    channels_first = sum(shape[2] == shape[3] != shape[1] for shape in shapes)
    channels_last = sum(shape[1] == shape[2] != shape[3] for shape in shapes)
    if channels_last > channels_first:
        raise ConfigError(
            "its maps are (N, H, W, C), and a decoder takes (N, C, H, W).\n"
            "  try: a CNN such as torchvision/convnext_tiny, or a hierarchical transformer of timm (timm/pvt_v2_b0)."
        )


def _pretrained(model: str) -> nn.Module:
    try:
        return torchvision.models.get_model(model, weights="DEFAULT")
    except OSError as cause:
        raise ConfigError(
            f"the weights of torchvision/{model} cannot be fetched: {cause}\n"
            f"  try: encoder.pretrained=false, or encoder=efficientnet_lite0, whose weights are installed."
        ) from cause


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
