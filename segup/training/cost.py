"""What a model costs, measured: parameters, multiply-accumulates, memory, and times, for which models take turns."""

import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from statistics import median
from typing import Any

import lightning as L
import torch
from torch.utils.flop_counter import FlopCounterMode

from segup.data import create_data
from segup.models import SegmentationModel
from segup.training.bfloat16 import grouped_in_float32
from segup.training.build import build_loss, build_model, check_num_classes, precision_of, quiet_lightning
from segup.training.config import RunConfig
from segup.training.optimizers import create_optimizer

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


TURNS = 7
_WARM, _STEPS = 1, 2
KINDS = ("step_seconds", "inference_seconds")


def measured_in_turns(configs: Mapping[str, RunConfig], turns: int = TURNS) -> dict[str, dict[str, list[float]]]:
    """Return for each model the seconds of a training step, and of one image in evaluation mode, in each turn.

    In a turn every model is built once, with the weights that it starts from, and measured: a step on made-up images
    of the crop's and batch's size, the median of two after one to warm up; then images. One model is in memory at a
    time. Random images cost what others do.

    Args:
        configs: By name, the configuration of a run.
        turns: How many.

    Raises:
        SegupError: A model cannot be built here.
    """
    quiet_lightning()
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in configs}
    for _ in range(turns):
        for name, config in configs.items():
            for kind, seconds in zip(KINDS, _measured(config), strict=True):
                found[name][kind].append(seconds)
    return found


def _measured(config: RunConfig) -> tuple[float, float]:
    data = create_data({**config.data, "download": False} if "download" in config.data else config.data, config.seed)
    classes = check_num_classes(config.num_classes, data)
    height, width = data.training_size()
    precision = precision_of(config.trainer)
    fabric = L.Fabric(accelerator=config.trainer.accelerator, devices=1, precision=precision)
    plain = replace(config, ckpt_path=None, encoder=replace(config.encoder, pretrained=False))
    body = build_model(plain, classes, data.in_channels).to(fabric.device)
    if config.channels_last:
        body.to(memory_format=torch.channels_last)
    loss = build_loss(config, classes, data).to(fabric.device)
    fused = fabric.device.type in ("cpu", "cuda")
    model, optimizer = fabric.setup(body, create_optimizer(config.optimizer, body, fused=fused))
    images = torch.rand(data.batch_size, data.in_channels, height, width, device=fabric.device)
    masks = torch.randint(0, data.labels.num_classes, (data.batch_size, height, width), device=fabric.device)
    if config.channels_last:
        images = images.to(memory_format=torch.channels_last)
    steps = []
    for _ in range(_WARM + _STEPS):
        start = _now(fabric.device)
        optimizer.zero_grad()
        with grouped_in_float32(precision, fabric.device):
            logits = model(images)
        fabric.backward(loss(logits, masks))
        if config.trainer.gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(body.parameters(), config.trainer.gradient_clip_val)
        optimizer.step()
        steps.append(_now(fabric.device) - start)
    latency = inference_seconds(body, (height, width), repeats=3, warm_up=1)
    return median(steps[_WARM:]), latency


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
