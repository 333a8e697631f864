"""CARAFE: each output pixel is a weighted mean of a neighbourhood, with weights predicted from the content."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.calls import annotated
from segup.conform import Count, OddKernel
from segup.errors import ShapeError, figures
from segup.upsamplers.arguments import check_groups
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.interpolation import init_drawn
from segup.upsamplers.projection import project
from segup.upsamplers.window_sums import reassemble, reassemble_cells
from segup.upsamplers.windows import Border, window_mask


@register_upsampler("carafe")
class Carafe(Upsampler):
    """Predict a kernel for every output pixel, and weigh the neighbourhood of its source pixel with it.

    CARAFE (Wang et al., arXiv 1905.02188)::

        kernels = softmax(pixel_shuffle(encode(compress(x))))
        y       = reassemble(x, kernels)

    If ``out_channels`` differs from ``in_channels``, a 1×1 convolution follows.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        kernel_size: Size of the neighbourhood, odd; 5 by default.
        compressed_channels: Channels from which the kernels are predicted; 64 by default.
        encoder_kernel: Kernel size of the convolution that predicts them, odd; 3 by default.
        groups: Groups of neighbouring channels, each with its own kernels; 1 by default. It must divide
            ``in_channels``.
        border: What the neighbourhoods read beyond the map. ``"zeros"``: zeros, as in the paper, so the outermost
            ``kernel_size // 2`` pixels of ``x`` give smaller values. ``"replicate"``: the nearest pixel. ``"shift"``:
            nothing, the neighbourhoods shift inwards. With the last two every result is a convex combination of ``x``.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    With C = ``in_channels``, m = ``compressed_channels``, e = ``encoder_kernel``,
    q = ``scale²·groups·kernel_size²``:
    parameters ``C·m + m + (m·e² + 1)·q``, 74,148 for 256 channels; multiply-accumulates for each position of ``x``
    ``C·m + m·e²·q`` in the convolutions and ``scale²·kernel_size²·C`` in the weighted sums, which are a matrix
    product here and counted by torch's FlopCounterMode. The 1×1 convolution adds ``C·out_channels + out_channels``
    parameters and ``scale²·C·out_channels`` multiply-accumulates.

    Raises:
        ConfigError: An option is out of range, or groups do not divide ``in_channels``.

    It cannot start as an interpolation. Interpolation needs zero weights for most of the neighbourhood, and a softmax
    gives zeros only where it has no gradient. At the start each kernel is near a mean over the neighbourhood, the same
    for all pixels of a cell. So a constant shows no checkerboard, and an impulse stays centred.

    >>> up = Carafe(16, 8)
    >>> up(torch.zeros(1, 16, 17, 24), size=(33, 47)).shape
    torch.Size([1, 8, 33, 47])
    >>> sum(p.numel() for p in Carafe(256, 256).parameters())
    74148
    """

    projects = "last"

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        kernel_size: OddKernel = 5,
        compressed_channels: Count = 64,
        encoder_kernel: OddKernel = 3,
        groups: Count = 1,
        border: Border = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        check_groups(self.name, groups, in_channels)
        self.kernel_size, self.groups, self.border, self.averages = kernel_size, groups, border, border != "zeros"
        self.compress = nn.Conv2d(in_channels, compressed_channels, 1)
        self.encode = nn.Conv2d(
            compressed_channels, scale**2 * groups * kernel_size**2, encoder_kernel, padding=encoder_kernel // 2
        )
        init_drawn(self.compress)
        init_drawn(self.encode, std=0.001)
        self.project = project(in_channels, out_channels)

    @classmethod
    def multiple(cls, *, groups: int = 1, **_: object) -> int:
        """Return the groups, which must divide the channels."""
        return groups

    def upsample(self, x: Tensor) -> Tensor:
        """Return ``x`` reassembled with the kernels predicted from it."""
        weights_bmk = self.weights(x).flatten(0, 3)
        return self.project(reassemble_cells(x, weights_bmk, self.kernel_size, self.groups, self.scale, self.border))

    def weights(self, x: Tensor) -> Tensor:
        """Return the kernels of each cell, ``(N, h, w, groups, scale², kernel_size²)``; each sums to 1."""
        taps, pixels = self.kernel_size**2, self.scale**2
        logits = self.encode(self.compress(x)).permute(0, 2, 3, 1).unflatten(3, (self.groups, taps, pixels)).mT
        taken = window_mask((x.shape[-2], x.shape[-1]), self.kernel_size, self.border, x.device)
        return (logits if taken is None else logits.masked_fill(~taken, -torch.inf)).softmax(dim=-1)

    def kernels(self, x: Tensor) -> Tensor:
        """Return the kernels as a map ``(N, groups·kernel_size², scale·h, scale·w)``."""
        return F.pixel_shuffle(self.weights(x).mT.flatten(3).permute(0, 3, 1, 2), self.scale)


@annotated
def carafe_reassemble(
    features: Tensor, kernels: Tensor, kernel_size: OddKernel, groups: Count = 1, scale: Count = 2
) -> Tensor:
    """Return for every output pixel the sum over its source pixel's neighbourhood, weighted by its own kernel.

    Output ``(i, j)`` has its source at ``(i // scale, j // scale)``. Outside the map are zeros. With all weight on the
    middle of each kernel, this is nearest upsampling. The neighbourhoods are unfolded at low resolution. The definition
    unfolds the upsampled map, which takes ``scale²`` times as much memory.

    Args:
        features: ``(N, C, h, w)``.
        kernels: ``(N, groups·kernel_size², scale·h, scale·w)``, already normalised.
            Channel ``(group·kernel_size + row)·kernel_size + column`` weighs that row and column of the neighbourhood
            for that group of ``C / groups`` neighbouring channels.
        kernel_size: Of the neighbourhood, odd.
        groups: Must divide C.
        scale: Factor between the two sizes, an int of 1 or more.

    Returns:
        ``(N, C, scale·h, scale·w)``, with the memory format and the type of ``features``; under autocast, with the type
        of its matrix products.

    Raises:
        ConfigError: The kernel size, scale or groups are out of range.
        ShapeError: Features or kernels have another shape.

    Source: Wang et al., "CARAFE: Content-Aware ReAssembly of FEatures", arXiv 1905.02188, section 3.2.

    >>> x = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> box = torch.full((1, 9, 4, 4), 1 / 9)
    >>> middle = torch.eye(9)[4].reshape(1, 9, 1, 1).expand(1, 9, 4, 4)
    >>> (carafe_reassemble(x, box, 3) * 9).unique().tolist()
    [6.0]
    >>> carafe_reassemble(x, middle, 3)[0, 0, 1].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    _check_shapes(features, kernels, kernel_size, groups, scale)
    return reassemble(features, kernels, kernel_size, groups, scale)


def _check_shapes(features: Tensor, kernels: Tensor, kernel_size: int, groups: int, scale: int) -> None:
    if features.dim() != 4 or 0 in features.shape[1:]:
        raise ShapeError(
            f"carafe_reassemble takes features (N, C, h, w) with C, h, w ≥ 1, not {figures(features.shape)}\n"
            f"  try: {'features.unsqueeze(0), a batch of one' if features.dim() == 3 else 'a batch of maps'}"
        )
    count, channels, height, width = features.shape
    check_groups("carafe_reassemble", groups, channels, "features.shape[1]")
    expected = (count, groups * kernel_size**2, scale * height, scale * width)
    if kernels.dim() != 4 or any(n != m for n, m in zip(kernels.shape, expected, strict=True)):
        raise ShapeError(
            f"carafe_reassemble takes kernels (N, groups·kernel_size², scale·h, scale·w) = {figures(expected)} with "
            f"features {figures(features.shape)}, kernel_size={kernel_size}, groups={groups}, scale={scale}, not "
            f"{figures(kernels.shape)}\n  try: the kernel_size, groups and scale for which the kernels were made"
        )
