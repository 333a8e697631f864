"""What the benchmarks of training share: a step, and steps that take turns so that all meet the same machine."""

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor, nn


def training_step(model: nn.Module, image: Tensor, target: Tensor) -> Callable[[], None]:
    """Return a function that trains ``model`` for one step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(image), target).backward()
        optimizer.step()

    return step


def alternate(steps: Sequence[Callable[[], None]], count: int, device: torch.device) -> list[float]:
    """Run the steps in turn and return each one's median time in seconds, after two rounds of warm-up."""
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(count + 2):
        for step, measured in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            measured.append(time.perf_counter() - start)
    return [median(measured[2:]) for measured in times]
