"""Any timm model that gives a feature pyramid."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import partial
from io import StringIO
from types import MappingProxyType
from typing import Annotated, Any

import timm
import torch
from timm.layers import Format
from timm.models._features import FeatureGetterNet
from torch import Tensor

from segup.conform import Count, Counts, Name, Share, Signed, Within, closed
from segup.encoders.contract import FROZEN, Encoder, register_encoder
from segup.errors import ConfigError, unknown

_BUILDS = closed(
    output_stride=Count,
    act_layer=Name,
    norm_layer=Name,
    aa_layer=Name,
    attn_layer=Name,
    pad_type=Name,
    stem_type=Name,
    stem_width=Count,
    stem_kernel_size=Count,
    base_width=Count,
    cardinality=Count,
    replace_stem_pool=bool,
    drop_rate=Share,
    drop_path_rate=Share | None,
    drop_block_rate=Share | None,
    proj_drop_rate=Share,
    attn_drop_rate=Share,
    global_pool=Name,
    img_size=Count | Counts | None,
    window_size=Count | Counts,
    strict_img_size=bool,
    dynamic_img_size=bool,
    dynamic_img_pad=bool,
    feature_cls=Name,
    scriptable=bool,
    exportable=bool,
)
"""Arguments of timm that shape a model. Others read files (checkpoint_path, pretrained_cfg) or are no plain values."""

Places = Annotated[Sequence[Signed], Within(1, 64)]
_ANY_SIZE = MappingProxyType({"dynamic_img_size": True, "dynamic_img_pad": True, "strict_img_size": False})
_WITH_WEIGHTS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"fbnetc_100": {"bn_eps": 1e-3}})
"""Arguments that timm gives a model with its weights alone: a checkpoint, and weights of a file, need them as well."""
_BLOCKS = 4  # of a model that has no pyramid: the usual number


@register_encoder(
    "timm",
    storable={
        **FROZEN,
        "out_indices": Places | None,
        "img_size": Count | None,
        "options": _BUILDS,
    },
)
def from_timm(
    model: str,
    in_channels: int = 3,
    *,
    pretrained: bool = True,
    freeze: bool = False,
    freeze_norm: bool = False,
    out_indices: Places | None = None,
    img_size: Count | None = None,
    options: dict[str, Any] | None = None,
) -> Encoder:
    """Build a timm model with ``features_only=True``.

    Args:
        model: A name that timm lists, such as ``"resnet18"``.
        in_channels, pretrained, freeze, freeze_norm: See :func:`segup.encoders.create_encoder`.
        out_indices: Which maps to take, from 0, or from −1 for the last. By default all; four blocks, chosen evenly, of
            a model whose maps are of one stride.
        img_size: Build a model that is tied to one size for this one, in pixels a side; smaller images are extended.
        options: Further arguments of ``timm.create_model``.

    Raises:
        ConfigError: timm does not know the model, it has no pyramid, or its weights cannot be fetched.

    >>> from_timm("resnet18", pretrained=False).strides
    (2, 4, 8, 16, 32)
    """
    if not timm.is_model(model):
        close = get_close_matches(model, timm.list_models(), n=5, cutoff=0.5) or ["resnet18", "vit_tiny_patch16_224"]
        raise ConfigError(unknown("timm model", model, close) + ", and all others that timm lists")
    chosen = {} if out_indices is None else {"out_indices": tuple(out_indices)}
    sized = {} if img_size is None else {"img_size": img_size}
    trained = _WITH_WEIGHTS.get(model.partition(".")[0], {})
    arguments = {"features_only": True, "in_chans": in_channels, **trained, **chosen, **sized, **(options or {})}
    try:
        body = _built(model, arguments)
    except _REFUSALS as cause:
        way_out = _way_out(model, arguments)
        raise ConfigError(f"timm/{model} cannot be built as a feature pyramid: {cause}{way_out}") from cause
    if pretrained:
        body = _pretrained(model, arguments)
    if out_indices is None:
        _spread(body)
    config = timm.get_pretrained_cfg(model)
    mean, std = (config.mean, config.std) if config is not None else ((0.5,), (0.25,))
    common: dict[str, Any] = {"in_channels": in_channels, "freeze": freeze, "freeze_norm": freeze_norm}
    size = arguments.get("img_size")
    common["channels_last"] = getattr(body, "output_fmt", None) == Format.NHWC
    common["convert"] = partial(_converted, model, {key: arguments[key] for key in arguments if key not in chosen})
    common["strides"] = body.feature_info.reduction()
    try:
        return Encoder(f"timm/{model}", body, mean=mean, std=std, img_size=size, **common)
    except ConfigError as cause:
        usual = None if config is None else config.input_size[-1]
        others = {key: value for key, value in (options or {}).items() if key != "img_size"}
        if usual is None or usual == size or not _takes(model, in_channels, out_indices, usual, others):
            raise ConfigError(f"{cause}\n  try: encoder.name=pvt_v2_b0, or another one of `segup encoders`") from cause
        larger = ", or the larger side of your images: smaller ones are extended to it." if size is None else ""
        raise ConfigError(f"{cause}\n  try: encoder.options.img_size={usual}{larger}") from cause


def _takes(model: str, in_channels: int, places: Places | None, img_size: int, options: dict[str, Any]) -> bool:
    """Return whether the model is an encoder when it is built for images of ``img_size``."""
    try:
        from_timm(model, in_channels, pretrained=False, out_indices=places, img_size=img_size, options=options)
    except ConfigError:
        return False
    return True


_REFUSALS = (RuntimeError, AttributeError, TypeError, ValueError, AssertionError, IndexError)
"""What timm raises where a model takes no such arguments."""
_SETTINGS = MappingProxyType({
    "out_indices": "encoder.out_indices", "img_size": "encoder.options.img_size", "drop_path_rate": "encoder.drop_path",
})  # fmt: skip
"""How the arguments are given that a model may not have, or has within a range of its own."""


def _way_out(model: str, arguments: dict[str, Any]) -> str:
    """Return the line that says without which of its arguments a model can be built, where it is one of them."""
    for name, setting in _SETTINGS.items():
        others = {key: value for key, value in arguments.items() if key != name}
        try:
            if name not in arguments:
                continue
            with torch.device("meta"):
                maps = len(_built(model, others).feature_info)
        except _REFUSALS:
            continue
        which = f"[{maps - 1}], the last of its {maps} maps, or null" if name == "out_indices" else "null"
        return f"\n  try: {setting}={which}"
    return ""


def _built(model: str, arguments: dict[str, Any], pretrained: bool = False) -> Any:
    """Return timm's model with every switch on that its constructor has for taking images of any size."""
    switches: dict[str, Any] = {name: value for name, value in _ANY_SIZE.items() if name not in arguments}
    while True:
        try:
            return timm.create_model(model, pretrained=pretrained, **switches, **arguments)
        except TypeError as cause:  # raised by the call itself, before anything is built
            refused = [name for name in switches if f"'{name}'" in str(cause)]
            if not refused:
                raise
            for name in refused:
                del switches[name]


def _spread(body: Any) -> None:
    """Choose blocks evenly, of a model whose blocks all give maps of one stride; timm takes the last ones."""
    if not isinstance(body, FeatureGetterNet):
        return
    blocks = len(body.feature_info)
    if blocks < _BLOCKS or len({info["reduction"] for info in body.feature_info.info}) > 1:
        return
    chosen = [blocks * (place + 1) // _BLOCKS - 1 for place in range(_BLOCKS)]
    body.out_indices, body.feature_info = tuple(chosen), body.feature_info.from_other(chosen)


def _converted(model: str, arguments: dict[str, Any], stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors as timm itself names and shapes them when it fetches weights, where it knows how."""
    convert = getattr(sys.modules[timm.model_entrypoint(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return stored
    with torch.device("meta"):
        whole = _built(model, {**arguments, "features_only": False})
    try:
        with redirect_stdout(StringIO()):  # where one prints what it looks for
            return dict(convert(dict(stored), whole))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError):  # of a layout it does not know
        return stored


def _pretrained(model: str, arguments: dict[str, Any]) -> Any:
    try:
        return _built(model, arguments, pretrained=True)
    except Exception as cause:  # the hub's client, the network and the file each raise their own
        raise ConfigError(
            f"the weights of timm/{model} cannot be fetched: {str(cause).splitlines()[0]}\n"
            f"  try: encoder.pretrained=false, or encoder=efficientnet_lite0, whose weights are installed."
        ) from cause
