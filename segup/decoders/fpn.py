"""Feature pyramid network with a semantic branch from every map."""

from typing import cast

from torch import Tensor, nn

from segup.decoders.arguments import resize_alone
from segup.decoders.blocks import conv_stack, linear
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan, operators, steps_to, top_down, top_down_steps
from segup.upsamplers.contract import Size


@register_topology("fpn")
class FPNDecoder(Decoder):
    """Add each map to the one above it, bring all to the highest map and add them (Panoptic FPN, arXiv 1901.02446).

    Top-down: a 1×1 convolution projects each map. Then the map below is brought to its size and added. Branches: from
    each of these maps, convolutions and steps alternate up to the highest resolution. There the branches are added.
    Every step goes between neighbouring maps, so it has a skip as guide and a size that is in the pyramid.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        widths: Channels of the top-down maps, of the branches, and of the step to the image, if there is one. By
            default 256, 128 and 16.
        convs: Number of 3×3 convolutions before each step of a branch; 1 by default.
        depths: How many of the deepest maps are used; 4 by default, or all if there are fewer.
        preset: ``"published"``: bilinear resizes alone, and scores of the sum, which the step to the image brings up.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> FPNDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv")(maps, size=(67, 45)).shape
    torch.Size([1, 16, 67, 45])
    """

    own_widths = ((256, "the top-down maps"), (128, "the branches"))
    usual_convs = 1
    least_convs = 1
    usual_depths = 4
    published = resize_alone(head="before")

    def build(self, plan: StepPlan) -> None:
        """Make the top-down steps, then the branches."""
        width, branch, *_ = self.widths
        levels = range(self.first, len(self.channels))
        self.laterals = nn.ModuleList(linear(self.channels[level], width) for level in levels)
        self.ups = nn.ModuleList(plan.between(level, width, width) for level in levels[:-1])
        self.branches = nn.ModuleList(_Branch(plan, level, self.first, width, branch) for level in levels)
        self.add_final(plan, branch)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        maps = top_down(encoded, self.first, self.laterals[-1](encoded.maps[-1]), self.ups, self.laterals)
        branches = [branch(m, encoded) for branch, m in zip(self.branches, maps, strict=True)]
        return self.finish(sum(branches[1:], branches[0]), size, encoded)

    def steps(self) -> list[Step]:
        """Return the top-down steps, those of each branch, then the one to the image."""
        branches = [step for branch in self.branches for step in cast(_Branch, branch).steps()]
        return [*top_down_steps(self.first, self.ups), *branches, *self.final_steps()]


class _Branch(nn.Module):
    """Convolutions and steps in turn, from map ``start`` up to map ``stop``."""

    def __init__(self, plan: StepPlan, start: int, stop: int, in_channels: int, channels: int) -> None:
        super().__init__()
        self.levels = tuple(range(start - 1, stop - 1, -1))
        ins = [in_channels, *[channels] * len(self.levels)]
        self.convs = nn.ModuleList(conv_stack(ins[i], channels, plan.convs) for i in range(max(1, len(self.levels))))
        self.ups = nn.ModuleList(plan.between(level, channels, channels) for level in self.levels)

    def forward(self, x: Tensor, encoded: Encoded) -> Tensor:
        if not self.levels:
            return self.convs[0](x)
        for conv, up, level in zip(self.convs, operators(self.ups), self.levels, strict=True):
            x = encoded.step(up, conv(x), level)
        return x

    def steps(self) -> list[Step]:
        return steps_to(self.levels, self.ups)
