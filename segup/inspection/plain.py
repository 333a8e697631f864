"""Real runs of a model: on plain tensors, by torch alone, with nothing between. What they give is the truth."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any

import torch
from torch import nn

from segup.inspection.record import Record
from segup.inspection.sketch import copied
from segup.inspection.trace import Layers, Refusal, Run, dtype_of, in_one_line, maps_of, preserved_randomness

MOST_PIXELS = 1 << 22


class PlainModel:
    """Runs a copy of a model on images, and keeps count of what that takes.

    Args:
        model: It is only read; its copy has its weights and stays on its device.
        in_channels: Channels of the images.
        training: Whether the copy runs in training mode.

    Attributes:
        device: Of the model's first tensor; the images are on it.
        on_meta: Whether the model has no values: then a run computes nothing.
        seconds: What the runs took, in processor time of this thread, so far.
        pixels: Pixels of all images so far.
    """

    def __init__(self, model: nn.Module, in_channels: int, training: bool = False) -> None:
        self._model, self._channels = copied(model).train(training), in_channels
        self._layers = Layers(self._model)
        self._dtype = dtype_of(model)
        device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        self.device, self.on_meta = device, device.type == "meta"
        self.seconds, self.pixels = 0.0, 0
        self._largest, self._least = (1, 0.0), 0.0

    def run(self, size: tuple[int, int], seed: int = 0) -> Run:
        """Run the model on one image of ``size`` (height, width); all random numbers follow from ``seed``."""
        self._layers.clear()
        started = thread_time()
        outputs: dict[str, Any] = {}
        refusal = None
        with preserved_randomness(), torch.no_grad(), _one_thread():
            _seed(seed)
            image = torch.rand(1, self._channels, *size, device="meta" if self.on_meta else "cpu")
            image = image.to(self.device, self._dtype)
            try:
                outputs = {name: tuple(one.shape) for name, one in maps_of(self._model(image)).items()}
            except Exception as cause:  # a model refuses a size with whatever its layers raise
                refusal = Refusal(self._layers.innermost(), in_one_line(cause))
        pixels, seconds = size[0] * size[1], thread_time() - started
        self.pixels += pixels
        self.seconds += seconds
        if refusal is None and pixels >= self._largest[0]:
            self._largest = pixels, seconds
            self._least = min(self._least or seconds, seconds)
        return Run(size, outputs, refusal, Record(size=size))

    def expected_seconds(self, pixels: int) -> float:
        """Return what a run on so many pixels may take, by the largest run so far and the shortest."""
        most, seconds = self._largest
        return self._least + seconds * pixels / most


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in this thread alone: small images gain little from others, and the time is the model's own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
