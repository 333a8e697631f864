"""Upsampling operators. Each is one file, and all have one contract.

>>> import torch
>>> from segup.upsamplers import create_upsampler
>>> up = create_upsampler("pixel_shuffle", in_channels=256, out_channels=128, scale=2)
>>> up(torch.zeros(1, 256, 17, 24), size=(33, 47)).shape
torch.Size([1, 128, 33, 47])
"""

from segup.upsamplers.anyup import AnyUp
from segup.upsamplers.bicubic import Bicubic
from segup.upsamplers.bilinear import Bilinear
from segup.upsamplers.bilinear_additive import BilinearAdditive
from segup.upsamplers.carafe import Carafe, carafe_reassemble
from segup.upsamplers.contract import Upsampler, create_upsampler, fit_to, list_upsamplers, register_upsampler
from segup.upsamplers.deconv import Deconv
from segup.upsamplers.deconv_matched import MatchedDeconv
from segup.upsamplers.diagnostics import (
    checkerboard,
    checkerboard_spectrum,
    constant_response,
    impulse_response,
    impulse_shift,
    overlap_counts,
)
from segup.upsamplers.dysample import DySample
from segup.upsamplers.fade import Fade
from segup.upsamplers.freqfusion import FreqFusion
from segup.upsamplers.jbu import Jbu
from segup.upsamplers.max_unpool import MaxUnpool
from segup.upsamplers.naf import Naf
from segup.upsamplers.nearest import Nearest
from segup.upsamplers.pixel_shuffle import PixelShuffleConv
from segup.upsamplers.sapa import Sapa
from segup.upsamplers.uplift import Uplift

PixelShuffle = PixelShuffleConv  # its name before

__all__ = [
    "AnyUp",
    "Bicubic",
    "Bilinear",
    "BilinearAdditive",
    "Carafe",
    "Deconv",
    "DySample",
    "Fade",
    "FreqFusion",
    "Jbu",
    "MatchedDeconv",
    "MaxUnpool",
    "Naf",
    "Nearest",
    "PixelShuffleConv",
    "Sapa",
    "Uplift",
    "Upsampler",
    "carafe_reassemble",
    "checkerboard",
    "checkerboard_spectrum",
    "constant_response",
    "create_upsampler",
    "fit_to",
    "impulse_response",
    "impulse_shift",
    "list_upsamplers",
    "overlap_counts",
    "register_upsampler",
]
