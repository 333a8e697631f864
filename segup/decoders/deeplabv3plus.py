"""DeepLabv3+: context of the deepest map, detail of one high map."""

from collections.abc import Sequence
from fractions import Fraction
from types import MappingProxyType

import torch
from torch import Tensor

from segup.conform import Counts
from segup.decoders.arguments import resize_alone
from segup.decoders.aspp import ASPP
from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Climb, Encoded, Step, StepPlan
from segup.errors import ConfigError
from segup.upsamplers.contract import Size


@register_topology("deeplabv3plus")
class DeepLabV3PlusDecoder(Decoder):
    """ASPP on the last map, upsampled to one high map and joined with it (DeepLabv3+, arXiv 1802.02611).

    Steps between neighbouring maps bring ASPP's result up. The paper has one ×4 step from stride 16; from stride 32 it
    would be ×8.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        widths: Channels of the context, of the high map, of both joined, and of the step to the image, if there is one.
            By default 256, 48, 256 and 16.
        convs: Number of 3×3 convolutions after the join; 2 by default.
        depths: The map that the context joins, counted from the deepest: 4 by default, or the first map; as published
            the map of stride 4.
        rates: Dilations of ASPP. By default the paper's 6, 12 and 18 at stride 16, and proportional at other strides:
            3, 6 and 9 at stride 32.
        separable: Whether the 3×3 convolutions are separable; no by default.
        preset: ``"published"``: bilinear resizes alone, separable convolutions, one after ASPP and one after the join,
            and scores of the joined map, which the step to the image brings up. The published encoder has stride 16:
            ``encoder.output_stride=16``.

    Raises:
        ConfigError: As :class:`Decoder`; or there are fewer than two maps, or rates are not ints.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> DeepLabV3PlusDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv").eval()(maps, size=(67, 45)).shape
    torch.Size([1, 16, 67, 45])
    """

    options = MappingProxyType({"rates": Counts | None, "separable": bool | None})
    own_widths = ((256, "the context"), (48, "the high map"), (256, "both joined"))
    usual_convs = 2
    least_convs = 1
    usual_depths = 4
    published = resize_alone(convs=1, separable=True, head="before")

    def usual_maps(self, depths: int) -> int:
        """Return how many of the deepest maps are used by default; as published those from stride 4 on."""
        return max(2, sum(stride >= 4 for stride in self.strides)) if self.preset else super().usual_maps(depths)

    def build(self, plan: StepPlan) -> None:
        """Make the context, its climb, and what joins it with the high map.

        Raises:
            ConfigError: There is no higher map, or ``rates`` are no dilations.
        """
        last = len(self.channels) - 1
        if self.first == last:
            raise ConfigError(
                f"topology 'deeplabv3plus' joins its context with a higher map: it takes two maps or more, not 1 "
                f"(of strides [{', '.join(map(str, self.strides))}], from stride {self.strides[self.first]} on).\n"
                f"  try: decoder.topology=pspnet, which takes one map, or an encoder and a neck that give more"
            )
        context, high, joined, *_ = self.widths
        separable = bool(plan.own["separable"])
        self.aspp = ASPP(self.channels[-1], context, rates_for(plan.own["rates"], self.strides[-1]), separable)
        self.refine = conv_stack(context, context, int(plan.published), separable)
        self.climb = Climb(plan, last, self.first, context)
        self.project = ConvNormAct(self.channels[self.first], high, kernel_size=1)
        self.convs = conv_stack(context + high, joined, plan.convs, separable)
        self.add_final(plan, joined)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        context, high = self.climb.join(self.refine(self.aspp(encoded.maps[-1])), encoded)
        joined = torch.cat((context, self.project(high)), dim=1)
        return self.finish(self.convs(joined), size, encoded)

    def steps(self) -> list[Step]:
        """Return the steps of the context to the high map, then the one to the image."""
        return [*self.climb.steps(), *self.final_steps()]


def rates_for(rates: Sequence[int] | None, stride: int | Fraction) -> list[int]:
    """Return the dilations for a map of ``stride``: the paper's 6, 12 and 18 at stride 16, unless they are given.

    >>> rates_for(None, 32), rates_for(None, 8), rates_for((2, 4), 8)
    ([3, 6, 9], [12, 24, 36], [2, 4])
    """
    if rates is None:
        return [max(1, int(rate * 16 // stride)) for rate in (6, 12, 18)]
    return list(rates)
