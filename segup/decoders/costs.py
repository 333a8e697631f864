"""What a decoder costs, worked out from integers by the size calculus, before anything is built."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from segup.decoders.arguments import checked_widths, first_level
from segup.decoders.rounding import composed, whole_roundings
from segup.shapes import Cost
from segup.upsamplers.contract import Size, operator_class
from segup.upsamplers.costs import FREE, UpStep, conv_cost

if TYPE_CHECKING:
    from segup.decoders.contract import Decoder


@dataclass(frozen=True)
class Maps:
    """A pyramid as far as costs go.

    Args:
        channels: Of the maps, from high to low resolution.
        strides: Their reductions.
        sizes: (height, width) of each.
        image: (height, width) of the image.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    sizes: tuple[Size, ...]
    image: Size


@dataclass(frozen=True)
class CostPlan:
    """The parts of a decoder and what they cost; :class:`segup.decoders.steps.StepPlan` makes the same steps.

    Args:
        maps: The pyramid.
        options: The decoder's, as its constructor takes them, the operator's name among them.
    """

    maps: Maps
    options: Mapping[str, Any]

    @cached_property
    def roundings(self) -> tuple[str | int | None, ...]:
        """How the encoder's stages round."""
        return whole_roundings(self.options.get("roundings"), len(self.maps.strides))

    def count(self, option: str, default: int) -> int:
        """Return an option that is an int, or its default."""
        value = self.options.get(option)
        return default if value is None else int(value)

    def first(self, depths: int) -> int:
        """Return the highest-resolution map that is used, ``depths`` of them where nothing else is asked for."""
        return first_level(self.options.get("depths"), len(self.maps.channels), default=depths)

    def widths(self, usual: list[int]) -> list[int]:
        """Return the widths that were given, or the usual ones.

        Raises:
            ConfigError: Another number of them, or what is no list of widths.
        """
        return checked_widths(self.options.get("widths"), usual, f"must have {len(usual)}, as {usual}")

    def between(self, level: int, in_channels: int, out_channels: int) -> Cost:
        """Return the cost of the step from map ``level + 1`` to map ``level``."""
        maps = self.maps
        high, low = maps.strides[level : level + 2]
        step = UpStep(
            in_channels, out_channels, low // high, maps.sizes[level + 1], maps.sizes[level], maps.channels[level]
        )
        chosen = self._own("upsampler")
        if operator_class(self._upsampler).takes_rounding and chosen.get("rounding") is None:
            chosen["rounding"] = self.roundings[level + 1]
        return operator_class(self._upsampler).cost(step, **chosen)

    def climb(self, start: int, stop: int, channels: int) -> Cost:
        """Return the cost of successive steps of one width from map ``start`` up to map ``stop``."""
        return sum((self.between(level, channels, channels) for level in range(start - 1, stop - 1, -1)), FREE)

    def to_image(self, level: int, in_channels: int, out_channels: int) -> Cost:
        """Return the cost of the one step from map ``level`` to the image."""
        return self._whole(self._upsampler, level, in_channels, out_channels, self._own("upsampler"))

    def final(self, level: int, in_channels: int, out_channels: int, norm: bool = True) -> Cost:
        """Return the cost of the step from map ``level`` to the image; free at stride 1.

        With ``norm``, that of BatchNorm and the convolutions that follow too.
        """
        if self.maps.strides[level] == 1:
            return FREE
        name = str(self.options.get("final") or "bilinear")
        chosen = {**operator_class(name).final_options, **self._own("final")}
        whole = self._whole(name, level, in_channels, out_channels, chosen)
        if norm:
            whole += norm_cost(out_channels)
            conv = conv_cost(self.maps.image, out_channels, out_channels, 3, bias=False) + norm_cost(out_channels)
            whole += sum([conv] * self.count("final_convs", 0), FREE)
        return whole

    def stack(self, level: int, in_channels: int, out_channels: int, convs: int) -> Cost:
        """Return the cost of :func:`segup.decoders.blocks.conv_stack` at the size of map ``level``."""
        ins = [in_channels, *[out_channels] * (convs - 1)][:convs]
        return sum((self.act(level, channels, out_channels, 3) for channels in ins), FREE)

    def act(self, level: int, in_channels: int, out_channels: int, kernel_size: int = 1) -> Cost:
        """Return the cost of a convolution without bias, and BatchNorm, at the size of map ``level``."""
        conv = conv_cost(self.maps.sizes[level], in_channels, out_channels, kernel_size, bias=False)
        return conv + norm_cost(out_channels)

    def conv(self, level: int, in_channels: int, out_channels: int) -> Cost:
        """Return the cost of a 1×1 convolution with bias at the size of map ``level``."""
        return conv_cost(self.maps.sizes[level], in_channels, out_channels)

    def _whole(self, name: str, level: int, in_channels: int, out_channels: int, options: Mapping[str, Any]) -> Cost:
        chosen = dict(options)
        if operator_class(name).takes_rounding and chosen.get("rounding") is None:
            chosen["rounding"] = composed(self.roundings[: level + 1], self.maps.strides[: level + 1])
        maps = self.maps
        step = UpStep(in_channels, out_channels, maps.strides[level], maps.sizes[level], maps.image)
        return operator_class(name).cost(step, **chosen)

    @property
    def _upsampler(self) -> str:
        return str(self.options["upsampler"])

    def _own(self, of: str) -> dict[str, Any]:
        return dict(self.options.get(f"{of}_options") or {})


def norm_cost(channels: int) -> Cost:
    """Return the cost of BatchNorm: a scale and an offset for each channel."""
    return Cost(2 * channels, 0)


def counted(decoder: "type[Decoder]", plan: CostPlan) -> Cost:
    """Return the cost of a decoder that does not say it: built without memory (on the meta device) and counted."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    maps = plan.maps
    with torch.device("meta"), torch.no_grad():
        built = decoder(maps.channels, maps.strides, **plan.options).eval()
        features = [torch.empty(1, channels, *size) for channels, size in zip(maps.channels, maps.sizes, strict=True)]
        after = zip(maps.channels[:-1], maps.sizes[1:], strict=True)
        pooled = [torch.empty(1, channels, *size, dtype=torch.int64) for channels, size in after]
        with FlopCounterMode(display=False) as counter:
            built(features, maps.image, pooled if "indices" in built.requires else None)
    return Cost(sum(p.numel() for p in built.parameters()), counter.get_total_flops() // 2)
