"""Transposed convolution matched to the size asked for."""

from typing import Literal

from torch import Tensor, nn

from segup.errors import ConfigError, ShapeError
from segup.shapes import ConvTranspose
from segup.upsamplers.contract import Fit, Upsampler, register_upsampler
from segup.upsamplers.deconv import init_conv_transpose

Rounding = Literal["up", "down", "mixed"]


@register_upsampler("deconv_matched")
class MatchedDeconv(Upsampler):
    """ConvTranspose2d given the output size: it inverts the encoder stage's size rule and corrects nothing.

    From ``h`` a transposed convolution reaches ``scale`` sizes, one for each output padding. Kernel and padding choose
    which: they have to be those that the encoder's stage can come from.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`; sizes outside
            the reachable range are refused whatever ``fit`` says.
        rounding: How the encoder's stage rounds ``size / scale``. ``"up"``: kernel ``2·scale - 1``, padding
            ``scale - 1`` (k3 p1 for scale 2) reaches ``scale·h - scale + 1 … scale·h``. ``"down"``: the kernel and
            padding of :class:`segup.upsamplers.Deconv` (k4 p1 for scale 2) reach ``scale·h … scale·h + scale - 1``.
            ``"mixed"``, for several stages at once that do not round alike: those of ``"down"``, and below ``scale·h``
            up to ``scale - 1`` rows are cut, which counts as a correction.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    With k3 p1, output ``scale·h`` lies on input ``h``: half a pixel off the grid of ``align_corners=False``.

    >>> import torch
    >>> up = MatchedDeconv(8, 4, rounding="up")
    >>> up(torch.zeros(1, 8, 17, 24), size=(33, 48)).shape, up.correction
    (torch.Size([1, 4, 33, 48]), (0, 0))
    """

    takes_rounding = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        scale: int = 2,
        *,
        skip_channels: int | None = None,
        fit: Fit = "correct",
        rounding: Rounding = "up",
    ) -> None:
        super().__init__(in_channels, out_channels, scale, skip_channels=skip_channels, fit=fit)
        if rounding not in ("up", "down", "mixed"):
            raise ConfigError(f"'deconv_matched': rounding={rounding!r} is unknown; known: up, down, mixed")
        self.rounding = rounding
        kernel_size = 2 * scale - 1 if rounding == "up" else 2 * scale - scale % 2
        padding = scale - 1 if rounding == "up" else (kernel_size - scale) // 2
        # The largest output padding computes every reachable size at once; cutting it to the size asked for equals
        # ConvTranspose2d(x, output_size=size), and unlike that survives torch.compile and torch.export.
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, kernel_size, stride=scale, padding=padding, output_padding=scale - 1
        )
        init_conv_transpose(self.conv)

    @property
    def arithmetic(self) -> ConvTranspose:
        """The size rule without output padding: its ``reachable`` are the sizes that can be asked for."""
        return ConvTranspose(self.conv.kernel_size[0], self.scale, self.conv.padding[0])  # type: ignore[arg-type]

    def upsample(self, x: Tensor, *, skip: Tensor | None = None, indices: Tensor | None = None) -> Tensor:
        """Return the largest reachable map."""
        y: Tensor = self.conv(x)
        return y

    def describe(self) -> str:
        """Return the name with kernel, stride and padding."""
        return f"'{self.name}' (kernel {self.conv.kernel_size[0]}, stride {self.scale}, padding {self.conv.padding[0]})"

    def label(self) -> str:
        """Return the name with kernel, stride and padding in few letters."""
        return f"{self.name} k{self.conv.kernel_size[0]} s{self.scale} p{self.conv.padding[0]}"

    def reach(self, low: int, wanted: int, axis: str = "size") -> int:
        """Return ``wanted``, which has to be one of the ``scale`` reachable sizes."""
        if self.rounding == "mixed" and wanted < self.arithmetic.out(low):
            return super().reach(low, wanted, axis)
        if not self.arithmetic.reaches(low, wanted):
            reachable = self.arithmetic.reachable(low)
            other = "down" if self.rounding == "up" else "up"
            raise ShapeError(
                f"{self.describe()} brings {axis} {low} to {reachable[0]} … {reachable[-1]}, not to {wanted}.\n"
                f"  try: rounding='{other}' if the encoder's stage rounds {other}, "
                f"or decoder=deconv, which corrects by cutting or repeating."
            )
        return wanted
