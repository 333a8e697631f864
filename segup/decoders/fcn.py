"""Fully convolutional network: scores of several depths, added."""

from torch import Tensor, nn

from segup.decoders.blocks import conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan, top_down, top_down_steps
from segup.streams import own_stream
from segup.upsamplers.contract import Size


@register_topology("fcn")
class FCNDecoder(Decoder):
    """Score each map by a 1×1 convolution; upsample the scores map by map and add them (FCN, arXiv 1411.4038).

    With three depths at strides 8, 16 and 32 it is FCN-8s; then ``final`` multiplies by 8. The operator works on
    scores, which have one channel for each class.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        num_classes: Channels of the result, the scores. :func:`segup.create_model` sets the model's number. 16 by
            default, for your own classifier.
        widths: None: every map of this topology has ``num_classes`` channels.
        convs: Number of 3×3 convolutions on each map before its scores; none by default.
        depths: How many of the deepest maps are scored; 3 by default, or all if there are fewer.

    Raises:
        ConfigError: As :class:`Decoder`; or widths are given.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 9, 6), torch.zeros(1, 16, 5, 3), torch.zeros(1, 32, 3, 2)]
    >>> FCNDecoder([8, 16, 32], [8, 16, 32], upsampler="deconv", num_classes=19)(maps, size=(67, 45)).shape
    torch.Size([1, 19, 67, 45])
    """

    gives_scores = True

    usual_depths = 3

    def usual_widths(self) -> tuple[list[int], str]:
        """Return none: every map has the scores' channels."""
        return [], f"must be empty or null: every map of topology 'fcn' has {self.num_classes} scores"

    def build(self, plan: StepPlan) -> None:
        """Make the scores of each map, and the steps between them."""
        channels, classes = self.channels, self.num_classes
        levels = range(self.first, len(channels))
        self.scores = nn.ModuleList(
            nn.Sequential(*conv_stack(channels[level], channels[level], plan.convs), score(channels[level], classes))
            for level in levels
        )
        self.ups = nn.ModuleList(plan.between(level, classes, classes) for level in levels[:-1])
        self.add_final(plan, classes)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return the scores ``(N, num_classes, *size)``."""
        scores = top_down(encoded, self.first, self.scores[-1](encoded.maps[-1]), self.ups, self.scores)
        return self.finish(scores[0], size, encoded)

    def steps(self) -> list[Step]:
        """Return the step to each scored map, then the one to the image."""
        return [*top_down_steps(self.first, self.ups), *self.final_steps()]


@own_stream()
def score(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Return a 1×1 convolution to scores that start near zero.

    The scores of all depths are added and nothing normalises them: drawn at the usual width, they make the first loss
    many times that of equal chances. All zero, as in the paper, would leave the operators without a gradient at first.

    >>> bool(score(64, 3).weight.std() < 0.02)
    True
    """
    conv = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv
