"""What the operators have in common that are guided by the image: its encoding, and the sizes that they reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from segup.conform import Count
from segup.errors import ShapeError, figures
from segup.symbols import is_exporting
from segup.upsamplers.contract import Channels, Scale, Size, Upsampler
from segup.upsamplers.fitting import fit_to
from segup.upsamplers.pooling import ReflectConv, pool_to

Guide = Literal["image", "skip"]
Variant = Literal["tiny", "paper"]


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
    the grid, and one of torch.jit.trace what holds at its example's size.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit: See
            :class:`segup.upsamplers.Upsampler`.
        guide: ``"image"``, the image as the encoder sees it, normalised; or ``"skip"``, where a topology has one.

    A subclass makes :attr:`encoder`, and :attr:`project` where its results are means of ``x``, and defines
    :meth:`guided`.

    Attributes:
        guide_channels: Channels of the guide.
        encoder: From the guide to what guides. The steps of a decoder that are guided by the image share one.
        project: A 1×1 convolution that comes first where channels change, else nothing.
        kernel_size: Of a window that labels show, if there is one.
    """

    requires = frozenset({"image"})
    reaches_any = True
    averages = True
    projects = "first"
    encoder: nn.Module
    project: nn.Module
    kernel_size: int | None = None

    def __init__(
        self, in_channels: Channels, out_channels: Channels, scale: Scale = 2, *, guide: Guide = "image", **common: Any
    ) -> None:
        self.requires = self.required(guide=guide)
        super().__init__(in_channels, out_channels, scale, **common)
        self.guide = guide
        self.guide_channels: int = self.skip_channels if guide == "skip" else self.image_channels

    @classmethod
    def required(cls, *, guide: Guide = "image", **_: object) -> frozenset[str]:
        """Return the guide that is chosen."""
        return frozenset({guide})

    def label(self) -> str:
        """Return the name, the window and the scale, and whether a 1×1 convolution comes first."""
        window = "" if self.kernel_size is None else f" k{self.kernel_size}"
        return self.with_projection(f"{self.name}{window} ×{self.scale}")

    def guided(self, x: Tensor, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return ``x`` at the size ``made``, by the encoded guide, which belongs to ``size``.

        ``made`` is the grid, ``scale·h`` and ``scale·w``, or ``size`` itself on an axis that is not corrected.
        """
        raise NotImplementedError

    def encode(self, guide: Tensor, size: Size) -> Tensor:
        """Return what the encoder makes of a guide for a result of ``size``."""
        return self.encoder(guide)

    def pooled(self, features: Tensor, made: Size, size: Size) -> Tensor:
        """Return the mean of the encoded guide over each pixel of ``size``, cut or repeated to ``made``."""
        return fit_to(pool_to(features, size), made, most=self.scale - 1)

    def upsample(self, x: Tensor, **guides: Tensor) -> Tensor:
        """Return ``x`` at ``scale·h × scale·w``."""
        return self.upsample_to(x, (self.scale * x.shape[-2], self.scale * x.shape[-1]), **guides)

    def upsample_to(self, x: Tensor, size: Size, **guides: Tensor) -> Tensor:
        """Return ``x`` at ``size``: on the grid and then corrected, or at ``size`` itself."""
        made = (self.made(x.shape[-2], size[0]), self.made(x.shape[-1], size[1]))
        guide: Tensor | Encoding = guides[self.guide]
        features = guide.features if isinstance(guide, Encoding) else self.encode(guide, size)
        return fit_to(self.guided(x, features, made, size), size, most=self.scale - 1)

    def made(self, low: int, wanted: int) -> int:
        """Return the size that is made of ``low`` before a correction to ``wanted``."""
        if is_exporting():
            return self.scale * low
        reached = self.reach(int(low), int(wanted)) if torch.jit.is_tracing() else self.reach(low, wanted)
        return self.scale * low if reached == self.scale * low else wanted

    def on_grid(self, x: Tensor, made: Size) -> bool:
        """Return whether ``made`` is ``scale·h × scale·w``, so that all cells have as many pixels."""
        if is_exporting():
            return True
        return made == (self.scale * x.shape[-2], self.scale * x.shape[-1])

    def encoded(self, image: Tensor) -> Encoding:
        """Return the encoding of an image, for all steps of a decoder.

        Raises:
            ShapeError: It is not ``(N, image_channels, H, W)``.
        """
        return Encoding(self.encoder(self._checked_image(image)))

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


def sharing(up: Upsampler, encoders: dict[str, nn.Module]) -> Upsampler:
    """Return an operator; one that is guided by the image has the encoder of those before it that are built alike."""
    if isinstance(up, Guided) and up.guide == "image":
        up.encoder = encoders.setdefault(repr(up.encoder), up.encoder)
    return up


class GuidedByEncoder(Guided):
    """Base of operators whose encoder of the guide has a published size and a tiny one.

    Args:
        in_channels, out_channels, scale, skip_channels, image_channels, fit, guide: See :class:`Guided`.
        variant: Which of :attr:`variants`, ``"tiny"`` or ``"paper"``.
        tile: How many rows of a result are made at once, which takes less memory; by default all. The result is the
            same. A program of torch.export or torch.jit.trace makes all at once.

    A subclass names :attr:`variants` and makes its parts in :meth:`build`.
    """

    variants: ClassVar[Mapping[str, Mapping[str, Any]]]
    """What :meth:`build` takes, by the name of the variant."""

    def __init__(
        self,
        in_channels: Channels,
        out_channels: Channels,
        scale: Scale = 2,
        *,
        variant: Variant = "tiny",
        tile: Count | None = None,
        **common: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, scale, **common)
        self.variant, self.tile = variant, tile
        self.build(**self.variants[variant])

    def build(self, *_: Any, **sizes: Any) -> None:
        """Make the encoder and what stands beside it, once channels and scale are known."""
        raise NotImplementedError


def normed_convs(width: int, count: int, kernel_size: int = 1, bias: bool = True) -> list[nn.Module]:
    """Return ``count`` times GroupNorm, SiLU and a convolution that keeps width and size.

    >>> [type(layer).__name__ for layer in normed_convs(16, 1, 3)]
    ['GroupNorm', 'SiLU', 'ReflectConv']
    """
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.GroupNorm(8, width), nn.SiLU(), ReflectConv(width, width, kernel_size, bias=bias)]
    return layers
