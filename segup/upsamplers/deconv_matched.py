"""Transposed convolution matched to the size asked for."""

from typing import Any, Literal

from segup.conform import Signed
from segup.upsamplers.contract import Channels, Scale, register_upsampler
from segup.upsamplers.deconv import Start, TransposedConv
from segup.upsamplers.fitting import Size

Rounding = Literal["up", "down", "mixed"]


@register_upsampler("deconv_matched")
class MatchedDeconv(TransposedConv):
    """ConvTranspose2d with a given output size: it inverts the size rule of the encoder's stage.

    From ``h`` a transposed convolution reaches ``scale`` sizes, one for each output padding. Kernel and padding choose
    these sizes. They must be the sizes that the encoder's stage turns into ``h``. The result equals
    ``ConvTranspose2d(...)(x, output_size=size)``. It is computed with the largest output padding and then cut: unlike
    ``output_size``, this works with torch.compile and torch.export and dynamic sizes.

    Args:
        in_channels, out_channels, scale, skip_channels, fit: See :class:`segup.upsamplers.Upsampler`. Sizes outside the
            reachable range are refused for every ``fit``.
        rounding: How the encoder's stage rounds ``size / scale``. ``"up"``: kernel ``2·scale - 1``, padding
            ``scale - 1`` (k3 p1 for scale 2) reaches ``scale·h - scale + 1 … scale·h``. ``"down"``: kernel
            ``3·scale - 2``, padding ``scale - 1`` (k4 p1 for scale 2) reaches ``scale·h … scale·h + scale - 1``; with a
            smaller kernel its last rows would hold bias alone. An int ``c``, for a stage that makes
            ``⌊(n + c) / scale⌋`` of ``n`` (0 is ``"down"``, ``scale - 1`` is ``"up"``, a stage without padding has one
            below 0): kernel ``3·scale - 2 - c`` (from ``2·scale - 1`` on ``scale`` or one more, with a larger padding)
            reaches ``scale·h - c … scale·h - c + scale - 1``, and ``scale·h`` for 0 … ``scale - 1`` alone: with any
            other c a call has to say its size. ``"mixed"``, for several stages at once that follow no one rule: that of
            ``"down"``, and below ``scale·h`` up to ``scale - 1`` rows are cut, which counts as a correction. None: the
            encoder's own rule, which a decoder knows; ``"up"`` for an operator by itself.
        init: ``"he"``, ``"bilinear"`` or, where nothing shifts, ``"interpolate"``; see
            :meth:`segup.upsamplers.deconv.TransposedConv.build`.

    Shape: ``(N, in_channels, h, w)`` → ``(N, out_channels, scale·h, scale·w)`` or the size asked for.
    Parameters: ``kernel_size²·in_channels·out_channels + out_channels``.

    Rounding up shifts the map: output ``scale·i`` lies on input ``i``. At scale 2 it lies half a pixel up and left of
    its place on the grid of ``align_corners=False``; in general, ``(scale - 1) / 2`` output pixels. It is the encoder's
    own grid (k3 s2 p1 reads around input ``2·o``). It refuses ``init="interpolate"``: no weights undo the shift of
    rounding up. ``init="bilinear"`` starts as interpolation between the pixels where they lie.

    >>> import torch
    >>> up = MatchedDeconv(8, 4, rounding="up")
    >>> up(torch.zeros(1, 8, 17, 24), size=(33, 48)).shape, up.correction
    (torch.Size([1, 4, 33, 48]), (0, 0))
    >>> up.label(), MatchedDeconv(8, 4, rounding="down").label()
    ('deconv_matched k3 s2 p1 shift -1/2px', 'deconv_matched k4 s2 p1')
    """

    takes_rounding = True

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        rounding: Rounding | Signed | None = None,
        init: Start = "bilinear",
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        rounding = self.rounding = "up" if rounding is None else rounding
        offset = {"up": scale - 1, "down": 0, "mixed": 0}[rounding] if isinstance(rounding, str) else rounding
        # kernel - 2·padding = scale - c makes scale·h - c the smallest size; with a padding of scale - 1 the last row
        # of the largest is still written too.
        padding = max(scale - 1, -(-offset // 2))
        self.build(scale - offset + 2 * padding, padding, scale - 1, init)

    def own(self, low: int) -> Size:
        """Return the smallest and the largest of the ``scale`` reachable sizes."""
        smallest = low * self.scale + self.excess
        return smallest, smallest + self.scale - 1

    def span(self, low: int) -> Size:
        """Return the same: there is no correction, but for mixed rounding."""
        return super().span(low) if self.rounding == "mixed" else self.own(low)

    def out_of_reach(self, low: int, wanted: int, axis: str) -> str:
        """Return the message for a size that no output padding reaches."""
        smallest, largest = self.span(low)
        below = self.scale * low - wanted
        if abs(below) < self.scale:
            other = "up" if below > 0 else "down"
            hint = f"rounding={other}, if that is how the encoder's stage rounds, or decoder=deconv, which corrects"
        else:
            hint = f"a scale near {wanted}/{low}, or the size of the next skip"
        return (
            f"{self.describe()} brings {axis} {low} to {smallest} … {largest}, not to {wanted}.\n"
            f"  {self.size_rule(low)}, and output padding adds at most {self.scale - 1}.\n"
            f"  try: {hint}."
        )
