"""Means over seeds, and paired differences that know how many were asked for.

>>> spread([0.76, 0.78])
Spread(mean=0.77, deviation=0.014142135623730963, count=2)
>>> found = differences({"bilinear": [0.020, 0.022, 0.021], "carafe": [0.002, -0.001, 0.0]})
>>> found["bilinear"].significant, found["carafe"].significant
(True, False)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from statistics import fmean, stdev

from segup.calls import annotated
from segup.errors import ConfigError


@annotated
@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of one score over seeds.

    Args:
        mean: Of the values.
        deviation: The sample's standard deviation (``count - 1``); NaN for one value: no spread is known.
        count: How many values.
    """

    mean: float
    deviation: float
    count: int


@annotated
def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation of one value or more."""
    if not values:
        raise ConfigError("there are no values, and so no mean.\n  try: one or more.")
    return Spread(fmean(values), stdev(values) if len(values) > 1 else nan, len(values))


@annotated
@dataclass(frozen=True)
class Difference:
    """The mean of paired differences, with an interval that is corrected for how many were compared.

    Args:
        mean: Of the differences.
        half_width: Of the t interval around it; NaN for one pair.
        p_value: Two-sided, of a paired t test, by Holm's method adjusted for the number compared; NaN for one pair.
        significant: Whether the interval excludes 0.
        count: How many pairs.
    """

    mean: float
    half_width: float
    p_value: float
    significant: bool
    count: int


@annotated
def differences(paired: Mapping[str, Sequence[float]], alpha: float = 0.05) -> dict[str, Difference]:
    """Return for each name the mean of its paired differences, and whether it is more than noise.

    The p values are ordered. The smallest is held against ``alpha / m`` for ``m`` names, the next against
    ``alpha / (m - 1)``, and so on until one is too large; from there on all are noise (Holm, Scand. J. Stat. 1979).
    Each interval has the level at which its own p value was judged, so that it excludes 0 where Holm does.

    Args:
        paired: For each name the differences to the baseline, one for each seed that both have.
        alpha: The chance to call any of them different that is not.
    """
    raw = {name: _p_value(values) for name, values in paired.items() if len(values) > 1}
    levels, adjusted, judging, previous = {}, {}, True, 0.0
    judged = alpha
    for rank, name in enumerate(sorted(raw, key=raw.__getitem__)):
        left = len(raw) - rank
        if judging:
            judged = alpha / left
        judging = judging and raw[name] <= judged
        levels[name] = judged
        previous = adjusted[name] = max(previous, min(1.0, raw[name] * left))
    return {
        name: Difference(
            fmean(values),
            _half_width(values, levels[name]) if name in raw else nan,
            adjusted.get(name, nan),
            name in raw and raw[name] <= levels[name] and adjusted[name] <= alpha,
            len(values),
        )
        for name, values in paired.items()
    }


def _error(values: Sequence[float]) -> float:
    return stdev(values) / sqrt(len(values))


def _p_value(values: Sequence[float]) -> float:
    mean, error = fmean(values), _error(values)
    if error == 0:
        return 0.0 if mean else 1.0
    from scipy.stats import t as student  # here, so that what only plans or shows a study does not wait for it

    return float(2 * student.sf(abs(mean) / error, len(values) - 1))


def _half_width(values: Sequence[float], alpha: float) -> float:
    from scipy.stats import t as student

    return float(student.ppf(1 - alpha / 2, len(values) - 1)) * _error(values)
