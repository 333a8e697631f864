"""Surgery on anybody's models: upsamplers are swapped for others, or rewritten as layers that compute the same.

:func:`swap_upsamplers` puts one of segup's operators, untrained, in the place of each upsampling module.

:func:`rewrite` and ``to_deconv``, ``to_subpixel``, ``to_zero_insertion`` are exact, weights and bias included.
A strided transposed convolution, a convolution followed by pixel shuffle, and a nearest resize followed by a
convolution are one thing: a kernel stamped once for every input value, ``stride`` pixels apart. Each is read into that
form (:mod:`stamp`) and built again as another (:mod:`forms`).

:func:`fold_norms` folds BatchNorm into the convolution before it, for inference.

>>> import torch
>>> from torch import nn
>>> from segup.surgery import to_deconv
>>> resize_conv = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 3, padding=1))
>>> one = to_deconv(*resize_conv)
>>> x = torch.randn(1, 8, 5, 7)
>>> one, torch.allclose(one(x), resize_conv(x), atol=1e-5)
(ConvTranspose2d(8, 4, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1)), True)
"""

from segup.surgery.convert import to_deconv, to_subpixel, to_zero_insertion
from segup.surgery.folding import fold_norms
from segup.surgery.rewrite import RewriteReport, rewrite
from segup.surgery.swap import SwapReport, swap_upsamplers

__all__ = [
    "RewriteReport",
    "SwapReport",
    "fold_norms",
    "rewrite",
    "swap_upsamplers",
    "to_deconv",
    "to_subpixel",
    "to_zero_insertion",
]
