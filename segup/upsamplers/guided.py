"""What the operators have in common that are guided by the image: its encoding, and the sizes that they reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segup.errors import ShapeError, figures
from segup.upsamplers.contract import Channels, Scale, Size, Upsampler
from segup.upsamplers.fitting import fit_to

Guide = Literal["image", "skip"]


@dataclass(frozen=True)
class Encoding:
    """An image that is encoded already; a decoder encodes it once for all steps that share an encoder.

    Args:
        features: What the encoder makes of the image.
    """

    features: Tensor


class Guided(Upsampler):
    """Base of operators that are guided by the image, or by the skip, through an encoder of their own.

    They reach every size from ``h × w`` on. A size within ``scale - 1`` of ``scale·h`` is cut or repeated from this
    grid, as with every operator, so the cell of row i is ⌊i/scale⌋. At every other size, and at every size with
    ``fit="strict"``, nothing is corrected: the cell of row i of H is ⌊(2i + 1)·h/2H⌋. A program of torch.export keeps
    the grid.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit: See
            :class:`segup.upsamplers.Upsampler`.
        guide: ``"image"``, the image as the encoder sees it, normalised; or ``"skip"``, where a topology has one.

    A subclass makes :attr:`encoder` and defines :meth:`guided`.

    Attributes:
        guide_channels: Channels of the guide.
        encoder: From the guide to what guides. The steps of a decoder that are guided by the image share one.
    """

    requires = frozenset({"image"})
    reaches_any = True
    encoder: nn.Module

    def __init__(
        self, in_channels: Channels, out_channels: Channels, scale: Scale = 2, *, guide: Guide = "image", **common: Any
    ) -> None:
        self.requires = self.required(guide=guide)
        super().__init__(in_channels, out_channels, scale, **common)
        self.guide = guide
        self.guide_channels: int = self.skip_channels if guide == "skip" else self.image_channels  # type: ignore[assignment]

    @classmethod
    def required(cls, *, guide: Guide = "image", **_: object) -> frozenset[str]:
        """Return the guide that is chosen."""
        return frozenset({guide})

    def guided(self, x: Tensor, guide: Tensor | Encoding, made: Size, size: Size) -> Tensor:
        """Return ``x`` at the size ``made``; the guide belongs to ``size``.

        ``made`` is the grid, ``scale·h`` and ``scale·w``, or ``size`` itself on an axis that is not corrected.
        """
        raise NotImplementedError

    def upsample(self, x: Tensor, **guides: Tensor) -> Tensor:
        """Return ``x`` at ``scale·h × scale·w``."""
        return self.upsample_to(x, (self.scale * x.shape[-2], self.scale * x.shape[-1]), **guides)

    def upsample_to(self, x: Tensor, size: Size, **guides: Tensor) -> Tensor:
        """Return ``x`` at ``size``: on the grid and then corrected, or at ``size`` itself."""
        made = (self.made(x.shape[-2], size[0]), self.made(x.shape[-1], size[1]))
        return fit_to(self.guided(x, guides[self.guide], made, size), size, most=self.scale - 1)

    def made(self, low: int, wanted: int) -> int:
        """Return the size that is made of ``low`` before a correction to ``wanted``."""
        if torch.compiler.is_exporting():
            return self.scale * low
        reached = self.reach(int(low), int(wanted)) if torch.jit.is_tracing() else self.reach(low, wanted)
        return self.scale * low if reached == self.scale * low else wanted

    def on_grid(self, x: Tensor, made: Size) -> bool:
        """Return whether ``made`` is ``scale·h × scale·w``, so that all cells have as many pixels."""
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            return True
        return made == (self.scale * x.shape[-2], self.scale * x.shape[-1])

    def encoded(self, image: Tensor) -> Encoding:
        """Return the encoding of an image, for all steps of a decoder.

        Raises:
            ShapeError: It is not ``(N, image_channels, H, W)``.
        """
        return Encoding(self.encoder(self._checked_image(image)))

    def share(self, encoders: dict[str, nn.Module]) -> None:
        """Take the encoder of the decoder's other steps, if it is built alike; else enter this one."""
        if self.guide == "image":
            self.encoder = encoders.setdefault(repr(self.encoder), self.encoder)

    def checked_guides(self, guides: Mapping[str, Any], x: Tensor, size: Size) -> dict[str, Any]:
        """Return the guide, which may be an encoded image.

        Raises:
            ShapeError: It is missing or has the wrong shape.
        """
        if self.guide == "image" and isinstance(guides.get("image"), Encoding):
            return {"image": guides["image"]}
        given = super().checked_guides(guides, x, size)
        if self.guide == "image":
            self._checked_image(given["image"])
        return given

    def _checked_image(self, image: Tensor) -> Tensor:
        if image.dim() != 4 or image.shape[1] != self.guide_channels:
            raise ShapeError(
                f"{self.describe()} takes an image (N, {self.guide_channels}, H, W), not {figures(image.shape)}.\n"
                f"  try: image_channels={image.shape[1] if image.dim() == 4 else self.guide_channels} at construction"
                + ("" if image.dim() == 4 else ", and a batch of images")
            )
        return image
