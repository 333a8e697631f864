"""Feature pyramid network with a semantic branch from every map."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from segup.conform import Few
from segup.decoders.arguments import IMAGE_WIDTH, STORABLE_WITH_FINAL, checked_count, checked_widths, first_level
from segup.decoders.blocks import conv_stack, linear
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import FinalStepDecoder, StepPlan, operators, take_step
from segup.upsamplers.contract import Fit, Size


@register_topology("fpn", storable={**STORABLE_WITH_FINAL, "depths": Few | None})
class FPNDecoder(FinalStepDecoder):
    """Add each map to the one above it, bring all to the highest and add them (Panoptic FPN, arXiv 1901.02446).

    Top-down: each map is projected by a 1×1 convolution and the one below it, brought to its size, is added. Branches:
    from each of these maps convolutions and steps alternate up to the highest resolution, where the branches are added.
    Every step goes between neighbouring maps, so it has a skip as guide and a size that the pyramid really has.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`segup.decoders.UNetDecoder`.
        widths: Channels of the top-down maps, of the branches, and of the step to the image where there is one; by
            default 256, 128 and 16.
        convs: 3×3 convolutions before each step of a branch; 1 by default.
        depths: How many of the deepest maps are used; 4 by default, or as many as there are.

    Raises:
        ConfigError: As :class:`segup.decoders.UNetDecoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> FPNDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv")(maps, size=(67, 45)).shape
    torch.Size([1, 16, 67, 45])
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
                [256, 128, *([IMAGE_WIDTH] if has_final else [])],
                f"must have {2 + has_final} widths: of the top-down maps, of the branches"
                + (", of the step to the image" if has_final else ""),
            )
        )
        width, branch, *to_image = self.widths
        convs = checked_count("convs", convs, default=1, least=1)
        levels = range(self.first, len(channels))
        self.laterals = nn.ModuleList(linear(channels[level], width) for level in levels)
        self.ups = nn.ModuleList(plan.between(level, width, width) for level in levels[:-1])
        self.branches = nn.ModuleList(_Branch(plan, level, self.first, width, branch, convs) for level in levels)
        self.out_channels = to_image[0] if to_image else branch
        self.add_final(plan.final(final, self.first, branch, self.out_channels, final_options), final_convs)

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        maps = [lateral(f) for lateral, f in zip(self.laterals, features[self.first :], strict=True)]
        ups = operators(self.ups)
        for i in range(len(ups) - 1, -1, -1):
            maps[i] = maps[i] + take_step(ups[i], maps[i + 1], self.first + i, features, indices)
        branches = [branch(m, features, indices) for branch, m in zip(self.branches, maps, strict=True)]
        return self.finish(sum(branches[1:], branches[0]), size)

    def steps(self) -> list[Step]:
        """Return the top-down steps, those of each branch, then the one to the image."""
        down: list[Step] = [(self.first + i + 1, self.first + i, up) for i, up in enumerate(operators(self.ups))]
        branches = [step for branch in self.branches for step in cast(_Branch, branch).steps()]
        return [*reversed(down), *branches, *self.final_steps(self.first)]


class _Branch(nn.Module):
    """Convolutions and steps in turn, from map ``start`` up to map ``stop``."""

    def __init__(self, plan: StepPlan, start: int, stop: int, in_channels: int, channels: int, convs: int) -> None:
        super().__init__()
        self.levels = tuple(range(start - 1, stop - 1, -1))
        ins = [in_channels, *[channels] * len(self.levels)]
        self.convs = nn.ModuleList(conv_stack(ins[i], channels, convs) for i in range(max(1, len(self.levels))))
        self.ups = nn.ModuleList(plan.between(level, channels, channels) for level in self.levels)

    def forward(self, x: Tensor, features: Sequence[Tensor], indices: Sequence[Tensor] | None) -> Tensor:
        if not self.levels:
            only: Tensor = self.convs[0](x)
            return only
        for conv, up, level in zip(self.convs, operators(self.ups), self.levels, strict=True):
            x = take_step(up, conv(x), level, features, indices)
        return x

    def steps(self) -> list[Step]:
        return [(level + 1, level, up) for level, up in zip(self.levels, operators(self.ups), strict=True)]
