"""Any timm model that gives a feature pyramid."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Any

import timm

from segup.conform import Count, Counts, Index, Name, Share, Within, closed
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
    feature_cls=Name,
    scriptable=bool,
    exportable=bool,
)
"""Arguments of timm that shape a model. Others read files (checkpoint_path, pretrained_cfg) or are no plain values."""


@register_encoder(
    "timm", storable={**FROZEN, "out_indices": Annotated[list[Index], Within(1, 64)] | None, "options": _BUILDS}
)
def from_timm(
    model: str,
    in_channels: int = 3,
    *,
    pretrained: bool = True,
    freeze: bool = False,
    freeze_norm: bool = False,
    out_indices: Sequence[int] | None = None,
    options: dict[str, Any] | None = None,
) -> Encoder:
    """Build a timm model with ``features_only=True``.

    Args:
        model: A name that timm lists, such as ``"resnet18"``.
        in_channels, pretrained, freeze, freeze_norm: See :func:`segup.encoders.create_encoder`.
        out_indices: Which maps to take; all by default.
        options: Further arguments of ``timm.create_model``.

    Raises:
        ConfigError: timm does not know the model, it has no pyramid, or its weights cannot be fetched.

    >>> from_timm("resnet18", pretrained=False).strides
    (2, 4, 8, 16, 32)
    """
    if not timm.is_model(model):
        raise ConfigError(unknown("timm model", model, get_close_matches(model, timm.list_models(), n=5, cutoff=0.5)))
    chosen = {} if out_indices is None else {"out_indices": tuple(out_indices)}
    arguments = {"features_only": True, "in_chans": in_channels, **chosen, **(options or {})}
    try:
        body = timm.create_model(model, pretrained=False, **arguments)
    except (RuntimeError, AttributeError, TypeError, ValueError, AssertionError) as cause:
        raise ConfigError(f"timm/{model} cannot be built as a feature pyramid: {cause}") from cause
    if pretrained:
        body = _pretrained(model, arguments)
    config = timm.get_pretrained_cfg(model)
    mean, std = (config.mean, config.std) if config is not None else ((0.5,), (0.25,))
    return Encoder(
        f"timm/{model}", body, in_channels=in_channels, mean=mean, std=std, freeze=freeze, freeze_norm=freeze_norm
    )


def _pretrained(model: str, arguments: dict[str, Any]) -> Any:
    try:
        return timm.create_model(model, pretrained=True, **arguments)
    except Exception as cause:  # the hub's client, the network and the file each raise their own
        raise ConfigError(
            f"the weights of timm/{model} cannot be fetched: {str(cause).splitlines()[0]}\n"
            f"  try: encoder.pretrained=false, or encoder=efficientnet_lite0, whose weights are installed."
        ) from cause
