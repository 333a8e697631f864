"""Dense upsampling convolution: from the last map to the image in one step."""

from torch import Tensor

from segup.decoders.blocks import conv_stack
from segup.decoders.contract import Decoder, register_topology
from segup.decoders.steps import Encoded, Step, StepPlan
from segup.errors import ConfigError
from segup.upsamplers.contract import Size


@register_topology("duc")
class DUCDecoder(Decoder):
    """One operator from the last map to ``num_classes`` scores, in one step of its whole stride (arXiv 1702.08502).

    With ``pixel_shuffle``, the default, it is the paper's decoder: one convolution to ``num_classes·s²`` channels and a
    shuffle. Any other operator that requires no guide can make the same step; with ``deconv`` it is FCN-32s. The
    paper's encoder has stride 8. Give the decoder the maps up to stride 8 (for a timm encoder, ``out_indices``): at
    stride 32 the convolution has ``num_classes·1024`` channels. ``deconv_matched`` undoes all stages in one step. Some
    stages may round up and some down; together they are one ⌊(n + c)/stride⌋. If a stage follows no single rule (None
    in ``roundings``), it corrects (``rounding="mixed"``).

    Args:
        channels, strides, fit, upsampler_options, roundings: See :class:`Decoder`. Only the last map is used.
        num_classes: Channels of the result, the scores. :func:`segup.create_model` sets the model's number. 16 by
            default, for your own classifier.
        upsampler: Name of the operator of the step.
        convs: Number of 3×3 convolutions before it; none by default.
        widths: None: there is no map between the steps.
        final: ``"bilinear"``, the default of all topologies: there is no other step that it could change.
        final_options: None.

    Raises:
        ConfigError: As :class:`Decoder`; or widths or an operator for another step are given.

    >>> import torch
    >>> decoder = DUCDecoder([8, 16], [4, 8], num_classes=19)
    >>> decoder([torch.zeros(1, 8, 17, 12), torch.zeros(1, 16, 9, 6)], size=(67, 45)).shape
    torch.Size([1, 19, 67, 45])
    """

    lacks = frozenset({"skip", "indices"})
    gives_scores = True

    usual_upsampler = "pixel_shuffle"

    def usual_widths(self) -> tuple[list[int], str]:
        """Return none: there is no map between."""
        return [], "must be empty or null: topology 'duc' has no map between the last and the image"

    def build(self, plan: StepPlan) -> None:
        """Make the one step, and the convolutions before it.

        Raises:
            ConfigError: An operator is given for a further step, or there is nothing to do.
        """
        final, channels = plan.final, self.channels
        if final != "bilinear" or plan.final_options:
            raise ConfigError(
                f"topology 'duc' has one step, and its upsampler makes it: final={final!r} changes nothing.\n"
                f"  try: decoder.upsampler={final}"
            )
        if self.strides[-1] == 1:
            raise ConfigError("topology 'duc' brings the last map to the image: at stride 1 there is nothing to do")
        self.convs = conv_stack(channels[-1], channels[-1], plan.convs)
        self.up = plan.to_image(len(channels) - 1, channels[-1], self.out_channels)

    def decode(self, encoded: Encoded, size: Size) -> Tensor:
        """Return the scores ``(N, num_classes, *size)``."""
        return self.up(self.convs(encoded.maps[-1]), size, **encoded.guides(self.up, None))

    def steps(self) -> list[Step]:
        """Return the one step."""
        return [(len(self.channels) - 1, None, self.up)]
