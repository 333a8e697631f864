"""Decoders turn a pyramid into one map of the image's size. Topologies and blocks take an upsampler as an argument.

Decoders are built from plain ints, so they take the pyramid of any library. From timm:

>>> import timm, torch
>>> image, size = torch.rand(1, 3, 67, 45), (67, 45)
>>> body = timm.create_model("resnet18", features_only=True, pretrained=False).eval()
>>> decoder = create_decoder("unet", body.feature_info.channels(), body.feature_info.reduction(), upsampler="carafe")
>>> decoder.eval()(body(image), size).shape
torch.Size([1, 16, 67, 45])

From torchvision:

>>> from torchvision.models import resnet18
>>> from torchvision.models.feature_extraction import create_feature_extractor
>>> body = create_feature_extractor(resnet18().eval(), ["layer1", "layer2", "layer3", "layer4"])
>>> decoder = create_decoder("fpn", channels=[64, 128, 256, 512], strides=[4, 8, 16, 32], upsampler="pixel_shuffle")
>>> decoder.eval()(list(body(image).values()), size).shape
torch.Size([1, 16, 67, 45])

From segmentation_models_pytorch, whose first map is the image itself:

>>> from segmentation_models_pytorch.encoders import get_encoder
>>> body = get_encoder("resnet18", weights=None).eval()
>>> strides = [2**level for level in range(len(body.out_channels))]
>>> decoder = create_decoder("linknet", body.out_channels, strides, upsampler="deconv")
>>> decoder.eval()(body(image), size).shape
torch.Size([1, 3, 67, 45])
"""

from segup.decoders.aspp import ASPP
from segup.decoders.blocks import ConvNormAct, UNetBlock
from segup.decoders.contract import Decoder, create_decoder, list_decoders, register_topology, topologies
from segup.decoders.deeplabv3plus import DeepLabV3PlusDecoder
from segup.decoders.duc import DUCDecoder
from segup.decoders.fcn import FCNDecoder
from segup.decoders.fpn import FPNDecoder
from segup.decoders.ladder import LadderStep
from segup.decoders.linknet import LinkNetDecoder
from segup.decoders.plain import PlainDecoder
from segup.decoders.pspnet import PSPNetDecoder
from segup.decoders.pyramid_pooling import PyramidPooling
from segup.decoders.segformer import SegFormerDecoder
from segup.decoders.unet import UNetDecoder
from segup.decoders.upernet import UPerNetDecoder
from segup.surgery import SwapReport, swap_upsamplers

Rung = LadderStep  # its name before

__all__ = [
    "ASPP",
    "ConvNormAct",
    "DUCDecoder",
    "Decoder",
    "DeepLabV3PlusDecoder",
    "FCNDecoder",
    "FPNDecoder",
    "LadderStep",
    "LinkNetDecoder",
    "PSPNetDecoder",
    "PlainDecoder",
    "PyramidPooling",
    "SegFormerDecoder",
    "SwapReport",
    "UNetBlock",
    "UNetDecoder",
    "UPerNetDecoder",
    "create_decoder",
    "list_decoders",
    "register_topology",
    "swap_upsamplers",
    "topologies",
]
