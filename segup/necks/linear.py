"""All maps of one stride side by side, normalised: what a linear head takes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segup.conform import Counts
from segup.decoders.steps import Encoded
from segup.necks.contract import SAME, Neck, register_neck


@register_neck("linear")
class Linear(Neck):
    """Concatenate the encoder's maps and normalise them (BatchNorm), as probes of frozen encoders do (DINO).

    It has no step up. With ``decoder.topology=fcn`` a 1×1 convolution and the operator ``decoder.final`` follow, and
    nothing else.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`. All maps have one stride.

    Parameters: two for each channel.

    Raises:
        ConfigError: The maps have several strides.

    >>> Linear([8, 8], [16, 16]).channels, Linear([8, 8], [16, 16]).strides
    ((16,), (16,))
    """

    def __init__(self, channels: Counts, strides: Counts, **common: Any) -> None:
        super().__init__(channels, strides, **common)
        self.several_of_one_stride()
        self.norm = nn.BatchNorm2d(sum(channels))
        self.becomes([sum(channels)], [SAME])

    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the one map."""
        return [self.norm(torch.cat(list(encoded.maps), dim=1))]
