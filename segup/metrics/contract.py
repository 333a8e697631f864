"""The contract of a metric: class ids in, declared scores out; found by name, several side by side in a run."""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, cast

from torch import Tensor, nn
from torchmetrics import Metric

from segup.calls import annotated
from segup.errors import ConfigError
from segup.metrics.scores import Score
from segup.registry import Registry

metrics: Registry[Callable[..., Metric]] = Registry(
    "metric", "segup.metrics", place=("num_classes", "ignore_index"), group="metric", told=(ValueError,)
)
register_metric = metrics.register


class Metrics(nn.ModuleList):
    """The metrics of a run as one: each is fed the same label maps, and their scores stand side by side.

    Args:
        *parts: Metrics whose ``scores`` declare what ``compute()`` returns.

    Raises:
        ConfigError: A part that declares no scores, or two of one name.

    >>> import torch
    >>> both = create_metrics(2)
    >>> both.update(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]))
    >>> both.compute()["pixel_accuracy"], both.scores[0].label
    (0.5, 'mIoU')
    """

    def __init__(self, *parts: Metric) -> None:
        super().__init__(parts)
        self.scores: tuple[Score, ...] = tuple(chain.from_iterable(declared_scores(part) for part in parts))
        names = [score.name for score in self.scores]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two metrics have a score '{name}'\n  try: one of them, or another name in one")

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Count one image or a batch, class ids ``(H, W)`` or ``(N, H, W)``."""
        for metric in self:
            cast(Metric, metric).update(prediction, target)

    @property
    def counted(self) -> list[list[list[int]]]:
        """What segup's own metric, the first, counted in each image of this process since the last reset, in order."""
        return list(getattr(next(iter(self), None), "counted", ()))

    def reset(self) -> None:
        """Forget what was counted."""
        for metric in self:
            cast(Metric, metric).reset()

    def compute(self) -> dict[str, Any]:
        """Return the scores of everything counted since the last reset, over all processes, as plain values.

        Raises:
            ConfigError: A metric did not compute what it declares.
        """
        return dict(chain.from_iterable(_computed(cast(Metric, metric)).items() for metric in self))


@annotated
def create_metrics(num_classes: int, ignore_index: int = 255, also: Mapping[str, Any] | None = None) -> Metrics:
    """Return segup's own metric, and beside it those that a configuration names.

    Args:
        num_classes: Label classes, at least 2.
        ignore_index: The class id in the target of pixels that count nowhere.
        also: For each further metric, by any key, its ``name`` and options: the group ``metric`` of a configuration.

    Raises:
        ConfigError: An unknown name or option (with the nearest match), or a part that is no metric.
    """
    found = [create_metric("segmentation", num_classes=num_classes, ignore_index=ignore_index)]
    for key, options in (also or {}).items():
        if not isinstance(options, Mapping):
            raise ConfigError(f"metric.{key}={options!r} must be a group of keys, the metric's name among them")
        if "name" not in options:
            raise ConfigError(f"metric.{key}.name is not set: give metric.{key}.name=...")
        metrics.check_given(options, f"metric.{key}")
        own = {option: value for option, value in options.items() if option != "name"}
        found.append(create_metric(options["name"], num_classes=num_classes, ignore_index=ignore_index, **own))
    return Metrics(*found)


def create_metric(name: str, *, num_classes: int, ignore_index: int = 255, **options: Any) -> Metric:
    """Build a metric by name.

    Args:
        name: One of :func:`list_metrics`, or ``"package.module:attribute"``.
        num_classes, ignore_index: See :func:`create_metrics`.
        **options: The metric's own.

    Raises:
        ConfigError: An unknown name or option, or a part that is no metric.

    >>> create_metric("segmentatoin", num_classes=2)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown metric 'segmentatoin': did you mean 'segmentation'? known: image_miou, ...
    """
    metric: Metric = metrics.create(name, num_classes=num_classes, ignore_index=ignore_index, **options)
    if not isinstance(metric, Metric):
        raise ConfigError(f"metric '{name}' is a {type(metric).__name__}, not a torchmetrics.Metric")
    return metric


def list_metrics() -> list[str]:
    """Return the names that :func:`create_metric` knows, sorted."""
    return metrics.names()


def declared_scores(metric: Metric) -> tuple[Score, ...]:
    """Return the scores that a metric declares.

    Raises:
        ConfigError: It declares none.
    """
    scores = getattr(metric, "scores", ())
    if not isinstance(scores, tuple) or not scores or not all(isinstance(score, Score) for score in scores):
        raise ConfigError(
            f"metric {type(metric).__name__} does not declare its scores\n"
            f'  try: scores = (Score("recall", "recall", "share that is found", share=True),) in the class'
        )
    return scores


def _computed(metric: Metric) -> dict[str, Any]:
    found, declared = metric.compute(), declared_scores(metric)
    if not isinstance(found, Mapping) and len(declared) == 1:
        found = {declared[0].name: found}
    name = type(metric).__name__
    if not isinstance(found, Mapping) or any(score.name not in found for score in declared):
        listed = ", ".join(score.name for score in declared)
        raise ConfigError(f"metric {name} computed {found!r}, but declares the scores {listed}: a dict of these")
    values: dict[str, Any] = {
        key: value.tolist() if isinstance(value, Tensor) else value for key, value in found.items()
    }
    for score in declared:
        value: Any = values[score.name]
        several = isinstance(value, list) and all(isinstance(one, int | float) for one in value)
        if not (several if score.per_class else isinstance(value, int | float)):
            kind = "a list with one number for each class" if score.per_class else "a number"
            raise ConfigError(f"metric {name} computed {score.name}={value!r}, which is declared as {kind}")
        numbers = value if score.per_class else [value]
        if score.share and any(not -1e-3 <= one <= 1.001 for one in numbers if one == one):
            raise ConfigError(
                f"metric {name} computed {score.name}={value!r}, which is declared as a share, 0 … 1\n"
                f"  try: share=False in its Score"
            )
        values[score.name] = [float(one) for one in value] if score.per_class else float(value)
    return values
