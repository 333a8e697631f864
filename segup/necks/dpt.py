"""DPT: four blocks reassembled into a pyramid, and fused from the deepest up."""

from collections.abc import Sequence
from typing import Annotated, Any

from torch import Tensor, nn

from segup.conform import Count, Counts, Name, Within
from segup.decoders.steps import Encoded, operators
from segup.necks.contract import DOUBLED, FOURFOLD, HALVED, SAME, Neck, register_neck
from segup.shapes.law import FloorLaw
from segup.streams import own_stream
from segup.upsamplers.contract import Upsampler, operator_class


@register_neck("dpt")
class DPT(Neck):
    """Reassemble four blocks at ×4, ×2, ×1 and ×½ the size of their map, and fuse them (DPT, arXiv 2103.13413).

    Reassembly: a 1×1 convolution, a step up (×4, ×2), nothing, or a 3×3 convolution of stride 2, which counts in cells,
    ⌈n/2⌉; then a 3×3 convolution to ``width``. Fusion: two residual units of each level, and the operator between
    levels. The result is the pyramid of fused maps. The paper's head takes the first one alone: ``maps: 1``.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`. Four maps of one stride;
            class and register tokens are no part of them.
        widths: Channels of the four blocks when they are reassembled.
        width: Channels of the fused maps.
        upsampler: Name of the operator between the fused maps. It may be guided by the skip, the level above, and by
            the image. A resize has a 1×1 convolution unless ``kernel_size`` is given: with ``bilinear`` the two are the
            paper's step.
        upsampler_options: Its own options.
        reassembly: Name of the operator that brings the first two blocks up. ``deconv`` has a kernel of its scale here,
            as in the paper.
        maps: How many maps to hand on, from high resolution; by default all four.

    Raises:
        ConfigError: There are not four maps of one stride, or an operator requires what its step does not have.

    >>> neck = DPT([64] * 4, [14] * 4)
    >>> [str(stride) for stride in neck.strides], neck.channels
    (['7/2', '7', '14', '28'], (256, 256, 256, 256))
    """

    def __init__(
        self,
        channels: Counts,
        strides: Counts,
        *,
        widths: Annotated[Sequence[Count], Within(4, 4)] = (96, 192, 384, 768),
        width: Count = 256,
        upsampler: Name = "bilinear",
        upsampler_options: dict[str, Any] | None = None,
        reassembly: Name = "deconv",
        maps: Annotated[int, Within(1, 4)] = 4,
        **common: Any,
    ) -> None:
        super().__init__(channels, strides, **common)
        self.several_of_one_stride(4)
        with own_stream():
            self.projects = nn.ModuleList(nn.Conv2d(c, w, 1) for c, w in zip(channels, widths, strict=True))
            down = nn.Conv2d(widths[3], widths[3], 3, stride=2, padding=1)
            self.layers = nn.ModuleList(nn.Conv2d(w, width, 3, padding=1, bias=False) for w in widths)
        raised = (
            self.step(reassembly, w, w, scale, options=None, setting="reassembly")
            for w, scale in zip(widths, (4, 2), strict=False)
        )
        self.resizes = nn.ModuleList([*raised, nn.Identity(), down])
        self.skip_units = nn.ModuleList(_Unit(width) for _ in range(3))
        self.units = nn.ModuleList(_Unit(width) for _ in range(4))
        options = {**operator_class(upsampler).final_options, **(upsampler_options or {})}
        self.ups = nn.ModuleList(
            self.step(upsampler, width, width, options=options, skip_channels=width) for _ in range(3)
        )
        self.maps = maps
        self.becomes([width] * maps, [FOURFOLD, DOUBLED, SAME, HALVED][:maps])

    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the fused maps."""
        levels = []
        for x, project, resize, layer in zip(encoded.maps, self.projects, self.resizes, self.layers, strict=True):
            guides = encoded.guides(resize, None) if isinstance(resize, Upsampler) else {}
            levels.append(layer(resize(project(x), **guides)))
        fused = [self.units[3](levels[3])]
        for place, up in zip((2, 1, 0), operators(self.ups), strict=True):
            skip = self.skip_units[place](levels[place])
            climbed = Encoded([skip], encoded.beside, encoded.encodings).step(up, fused[0], 0)
            fused.insert(0, self.units[place](climbed + skip))
        return fused[: self.maps]

    def steps(self) -> list[tuple[FloorLaw, FloorLaw, Upsampler]]:
        """Return the steps of the reassembly, then those of the fusion, from the deepest up."""
        ways = ((SAME, FOURFOLD), (SAME, DOUBLED), (HALVED, SAME), (SAME, DOUBLED), (DOUBLED, FOURFOLD))
        ups = [up for up in (*self.resizes, *self.ups) if isinstance(up, Upsampler)]
        return [(*way, up) for way, up in zip(ways, ups, strict=True)]


class _Unit(nn.Module):
    """x + BN(conv(ReLU(BN(conv(ReLU x)))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        with own_stream():
            parts = [
                (nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)) for _ in range(2)
            ]
        self.body = nn.Sequential(*(part for three in parts for part in three))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)
