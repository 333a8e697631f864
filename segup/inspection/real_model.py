"""Real runs of a model, on plain tensors and by torch alone: what they give is the truth. The trace stands beside."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any

import torch
from torch import nn

from segup.inspection.copies import full_copy, meta_copy
from segup.inspection.record import Record
from segup.inspection.shape_mode import ValuesNeededError
from segup.inspection.trace import (
    LayerStack,
    ModelRun,
    Refusal,
    Tracer,
    dtype_of,
    in_one_line,
    maps_of,
    preserved_randomness,
)

MOST_PIXELS = 1 << 22
MOST_REAL_VALUES = 1 << 27  # of one tensor


class RealModel:
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
        self._model, self._channels = full_copy(model).train(training), in_channels
        self._layers = LayerStack(self._model)
        self._dtype = dtype_of(model)
        device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
        self.device, self.on_meta = device, device.type == "meta"
        self.seconds, self.pixels = 0.0, 0
        self._largest, self._least = (1, 0.0), 0.0

    def run(self, size: tuple[int, int], seed: int = 0) -> ModelRun:
        """Run the model on one image of ``size`` (height, width); all random numbers follow from ``seed``."""
        self._layers.clear()
        started = thread_time()
        outputs: dict[str, Any] = {}
        refusal = None
        with preserved_randomness(), torch.no_grad(), _one_thread():
            _seed(seed, self.device)
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
        return ModelRun(size, outputs, refusal, Record(size=size))

    def expected_seconds(self, pixels: int) -> float:
        """Return what a run on so many pixels may take, by the largest run so far and the shortest."""
        most, seconds = self._largest
        return self._least + seconds * pixels / most


class Subject:
    """A model that is looked at in two ways: traced on shapes alone, and run as it is.

    Args:
        model: It is only read.
        channels: Of the images.
        training: Whether its copies run in training mode.
        calls: Whether traces keep the calls that make maps.
    """

    def __init__(self, model: nn.Module, channels: int, training: bool, calls: bool = False) -> None:
        self.channels = channels
        self._accepted: ModelRun | None = None
        self.real = RealModel(model, channels, training)
        self._tracer = Tracer(meta_copy(model).train(training), channels, device=self.real.device, calls=calls)

    def traced(self, size: tuple[int, int], *, watch: bool = False) -> ModelRun:
        """Return a run on shapes alone, in which sizes are followed as far as that goes; watched, nothing hides."""
        try:
            return self._tracer.run(size, watch=watch)
        except ValuesNeededError as cause:
            record = Record(size=size)
            record.lose(str(cause))
            return ModelRun(size, {}, Refusal("", str(cause), explained=False), record)

    def real_run(self, size: tuple[int, int]) -> ModelRun:
        """Return a real run; one on shapes alone where the model has no values, or that would take too much memory."""
        if self.real.on_meta or size[0] * size[1] > MOST_PIXELS:
            return self.traced(size)
        known = self._accepted or self.traced(size)
        if known.refusal is None:
            self._accepted = known
        if known.record.most_values(size) > MOST_REAL_VALUES and known.size != size:  # which is an estimate
            known = self.traced(size)
        return known if known.record.most_values(size) > MOST_REAL_VALUES else self.real.run(size)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in this thread alone: small images gain little from others, and the time is the model's own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seed(seed: int, device: torch.device) -> None:
    here = device.type in ("cpu", "meta")  # torch.manual_seed notes for all other devices who asked, which takes longer
    (torch.default_generator if here else torch).manual_seed(seed)
    random.seed(seed)
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed)
