"""What a study decides by: one score, the margin within which it is equal, and a level."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from segup.calls import annotated
from segup.conform import Name
from segup.errors import ConfigError, unknown
from segup.metrics.scores import MIOU, Score
from segup.statistics.decision import Level, Margin


@annotated
@dataclass(frozen=True)
class Criterion:
    """By which score decoders are held against each other, and when they are equal; other scores are described alone.

    Args:
        metric: The score's name.
        margin: Differences within it are equal.
        level: The probability that all intervals of a comparison hold.

    >>> Criterion(margin=0.01)
    Criterion(metric='miou', margin=0.01, level=0.95)
    """

    group: ClassVar[str] = "ablation"

    metric: Name = MIOU.name
    margin: Margin = 0.005
    level: Level = 0.95

    def score(self, declared: Iterable[Score]) -> Score:
        """Return the score among those that runs declare.

        Raises:
            ConfigError: None of that name is one number that is better higher or lower.
        """
        known = {score.name: score for score in declared if not score.per_class and score.better is not None}
        if self.metric not in known:
            raise ConfigError(unknown("metric", self.metric, known))
        return known[self.metric]


def stored_criterion(settings: Mapping[str, Any], **changes: Any) -> Criterion:
    """Return the criterion of a ``study.yaml``, with what is not None of ``changes``; a study of before has segup's."""
    both = ((key, changes.get(key), settings.get(key)) for key in ("metric", "margin", "level"))
    chosen = {key: stored if given is None else given for key, given, stored in both}
    return Criterion(**{key: value for key, value in chosen.items() if value is not None})
