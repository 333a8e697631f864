"""Mean and deviation of one score over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
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
    """Return mean and standard deviation of one value or more.

    >>> spread([0.76, 0.78])
    Spread(mean=0.77, deviation=0.014142135623730963, count=2)
    """
    if not values:
        raise ConfigError("there are no values, and so no mean.\n  try: one or more.")
    return Spread(fmean(values), stdev(values) if len(values) > 1 else nan, len(values))
