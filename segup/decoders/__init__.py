"""Decoders: pyramid in, full-size map out; topologies and blocks parameterised by an upsampler."""

from segup.decoders.blocks import ConvNormAct, UNetBlock
from segup.decoders.contract import Decoder, Rung, create_decoder, list_decoders, register_topology, topologies
from segup.decoders.unet import UNetDecoder

__all__ = [
    "ConvNormAct",
    "Decoder",
    "Rung",
    "UNetBlock",
    "UNetDecoder",
    "create_decoder",
    "list_decoders",
    "register_topology",
    "topologies",
]
