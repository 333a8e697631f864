"""Which weights the logits follow from: processes that train together wait for the gradient of every other one."""

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from segup.inspection.copies import as_by_default, meta_copy
from segup.models import SegmentationModel


@as_by_default()
def unreached(model: SegmentationModel, crop: tuple[int, int]) -> list[str]:
    """Return the names of weights that are trained and that no logit follows from.

    A decoder that takes the last map alone leaves such weights in a neck, and in encoders that join their maps. A copy
    without values finds them, by one step; of a model whose code looks at values none are known.

    Args:
        model: The model.
        crop: Height and width of its images, in pixels.

    >>> from segup import create_model
    >>> model = create_model("resnet18", num_classes=2, pretrained=False)
    >>> unreached(model, (64, 64))
    []
    """
    twin = meta_copy(model).train()
    try:
        with torch.enable_grad():
            twin(torch.empty(2, model.in_channels, *crop, device="meta", dtype=model.dtype)).sum().backward()
    except (NotImplementedError, RuntimeError, TypeError):  # a part from outside that cannot do without values
        return []
    return [name for name, weight in twin.named_parameters() if weight.requires_grad and weight.grad is None]


def leave_out(module: nn.Module, names: list[str]) -> None:
    """Have processes that train ``module`` together wait for no gradient of these weights.

    They stay in the optimizer, so that a run may go on with another number of processes.
    """
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, names)
