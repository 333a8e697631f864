"""What the benchmarks share: a training step, steps that take turns, and what one call holds and takes."""

import ctypes
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import torch
from torch import Tensor, nn

FORMATS = {"channels_last": torch.channels_last, "default": torch.contiguous_format}


@dataclass(frozen=True)
class Times:
    """The seconds of one step: quartiles, the middle one of which is the median."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> "Times":
        """Return the quartiles of what was measured, all alike where that is one number."""
        low, middle, high = quantiles(measured, method="inclusive") if len(measured) > 1 else [measured[0]] * 3
        return cls(low, middle, high)

    def __str__(self) -> str:
        """Return the median and its quartiles in milliseconds."""
        return f"{self.median * 1e3:.1f} ms ({self.low * 1e3:.1f} … {self.high * 1e3:.1f})"


def training_step(model: nn.Module, image: Tensor, target: Tensor, bf16: bool = False) -> Callable[[], None]:
    """Return a function that trains ``model`` for one step, its forward pass in bfloat16 autocast if asked."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast(image.device.type, torch.bfloat16) if bf16 else nullcontext():
            loss = nn.functional.cross_entropy(model(image), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # last: a gradient that is held between steps would be missing in what a step holds

    return step


def alternate(
    steps: Sequence[Callable[[], object]],
    count: int,
    device: torch.device,
    until: float = float("inf"),
) -> list[Times]:
    """Run the steps in turn, ``count`` times after two rounds of warm-up, so that all meet the same machine.

    Rounds end when ``time.monotonic()`` is past ``until``; one is measured all the same.
    """
    measured: list[list[float]] = [[] for _ in steps]
    for turn in range(count + 2):
        if turn > 2 and time.monotonic() > until:
            break
        for step, row in zip(steps, measured, strict=True):
            row.append(seconds(step, device))
    return [Times.of(row[2:]) for row in measured]


def measure(call: Callable[[], object], device: torch.device) -> tuple[int, float]:
    """Return the most bytes held while ``call`` runs beyond those held before, and the seconds it takes.

    On a GPU as torch's allocator counts them, on a CPU as the operating system counts the process (Linux with glibc).
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        took = seconds(call, device)
        return torch.cuda.max_memory_allocated(device) - before, took
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed but kept would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _resident("VmRSS")
    took = seconds(call, device)
    return _resident("VmHWM") - before, took


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return how long ``call`` takes, what it left the GPU to do included.

    With one thread on a CPU it is the process's own time, so that what others do on the machine does not count.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    start = clock()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
