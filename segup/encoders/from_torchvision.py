"""Any torchvision classification model with maps, through torchvision's feature extraction."""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO
from itertools import accumulate
from typing import Any

import torch
import torchvision
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from segup.conform import Count
from segup.encoders.contract import FROZEN, Encoder, register_encoder
from segup.errors import ConfigError, unknown
from segup.inspection.copies import meta_copy

_PROBE = 256  # pixels a side: every stride up to 32 gives a size of its own
_BLOCKS = 4  # of a transformer without a pyramid: the usual number


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
    network: Any = _built(model, pretrained, img_size)
    mean, std = _scale(model)
    if hasattr(network, "transform_input"):  # it makes this scale, and is on with torchvision's weights alone
        network.transform_input, mean, std = False, (0.5,), (0.5,)
    _adapt_input(network, in_channels)
    try:
        shapes = _shapes_of_nodes(network, in_channels, img_size or _PROBE)
        nodes, channels_last = last_node_of_each_size(shapes, img_size or _PROBE)
        blocks = [] if len(nodes) > 1 else _token_blocks(network, shapes)
        body = create_feature_extractor(network.eval(), blocks or nodes, suppress_diff_warning=True)
        if blocks:
            body = _TokenMaps(body, shapes[nodes[0]][-1])
    except Exception as cause:  # tracing runs the model's own code, which may raise anything
        tied = img_size != _usual(model) and _takes_size(model)
        way_out = (
            f"encoder.options.img_size={_usual(model)}"
            if tied
            else "encoder=timm encoder.name=vit_tiny_patch16_224, or another of its models"
        )
        raise ConfigError(f"torchvision/{model} cannot be traced into a pyramid: {cause}\n  try: {way_out}") from cause
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


def _shapes_of_nodes(network: nn.Module, in_channels: int, size: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors in the network's graph that hold two images of ``size``, where two are given.

    Tables of relative positions, which hold none, can look like maps.
    """
    names = get_graph_node_names(network.eval(), suppress_diff_warning=True)[1]
    everything = create_feature_extractor(meta_copy(network).eval(), names[1:], suppress_diff_warning=True)
    with torch.no_grad(), redirect_stderr(StringIO()):  # where torch.fx prints what it raises, too
        outputs = everything(torch.empty(2, in_channels, size, size, device="meta"))
    return {name: tuple(v.shape) for name, v in outputs.items() if isinstance(v, Tensor) and v.shape[:1] == (2,)}


def last_node_of_each_size(shapes: Mapping[str, tuple[int, ...]], size: int) -> tuple[list[str], bool]:
    """Return, from high to low resolution, the last graph node of each resolution below the input's.

    A resolution begins where the map is halved. Within one, a few rows may be lost to missing padding or to the
    classifier's pooling: the size that most nodes have counts. A 1×1 map is the classifier's.

    Args:
        shapes: Of the nodes, in their order.
        size: Of the image.

    Returns:
        The names, and whether their maps are ``(N, H, W, C)``, as torchvision's Swin keeps them.

    Raises:
        ConfigError: No node gives a map.
    """
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
    if not levels:
        raise ConfigError("none of its layers gives a map")
    return [max(level.values(), key=len)[-1] for level in levels], channels_last


class _TokenMaps(nn.Module):
    """Lay out the tokens ``(N, L, C)`` of a transformer's blocks as maps ``(N, C, side, side)``; the first are none."""

    def __init__(self, body: nn.Module, side: int) -> None:
        super().__init__()
        self.body, self.side = body, side

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return a map of each block."""
        cells = self.side**2
        return [one[:, -cells:].transpose(1, 2).unflatten(2, (self.side, -1)) for one in self.body(image).values()]


def _token_blocks(network: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return four blocks, chosen evenly, of the longest row of modules that give tokens; none where none does."""
    last = {}
    for node, shape in shapes.items():
        for parent in accumulate(node.split("."), "{}.{}".format):
            last[parent] = shape
    rows = [
        [f"{name}.{child}" for child, _ in module.named_children()]
        for name, module in network.named_modules()
        if isinstance(module, nn.Sequential | nn.ModuleList)
    ]
    rows = [row for row in rows if len(row) >= _BLOCKS and all(len(last.get(block, ())) == 3 for block in row)]
    blocks = max(rows, key=len, default=[])
    return [blocks[len(blocks) * (place + 1) // _BLOCKS - 1] for place in range(_BLOCKS)] if blocks else []


def _usual(model: str) -> int:
    """Return the smallest image, in pixels a side, for which the model's weights are made."""
    return torchvision.models.get_model_weights(model).DEFAULT.meta["min_size"][0]


def _scale(model: str) -> tuple[Sequence[float], Sequence[float]]:
    """Return the mean and the standard deviation of the images that torchvision trained the model's weights on.

    >>> _scale("resnet18"), _scale("efficientnet_v2_l")
    (([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]), ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]))
    """
    images = torchvision.models.get_model_weights(model).DEFAULT.transforms()
    return images.mean, images.std


def _takes_size(model: str) -> bool:
    """Return whether the model is tied to a size that its builder takes."""
    try:
        _built(model, False, _usual(model))
    except ConfigError:
        return False
    return True


def _built(model: str, pretrained: bool, img_size: int | None) -> nn.Module:
    ways: list[dict[str, Any]] = [{"input_size": (img_size, img_size)}, {"image_size": img_size}]
    refusals: list[Exception] = []
    for sized in [{}] if img_size is None else ways:
        try:
            return torchvision.models.get_model(model, weights="DEFAULT" if pretrained else None, **sized)
        except OSError as cause:
            raise ConfigError(
                f"the weights of torchvision/{model} cannot be fetched: {cause}\n"
                f"  try: encoder.pretrained=false, or encoder=efficientnet_lite0, whose weights are installed."
            ) from cause
        except (TypeError, ValueError, AssertionError) as cause:
            refusals.append(cause)
    told = next((cause for cause in refusals if not isinstance(cause, TypeError)), None)
    raise ConfigError(  # a TypeError says that the model takes no argument of that name
        f"torchvision/{model} cannot be built with img_size={img_size}: {told or 'it takes no size'}\n"
        f"  try: encoder.options.img_size={_usual(model) if told else 'null'}"
    ) from refusals[-1]


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
