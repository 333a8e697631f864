"""What guides an operator: its names in words, what is checked of it, and the skip on the operator's own grid."""

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from torch import Tensor

from segup.errors import ConfigError, ShapeError, figures, unknown
from segup.upsamplers.fitting import Size, fit_to

GUIDES: Mapping[str, str] = MappingProxyType(
    {"skip": "the skip", "indices": "the encoder's pooling indices", "image": "the image"}
)
"""The guides that a step may have, and their names in errors: the encoder's map at the size to reach; the indices of
the pooling that the step undoes; the image that the encoder sees, normalised and extended."""


def on_grid(x: Tensor, skip: Tensor, scale: int) -> Tensor:
    """Return the skip at ``scale·h × scale·w``, where each pixel of ``x`` has ``scale × scale`` pixels of its own.

    A skip that is up to ``scale - 1`` rows or columns larger is cut, a smaller one repeats its last row and column, at
    the bottom and right: the rule for sizes, so that both stay on one grid. What the operator makes of the grid is
    then corrected to the skip's size in the same way.

    >>> import torch
    >>> on_grid(torch.zeros(1, 1, 2, 2), torch.arange(15.0).reshape(1, 1, 3, 5), scale=2).squeeze().tolist()
    [[0.0, 1.0, 2.0, 3.0], [5.0, 6.0, 7.0, 8.0], [10.0, 11.0, 12.0, 13.0], [10.0, 11.0, 12.0, 13.0]]
    """
    return fit_to(skip, (scale * x.shape[-2], scale * x.shape[-1]), most=scale - 1)


def listed_guides(required: frozenset[str]) -> str:
    """Return in words what operators require.

    >>> listed_guides(frozenset({"skip"})), listed_guides(frozenset({"indices"}))
    ('the skip', "the encoder's pooling indices")
    """
    return " and ".join(GUIDES.get(guide, f"'{guide}'") for guide in sorted(required))


class GuidedStep:
    """What an operator checks of the guides that it is handed."""

    requires: frozenset[str]
    skip_channels: Any
    """An int wherever the skip is required, which the contract checks; else an int or None."""
    image_channels: Any
    """An int wherever the image is required, else None."""

    @abstractmethod
    def describe(self) -> str:
        """Return the name and the layer parameters as errors show them."""

    def checked_guides(self, guides: Mapping[str, Tensor | None], x: Tensor, size: Size) -> dict[str, Tensor]:
        """Return those of the given guides that are required.

        Raises:
            ShapeError: A required guide is missing, or has the wrong shape.
            ConfigError: There is a guide that no operator takes.
        """
        for name in guides:
            if name not in GUIDES and name not in self.requires:
                raise ConfigError(unknown(f"guide of {self.describe()}", name, {*GUIDES, *self.requires}))
        return {name: self.checked_guide(name, guides.get(name), x, size) for name in sorted(self.requires)}

    def checked_guide(self, name: str, guide: Tensor | None, x: Tensor, size: Size) -> Tensor:
        """Return a guide that is required.

        Raises:
            ShapeError: The guide is missing or is not ``(N, C, H, W)``; a skip is not ``(N, skip_channels, *size)``.
            ConfigError: An image or a skip has integers.
        """
        if name != "skip":
            if not isinstance(guide, Tensor) or guide.dim() != 4 or guide.shape[0] != x.shape[0]:
                call = f"up(x, size, {name}={name}); in a decoder, decoder(features, size, {name}={name})"
                raise ShapeError(
                    f"{self.describe()} takes {GUIDES.get(name, name)}, ({int(x.shape[0])}, C, H, W), {_got(guide)}.\n"
                    f"  try: {_batch(name, guide, int(x.shape[0])) or call}"
                )
        else:
            wanted = (x.shape[0], self.skip_channels, *size)
            if (
                not isinstance(guide, Tensor)
                or guide.dim() != 4
                or any(n != m for n, m in zip(guide.shape, wanted, strict=True))
            ):
                raise ShapeError(
                    f"{self.describe()} takes a skip {figures(wanted)}, of its input's batch and of the size asked "
                    f"for, {_got(guide)}.\n  try: {_batch(name, guide, int(x.shape[0])) or self._skip_of_others(guide)}"
                )
        if name in ("skip", "image") and not guide.is_floating_point():
            raise ConfigError(
                f"{self.describe()} takes {GUIDES[name]} as floats, not {guide.dtype}\n  try: {name}.float() / 255"
            )
        return guide

    def _skip_of_others(self, skip: object) -> str:
        """Return the way out for a skip of another size or number of channels."""
        if isinstance(skip, Tensor) and skip.shape[1] != self.skip_channels:
            return f"skip_channels={int(skip.shape[1])} at construction"
        return "up(x, size=skip.shape[-2:], skip=skip)"


def _batch(name: str, guide: object, count: int) -> str:
    """Return the way out for a guide that is no batch, or one of another number of images; nothing for all others."""
    if not isinstance(guide, Tensor):
        return ""
    if guide.dim() != 4:
        return f"{name}.unsqueeze(0), a batch of one" if guide.dim() == 3 else "a batch of four dimensions"
    if guide.shape[0] == count:
        return ""
    return f"{name}.expand({count}, -1, -1, -1)" if guide.shape[0] == 1 else f"a batch of {count}, one for each map"


def _got(guide: object) -> str:
    if guide is None:
        return "and got none"
    return f"not {figures(guide.shape) if isinstance(guide, Tensor) else type(guide).__name__}"
