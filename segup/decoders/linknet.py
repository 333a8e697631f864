"""LinkNet: skips are added, not joined."""

from types import MappingProxyType
from typing import cast

from torch import Tensor, nn

from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan
from segup.upsamplers.contract import Size


@register_topology("linknet")
class LinkNetDecoder(Decoder):
    """Climb the pyramid map by map through a narrow middle and add each skip (LinkNet, arXiv 1707.03718).

    Each stage has a 1×1 convolution to a quarter of the channels, the operator, and a 1×1 convolution to the channels
    of the skip, all with BatchNorm and ReLU. Then the skip is added.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        widths: Channels of the step to the image, 32 by default. The other steps have the encoder's channels. If the
            pyramid begins at stride 1, there are no widths to give.
        convs: Number of 3×3 convolutions after each skip is added; none by default.
        preset: ``"published"``: transposed convolutions, and a stage of the same kind to the image.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 34, 23), torch.zeros(1, 16, 17, 12)]
    >>> LinkNetDecoder([8, 16], [2, 4], upsampler="deconv")(maps, size=(67, 45)).shape
    torch.Size([1, 32, 67, 45])
    """

    published = MappingProxyType({"upsampler": "deconv", "final": "deconv"})

    def usual_widths(self) -> tuple[list[int], str]:
        """Return the channels of the step to the image; the others are the encoder's."""
        to_image = [32] if self.widens else []
        rule = "must have length 1: the channels of the step to the image" if to_image else "must be empty or null"
        return to_image, f"{rule}; the others are the encoder's, {list(self.channels)}"

    def build(self, plan: StepPlan) -> None:
        """Make a stage for each skip, then the step to the image."""
        self.squeeze: nn.Module | None = None
        self.stages = nn.ModuleList(_Stage(plan, level) for level in range(len(self.channels) - 2, -1, -1))
        if not (plan.published and self.widens):
            self.add_final(plan, self.channels[0])
            return
        middle, width = max(1, self.channels[0] // 4), self.out_channels
        self.squeeze = ConvNormAct(self.channels[0], middle, kernel_size=1)
        expand = ConvNormAct(middle, width, kernel_size=1)
        stack = conv_stack(width, width, plan.final_convs)
        self.add_final(plan, middle, nn.Sequential(nn.BatchNorm2d(middle), nn.ReLU(inplace=True), expand, *stack))

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        y = encoded.maps[-1]
        for stage in self.stages:
            y = stage(y, encoded)
        return self.finish(y if self.squeeze is None else self.squeeze(y), size, encoded)

    def steps(self) -> list[Step]:
        """Return the step to each skip, then the one to the image."""
        stages = [cast(_Stage, stage) for stage in self.stages]
        return [*((stage.level + 1, stage.level, stage.up) for stage in stages), *self.final_steps()]


class _Stage(nn.Module):
    """From map ``level + 1`` to map ``level``, added to it."""

    def __init__(self, plan: StepPlan, level: int) -> None:
        super().__init__()
        self.level = level
        out_channels, in_channels = plan.channels[level : level + 2]
        middle = max(1, in_channels // 4)
        self.squeeze = ConvNormAct(in_channels, middle, kernel_size=1)
        self.up = plan.between(level, middle, middle)
        self.act = nn.Sequential(nn.BatchNorm2d(middle), nn.ReLU(inplace=True))
        self.expand = ConvNormAct(middle, out_channels, kernel_size=1)
        self.convs = conv_stack(out_channels, out_channels, plan.convs)

    def forward(self, x: Tensor, encoded: Encoded) -> Tensor:
        y, skip = encoded.join(self.up, self.squeeze(x), self.level)
        return self.convs(self.expand(self.act(y)) + skip)
