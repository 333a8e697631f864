"""A learning rate by a range test: the rate grows with every step, and the loss says where it falls fastest."""

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch

from segup.errors import ConfigError, DataError
from segup.training.config import FIND
from segup.training.module import SegmentationModule
from segup.training.optimizers import create_optimizer

PICTURE = "lr_find.png"
LOW, HIGH, STEPS = 1e-6, 1.0, 100
_SMOOTHING = 0.9
_DIVERGED = 4.0
"""Times the smallest loss: beyond it the test ends."""
_SPAN = 5
"""Steps to each side between which a fall is measured: single batches differ."""
_FIRST = 10
"""Steps of which the smoothed loss says nothing yet."""


@dataclass(frozen=True)
class RangeTest:
    """The rates that were tried, with the smoothed loss of each."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def rate(self) -> float:
        """The rate at which the loss fell fastest, over its logarithm.

        Raises:
            ConfigError: It fell nowhere.

        >>> rates = [10 ** (place / 10 - 6) for place in range(60)]
        >>> f"{RangeTest(tuple(rates), tuple(1 / (1 + 1e4 * rate) for rate in rates)).rate:.0e}"
        '1e-04'
        """
        slopes = [
            (self.losses[place + _SPAN] - self.losses[place - _SPAN], self.rates[place])
            for place in range(_FIRST, len(self.losses) - _SPAN)
        ]
        fall, rate = min(slopes, default=(0.0, 0.0))
        if not fall < 0:
            raise ConfigError(
                f"optimizer.lr=find: the loss fell at no rate from {LOW:g} to {self.rates[-1]:.2g}.\n"
                f"  try: optimizer.lr=1e-3"
            )
        return float(f"{rate:.2g}")

    def save(self, path: Path) -> None:
        """Draw the losses over the rates, with the one that was chosen."""
        from matplotlib.figure import Figure

        from segup.training.pictures import save_figure

        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.rates, self.losses)
        axes.axvline(self.rate, color="black", linestyle="--", label=f"chosen: {self.rate:g}")
        axes.set(xscale="log", xlabel="optimizer.lr", ylabel="training loss, smoothed", title="Range test")
        axes.grid(alpha=0.3)
        axes.legend()
        save_figure(figure, path)


def is_asked_for(optimizer: Mapping[str, Any]) -> bool:
    """Return whether ``optimizer.lr`` is to be found."""
    return optimizer.get("lr") == FIND


def range_test(
    module: SegmentationModule, batches: Iterable[Mapping[str, Any]], device: torch.device, clip: float | None
) -> RangeTest:
    """Train a copy of the module for up to 100 steps, at rates from 1e-6 to 1.

    Every group of weights keeps its share of the rate (``encoder_lr_factor``, ``head_lr_factor``).

    Args:
        module: Is not changed.
        batches: Of training; taken again from the start where they are fewer.
        device: Where it computes, in float32.
        clip: The largest norm of the gradient; None is not clipped.

    Raises:
        DataError: The first loss is no number.
    """
    model, loss_of = deepcopy(module.model).to(device).train(), deepcopy(module.loss).to(device)
    optimizer = create_optimizer({**module.optimizer_config, "lr": LOW}, model)
    shares = [group["lr"] / LOW for group in optimizer.param_groups]
    rates, losses, mean = [], [], 0.0
    for step, batch in zip(range(STEPS), (batch for _ in count() for batch in batches), strict=False):
        rate = LOW * (HIGH / LOW) ** (step / (STEPS - 1))
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            group["lr"] = rate * share
        torch.manual_seed((module.seed << 32) + step)
        loss = loss_of(model(batch["image"].to(device)), batch["mask"].to(device))
        found = float(loss.detach())
        if not math.isfinite(found):
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * found
        smoothed = mean / (1 - _SMOOTHING ** (step + 1))
        rates.append(rate)
        losses.append(smoothed)
        if step > _FIRST and smoothed > _DIVERGED * min(losses):
            break
        optimizer.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    if not losses:
        raise DataError("optimizer.lr=find: the first loss is no number")
    return RangeTest(tuple(rates), tuple(losses))
