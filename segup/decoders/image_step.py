"""The step from the last map to the image, and what stands around it."""

from torch import Tensor, nn

from segup.decoders.blocks import conv_stack
from segup.decoders.steps import Encoded, Step, StepPlan
from segup.errors import ShapeError, figures
from segup.streams import own_stream
from segup.upsamplers.arguments import checked_size
from segup.upsamplers.contract import Size, Upsampler
from segup.upsamplers.fitting import without_gaps


class ImageStep(nn.Module):
    """The part of a decoder that brings its last map to the image's size.

    :class:`segup.decoders.Decoder` says what the attributes are, and sets them.
    """

    gives_scores: bool = False
    first: int
    final: Upsampler | None
    final_act: nn.Module
    head: nn.Conv2d | None
    head_kernel_size: int
    num_classes: int
    out_channels: int

    def classifier(self, in_channels: int, num_classes: int) -> nn.Conv2d:
        """Return a head: a convolution from a map to one score for each class."""
        size = self.head_kernel_size
        with own_stream():
            return nn.Conv2d(in_channels, num_classes, size, padding=size // 2)

    def add_final(self, plan: StepPlan, in_channels: int, act: nn.Module | None = None) -> None:
        """Make the step from map :attr:`first` to the image, with what follows it at the image's size.

        Args:
            plan: Makes the operator.
            in_channels: Of the map.
            act: What follows and changes the channels, which the operator then keeps; by default the operator changes
                them, and BatchNorm, ReLU and ``final_convs`` convolutions follow.
        """
        if self.gives_scores and not type(self).gives_scores:
            self.head = self.classifier(in_channels, self.num_classes)
            self.final = plan.last(self.first, self.num_classes, self.num_classes, alone=True)
            return
        width = in_channels if act is not None else self.out_channels
        self.final = plan.last(self.first, in_channels, width, alone=act is not None)
        if self.final is not None and not self.gives_scores:
            self.final_act = act or nn.Sequential(
                nn.BatchNorm2d(width), nn.ReLU(inplace=True), *conv_stack(width, width, plan.final_convs)
            )

    def finish(self, x: Tensor, size: Size, encoded: Encoded) -> Tensor:
        """Return ``x`` at exactly ``size``.

        Raises:
            ShapeError: ``x`` has stride 1 and another size: no step follows that could change it.
        """
        return self.to_image(x if self.head is None else self.head(x), size, encoded)

    def to_image(self, x: Tensor, size: Size, encoded: Encoded) -> Tensor:
        """Return ``x`` after the step to the image and what follows it, at exactly ``size``."""
        if self.final is None:
            wanted = checked_size(size)
            if (x.shape[-2], x.shape[-1]) != wanted:
                raise ShapeError(
                    f"the map of stride 1 has size {figures(x.shape[-2:])}, not the image's, {figures(wanted)}"
                )
            return x
        y: Tensor = self.final(x, size, **encoded.guides(self.final, None))
        return y if self.gives_scores else self.final_act(without_gaps(y))

    def final_steps(self) -> list[Step]:
        """Return the step from map :attr:`first` to the image, if there is one."""
        return [] if self.final is None else [(self.first, None, self.final)]

    def steps_of_scores(self) -> list[Step]:
        """Return the steps that follow the decoder's own head, if it has one."""
        return [] if self.head is None else self.final_steps()
