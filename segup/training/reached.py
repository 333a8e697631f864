"""Which weights the logits follow from: processes that train together wait for the gradient of every other one."""

import torch

from segup.inspection.copies import as_by_default, meta_copy
from segup.models import SegmentationModel


@as_by_default()
def freeze_unreached(model: SegmentationModel, crop: tuple[int, int]) -> list[str]:
    """Take weights that no logit follows from out of the training, in place, and return their names.

    A decoder that takes the last map alone leaves such weights in a neck, and in encoders that join their maps. A copy
    without values finds them, by one step.

    Args:
        model: The model.
        crop: Height and width of its images, in pixels.

    >>> from segup import create_model
    >>> model = create_model("resnet18", num_classes=2, pretrained=False)
    >>> freeze_unreached(model, (64, 64))
    []
    """
    twin = meta_copy(model).train()
    with torch.enable_grad():
        twin(torch.empty(2, model.in_channels, *crop, device="meta", dtype=model.dtype)).sum().backward()
    without = [name for name, weight in twin.named_parameters() if weight.requires_grad and weight.grad is None]
    for name in without:
        model.get_parameter(name).requires_grad_(False)
    return without
