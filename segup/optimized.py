"""A model that only predicts: its norms are folded, its maps lie channels last, and it cannot be trained."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import ConfigError
from segup.surgery.folding import fold_norms

_REFUSAL = (
    "this model was optimised for inference: its norms are folded into its convolutions, and it cannot be trained.\n"
    "  try: train the model that it was made of, which is unchanged."
)


class Optimized(nn.Module):
    """What :meth:`segup.models.SegmentationModel.optimize` returns; called as the model is.

    Args:
        model: In any mode; it is copied.
        example: Images that it takes, for one run.
        compile: Compile it with torch.compile at its first call.

    Attributes:
        model: The copy, in evaluation mode, without gradients.
        folded: How many norms were folded.

    Raises:
        ConfigError: From :meth:`train`, and when a gradient is asked for.
    """

    def __init__(self, model: Any, example: Tensor, *, compile: bool = False) -> None:  # noqa: A002
        super().__init__()
        twin = copy.deepcopy(model).eval().requires_grad_(False)
        self.folded = fold_norms(twin, example)
        self.model: Any = twin.to(memory_format=torch.channels_last)
        self.in_channels, self.num_classes = model.in_channels, model.num_classes
        # In a tuple, so that torch counts its weights once: they are the model's.
        self._run: tuple[Any, ...] = (torch.compile(twin, dynamic=True) if compile else twin,)
        nn.Module.train(self, False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of the images that it takes."""
        return self.model.dtype

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits; see :meth:`segup.models.SegmentationModel.forward`."""
        asked = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        with torch.no_grad():
            logits: Tensor = self._run[0](image.to(memory_format=torch.channels_last) if image.dim() == 4 else image)
        return _Refusal.apply(logits.requires_grad_()) if asked else logits

    def train(self, mode: bool = True) -> "Optimized":
        """Stay in evaluation mode.

        Raises:
            ConfigError: ``mode`` is true.
        """
        if mode:
            raise ConfigError(_REFUSAL)
        return super().train(False)


class _Refusal(torch.autograd.Function):
    """Hand a result on, and refuse the gradient with a reason instead of torch's, which does not know it."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(*_: Any) -> Tensor:
        raise ConfigError(_REFUSAL)
