"""No skips: the operator alone."""

from torch import Tensor, nn

from segup.decoders.arguments import step_widths
from segup.decoders.blocks import conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan, operators, steps_to
from segup.upsamplers.contract import Size


@register_topology("plain")
class PlainDecoder(Decoder):
    """Climb from the last map to the image with the operator only; of the other maps only the sizes are used.

    Each step is the operator, BatchNorm and ReLU. With ``deconv`` this is the head of Simple Baselines (arXiv
    1804.06208). With ``max_unpool`` and an encoder that gives its pooling indices it is SegNet (arXiv 1511.00561).
    There are no skips, so only the operator can restore what the maps lose on the way down.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`. Operators that are guided by a skip are refused.
        widths: Channels after each step, also after the step to the image; by default those of the U-Net.
        convs: Number of 3×3 convolutions after each step except the last; none by default.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 34, 23), torch.zeros(1, 16, 17, 12)]
    >>> PlainDecoder([8, 16], [2, 4], upsampler="pixel_shuffle")(maps, size=(67, 45)).shape
    torch.Size([1, 16, 67, 45])
    """

    lacks = frozenset({"skip"})

    def usual_widths(self) -> tuple[list[int], str]:
        """Return the channels after each step, by the stride reached."""
        return step_widths(self.strides, self.widens)

    def build(self, plan: StepPlan) -> None:
        """Make the operators, and what follows each."""
        widths, self.levels = self.widths, tuple(range(len(self.channels) - 2, -1, -1))
        ins = [self.channels[-1], *widths]
        self.ups = nn.ModuleList(plan.between(level, ins[i], widths[i]) for i, level in enumerate(self.levels))
        self.acts = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), *conv_stack(width, width, plan.convs))
            for width in widths[: len(self.levels)]
        )
        self.add_final(plan, ins[-2] if self.widens else ins[-1])

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        y = encoded.maps[-1]
        for up, act, level in zip(operators(self.ups), self.acts, self.levels, strict=True):
            y = act(encoded.step(up, y, level))
        return self.finish(y, size, encoded)

    def steps(self) -> list[Step]:
        """Return the step to the size of each map, then the one to the image."""
        return [*steps_to(self.levels, self.ups), *self.final_steps()]
