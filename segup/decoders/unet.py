"""The U-Net topology: every skip joined at its own size."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segup.decoders.blocks import UNetBlock
from segup.decoders.contract import Decoder, register_topology
from segup.errors import ConfigError
from segup.upsamplers import Upsampler, create_upsampler
from segup.upsamplers.contract import Fit, Size, operator_class


@register_topology("unet")
class UNetDecoder(Decoder):
    """Climb the pyramid map by map, joining each skip (U-Net, arXiv 1505.04597).

    Args:
        channels: Of the pyramid's maps, from high to low resolution.
        strides: Their reductions; a pyramid may begin at stride 1, 2, 4 or more.
        upsampler: Name of the operator that brings each map to the size of its skip.
        widths: Channels after each step, the last step to the image included (where the pyramid begins above
            stride 1). By default from the reduction reached: 128 at 16, 64 at 8, 48 at 4, 32 at 2, 16 at 1.
        final: Name of the operator of the step to the image, which has no skip.
        fit: ``"correct"`` or ``"strict"``, see :class:`segup.upsamplers.Upsampler`.
        convs: 3×3 convolutions after each skip is joined.
        upsampler_options: The operator's own options, for the steps with a skip.
        roundings: How the encoder's stage above each map rounds, ``"up"`` or ``"down"``, from high to low resolution
            (``segup.inspection``); handed to operators that are matched to it. All round up by default.

    Raises:
        ConfigError: Widths that do not match the steps, an unknown name or option, or an operator that requires what
            its step does not have.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        upsampler: str = "deconv",
        widths: Sequence[int] | None = None,
        final: str = "bilinear",
        fit: Fit = "correct",
        convs: int = 2,
        upsampler_options: Mapping[str, Any] | None = None,
        roundings: Sequence[str | None] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        reached = [*reversed(strides[:-1]), *([1] if strides[0] > 1 else [])]
        widths = [default_width(stride) for stride in reached] if widths is None else list(widths)
        if len(widths) != len(reached):
            raise ConfigError(
                f"decoder.widths={widths} must have one width for each step: {len(reached)}, to strides "
                f"{', '.join(map(str, reached))}"
            )
        levels = range(len(channels) - 2, -1, -1)
        rules = ["up"] * (len(strides) - 1) if roundings is None else list(roundings)
        ins = [channels[-1], *widths]
        self.blocks = nn.ModuleList(
            UNetBlock(
                ins[step],
                channels[level],
                widths[step],
                upsampler,
                strides[level + 1] // strides[level],
                fit=fit,
                convs=convs,
                upsampler_options=stage_options(upsampler, upsampler_options, strides, level, rules[level]),
            )
            for step, level in enumerate(levels)
        )
        self.final: Upsampler | None = None
        if strides[0] > 1:
            self.final = create_upsampler(final, ins[-2], widths[-1], strides[0], fit=fit)
            self.final_act = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True))
        self.out_channels = widths[-1] if widths else channels[-1]

    def forward(self, features: Sequence[Tensor], size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        self.check_features(features)
        y = features[-1]
        for block, skip in zip(self.blocks, reversed(features[:-1]), strict=True):
            y = block(y, skip)
        if self.final is None:
            return y
        finished: Tensor = self.final_act(self.final(y, size))
        return finished

    def steps(self) -> list[tuple[int, int | None, Upsampler]]:
        """Return the step to each skip, then the one to the image."""
        count = len(self.channels)
        steps: list[tuple[int, int | None, Upsampler]] = [
            (count - 1 - i, count - 2 - i, block.up)  # type: ignore[misc]
            for i, block in enumerate(self.blocks)
        ]
        return steps if self.final is None else [*steps, (0, None, self.final)]


def default_width(stride: int) -> int:
    """Return the channels that a U-Net step to ``stride`` has by default.

    >>> [default_width(stride) for stride in (16, 8, 4, 2, 1)]
    [128, 64, 48, 32, 16]
    """
    return {16: 128, 8: 64, 4: 48, 2: 32, 1: 16}.get(stride, 128)


def stage_options(
    upsampler: str, options: Mapping[str, Any] | None, strides: Sequence[int], level: int, rounding: str | None
) -> dict[str, Any]:
    """Return the operator's options for the step up to ``level``, with the rounding that it inverts where it takes one.

    Raises:
        ConfigError: The operator has to be matched to a stage that follows no single rule.
    """
    chosen = dict(options or {})
    if not operator_class(upsampler).takes_rounding or "rounding" in chosen:
        return chosen
    if rounding is None:
        raise ConfigError(
            f"'{upsampler}' has to know how the encoder rounds from stride {strides[level]} to {strides[level + 1]}, "
            f"and no single rule covers it.\n"
            f"  try: decoder.upsampler_options.rounding=up (or down), or decoder=deconv, which corrects instead."
        )
    return {**chosen, "rounding": rounding}
