"""U-Net: one skip at every resolution."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from segup.decoders.arguments import STORABLE_WITH_FINAL, checked_count, step_widths
from segup.decoders.blocks import UNetBlock
from segup.decoders.contract import Step, register_topology
from segup.decoders.steps import FinalStepDecoder, StepPlan, step_indices
from segup.upsamplers.contract import Fit, Size


@register_topology("unet", storable=STORABLE_WITH_FINAL)
class UNetDecoder(FinalStepDecoder):
    """Climb the pyramid map by map, joining each skip (U-Net, arXiv 1505.04597).

    Args:
        channels: Of the pyramid's maps, from high to low resolution.
        strides: Their reductions; a pyramid may begin at stride 1, 2, 4 or more.
        upsampler: Name of the operator that brings each map to the size of its skip.
        widths: Channels after each step, the last step to the image included (where the pyramid begins above
            stride 1). By default from the reduction reached: 128 at 16, 64 at 8, 48 at 4, 32 at 2, 16 at 1.
        final: Name of the operator of the step to the image, which has no skip.
        final_convs: 3×3 convolutions after it, at the image's size; 0 by default.
        fit: ``"correct"`` or ``"strict"``, see :class:`segup.upsamplers.Upsampler`.
        convs: 3×3 convolutions after each skip is joined; 2 by default.
        upsampler_options: The operator's own options, for the steps with a skip.
        final_options: Those of the operator of the step to the image. A resize is followed by a 1×1 convolution there
            unless ``kernel_size`` is given.
        roundings: How the encoder's stages round, ``"up"``, ``"down"`` or the int c of ⌊(n + c)/stride⌋, from high to
            low resolution (``segup.inspection.inverse_of``); handed to operators that are matched to them. One for
            each map, from the one above it (the image, for the first), or one between each map and the next. All round
            up by default.

    Raises:
        ConfigError: Widths that do not match the steps, an unknown name or option, or an operator that requires what
            its step does not have.

    The maps may come from anywhere. From timm, 67 rows of resnet18's stages:

    >>> import timm, torch
    >>> body = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3), pretrained=False)
    >>> decoder = UNetDecoder(body.feature_info.channels(), body.feature_info.reduction(), upsampler="deconv")
    >>> decoder(body(torch.zeros(2, 3, 67, 45)), size=(67, 45)).shape
    torch.Size([2, 16, 67, 45])
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        *,
        upsampler: str = "deconv",
        widths: Sequence[int] | None = None,
        final: str = "bilinear",
        final_convs: int | None = None,
        fit: Fit = "correct",
        convs: int | None = None,
        upsampler_options: Mapping[str, Any] | None = None,
        final_options: Mapping[str, Any] | None = None,
        roundings: Sequence[str | int | None] | None = None,
    ) -> None:
        super().__init__(channels, strides)
        plan = StepPlan.of(self, upsampler, fit, upsampler_options, roundings)
        self.widths = widths = tuple(step_widths(widths, strides))
        convs = checked_count("convs", convs, default=2, least=1)
        levels = range(len(channels) - 2, -1, -1)
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
                upsampler_options=plan.stage_options(level),
            )
            for step, level in enumerate(levels)
        )
        self.out_channels = widths[-1] if widths else channels[-1]
        self.add_final(
            plan.final(final, 0, ins[-2] if strides[0] > 1 else ins[-1], self.out_channels, final_options), final_convs
        )

    def forward(self, features: Sequence[Tensor], size: Size, indices: Sequence[Tensor] | None = None) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        features = self.checked_features(features)
        y = features[-1]
        for block, level in zip(self.blocks, range(len(features) - 2, -1, -1), strict=True):
            y = block(y, features[level], indices=step_indices(block.up, level, features, indices))  # type: ignore[arg-type]
        return self.finish(y, size)

    def steps(self) -> list[Step]:
        """Return the step to each skip, then the one to the image."""
        last = len(self.channels) - 1
        climbed: list[Step] = [(last - i, last - 1 - i, block.up) for i, block in enumerate(self.blocks)]  # type: ignore[misc]
        return climbed + self.final_steps(0)
