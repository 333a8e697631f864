"""The simple feature pyramid of ViTDet: four maps of the last one."""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count, Counts, Name
from segup.decoders.steps import Encoded, operators
from segup.necks.contract import DOUBLED, FOURFOLD, HALVED, SAME, Neck, register_neck
from segup.shapes.law import FloorLaw
from segup.streams import own_stream
from segup.upsamplers.contract import Upsampler
from segup.upsamplers.fitting import fit_to
from segup.upsamplers.sapa import ChannelNorm

EPSILON = 1e-6


@register_neck("simple_fpn")
class SimpleFPN(Neck):
    """Make maps of ×4, ×2, ×1 and ×½ the size of the encoder's last map (ViTDet, arXiv 2203.16527).

    ×4 is two steps of the operator, with LayerNorm and GELU between; ×2 is one; ×½ is a max pooling that counts in
    cells, ⌈n/2⌉. A 1×1 and a 3×3 convolution without bias, each with LayerNorm over channels, bring all to one width.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`. Only the last map is used.
        width: Channels of the maps.
        upsampler: Name of the operator of the steps up, which may be guided by the image alone. ``deconv`` has a kernel
            of its scale here, as in the paper, unless ``kernel_size`` is given.
        upsampler_options: Its own options.

    Parameters with ``deconv``: 5,560,000 of 768 channels, 3,298,144 of 384, 2,664,880 of 192.

    Raises:
        ConfigError: The operator requires a skip or indices, or an option is unknown.

    >>> SimpleFPN([768], [16]).strides, sum(p.numel() for p in SimpleFPN([768], [16]).parameters())
    ((4, 8, 16, 32), 5560000)
    """

    def __init__(
        self,
        channels: Counts,
        strides: Counts,
        *,
        width: Count = 256,
        upsampler: Name = "deconv",
        upsampler_options: dict[str, Any] | None = None,
        **common: Any,
    ) -> None:
        super().__init__(channels, strides, **common)
        last = channels[-1]
        half, quarter = max(1, last // 2), max(1, last // 4)
        self.ups = nn.ModuleList(
            self.step(upsampler, before, after, options=upsampler_options)
            for before, after in ((last, half), (half, quarter), (last, half))
        )
        self.between = nn.Sequential(ChannelNorm(half, eps=EPSILON), nn.GELU())
        self.becomes([width] * 4, [FOURFOLD, DOUBLED, SAME, HALVED])
        self.outs = nn.ModuleList(_to_width(count, width) for count in (quarter, half, last, last))

    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the four maps."""
        x = encoded.maps[-1]
        first, second, alone = (lambda y, up=up: up(y, **encoded.guides(up, None)) for up in operators(self.ups))
        levels = (second(self.between(first(x))), alone(x), x, halved(x))
        return [out(level) for out, level in zip(self.outs, levels, strict=True)]

    def steps(self) -> list[tuple[FloorLaw, FloorLaw, Upsampler]]:
        """Return the two steps to ×4, then the one to ×2."""
        ways = ((SAME, DOUBLED), (DOUBLED, FOURFOLD), (SAME, DOUBLED))
        return [(*way, up) for way, up in zip(ways, operators(self.ups), strict=True)]


def halved(x: Tensor) -> Tensor:
    """Return ``max_pool2d(x, 2, ceil_mode=True)``, without its branch on sizes, which torch.export cannot follow.

    >>> import torch
    >>> halved(torch.arange(6.0).reshape(1, 1, 2, 3)).tolist()
    [[[[4.0, 5.0]]]]
    """
    height, width = x.shape[-2:]
    return F.max_pool2d(fit_to(x, (height + height % 2, width + width % 2), most=1), 2)


@own_stream()
def _to_width(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 1, bias=False),
        ChannelNorm(width, eps=EPSILON),
        nn.Conv2d(width, width, 3, padding=1, bias=False),
        ChannelNorm(width, eps=EPSILON),
    )
