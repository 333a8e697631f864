"""PSPNet: the last map, pooled over grids of bins, scored and brought up."""

from torch import Tensor

from segup.decoders.arguments import resize_alone
from segup.decoders.blocks import ConvNormAct, conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.pyramid_pooling import BINS, PyramidPooling
from segup.decoders.steps import Climb, Encoded, Step, StepPlan
from segup.upsamplers.contract import Size


@register_topology("pspnet")
class PSPNetDecoder(Decoder):
    """Pool the last map over 1, 4, 9 and 36 bins, score it, and bring the scores up (PSPNet, arXiv 1612.01105).

    The steps go map by map and work on scores, which have one channel for each class. Of the other maps only the sizes
    are used. The paper's last map has stride 8: give ``encoder.output_stride=8``, or the maps up to stride 8 alone.

    Args:
        channels, strides, upsampler, final, fit, upsampler_options, final_options, roundings: See
            :class:`Decoder`.
        num_classes: Channels of the result, the scores. :func:`segup.create_model` sets the model's number. 16 by
            default, for your own classifier.
        widths: Channels of the map that is scored, 512 by default.
        convs: Number of 3×3 convolutions before it is scored; none by default.
        preset: ``"published"`` is the PSPNet of segmentation_models_pytorch: bilinear resizes alone, a 3×3 head.

    Raises:
        ConfigError: As :class:`Decoder`.

    >>> import torch
    >>> decoder = PSPNetDecoder([8, 16], [4, 8], upsampler="deconv", num_classes=19).eval()
    >>> decoder([torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6)], size=(67, 45)).shape
    torch.Size([1, 19, 67, 45])
    """

    gives_scores = True
    published = resize_alone(head_kernel_size=3)

    def usual_widths(self) -> tuple[list[int], str]:
        """Return the channels of the map that is scored."""
        return [512], "must have length 1: the channels of the map that is scored"

    def build(self, plan: StepPlan) -> None:
        """Make the pooling, what mixes it, the head and the steps."""
        last, width = len(self.channels) - 1, self.widths[0]
        self.pool = PyramidPooling(self.channels[last], max(1, self.channels[last] // len(BINS)))
        self.mix = ConvNormAct(self.pool.out_channels, width, kernel_size=1)
        self.convs = conv_stack(width, width, plan.convs)
        self.head = self.classifier(width, self.num_classes)
        self.climb = Climb(plan, last, 0, self.num_classes)
        self.final = plan.last(0, self.num_classes, self.num_classes, alone=True)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return the scores ``(N, num_classes, *size)``."""
        assert self.head is not None
        scores: Tensor = self.head(self.convs(self.mix(self.pool(encoded.maps[-1]))))
        return self.to_image(self.climb(scores, encoded), size, encoded)

    def steps_of_scores(self) -> list[Step]:
        """Return all steps: the head stands before them."""
        return self.steps()

    def steps(self) -> list[Step]:
        """Return the steps of the scores to the first map, then the one to the image."""
        return [*self.climb.steps(), *self.final_steps()]
