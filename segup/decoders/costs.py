"""What a decoder costs: it is built without memory, on torch's meta device, and counted."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from segup.decoders.contract import Decoder, create_decoder
from segup.shapes import Cost
from segup.upsamplers.contract import Size


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
    strides: tuple[int | Fraction, ...]
    sizes: tuple[Size, ...]
    image: Size


def without_memory(topology: str, maps: Maps, **options: Any) -> Decoder:
    """Build a decoder whose weights take no memory and have no values.

    Args:
        topology, options: See :func:`segup.decoders.create_decoder`.
        maps: The pyramid.

    Raises:
        ConfigError: The decoder cannot have these options.
    """
    with torch.device("meta"):
        return create_decoder(topology, maps.channels, maps.strides, **options).eval()


def parameters_of(decoder: Decoder) -> int:
    """Return how many parameters a decoder has."""
    return sum(p.numel() for p in decoder.parameters())


def cost_of(decoder: Decoder, maps: Maps) -> Cost:
    """Return the parameters of a decoder and its multiply-accumulates for one image.

    Torch's FlopCounterMode counts convolutions and matrix products, two operations for each multiply-accumulate.

    Args:
        decoder: From :func:`without_memory`.
        maps: Its pyramid.

    >>> maps = Maps(channels=(8, 16), strides=(2, 4), sizes=((17, 23), (9, 12)), image=(33, 45))
    >>> cost_of(without_memory("unet", maps, upsampler="deconv", widths=[8, 4]), maps)
    Cost(parameters=3860, macs=909344)
    """
    with torch.device("meta"), torch.no_grad():
        features = [torch.empty(1, channels, *size) for channels, size in zip(maps.channels, maps.sizes, strict=True)]
        pooled = zip(maps.channels[:-1], maps.sizes[1:], strict=True)
        indices = [torch.empty(1, channels, *size, dtype=torch.int64) for channels, size in pooled]
        with FlopCounterMode(display=False) as counter:
            decoder(features, maps.image, indices, image=torch.empty(1, decoder.image_channels, *maps.image))
    return Cost(parameters_of(decoder), counter.get_total_flops() // 2)
