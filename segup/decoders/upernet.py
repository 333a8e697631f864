"""UPerNet: a feature pyramid below pooled context, all maps joined."""

from typing import cast

import torch
from torch import Tensor, nn

from segup.decoders.arguments import resize_alone
from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.pyramid_pooling import PyramidPooling
from segup.decoders.steps import Climb, Encoded, Step, StepPlan, top_down, top_down_steps
from segup.upsamplers.contract import Size


@register_topology("upernet")
class UPerNetDecoder(Decoder):
    """Add each map to the one above it, from the pooled last map up; join all at the highest (arXiv 1807.10221).

    Top-down: the last map is pooled as in PSPNet. A 1×1 convolution projects each other map. Then the map below is
    brought to its size and added. A 3×3 convolution follows each sum. Steps between neighbouring maps bring all of them
    to the highest resolution, where they are joined and mixed: four maps need nine ×2 operators.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        widths: Channels of every map, and of the step to the image, if there is one. By default 256 and 16.
        convs: Number of 3×3 convolutions after each sum; 1 by default.
        depths: How many of the deepest maps are used; 4 by default, or all if there are fewer.
        preset: ``"published"``: bilinear resizes alone, and scores of the mixed map, which the step to the image
            brings up.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> decoder = UPerNetDecoder([8, 16, 32], [4, 8, 16], upsampler="bilinear").eval()
    >>> decoder(maps, size=(67, 45)).shape, len(decoder.steps())
    (torch.Size([1, 16, 67, 45]), 6)
    """

    own_widths = ((256, "every map"),)
    usual_convs = 1
    usual_depths = 4
    published = resize_alone(head="before")

    def build(self, plan: StepPlan) -> None:
        """Make the pooled context, the top-down steps, the climb of each map, and what mixes them."""
        width, levels = self.widths[0], range(self.first, len(self.channels))
        self.pool = PyramidPooling(self.channels[-1], width)
        self.context = ConvNormAct(self.pool.out_channels, width)
        self.laterals = nn.ModuleList(ConvNormAct(self.channels[level], width, kernel_size=1) for level in levels[:-1])
        self.ups = nn.ModuleList(plan.between(level, width, width) for level in levels[:-1])
        self.convs = nn.ModuleList(conv_stack(width, width, plan.convs) for _ in levels[:-1])
        self.climbs = nn.ModuleList(Climb(plan, level, self.first, width) for level in levels)
        self.mix = ConvNormAct(len(levels) * width, width)
        self.add_final(plan, width)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        context = self.context(self.pool(encoded.maps[-1]))
        sums = top_down(encoded, self.first, context, self.ups, self.laterals)
        maps = [*(conv(y) for conv, y in zip(self.convs, sums, strict=False)), sums[-1]]
        high = [climb(y, encoded) for climb, y in zip(self.climbs, maps, strict=True)]
        return self.finish(self.mix(torch.cat(high, dim=1)), size, encoded)

    def steps(self) -> list[Step]:
        """Return the top-down steps, those of each map to the highest, then the one to the image."""
        climbs = [step for climb in self.climbs for step in cast(Climb, climb).steps()]
        return [*top_down_steps(self.first, self.ups), *climbs, *self.final_steps()]
