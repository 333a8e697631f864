"""LinkNet: skips are added, not joined."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn

from segup.decoders.arguments import STORABLE_WITH_FINAL, checked_count, checked_widths
from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import FinalStepDecoder, StepPlan, take_step
from segup.upsamplers.contract import Fit, Size


@register_topology("linknet", storable=STORABLE_WITH_FINAL)
class LinkNetDecoder(FinalStepDecoder):
    """Climb the pyramid map by map through a narrow middle and add each skip (LinkNet, arXiv 1707.03718).

    Each stage is a 1×1 convolution to a quarter of the channels, the operator, and a 1×1 convolution to the channels of
    the skip, all with BatchNorm and ReLU; then the skip is added.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`segup.decoders.UNetDecoder`.
        widths: Channels of the step to the image, 32 by default; those of the other steps are the encoder's. None of
            them where the pyramid begins at stride 1.
        convs: 3×3 convolutions after each skip is added; none by default.

    Raises:
        ConfigError: As :class:`segup.decoders.UNetDecoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 34, 23), torch.zeros(1, 16, 17, 12)]
    >>> LinkNetDecoder([8, 16], [2, 4], upsampler="deconv")(maps, size=(67, 45)).shape
    torch.Size([1, 32, 67, 45])
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
        upsampler_options: Mapping[str, Any] | None = None,
        final_options: Mapping[str, Any] | None = None,
        roundings: Sequence[str | int | None] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        plan = StepPlan.of(self, upsampler, fit, upsampler_options, roundings)
        to_image = [32] if strides[0] > 1 else []
        rule = f"must have {len(to_image)}: of the step to the image; the others are the encoder's, {list(channels)}"
        self.widths = widths = tuple(checked_widths(widths, to_image, rule))
        convs = checked_count("convs", convs, default=0, least=0)
        levels = range(len(channels) - 2, -1, -1)
        self.stages = nn.ModuleList(_Stage(plan, level, convs) for level in levels)
        self.out_channels = widths[0] if widths else channels[0]
        self.add_final(plan.final(final, 0, channels[0], self.out_channels, final_options), final_convs)

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        y = features[-1]
        for stage in self.stages:
            y = stage(y, features, indices)
        return self.finish(y, size)

    def steps(self) -> list[Step]:
        """Return the step to each skip, then the one to the image."""
        stages = [cast(_Stage, stage) for stage in self.stages]
        return [*((stage.level + 1, stage.level, stage.up) for stage in stages), *self.final_steps(0)]


class _Stage(nn.Module):
    """From map ``level + 1`` to map ``level``, added to it."""

    def __init__(self, plan: StepPlan, level: int, convs: int) -> None:
        super().__init__()
        self.level = level
        out_channels, in_channels = plan.decoder.channels[level : level + 2]
        middle = max(1, in_channels // 4)
        self.squeeze = ConvNormAct(in_channels, middle, kernel_size=1)
        self.up = plan.between(level, middle, middle)
        self.act = nn.Sequential(nn.BatchNorm2d(middle), nn.ReLU(inplace=True))
        self.expand = ConvNormAct(middle, out_channels, kernel_size=1)
        self.convs = conv_stack(out_channels, out_channels, convs)

    def forward(self, x: Tensor, features: Sequence[Tensor], indices: Sequence[Tensor] | None) -> Tensor:
        y = self.act(take_step(self.up, self.squeeze(x), self.level, features, indices))
        joined: Tensor = self.convs(self.expand(y) + features[self.level])
        return joined
