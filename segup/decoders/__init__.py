"""Decoders: pyramid in, full-size map out; topologies and blocks parameterised by an upsampler."""

from segup.decoders.aspp import ASPP
from segup.decoders.blocks import ConvNormAct, UNetBlock
from segup.decoders.contract import Decoder, Rung, create_decoder, list_decoders, register_topology, topologies
from segup.decoders.deeplabv3plus import DeepLabV3PlusDecoder
from segup.decoders.duc import DUCDecoder
from segup.decoders.fcn import FCNDecoder
from segup.decoders.fpn import FPNDecoder
from segup.decoders.linknet import LinkNetDecoder
from segup.decoders.plain import PlainDecoder
from segup.decoders.segformer import SegFormerDecoder
from segup.decoders.swap import SwapReport, swap_upsamplers
from segup.decoders.unet import UNetDecoder

__all__ = [
    "ASPP",
    "ConvNormAct",
    "DUCDecoder",
    "Decoder",
    "DeepLabV3PlusDecoder",
    "FCNDecoder",
    "FPNDecoder",
    "LinkNetDecoder",
    "PlainDecoder",
    "Rung",
    "SegFormerDecoder",
    "SwapReport",
    "UNetBlock",
    "UNetDecoder",
    "create_decoder",
    "list_decoders",
    "register_topology",
    "swap_upsamplers",
    "topologies",
]
