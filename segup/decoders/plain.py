"""No skips: the operator alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segup.decoders.arguments import STORABLE_WITH_FINAL, checked_count, step_widths
from segup.decoders.blocks import conv_stack
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import FinalStepDecoder, StepPlan, operators, take_step
from segup.upsamplers.contract import Fit, Size


@register_topology("plain", storable=STORABLE_WITH_FINAL)
class PlainDecoder(FinalStepDecoder):
    """Climb from the last map to the image by the operator alone; of the other maps only the sizes are taken.

    Each step is the operator, BatchNorm and ReLU: with ``deconv`` the head of Simple Baselines (arXiv 1804.06208), with
    ``max_unpool`` and an encoder that hands out its pooling indices SegNet (arXiv 1511.00561). Nothing but the operator
    can bring back what the maps lose on the way down.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`segup.decoders.UNetDecoder`. Operators that are guided by a skip are refused.
        widths: Channels after each step, the one to the image included; by default those of the U-Net.
        convs: Further 3×3 convolutions after each step but the last; none by default.

    Raises:
        ConfigError: As :class:`segup.decoders.UNetDecoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 34, 23), torch.zeros(1, 16, 17, 12)]
    >>> PlainDecoder([8, 16], [2, 4], upsampler="pixel_shuffle")(maps, size=(67, 45)).shape
    torch.Size([1, 16, 67, 45])
    """

    guides = frozenset({"indices"})

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
        self.widths = widths = tuple(step_widths(widths, strides))
        convs = checked_count("convs", convs, default=0, least=0)
        self.levels = tuple(range(len(channels) - 2, -1, -1))
        ins = [channels[-1], *widths]
        self.ups = nn.ModuleList(plan.between(level, ins[i], widths[i]) for i, level in enumerate(self.levels))
        self.acts = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(widths[i]), nn.ReLU(inplace=True), *conv_stack(widths[i], widths[i], convs))
            for i in range(len(self.levels))
        )
        self.out_channels = widths[-1] if widths else channels[-1]
        self.add_final(
            plan.final(final, 0, ins[-2] if strides[0] > 1 else ins[-1], self.out_channels, final_options), final_convs
        )

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        y = features[-1]
        for up, act, level in zip(operators(self.ups), self.acts, self.levels, strict=True):
            y = act(take_step(up, y, level, features, indices))
        return self.finish(y, size)

    def steps(self) -> list[Step]:
        """Return the step to the size of each map, then the one to the image."""
        climbed = ((level + 1, level, up) for level, up in zip(self.levels, operators(self.ups), strict=True))
        return [*climbed, *self.final_steps(0)]
