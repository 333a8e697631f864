"""A small encoder like VGG that gives its pooling indices, for decoders that unpool."""

from collections.abc import Sequence
from typing import Annotated

import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count, Counts, Few, Within
from segup.encoders.contract import Encoder, register_encoder
from segup.errors import ConfigError


@register_encoder("segnet", storable={"freeze": bool | None, "widths": Counts, "convs": Few})
def segnet(
    in_channels: int = 3,
    *,
    pretrained: bool = False,
    freeze: bool = False,
    widths: Annotated[Sequence[Count], Within(1, 64)] = (32, 64, 128, 256, 256),
    convs: Annotated[int, Within(1, 64)] = 2,
) -> Encoder:
    """Build the encoder of SegNet (arXiv 1511.00561), smaller than VGG-16 and without its weights.

    Each stage has ``convs`` 3×3 convolutions with BatchNorm and ReLU. Between two stages is a 2×2 max pooling, which
    rounds down. The maps have ``widths`` channels at strides 1, 2, 4, .... For the smallest image, the last map has one
    pixel.

    Args:
        in_channels, freeze: See :func:`segup.encoders.create_encoder`.
        pretrained: Must be False: there are no weights to start from.
        widths: Channels of the maps, from high to low resolution, one or more.
        convs: Convolutions in each stage, one or more.

    Raises:
        ConfigError: ``pretrained`` is True, or a value is out of range.

    >>> import torch
    >>> encoder = segnet(widths=(8, 16, 32))
    >>> maps, indices = encoder.with_indices(torch.rand(1, 3, 33, 46))
    >>> [tuple(m.shape[1:]) for m in maps], [tuple(i.shape[1:]) for i in indices]
    ([(8, 33, 46), (16, 16, 23), (32, 8, 11)], [(8, 16, 23), (16, 8, 11)])
    """
    if pretrained:
        raise ConfigError(
            "encoder 'segnet' has no pretrained weights; try: pretrained=False (encoder.pretrained=false)"
        )
    return SegNetEncoder("segnet", SegNetBody(in_channels, widths, convs), in_channels=in_channels, freeze=freeze)


class SegNetBody(nn.Module):
    """Stages of convolutions with a 2×2 max pooling between them; see :func:`segnet`."""

    def __init__(self, in_channels: int, widths: Sequence[int], convs: int) -> None:
        super().__init__()
        ins = (in_channels, *widths[:-1])
        self.stages = nn.ModuleList(_stage(i, width, convs) for i, width in zip(ins, widths, strict=True))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the maps, from high to low resolution."""
        return self.with_indices(x)[0]

    def with_indices(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps, and the pooling indices of each step between them."""
        maps = [self.stages[0](x)]
        indices = []
        for stage in list(self.stages)[1:]:
            pooled, index = F.max_pool2d(maps[-1], kernel_size=2, return_indices=True)
            maps.append(stage(pooled))
            indices.append(index)
        return maps, indices


class SegNetEncoder(Encoder):
    """An :class:`Encoder` around :class:`SegNetBody`."""

    provides = frozenset({"image", "indices"})
    body: SegNetBody

    def with_indices(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of ``image``, and the pooling indices of each step between them."""
        return self.body.with_indices(self.normalise(image))


def _stage(in_channels: int, out_channels: int, convs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(convs):
        conv = nn.Conv2d(in_channels if i == 0 else out_channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
