"""U-Net: one skip at every resolution."""

from typing import cast

from torch import Tensor, nn

from segup.decoders.arguments import PUBLISHED_WIDTHS, WIDTHS, resize_alone, step_widths
from segup.decoders.blocks import UNetBlock, conv_stack, convolved
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan
from segup.upsamplers.arguments import checked_size
from segup.upsamplers.contract import Size


@register_topology("unet")
class UNetDecoder(Decoder):
    """Climb the pyramid map by map, joining each skip (U-Net, arXiv 1505.04597).

    Args:
        widths: Channels after each step, also after the step to the image (if the pyramid begins above stride 1). The
            default follows from the reduction: 128 at 16, 64 at 8, 48 at 4, 32 at 2, 16 at 1.
        convs: Number of 3×3 convolutions after each skip is joined; 2 by default.
        final_convs: Number of 3×3 convolutions after the step to the image, at its size; 0 by default.
        preset: ``"published"`` is the U-Net of segmentation_models_pytorch: nearest resizes that keep the channels,
            widths of 256, 128, 64, 32 and 16, two convolutions at the image's size, and a 3×3 head.
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See :class:`Decoder`.

    The maps may come from any library. These are resnet18's maps of timm, for an image of 67 rows:

    >>> import timm, torch
    >>> body = timm.create_model("resnet18", features_only=True, out_indices=(1, 2, 3), pretrained=False)
    >>> decoder = UNetDecoder(body.feature_info.channels(), body.feature_info.reduction(), upsampler="deconv")
    >>> decoder(body(torch.zeros(2, 3, 67, 45)), size=(67, 45)).shape
    torch.Size([2, 16, 67, 45])
    """

    usual_convs = 2
    least_convs = 1
    published = resize_alone("nearest", final_convs=2, head_kernel_size=3)

    def usual_widths(self) -> tuple[list[int], str]:
        """Return the channels after each step, by the stride reached."""
        return step_widths(self.strides, self.widens, PUBLISHED_WIDTHS if self.preset else WIDTHS)

    def build(self, plan: StepPlan) -> None:
        """Make a block for each skip, then the step to the image."""
        ins = [self.channels[-1], *self.widths]
        self.blocks = nn.ModuleList(
            UNetBlock(
                ins[step],
                self.channels[level],
                self.widths[step],
                plan.between(level, ins[step], ins[step] if plan.published else self.widths[step]),
                convs=plan.convs,
                apart=plan.published,
            )
            for step, level in enumerate(range(len(self.channels) - 2, -1, -1))
        )
        last = ins[-2] if self.widens else ins[-1]
        convs = plan.final_convs if plan.published and self.widens else 0
        self.published_end = convs > 0
        self.add_final(plan, last, conv_stack(last, ins[-1], convs) if convs else None)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return ``(N, out_channels, *size)``."""
        y = encoded.maps[-1]
        for block, level in zip(self.blocks, range(len(encoded.maps) - 2, -1, -1), strict=True):
            y = block(y, **{**encoded.guides(block.up, level), "skip": encoded.maps[level]})  # type: ignore[arg-type]
        return self.finish(y, size, encoded)

    def to_image(self, x: Tensor, size: Size, encoded: Encoded) -> Tensor:
        """Return ``x`` after the step to the image and what follows it, at exactly ``size``."""
        if self.final is None or not self.published_end:
            return super().to_image(x, size, encoded)
        convs = cast(nn.Sequential, self.final_act)
        return convolved(convs, self.final, x, checked_size(size), **encoded.guides(self.final, None))

    def steps(self) -> list[Step]:
        """Return the step to each skip, then the one to the image."""
        last = len(self.channels) - 1
        climbed: list[Step] = [(last - i, last - 1 - i, block.up) for i, block in enumerate(self.blocks)]  # type: ignore[misc]
        return climbed + self.final_steps()
