"""SegFormer's all-MLP head."""

from collections.abc import Sequence
from itertools import repeat
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.decoders.arguments import resize_alone
from segup.decoders.blocks import ConvNormAct, as_built, conv_stack, is_plain, linear
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Climb, Encoded, Step, StepPlan
from segup.unaltered import altered
from segup.upsamplers.contract import Size


@register_topology("segformer")
class SegFormerDecoder(Decoder):
    """Bring every map to one width and to the highest resolution, join and mix them (SegFormer, arXiv 2105.15203).

    A linear layer for each pixel, which is a 1×1 convolution, gives all maps the same width. Steps between neighbouring
    maps bring them up: four maps need six ×2 operators. The papers of CARAFE, FADE, SAPA and DySample compare operators
    on this head. A 1×1 convolution mixes the joined maps. A resize alone commutes with it: then layer and mixture are
    one convolution of each map before it is brought up, and the steps share their sums, three for four maps.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        widths: Channels of every map, and of the step to the image, if there is one. By default 256 and 16.
        convs: Number of 3×3 convolutions after the maps are mixed; none by default.
        depths: How many of the deepest maps are used; 4 by default, or all if there are fewer.
        preset: ``"published"``: bilinear resizes alone, and scores of the mixed map, which the step to the image
            brings up.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> import torch
    >>> maps = [torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6), torch.zeros(1, 32, 5, 3)]
    >>> decoder = SegFormerDecoder([8, 16, 32], [4, 8, 16], upsampler="deconv")
    >>> decoder(maps, size=(67, 45)).shape, len(decoder.steps())
    (torch.Size([1, 16, 67, 45]), 4)
    """

    own_widths = ((256, "every map"),)
    usual_depths = 4
    published = resize_alone(head="before")

    def build(self, plan: StepPlan) -> None:
        """Make the linear layers, the climb of each map, and what mixes them."""
        width, levels = self.widths[0], range(self.first, len(self.channels))
        self.linears = nn.ModuleList(linear(self.channels[level], width) for level in levels)
        climbs = [Climb(plan, level, self.first, width) for level in levels]
        self.summed = all(up.fixed for climb in climbs for *_, up in climb.steps())
        self.climbs = nn.ModuleList(climbs[-1:] if self.summed else climbs)
        self.mix = ConvNormAct(len(levels) * width, width, kernel_size=1)
        self.convs = conv_stack(width, width, plan.convs)
        self.add_final(plan, width)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        used = encoded.maps[self.first :]
        mixed = self._mixed if self.summed and self._are_plain() else self._joined
        return self.finish(self.convs(mixed(used, encoded)), size, encoded)

    def _are_plain(self) -> bool:
        """Return whether all that :meth:`_mixed` does not call, or calls on other maps, is as it was built."""
        return (
            as_built(self.mix, ConvNormAct)
            and all(
                up.fixed and not altered(up, type(up), everywhere=False)
                for *_, up in cast(Climb, self.climbs[0]).steps()
            )
            and is_plain(self.mix[0], 1)
            and all(is_plain(layer, 1, bias=True) for layer in self.linears)
        )

    def _joined(self, used: Sequence[Tensor], encoded: Encoded) -> Tensor:
        """Return what ``mix`` makes of the joined maps; where the steps are shared, each joins them at its level."""
        climbs = repeat(self.climbs[0], len(used)) if self.summed else self.climbs
        parts = zip(self.linears, climbs, used, range(self.first, len(self.channels)), strict=True)
        return self.mix(torch.cat([climb(layer(f), encoded, level) for layer, climb, f, level in parts], dim=1))

    def _mixed(self, used: Sequence[Tensor], encoded: Encoded) -> Tensor:
        """Return what :meth:`_joined` does, each map mixed before it is brought up: the same in real numbers."""
        conv, *after = self.mix
        mixtures = conv.weight.flatten(1).split(self.widths[0], dim=1)  # type: ignore[operator]
        parts = []
        for layer, mixture, f in zip(self.linears, mixtures, used, strict=True):
            weight, bias = cast(nn.Conv2d, layer).weight, cast(nn.Conv2d, layer).bias
            parts.append(F.conv2d(f, (mixture @ weight.flatten(1))[..., None, None], mixture @ cast(Tensor, bias)))
        y = parts.pop()
        for _, high, up in cast(Climb, self.climbs[0]).steps():
            y = parts.pop() + encoded.step(up, y, cast(int, high))
        for layer in after:
            y = layer(y)
        return y

    def steps(self) -> list[Step]:
        """Return the steps of each map to the highest, then the one to the image."""
        return [*(step for climb in self.climbs for step in cast(Climb, climb).steps()), *self.final_steps()]
