"""No neck: the encoder's maps as they are."""

from collections.abc import Sequence

from torch import Tensor

from segup.decoders.steps import Encoded
from segup.necks.contract import Neck, register_neck


@register_neck("none")
class NoNeck(Neck):
    """Hand the encoder's maps on.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`.

    >>> NoNeck([8, 16], [2, 4]).strides
    (2, 4)
    """

    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the encoder's maps."""
        return encoded.maps
