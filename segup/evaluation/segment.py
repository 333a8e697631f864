"""From an image to its class ids: whole or in windows, plain or averaged over reflections."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Protocol

import torch
from torch import Tensor, nn

from segup.calls import annotated
from segup.conform import Within
from segup.errors import ConfigError, unknown
from segup.models import predicted_labels, probabilities_of
from segup.modes import evaluating
from segup.windows import Predict, check_window, probability_bands

AXES: Mapping[str, int] = MappingProxyType({"horizontal": -1, "vertical": -2})
"""The axis that each reflection turns round."""


def check_reflections(names: Sequence[str]) -> None:
    """Raise a ConfigError unless each name is that of a reflection, named once.

    >>> check_reflections(["horizontal", "vertcal"])
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown reflection 'vertcal': did you mean 'vertical'? known: horizontal, vertical
    """
    for name in names:
        if name not in AXES:
            raise ConfigError(unknown("reflection", name, AXES))
    if len(set(names)) < len(names):
        raise ConfigError(f"tta={tuple(names)!r} names a reflection twice")


def flip_averaged(predict: Predict, reflections: Sequence[str]) -> Predict:
    """Return ``predict`` averaged over the image and its reflections; two of them make a half turn as well.

    The result is equivariant: a reflected image gives the reflected result, to the last bit (the sums pair up, and an
    addition of two numbers does not depend on their order). Each reflection doubles the time.

    Args:
        predict: From images ``(N, C, H, W)`` to probabilities ``(N, K, H, W)``.
        reflections: Of :data:`AXES`.

    >>> import torch
    >>> ramp = torch.arange(4.0).reshape(1, 1, 1, 4)
    >>> flip_averaged(lambda images: images + ramp, ["horizontal"])(torch.zeros(1, 1, 1, 4)).tolist()
    [[[[1.5, 1.5, 1.5, 1.5]]]]
    """
    check_reflections(reflections)
    for name in reflections:
        predict = _averaged(predict, AXES[name])
    return predict


def _averaged(predict: Predict, axis: int) -> Predict:
    return lambda images: (predict(images) + predict(images.flip(axis)).flip(axis)) / 2


@annotated
@dataclass(frozen=True)
class Inference:
    """How a model is run over an image.

    Args:
        window: (height, width) of sliding windows; None runs the image whole.
        overlap: Smallest share that neighbouring windows have in common, from 0 to below 1.
        tta: Average over the image and these reflections of it, ``"horizontal"``, ``"vertical"`` or both, which should
            be those that the training drew; with windows, over those of each window. Each doubles the time.
        batch_size: Windows that run at once.

    Raises:
        ConfigError: A number out of its range, an unknown reflection.

    >>> Inference(overlap=1.0)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: overlap=1.0 must be a number of 0 or more and below 1
    """

    window: tuple[int, int] | None = None
    overlap: float = 0.5
    tta: tuple[str, ...] = ()
    batch_size: Annotated[int, Within(1)] = 1

    def __post_init__(self) -> None:
        for side in self.window or (1,):
            check_window(side, self.overlap)
        check_reflections(self.tta)


WHOLE = Inference()


class Predictor(Protocol):
    """What segments images: a :class:`segup.SegmentationModel`, optimised or not, or an exported file."""

    num_classes: int

    @property
    def in_channels(self) -> int:
        """Channels of the image."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    def __call__(self, image: Tensor, /) -> Tensor:
        """Return logits ``(N, num_classes, H, W)`` of ``(N, in_channels, H, W)``, floats in 0 … 1."""


def segment(model: Predictor, image: Tensor, how: Inference = WHOLE) -> Tensor:
    """Return the class ids of an image at exactly its size, on the CPU.

    Where several predictions meet in a pixel (windows, reflections), their probabilities are averaged: softmax's, or
    the sigmoid's for one channel. They are averaged on the image's device, so that a large image may stay on the CPU
    while its windows run on a GPU. The mode of each of the model's modules is put back afterwards.

    Args:
        model: On any device, in any precision; a segmentation model, or an exported file.
        image: ``(C, H, W)``, float32 in 0 … 1, on any device.
        how: Whole or in windows, with reflections or without.

    Returns:
        ``(H, W)``, uint8 for up to 256 classes, else int32.

    Raises:
        ConfigError: The image has another number of channels than the model takes, is none of floats, or has values
            far outside 0 … 1, such as those of 8 bits; or an exported file gives class ids, of which nothing is
            averaged.

    >>> from segup.models import create_model
    >>> model = create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8])
    >>> segment(model, torch.rand(3, 45, 67), Inference(window=(32, 32))).shape
    torch.Size([45, 67])
    """
    wanted = model.in_channels
    if image.ndim != 3 or image.shape[0] != wanted:
        raise ConfigError(f"the image has shape {tuple(image.shape)}; this model takes (C, H, W) with C = {wanted}")
    if image.is_floating_point():
        _check_values(*(float(end) for end in image.aminmax()))
    return _segmented(model, image, how, lambda images: images)


def segment_stored(model: Predictor, image: Tensor, how: Inference = WHOLE) -> Tensor:
    """Return what :func:`segment` does of an image as files hold it, of which only what runs is in floats.

    Args:
        model: On any device.
        image: ``(C, H, W)``, uint8, or float32 in 0 … 1.
        how: Whole or in windows, with reflections or without.

    >>> from segup.models import create_model
    >>> model = create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8])
    >>> image = torch.randint(0, 256, (3, 45, 67), dtype=torch.uint8)
    >>> torch.equal(segment_stored(model, image), segment(model, image / 255))
    True
    """
    if image.dtype != torch.uint8:
        return segment(model, image, how)
    return _segmented(model, image, how, lambda images: images.float() / 255)


def _segmented(model: Predictor, image: Tensor, how: Inference, floats: Predict) -> Tensor:
    if (how.window or how.tta) and getattr(model, "output", "logits") == "labels":
        raise ConfigError(
            "the exported file gives class ids: windows and reflections average probabilities.\n"
            "  try: segup export RUN --out model.onnx, without --labels"
        )
    kind = torch.uint8 if max(2, model.num_classes) <= 256 else torch.int32

    def logits(images: Tensor) -> Tensor:
        given = floats(images.to(model.device))
        return model(given.to(model.dtype) if given.is_floating_point() else given).float()

    with torch.inference_mode(), evaluating(model) if isinstance(model, nn.Module) else nullcontext():
        if how.window is None and not how.tta:
            return predicted_labels(logits(image[None]))[0].to("cpu", kind)
        predict = flip_averaged(lambda images: probabilities_of(logits(images)), how.tta)
        if how.window is None:
            return _ids(predict(image[None])[0]).to("cpu", kind)
        bands = probability_bands(predict, image, how.window, how.overlap, how.batch_size)
        return torch.cat([_ids(band).to("cpu", kind) for band in bands])


def _check_values(least: float, most: float) -> None:
    if not (least >= -1 and most <= 2):  # resized images may lie a little outside of 0 … 1
        raise ConfigError(
            f"the image has values from {least:g} to {most:g}; this model takes 0 … 1 and normalises them itself.\n"
            f"  try: image / 255 for 8-bit values; segup.data.read_image does it."
        )


def _ids(band: Tensor) -> Tensor:
    return band[0] > 0.5 if band.shape[0] == 1 else band.max(dim=0).indices
