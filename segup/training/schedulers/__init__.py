"""Schedules of the learning rate: torch's own, by name, laid out over the steps of a run.

One is a function or class of an optimizer and its options by keyword, as those of ``torch.optim.lr_scheduler`` are:
``"torch.optim.lr_scheduler:StepLR"`` is one. Where it has an option ``steps``, it is told those of the run.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from segup.errors import ConfigError
from segup.registry import Registry

__all__ = ["create_scheduler", "is_laid_out", "list_schedulers", "register_scheduler", "schedulers"]

schedulers: Registry[Callable[..., LRScheduler]] = Registry(
    "scheduler", "segup.training.schedulers", place=("optimizer",), group="scheduler", told=(TypeError, ValueError)
)
register_scheduler = schedulers.register


def create_scheduler(config: Mapping[str, Any], optimizer: Optimizer, steps: int) -> LRScheduler:
    """Build the schedule that the group ``scheduler`` names, over ``steps`` optimizer steps.

    Raises:
        ConfigError: An unknown name or option, a number out of its range, or a schedule that goes by a score.
    """
    options = dict(config)
    name: Any = options.pop("name", None)
    laid_out = is_laid_out(config)
    schedulers.check_given(options, "scheduler", ["steps"] if laid_out else [])
    scheduler: LRScheduler = schedulers.create(name, optimizer, **options, **({"steps": steps} if laid_out else {}))
    if isinstance(scheduler, ReduceLROnPlateau):
        raise ConfigError(
            f"scheduler '{name}' moves by a score, and segup's schedules move with every step.\n"
            f"  try: scheduler=cosine; or early_stopping.patience=5, which ends a run by its score"
        )
    if not isinstance(scheduler, LRScheduler):
        raise ConfigError(f"scheduler '{name}' makes a {type(scheduler).__name__}, not a torch LRScheduler")
    return scheduler


def is_laid_out(config: Mapping[str, Any]) -> bool:
    """Return whether the schedule that the group ``scheduler`` names is another one over other steps.

    >>> is_laid_out({"name": "poly"}), is_laid_out({"name": "constant"})
    (True, False)
    """
    name: Any = config.get("name")
    return "steps" in inspect.signature(schedulers.get(name)).parameters


def list_schedulers() -> list[str]:
    """Return the names that :func:`create_scheduler` knows, sorted.

    >>> "one_cycle" in list_schedulers()
    True
    """
    return schedulers.names()
