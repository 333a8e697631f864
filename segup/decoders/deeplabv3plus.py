"""DeepLabv3+: context of the deepest map, detail of one high map."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from segup.conform import Counts, Few
from segup.decoders.arguments import IMAGE_WIDTH, STORABLE_WITH_FINAL, checked_count, checked_widths, first_level
from segup.decoders.aspp import ASPP
from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import Climb, FinalStepDecoder, StepPlan
from segup.errors import ConfigError
from segup.upsamplers.contract import Fit, Size


@register_topology("deeplabv3plus", storable={**STORABLE_WITH_FINAL, "depths": Few | None, "rates": Counts | None})
class DeepLabV3PlusDecoder(FinalStepDecoder):
    """ASPP on the last map, brought up to one high map and joined with it (DeepLabv3+, arXiv 1802.02611).

    The way up is made of successive steps between neighbouring maps. The paper has one ×4 step from stride 16; from
    stride 32 it would be ×8.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`segup.decoders.UNetDecoder`.
        widths: Channels of the context, of the high map, of both joined, and of the step to the image where there is
            one; by default 256, 48, 256 and 16.
        convs: 3×3 convolutions after the two are joined; 2 by default.
        depths: From which map on, counted from the deepest, the context is joined: 4 by default, or the first.
        rates: Dilations of ASPP; by default the paper's 6, 12 and 18 at stride 16, and in proportion at another:
            3, 6 and 9 at stride 32.

    Raises:
        ConfigError: As :class:`segup.decoders.UNetDecoder`; fewer than two maps, rates that are not ints.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> DeepLabV3PlusDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv").eval()(maps, size=(67, 45)).shape
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
        rates: Sequence[int] | None = None,
        upsampler_options: Mapping[str, Any] | None = None,
        final_options: Mapping[str, Any] | None = None,
        roundings: Sequence[str | int | None] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        plan = StepPlan.of(self, upsampler, fit, upsampler_options, roundings)
        last = len(channels) - 1
        self.first = first_level(depths, len(channels), default=4)
        if self.first == last:
            raise ConfigError(
                f"topology 'deeplabv3plus' joins its context with a higher map: it takes two maps or more, not "
                f"{last + 1 - self.first} (of strides {list(strides)}, depths={depths})"
            )
        has_final = strides[self.first] > 1
        self.widths = tuple(
            checked_widths(
                widths,
                [256, 48, 256, *([IMAGE_WIDTH] if has_final else [])],
                f"must have {3 + has_final}: of the context, of the high map, of both joined"
                + (", of the step to the image" if has_final else ""),
            )
        )
        context, high, joined, *to_image = self.widths
        self.aspp = ASPP(channels[-1], context, checked_rates(rates, strides[-1]))
        self.climb = Climb(plan, last, self.first, context)
        self.project = ConvNormAct(channels[self.first], high, kernel_size=1)
        self.convs = conv_stack(context + high, joined, checked_count("convs", convs, default=2, least=1))
        self.out_channels = to_image[0] if to_image else joined
        self.add_final(plan.final(final, self.first, joined, self.out_channels, final_options), final_convs)

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        context = self.climb(self.aspp(features[-1]), features, indices)
        joined = torch.cat((context, self.project(features[self.first])), dim=1)
        return self.finish(self.convs(joined), size)

    def steps(self) -> list[Step]:
        """Return the steps of the context to the high map, then the one to the image."""
        return [*self.climb.steps(), *self.final_steps(self.first)]


def checked_rates(rates: Any, stride: int) -> list[int]:
    """Return the dilations for a map of ``stride``: the paper's 6, 12 and 18 at stride 16, unless they are given.

    Raises:
        ConfigError: Anything that is not a list of ints of 1 or more.

    >>> checked_rates(None, 32), checked_rates(None, 8), checked_rates((2, 4), 8)
    ([3, 6, 9], [12, 24, 36], [2, 4])
    """
    if rates is None:
        return [max(1, rate * 16 // stride) for rate in (6, 12, 18)]
    valid = isinstance(rates, Sequence) and not isinstance(rates, str)
    if not valid or any(isinstance(r, bool) or not isinstance(r, int) or r < 1 for r in rates):
        raise ConfigError(f"decoder.rates={rates!r} must be a list of ints of 1 or more")
    return list(rates)
