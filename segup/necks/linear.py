"""All maps of one stride side by side, normalised: what a linear head takes."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from segup.conform import Counts, OddKernel
from segup.decoders.steps import Encoded
from segup.necks.contract import SAME, Neck, register_neck


@register_neck("linear")
class Linear(Neck):
    """Concatenate the encoder's maps and normalise them (BatchNorm), as probes of frozen encoders do (DINO).

    It has no step up. With ``decoder.topology=fcn`` a 1×1 convolution and the operator ``decoder.final`` follow, and
    nothing else.

    Args:
        channels, strides, roundings, image_channels: See :class:`segup.necks.Neck`. All maps have one stride.
        kernel_size: Of a convolution after the normalisation, odd, with as many channels and no rectifier: the operator
            and the head see its neighbours, too. It starts as the identity. None: no convolution.

    Parameters: two for each of the C channels; ``kernel_size²·C² + C`` more with the convolution.

    Raises:
        ConfigError: The maps have several strides.

    >>> Linear([8, 8], [16, 16]).channels, Linear([8, 8], [16, 16]).strides
    ((16,), (16,))
    """

    def __init__(
        self, channels: Counts, strides: Counts, *, kernel_size: OddKernel | None = None, **common: Any
    ) -> None:
        super().__init__(channels, strides, **common)
        self.several_of_one_stride()
        width = sum(channels)
        self.norm = nn.BatchNorm2d(width)
        self.conv: nn.Module = nn.Identity() if kernel_size is None else _identity(width, kernel_size)
        self.becomes([width], [SAME])

    def neck(self, encoded: Encoded) -> Sequence[Tensor]:
        """Return the one map."""
        return [self.conv(self.norm(torch.cat(list(encoded.maps), dim=1)))]


def _identity(width: int, kernel_size: int) -> nn.Conv2d:
    conv = nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2)
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(cast(Tensor, conv.bias))
    return conv
