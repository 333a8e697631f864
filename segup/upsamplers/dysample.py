"""DySample: each output pixel is sampled bilinearly at a position predicted from the content."""

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segup.conform import Count
from segup.errors import ConfigError
from segup.upsamplers.arguments import check_groups
from segup.upsamplers.contract import Channels, Scale, Upsampler, register_upsampler
from segup.upsamplers.interpolation import channel_map, init_drawn, init_weight
from segup.upsamplers.layout import is_channels_last
from segup.upsamplers.projection import project

Style = Literal["lp", "pl"]
USUAL_GROUPS: dict[Style, int] = {"lp": 4, "pl": 8}


@register_upsampler("dysample")
class DySample(Upsampler):
    """Move every position of bilinear upsampling by an offset that is predicted from ``x``, and sample there.

    DySample (Liu et al., arXiv 2308.15085)::

        offsets = 0.25 · offset(x)                          static
                = 0.5 · sigmoid(scope(x)) · offset(x)       dynamic
        y       = bilinear samples of x at (bilinear positions + offsets), its edge repeated beyond the border

    If ``out_channels`` differs from ``in_channels``, a 1×1 convolution follows. Positions are computed and sampled in
    float32 even if ``x`` is in half precision (in float64 for float64). In bfloat16 they would be wrong by most of a
    pixel at a width of 256.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`.
        style: ``"lp"`` predicts the ``scale²`` offsets of a cell at low resolution. ``"pl"`` first shuffles the
            channels of ``x`` into pixels and predicts one offset for each. It has far fewer parameters, and ``scale²``
            must divide ``in_channels``.
        dynamic: Whether the range of the offsets is predicted too (the paper's "+"); False by default.
        groups: Groups of neighbouring channels, each with its own positions. It must divide ``in_channels``. The
            default is the paper's 4 for ``"lp"`` and 8 for ``"pl"``, or the largest divisor that ``in_channels`` shares
            with it.
        init: ``"normal"``: the paper's, weights of ``offset`` drawn with a deviation of 0.001 and those of ``scope``
            zero, so bilinear upsampling moved by far less than a pixel. ``"interpolate"``: ``offset`` zero too, so
            bilinear upsampling exactly, see :mod:`segup.upsamplers.interpolation`; ``scope`` then learns from the
            second step on.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    With C = ``in_channels``, g = ``groups``, s = ``scale``:
    parameters ``C·2gs² + 2gs²`` for lp and ``C/s²·2g + 2g`` for pl, dynamic ``C·2gs²`` and ``C/s²·2g`` more: 8,224,
    1,040, 16,416 and 2,064 for 256 channels; multiply-accumulates for each position of ``x`` ``C·2gs²`` and ``C·2g`` in
    the convolution, twice that if dynamic, and ``4·s²·C`` in sampling, which torch's FlopCounterMode counts as none.
    The 1×1 convolution adds ``C·out_channels + out_channels`` parameters and ``s²·C·out_channels`` of them.

    Raises:
        ConfigError: The style is unknown, groups do not divide ``in_channels``, or ``"pl"`` cannot shuffle the
            channels.

    The gradient of the sampling is not deterministic on CUDA.

    >>> up = DySample(16, 8)
    >>> up(torch.zeros(1, 16, 17, 24), size=(33, 47)).shape
    torch.Size([1, 8, 33, 47])
    >>> [sum(p.numel() for p in DySample(256, 256, style=style).parameters()) for style in ("lp", "pl")]
    [8224, 1040]
    """

    averages = True
    projects = "last"

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        style: Style = "lp",
        dynamic: bool = False,
        groups: Count | None = None,
        init: Literal["normal", "interpolate"] = "normal",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        groups = math.gcd(in_channels, USUAL_GROUPS[style]) if groups is None else groups
        check_groups(self.name, groups, in_channels)
        if style == "pl" and in_channels % scale**2:
            raise ConfigError(
                f"'{self.name}': style='pl' shuffles channels into {scale}×{scale} pixels, so in_channels must be "
                f"divisible by scale² = {scale**2}: {in_channels} mod {scale**2} = {in_channels % scale**2}\n"
                f"  try: style='lp'"
            )
        self.style, self.dynamic, self.groups = style, dynamic, groups
        mix = channel_map(in_channels, out_channels) if init == "interpolate" else None
        shuffled = 1 if style == "lp" else scale**2
        read, predicted = in_channels // shuffled, 2 * groups * scale**2 // shuffled
        self.offset = nn.Conv2d(read, predicted, 1)
        init_drawn(self.offset, std=0.001 if mix is None else 0.0)
        if dynamic:
            self.scope = nn.Conv2d(read, predicted, 1, bias=False)
            init_drawn(self.scope, std=0.0)
        self.project = project(in_channels, out_channels)
        if mix is not None and isinstance(self.project, nn.Conv2d):
            init_weight(self.project, mix[:, :, None, None])

    @classmethod
    def multiple(cls, *, style: Style = "lp", groups: int | None = None, **_: object) -> int:
        """Return the groups: where none are given, fewer are made of channels that the usual number does not divide."""
        return USUAL_GROUPS[style] if groups is None else groups

    def upsample(self, x: Tensor) -> Tensor:
        """Return ``x`` sampled at the positions predicted from it."""
        return self.project(sample_at_offsets(x, self.offsets(x), self.scale))

    def offsets(self, x: Tensor) -> Tensor:
        """Return the offsets ``(N, 2, groups, scale·h, scale·w)`` in pixels of ``x``, columns first, then rows."""
        wide = torch.promote_types(x.dtype, torch.float32)
        read = x if self.style == "lp" else F.pixel_shuffle(x, self.scale)
        reach = 0.5 * self.scope(read).to(wide).sigmoid() if self.dynamic else 0.25
        offsets = reach * self.offset(read).to(wide)
        offsets = F.pixel_shuffle(offsets, self.scale) if self.style == "lp" else offsets
        return offsets.unflatten(1, (2, self.groups))


def sample_at_offsets(x: Tensor, offsets: Tensor, scale: int) -> Tensor:
    """Return bilinear samples of ``x`` at the positions of bilinear upsampling (align_corners=False) plus ``offsets``.

    Args:
        x: ``(N, C, h, w)``; beyond the border its edge is repeated.
        offsets: ``(N, 2, groups, scale·h, scale·w)`` in pixels of ``x``, columns first, then rows; ``groups`` has to
            divide C.
        scale: Factor between the two sizes.

    Returns:
        ``(N, C, scale·h, scale·w)`` in the type and memory format of ``x``.

    >>> x = torch.tensor([[[[0.0, 1.0]]]])
    >>> still = torch.zeros(1, 2, 1, 2, 4)
    >>> sample_at_offsets(x, still, 2)[0, 0, 0].tolist()
    [0.0, 0.25, 0.75, 1.0]
    >>> sample_at_offsets(x, still + 0.25, 2)[0, 0, 0].tolist()
    [0.0, 0.5, 1.0, 1.0]
    """
    count, channels, height, width = x.shape
    groups = offsets.shape[2]
    wide = torch.promote_types(x.dtype, torch.float32)
    columns, rows = offsets.to(wide).unbind(1)
    across = _positions(width, scale, wide, x.device) + columns * 2 / width
    down = _positions(height, scale, wide, x.device).unsqueeze(1) + rows * 2 / height
    grid = torch.stack((across, down), dim=-1).flatten(0, 1)
    grouped = x.to(wide).reshape(count * groups, channels // groups, height, width)
    y = F.grid_sample(grouped, grid, mode="bilinear", padding_mode="border", align_corners=False)
    y = y.reshape(count, channels, scale * height, scale * width).to(x.dtype)
    return y.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2) if is_channels_last(x) else y


def _positions(size: int, scale: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return where the ``scale·size`` centres lie between -1 and 1, the outer edges: whole numbers, divided once."""
    fine = scale * size
    return (2 * torch.arange(fine, dtype=dtype, device=device) + 1 - fine) / fine
