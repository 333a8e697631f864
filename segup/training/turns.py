"""Times that can be compared: models take turns in one process, so that whatever else the machine does meets all."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import median

import lightning as L
import torch

from segup.data import create_data
from segup.training.build import build_loss, build_model, check_num_classes, precision_of, quiet_lightning
from segup.training.config import RunConfig
from segup.training.cost import inference_seconds
from segup.training.optimizers import create_optimizer

TURNS = 7
_WARM, _STEPS = 1, 2
KINDS = ("step_seconds", "inference_seconds")


def measured_in_turns(
    configs: Mapping[str, RunConfig], turns: int = TURNS, after: Callable[[int], None] | None = None
) -> dict[str, dict[str, list[float]]]:
    """Return for each model the seconds of a training step, and of one image in evaluation mode, in each turn.

    In a turn every model is built once, with the weights that it starts from, and measured: a step on made-up images
    of the crop's and batch's size, the median of two after one to warm up; then images. One model is in memory at a
    time. Random images cost what others do.

    Args:
        configs: By name, the configuration of a run.
        turns: How many.
        after: Called after each turn with its number.

    Raises:
        SegupError: A model cannot be built here.
    """
    quiet_lightning()
    found: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in KINDS} for name in configs}
    for turn in range(turns):
        for name, config in configs.items():
            for kind, seconds in zip(KINDS, _measured(config), strict=True):
                found[name][kind].append(seconds)
        if after is not None:
            after(turn + 1)
    return found


def _measured(config: RunConfig) -> tuple[float, float]:
    data = create_data({**config.data, "download": False} if "download" in config.data else config.data, config.seed)
    classes = check_num_classes(config.num_classes, data)
    height, width = data.training_size()
    fabric = L.Fabric(accelerator=config.trainer.accelerator, devices=1, precision=precision_of(config.trainer))
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
        fabric.backward(loss(model(images), masks))
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
