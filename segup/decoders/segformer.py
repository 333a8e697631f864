"""SegFormer's all-MLP head."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from segup.conform import Few
from segup.decoders.arguments import IMAGE_WIDTH, STORABLE_WITH_FINAL, checked_count, checked_widths, first_level
from segup.decoders.blocks import ConvNormAct, conv_stack, linear
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import Climb, FinalStepDecoder, StepPlan
from segup.upsamplers.contract import Fit, Size


@register_topology("segformer", storable={**STORABLE_WITH_FINAL, "depths": Few | None})
class SegFormerDecoder(FinalStepDecoder):
    """Bring every map to one width and to the highest resolution, join all and mix (SegFormer, arXiv 2105.15203).

    A linear layer per pixel, which is a 1×1 convolution, gives each map the same width; successive steps between
    neighbouring maps bring it up: six ×2 operators for four maps, the comparison of CARAFE, FADE, SAPA and DySample on
    this head. A 1×1 convolution mixes the joined maps.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`segup.decoders.UNetDecoder`.
        widths: Channels of every map, and of the step to the image where there is one; by default 256 and 16.
        convs: 3×3 convolutions after the maps are mixed; none by default.
        depths: How many of the deepest maps are used; 4 by default, or as many as there are.

    Raises:
        ConfigError: As :class:`segup.decoders.UNetDecoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> decoder = SegFormerDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv")
    >>> decoder(maps, size=(67, 45)).shape, len(decoder.steps())
    (torch.Size([1, 16, 67, 45]), 4)
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        upsampler: str = "deconv",
        widths: Sequence[int] | None = None,
        final: str = "bilinear",
        final_convs: int | None = None,
        fit: Fit = "correct",
        convs: int | None = None,
        depths: int | None = None,
        upsampler_options: Mapping[str, Any] | None = None,
        final_options: Mapping[str, Any] | None = None,
        roundings: Sequence[str | int | None] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        plan = StepPlan.of(self, upsampler, fit, upsampler_options, roundings)
        self.first = first_level(depths, len(channels), default=4)
        has_final = strides[self.first] > 1
        self.widths = tuple(
            checked_widths(
                widths,
                [256, *([IMAGE_WIDTH] if has_final else [])],
                f"must have {1 + has_final}: of every map" + (" and of the step to the image" if has_final else ""),
            )
        )
        width, *to_image = self.widths
        levels = range(self.first, len(channels))
        self.linears = nn.ModuleList(linear(channels[level], width) for level in levels)
        self.climbs = nn.ModuleList(Climb(plan, level, self.first, width) for level in levels)
        self.mix = ConvNormAct(len(levels) * width, width, kernel_size=1)
        self.convs = conv_stack(width, width, checked_count("convs", convs, default=0, least=0))
        self.out_channels = to_image[0] if to_image else width
        self.add_final(plan.final(final, self.first, width, self.out_channels, final_options), final_convs)

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        used = features[self.first :]
        maps = [
            climb(linear(f), features, indices)
            for linear, climb, f in zip(self.linears, self.climbs, used, strict=True)
        ]
        return self.finish(self.convs(self.mix(torch.cat(maps, dim=1))), size)

    def steps(self) -> list[Step]:
        """Return the steps of each map to the highest, then the one to the image."""
        climbs = [cast(Climb, climb) for climb in self.climbs]
        return [*(step for climb in climbs for step in climb.steps()), *self.final_steps(self.first)]
