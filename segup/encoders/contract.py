"""The contract of every encoder: an image becomes a pyramid, and all sizes are declared."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segup.calls import annotated
from segup.conform import closed
from segup.encoders.dilate import dilate
from segup.encoders.layers import LayerGroup, layers_of
from segup.encoders.lost_rows import rows_put_back, with_rows_put_back
from segup.encoders.pyramid import probe_pyramid
from segup.errors import ConfigError, ShapeError, wrong_map
from segup.inspection import feature_sizes
from segup.modes import modes_of, set_modes
from segup.registry import Registry
from segup.symbols import is_exporting, known_equal

Convert = Callable[[dict[str, Tensor]], dict[str, Tensor]]
_SIDE = 64  # of an image on which the order of layers is seen


class Encoder(nn.Module):
    """Turn an image into a pyramid of maps, from high to low resolution.

    Args:
        name: Its name in errors and ladders.
        body: A module from the normalised image ``(N, in_channels, H, W)`` to a list or dict of maps ``(N, C, h, w)``,
            or ``(N, h, w, C)``: how they grow with the image shows which.
        in_channels: Channels of the image.
        mean, std: For each channel, for images with values in 0 … 1. A shorter tuple is repeated.
        freeze: Keep the weights and BatchNorm's statistics as they are.
        freeze_norm: Keep only BatchNorm's statistics, those of the pretrained weights. BatchNorm's weights are trained.
        img_size: The one size for which a body that takes no other was built. Smaller images are extended to it.
        channels_last: The maps are ``(N, h, w, C)``; needed with ``img_size``, where they do not grow.
        strides: Of the maps, as the library declares them; they count with ``img_size``, where the maps do not grow.
        convert: From the tensors of a file, by name, to those of ``body``'s library; None: they are the same.

    Attributes:
        max_tokens: The most tokens that may attend to each other, see :func:`create_encoder`; None where none do.

    Shape: ``(N, in_channels, H, W)``, values in 0 … 1 → maps ``(N, channels[i], ~H / strides[i], ~W / strides[i])``.

    Raises:
        ConfigError: At construction, if ``body`` is tied to one size and ``img_size`` is not given, or its maps have
            neither one stride nor strides that are multiples of each other.
    """

    mean: Tensor
    std: Tensor

    provides: ClassVar[frozenset[str]] = frozenset({"image"})
    """What it gives beside its maps: the image, and ``"indices"`` if :meth:`with_indices` works."""

    @annotated
    def __init__(
        self,
        name: str,
        body: nn.Module,
        *,
        in_channels: int = 3,
        mean: Sequence[float] = (0.5,),
        std: Sequence[float] = (0.25,),
        freeze: bool = False,
        freeze_norm: bool = False,
        img_size: int | None = None,
        channels_last: bool = False,
        strides: Sequence[int] | None = None,
        convert: Convert | None = None,
    ) -> None:
        super().__init__()
        self.convert: Convert = convert or _as_they_are
        self.name, self.body, self.in_channels = name, body, in_channels
        self._probed: dict[str, Any] = {
            "img_size": img_size, "channels_last": channels_last, "strides": strides,
        }  # fmt: skip
        self.pyramid = probe_pyramid(body, in_channels, **self._probed, name=f"encoder '{name}'")
        self.max_tokens = None if self.pyramid.attention is None else self.pyramid.attention.fits
        self.rows_put_back = False
        self._places = list(range(len(self.pyramid.channels)))
        self.freeze, self.freeze_norm = freeze, freeze_norm
        self._frozen: list[str] = []
        like = next((p for p in body.parameters() if p.is_floating_point()), torch.empty(0))
        self.register_buffer("mean", _per_channel(mean, in_channels, like.dtype), persistent=False)
        self.register_buffer("std", _per_channel(std, in_channels, like.dtype), persistent=False)
        self.keep(self.pyramid.places())
        if freeze:
            self.requires_grad_(False)
        self.train()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Encoder":
        """Return a copy in the same mode; torchvision's graphs alone would come out in training mode."""
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        set_modes(twin, modes_of(self))
        return twin

    def accepted_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the size to which an image of ``size`` is extended: the next one that the encoder accepts.

        Raises:
            ShapeError: All that it accepts are smaller.
        """
        accepted = self.pyramid.accepted
        if accepted.most is not None and max(size) > accepted.most:
            crop, cell = [min(side, accepted.most) for side in size], int(self.strides[-1])
            whole = -(-max(size) // cell) * cell
            raise ShapeError(
                f"encoder '{self.name}' takes images of up to {accepted.most}×{accepted.most}, not "
                f"{size[0]}×{size[1]}: its weights are made for that size.\n"
                f"  try: data.crop_size=[{crop[0]},{crop[1]}], or encoder.options.img_size={whole}"
            )
        return accepted.next(size[0]), accepted.next(size[1])

    def window(self, size: tuple[int, int]) -> tuple[int, int] | None:
        """Return the (height, width) of the windows in which an image of ``size`` has to go through; None for none.

        That is the case above the largest size that is accepted, and where more than :attr:`max_tokens` tokens would
        attend to each other.
        """
        accepted, attention = self.pyramid.accepted, self.pyramid.attention
        if accepted.most is not None and max(size) > accepted.most:
            return accepted.most, accepted.most
        if attention is None or self.max_tokens is None:
            return None
        if attention.tokens(*self.accepted_size(size)) <= self.max_tokens:
            return None
        side = accepted.up_to(attention.side(self.max_tokens))[-1]
        return side, side

    def check_crop(self, size: tuple[int, int]) -> None:
        """Raise unless images of ``size`` go through whole, as they have to in training.

        Raises:
            ShapeError: They are larger than all that is accepted, or have more than :attr:`max_tokens` tokens.
        """
        extended, window, attention = self.accepted_size(size), self.window(size), self.pyramid.attention
        if window is not None and attention is not None:
            tokens = attention.tokens(*extended)
            raise ShapeError(
                f"encoder '{self.name}' makes {tokens} tokens of an image of {size[0]}×{size[1]}, which attend to each "
                f"other; encoder.max_tokens is {self.max_tokens}.\n"
                f"  try: data.crop_size=[{window[0]},{window[1]}], or encoder.max_tokens={tokens}"
            )

    def limit_tokens(self, most: int) -> None:
        """Set :attr:`max_tokens`.

        Raises:
            ConfigError: No tokens attend to each other, or the smallest image has more.
        """
        attention, least = self.pyramid.attention, self.pyramid.accepted.least
        if attention is None:
            raise ConfigError(
                f"encoder '{self.name}' has no attention of all tokens to all others, so that max_tokens={most} limits "
                f"nothing.\n  try: encoder.max_tokens=null"
            )
        fewest = attention.tokens(least, least)
        if most < fewest:
            raise ConfigError(
                f"max_tokens={most} is below {fewest}, the tokens of the smallest image of encoder '{self.name}', "
                f"{least}×{least}.\n  try: encoder.max_tokens=null, for {attention.fits}"
            )
        self.max_tokens = most

    def map_sizes(self, size: int) -> tuple[int, ...]:
        """Return the sizes of the maps, on one axis, of an image of an accepted ``size``."""
        pyramid = self.pyramid
        if size in pyramid.sizes:
            return pyramid.sizes[size]
        if pyramid.proved and pyramid.functions is not None:
            return tuple(one(size) for one in pyramid.functions)
        maps = feature_sizes(self.body, size, self.in_channels, channels_last=pyramid.channels_last)
        heights = tuple(maps[place][0] for place in self._places)
        return rows_put_back(size, heights, self.strides) if self.rows_put_back else heights

    def dilate(self, output_stride: int) -> None:
        """From now on, dilate instead of going below ``output_stride``, see :func:`segup.encoders.dilate.dilate`.

        Raises:
            ConfigError: It does not divide the last stride, a layer cannot be dilated, or the maps came out otherwise.
        """
        name = f"encoder '{self.name}'"
        if self.pyramid.attention is not None or "indices" in self.provides:
            why = "pooling indices" if "indices" in self.provides else "attention"
            raise ConfigError(f"{name} has {why}, which cannot be dilated.\n  try: encoder.options.output_stride=null")
        size = self.pyramid.accepted.next(8 * int(self.strides[-1]))
        dilate(self.body, self.in_channels, size, self.strides, output_stride, name)
        self.pyramid, kept = probe_pyramid(self.body, self.in_channels, **self._probed, name=name), self._places
        self._places = list(range(len(self.pyramid.channels)))
        self.keep(kept)
        self.keep(self.pyramid.places())
        if self.strides[-1] != output_stride:
            raise ConfigError(
                f"{name} goes on to stride {self.strides[-1]} with output_stride={output_stride}, by other means than "
                f"strides of layers.\n  try: encoder.options.output_stride=null"
            )

    def put_rows_back(self) -> None:
        """From now on, repeat the borders of maps that lost rows to convolutions without padding.

        A map gets as many rows as a step of its factor needs to reach the one above, see
        :func:`segup.encoders.lost_rows.rows_put_back`. Such convolutions lose as much at the top as at the bottom, so
        the rows are put back at both.
        """
        self.pyramid, self.rows_put_back = self.pyramid.with_rows_put_back(), True

    def keep(self, places: Sequence[int]) -> None:
        """From now on, return some of the maps alone.

        Args:
            places: Of the maps that are returned until now, from high to low resolution.
        """
        self.pyramid, self._places = self.pyramid.kept(places), [self._places[i] for i in places]
        self.channels, self.strides = self.pyramid.channels, self.pyramid.strides

    def take_whole_cells(self, cell: int) -> None:
        """From now on, accept only the multiples of ``cell``, so that each cell of the maps is one of the image's.

        Raises:
            ConfigError: It accepts none of them.
        """
        sizes = self.pyramid.sizes
        accepted = self.pyramid.accepted.whole_cells(cell) if cell > 1 else self.pyramid.accepted
        if accepted is None:
            raise ConfigError(
                f"encoder '{self.name}' takes {self.pyramid.accepted}, and a neck needs a multiple of {cell}, its "
                f"maps' stride.\n  try: encoder.options.img_size={cell * -(-self.pyramid.accepted.least // cell)}"
            )
        if self.pyramid.functions is None or not self.pyramid.proved:
            few = [] if accepted.most else [accepted.next(size) for size in (1, 4 * cell + 1)]
            sizes = {**sizes, **{size: self.map_sizes(size) for size in few if size not in sizes}}
        kept = {size: maps for size, maps in sizes.items() if size in accepted or size in (self.pyramid.far or ())}
        self.pyramid = replace(self.pyramid, accepted=accepted, sizes=kept)

    def extend(self, image: Tensor) -> Tensor:
        """Repeat the last row and column of ``image`` up to :meth:`accepted_size`.

        Raises:
            ShapeError: ``image`` is not ``(N, in_channels, H, W)``, or it has no pixel.
        """
        self.check_image(image)
        height, width = image.shape[-2:]
        wanted = self.accepted_size((height, width))
        if wanted == (height, width) if not is_exporting() else known_equal(wanted, (height, width)):
            return image
        return F.pad(image, (0, wanted[1] - width, 0, wanted[0] - height), mode="replicate")

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps of ``image``, which must have an accepted size.

        Raises:
            ShapeError: As :meth:`extend`.
        """
        found = self.body(self.normalise(image))
        found = list(found.values() if isinstance(found, dict) else found)
        maps = [found[place] for place in self._places]
        if self.pyramid.channels_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return with_rows_put_back(image, maps, self.strides) if self.rows_put_back else maps

    def normalise(self, image: Tensor) -> Tensor:
        """Return ``image`` as the body takes it; see :meth:`extend` for what is refused."""
        self.check_image(image)
        return (image - self.mean) / self.std

    def check_image(self, image: Tensor) -> None:
        """Raise unless ``image`` is a batch of floats.

        Raises:
            ShapeError: The shape is wrong. Normalising would broadcast a grey image, or a single one.
            ConfigError: The image has integers, is no tensor, or its floats are wider than the weights.
        """
        if not isinstance(image, Tensor):
            raise ConfigError(
                f"encoder '{self.name}' takes a tensor (N, {self.in_channels}, h, w), not {type(image).__name__}\n"
                f"  try: segup.data.read_image(path).unsqueeze(0)"
            )
        if image.dim() != 4 or image.shape[1] != self.in_channels or 0 in image.shape[-2:]:
            raise ShapeError(wrong_map(f"encoder '{self.name}'", self.in_channels, image))
        if not image.is_floating_point():
            raise ConfigError(
                f"encoder '{self.name}' takes floats in 0 … 1, not {image.dtype}\n"
                f"  try: image.float() / 255 for 8-bit values, / 65535 for 16-bit ones; segup.data.read_image does it."
            )
        wanted = self.mean.dtype
        # autocast leaves float64 as it is
        if torch.promote_types(image.dtype, wanted) != wanted and (
            image.dtype == torch.float64 or not torch.is_autocast_enabled(image.device.type)
        ):
            raise ConfigError(
                f"encoder '{self.name}' has weights of {wanted}, and the image is {image.dtype}\n"
                f"  try: image.to({wanted})"
            )

    def with_indices(self, image: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of ``image``, and for each step from a map to the next the indices of its pooling.

        ``indices[i]`` has the channels of map ``i`` and the size of map ``i + 1``. Its values are flat positions in map
        ``i``, as ``max_pool2d`` returns them.

        Raises:
            ConfigError: This encoder does not provide them.
        """
        raise ConfigError(f"encoder '{self.name}' gives no pooling indices; try: encoder=segnet")

    def train(self, mode: bool = True) -> "Encoder":
        """Set the mode. Frozen parts stay in evaluation mode, so BatchNorm's statistics do not change."""
        super().train(mode and not self.freeze)
        if self.freeze_norm:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        for name in self._frozen:
            self.body.get_submodule(name).eval()
        return self

    def layers(self) -> list[LayerGroup]:
        """Return what is before the first block or stage, then each of these, see :func:`layers_of`."""
        return layers_of(self.body, self.accepted_size((_SIDE, _SIDE))[0], self.in_channels)

    def freeze_first(self, count: int) -> None:
        """Keep the weights and BatchNorm's statistics of the first ``count`` blocks or stages, and of what is before.

        Raises:
            ConfigError: There are not as many.
        """
        layers = self.layers()
        if count >= len(layers):
            there = f"{len(layers) - 1} blocks or stages" if len(layers) > 1 else "no blocks or stages in a row"
            fewer = f"encoder.freeze={len(layers) - 1}, or " if len(layers) > 1 else ""
            raise ConfigError(
                f"encoder '{self.name}' has {there}, and freeze={count} asks for more.\n"
                f"  try: {fewer}encoder.freeze=true"
            )
        first = layers[: count + 1]
        self._frozen = [name for layer in first for name in layer.modules]
        for layer in first:
            for parameter in layer.parameters:
                parameter.requires_grad_(False)
        self.train(self.training)

    def normalise_by(self, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
        """Set the mean and the standard deviation of the channels; a shorter list is repeated, None changes nothing."""
        for name, values in (("mean", mean), ("std", std)):
            if values is not None:
                setattr(self, name, _per_channel(values, self.in_channels, self.mean.dtype).to(self.mean.device))


def _as_they_are(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    return stored


encoders: Registry[Callable[..., Encoder]] = Registry("encoder", "segup.encoders", place=("in_channels", "pretrained"))
register_encoder = encoders.register
FROZEN = closed(freeze=bool | None, freeze_norm=bool | None)
"""The options of every encoder's builder that a checkpoint may hold."""


def _per_channel(values: Sequence[float], in_channels: int, dtype: torch.dtype) -> Tensor:
    repeated = [values[channel % len(values)] for channel in range(in_channels)]
    return torch.tensor(repeated, dtype=dtype).reshape(1, in_channels, 1, 1)
