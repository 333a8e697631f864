"""What a model costs, measured: parameters, multiply-accumulates, time of a step, peak memory."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import lightning as L
import torch
from torch.utils.flop_counter import FlopCounterMode

from segup.models import SegmentationModel

Mark = float | torch.cuda.Event


def count_parameters(model: SegmentationModel) -> dict[str, int]:
    """Return the parameters of the whole model and of its parts."""
    parts = {"encoder": model.encoder, "neck": model.neck, "decoder": model.decoder, "head": model.head}
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    return {"total": sum(counts.values()), **counts}


def count_macs(model: SegmentationModel, size: tuple[int, int]) -> dict[str, int]:
    """Return multiply-accumulates of convolutions and matrix products for one image of ``size``.

    Torch's FlopCounterMode counts two operations for each; resampling counts as none.
    """
    with _evaluated(model, size) as image, torch.no_grad():
        extended = model.encoder.extend(image)
        with FlopCounterMode(display=False) as encoder:
            encoded = model.encode(extended)
        with FlopCounterMode(display=False) as neck:
            pyramid = model.neck(encoded)
        with FlopCounterMode(display=False) as rest:
            model.head(model.decoder(pyramid, (extended.shape[-2], extended.shape[-1])))
    counters = {"encoder": encoder, "neck": neck, "decoder_and_head": rest}
    counts = {name: counter.get_total_flops() // 2 for name, counter in counters.items()}
    return {"total": sum(counts.values()), **counts}


def inference_seconds(model: SegmentationModel, size: tuple[int, int], *, repeats: int = 10, warm_up: int = 3) -> float:
    """Return the median time from one image of ``size`` to its logits, in seconds.

    In evaluation mode, on the model's device, in its own precision (float32, without the training's mixed precision)
    and memory format, as ``segup predict`` runs it; a model that was compiled runs compiled.

    Args:
        model: Its mode is put back afterwards.
        size: (height, width).
        repeats: Images that are timed, one after the other.
        warm_up: Images before them.
    """
    times = []
    with _evaluated(model, size) as image, torch.inference_mode():
        if any(p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) for p in model.parameters()):
            image = image.to(memory_format=torch.channels_last)
        for _ in range(warm_up + repeats):
            start = _mark(image.device)
            model(image)
            times.append(_seconds(start, _mark(image.device)))
    return median(times[warm_up:])


@contextmanager
def _evaluated(model: SegmentationModel, size: tuple[int, int]) -> Iterator[torch.Tensor]:
    """Put a model into evaluation mode, and back afterwards, with an image of ``size`` that it takes."""
    training, weight = model.training, next(model.parameters())
    model.eval()
    yield torch.zeros(1, model.encoder.in_channels, *size, device=weight.device, dtype=weight.dtype)
    model.train(training)


class StepTimes(L.Callback):
    """Measure each training step from the moment its batch is there, the first few left out."""

    warm_up = 3

    def __init__(self) -> None:
        self._marks: list[tuple[Mark, Mark]] = []
        self._start: Mark | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Mark the start."""
        self._start = _mark(pl_module.device)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Mark the end."""
        if self._start is not None:
            self._marks.append((self._start, _mark(pl_module.device)))

    def median(self) -> float | None:
        """Return the median step time in seconds, None when too few steps were run."""
        counted = self._marks[self.warm_up :]
        return median(_seconds(start, end) for start, end in counted) if counted else None

    def per_second(self, images: int) -> float | None:
        """Return images per second when each step trains on ``images``."""
        seconds = self.median()
        return None if seconds is None else images / seconds


def peak_memory(device: torch.device) -> int:
    """Return the most bytes held so far: torch's on a GPU, the process's resident set on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _mark(device: torch.device) -> Mark:
    if device.type != "cuda":
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)  # the GPU notes the time; nothing waits for it here
    event.record()
    return event


def _seconds(start: Mark, end: Mark) -> float:
    if isinstance(start, float) or isinstance(end, float):
        return float(end) - float(start)  # type: ignore[arg-type]
    end.synchronize()
    return start.elapsed_time(end) / 1000
