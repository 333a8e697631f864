"""Which differences between arms a study shows: better, worse, equal within a margin, or undecided."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isfinite, isnan, nan, sqrt
from typing import Annotated, Any, Literal

import numpy as np

from segup.calls import annotated
from segup.conform import Within
from segup.errors import ConfigError, unknown
from segup.statistics.estimates import critical_value, estimates, freedom, seed_of

Verdict = Literal["better", "worse", "equal", "undecided"]
Better = Literal["higher", "lower"]
Margin = Annotated[float, Within(0, 1e9)]
Level = Annotated[float, Within(0.5, 0.9999)]
Scores = Mapping[Any, float | None]

POWER = 0.8
"""Of the studies like this one, the share that would see a difference of the size called detectable."""
METHOD = (
    "intervals that hold together, from differences paired by seed; their variance is the larger of the one pooled "
    "over the comparisons and the pair's own (Welch); critical values of the studentized maximum modulus (Šidák 1967)"
)
_MOST = 10_000


@annotated
@dataclass(frozen=True)
class Difference:
    """One arm against another.

    Args:
        arm: The arm.
        other: What it is held against: the baseline, or the other arm of a pair.
        mean: Of the paired differences, arm minus other; NaN where no seed has both scores.
        half_width: Of the interval around it; NaN where there is none.
        verdict: Of the arm; ``"equal"`` where two one-sided tests put the difference within the margin.
        pairs: How many seeds have both scores.
        failures: In how many seeds the arm failed.
        other_failures: In how many the other failed.
        detectable: The smallest true difference that four in five such studies would see; NaN without an interval.
        more: With how many further seeds four in five studies would see one as large as the margin; None where that
            is not known, or more than 10,000.
        improvement: The probability of improvement, as it was seen: the share of all pairs of a score of the arm and
            one of the other in which the arm's is better, ties counted half; NaN without scores. It describes, and
            decides nothing.
    """

    arm: str
    other: str
    mean: float
    half_width: float
    verdict: Verdict
    pairs: int
    failures: int
    other_failures: int
    detectable: float
    more: int | None
    improvement: float = nan


@dataclass(frozen=True)
class Look:
    """What was seen when a growing study was looked at, see :func:`segup.statistics.decide_in_looks`.

    Args:
        blocks: After how many seeds.
        level: The probability that this look's intervals hold together.
        differences: Of the arms that were run with all of these seeds.
    """

    blocks: int
    level: float
    differences: tuple[Difference, ...]


@annotated
@dataclass(frozen=True)
class Decision:
    """What a study shows of its arms.

    Args:
        differences: One for each arm but the baseline, or for each pair of arms.
        baseline: What arms are held against; None for all pairs.
        blocks: How many seeds any arm was run on.
        margin: Differences within it are equal.
        level: The probability that all intervals hold.
        better: ``"higher"`` or ``"lower"`` scores.
        method: How the intervals are made, in words.
        looks: Where the study was looked at while it grew, what was seen each time.
    """

    differences: tuple[Difference, ...]
    baseline: str | None
    blocks: int
    margin: float
    level: float
    better: Better
    method: str = METHOD
    looks: tuple[Look, ...] = ()

    def of(self, arm: str, other: str) -> Difference | None:
        """Return the difference of an arm to another, where it is one that was asked for."""
        return next((one for one in self.differences if (one.arm, one.other) == (arm, other)), None)

    def best(self, arm: str) -> bool:
        """Return whether an arm is decided to be better than each that it was held against, and was held against any.

        >>> scores = {"a": {0: 0.50, 1: 0.51, 2: 0.52}, "b": {0: 0.70, 1: 0.71, 2: 0.72}}
        >>> [decide(scores, "a").best(arm) for arm in "ab"]
        [False, True]
        """
        found = [one.verdict == "better" for one in self.differences if one.arm == arm]
        found += [one.verdict == "worse" for one in self.differences if one.other == arm]
        return bool(found) and all(found)


@annotated
def decide(
    scores: Mapping[str, Scores],
    baseline: str | None = None,
    *,
    margin: Margin = 0.005,
    level: Level = 0.95,
    better: Better = "higher",
    further: Mapping[tuple[str, str], float] | None = None,
) -> Decision:
    """Decide which arms differ from a baseline, or from each other, with paired differences over seeds.

    An arm that failed in a block in which the other did not is never better or equal, whatever its other scores say.

    Args:
        scores: For each arm its score by block: a seed, or a tuple of a seed and a fold. None, or a number that is not
            finite, where it failed. A block that an arm was not run on is not among its keys. The differences of a
            seed's folds are averaged first: runs of one seed share what is random, and only seeds are independent.
        baseline: The arm that the others are held against; None to hold each against each.
        margin: Differences within it are equal.
        level: The probability that all intervals hold; and of each arm, with normal noise, that it is not called equal
            where it is not.
        better: Which scores are better, ``"higher"`` or ``"lower"``.
        further: By pair, a standard error that no number of seeds makes smaller, such as that of
            :func:`segup.statistics.image_errors`: it is added to that of the seeds.

    Raises:
        ConfigError: No such baseline.

    >>> scores = {
    ...     "deconv": {0: 0.710, 1: 0.720, 2: 0.715, 3: 0.712},
    ...     "bilinear": {0: 0.650, 1: 0.662, 2: 0.655, 3: 0.651},
    ...     "carafe": {0: 0.715, 1: 0.719, 2: 0.713, 3: None},
    ... }
    >>> [(one.arm, round(one.mean, 4), round(one.half_width, 4), one.verdict)
    ...  for one in decide(scores, "deconv").differences]
    [('bilinear', -0.0597, 0.0049, 'worse'), ('carafe', 0.0007, 0.0107, 'undecided')]
    """
    if baseline is not None and baseline not in scores:
        raise ConfigError(unknown("baseline", baseline, scores))
    arms = list(scores)
    blocks = list(dict.fromkeys(block for of_arm in scores.values() for block in of_arm))
    numbers = [[_number(scores[arm].get(block)) for block in blocks] for arm in arms]
    table = np.array(numbers, dtype=float).reshape(len(arms), len(blocks))
    if baseline is None:
        pairs = [(second, first) for first, second in itertools.combinations(range(len(arms)), 2)]
    else:
        pairs = [(place, arms.index(baseline)) for place in range(len(arms)) if arms[place] != baseline]
    places = {seed: place for place, seed in enumerate(dict.fromkeys(map(seed_of, blocks)))}
    means, counts, errors = _estimated(table, [places[seed_of(block)] for block in blocks], pairs)
    compared = len({arm for pair, count in zip(pairs, counts, strict=True) if count > 1 for arm in pair})
    family = _Family(sum(count > 1 for count in counts), compared, level, margin)
    found = []
    for place, (first, second) in enumerate(pairs):
        arm, other = arms[first], arms[second]
        failures = _failures(scores[arm], scores[other]), _failures(scores[other], scores[arm])
        mean, count = means[place], counts[place]
        error = _Error(count, errors[place], (further or {}).get((arm, other), 0.0))
        half_width = family.half_width(error)
        sign = mean if better == "higher" else -mean
        found.append(
            Difference(
                arm,
                other,
                mean,
                half_width,
                _verdict(sign, half_width, family.equal(mean, error), *failures),
                count,
                _failed(scores[arm]),
                _failed(scores[other]),
                family.detectable(error),
                family.more(error),
                _improvement(table[first], table[second], better),
            )
        )
    return Decision(tuple(found), baseline, len(places), margin, level, better)


@dataclass(frozen=True)
class _Error:
    """The standard error of a mean over so many seeds: of the seeds, and one that is the same for any number."""

    count: int
    of_seeds: float
    constant: float

    @property
    def whole(self) -> float:
        return hypot(self.of_seeds, self.constant)

    def over(self, seeds: int) -> "_Error":
        return _Error(seeds, self.of_seeds * sqrt(self.count / seeds), self.constant)


@dataclass(frozen=True)
class _Family:
    """Comparisons whose intervals hold together."""

    comparisons: int
    arms: int
    level: float
    margin: float

    def half_width(self, error: _Error) -> float:
        if isnan(error.whole):
            return nan
        return critical_value(self.comparisons, self.arms, error.count, self.level) * error.whole

    def detectable(self, error: _Error) -> float:
        from scipy.special import stdtrit

        if isnan(error.whole):
            return nan
        return self.half_width(error) + float(stdtrit(freedom(self.arms, error.count), POWER)) * error.whole

    def more(self, error: _Error) -> int | None:
        """Return how many seeds are lacking for a difference as large as the margin to be detectable."""

        def enough(seeds: int) -> bool:
            return self.detectable(error.over(seeds)) <= self.margin

        if isnan(error.whole) or not enough(_MOST):
            return None
        low, high = error.count - 1, _MOST  # the first number that is enough lies above low and not above high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return high - error.count

    def equal(self, mean: float, error: _Error) -> bool:
        """Return whether two one-sided tests of this pair alone put the difference within the margin.

        The freedom is that of the seeds: a pair may be noisier than those that its variance was pooled with.
        """
        from scipy.special import stdtrit

        return abs(mean) + float(stdtrit(error.count - 1, 1 - equal_at(self.level))) * error.whole <= self.margin


def equal_at(level: float) -> float:
    """Return at what probability each of the two tests of equality is made; the rest is kept for skewed noise."""
    return 0.7 * (1 - level)


def _estimated(
    table: Any, seeds: Sequence[int], pairs: Sequence[tuple[int, int]]
) -> tuple[list[float], list[int], list[float]]:
    """Return mean, count and standard error of each pair; an arm with less than two seeds widens no interval."""
    dense = [arm for arm, known in enumerate(np.isfinite(table)) if len(set(np.array(seeds)[known])) > 1]
    means, counts, errors = [nan] * len(pairs), [0] * len(pairs), [nan] * len(pairs)
    among = [place for place, pair in enumerate(pairs) if set(pair) <= set(dense)]
    parts = [(dense, among)] if among else []
    parts += [(list(pair), [place]) for place, pair in enumerate(pairs) if place not in among]
    for arms, places in parts:
        found = estimates(table[arms], [(arms.index(pairs[p][0]), arms.index(pairs[p][1])) for p in places], seeds)
        for at, place in enumerate(places):
            means[place], counts[place] = float(found.means[at]), int(found.counts[at])
            errors[place] = float(found.errors[at])
    return means, counts, errors


def _verdict(mean: float, half_width: float, equal: bool, failed_alone: int, other_failed_alone: int) -> Verdict:
    if isnan(half_width):
        return "undecided"
    if equal:
        return "undecided" if failed_alone or other_failed_alone else "equal"
    if abs(mean) <= half_width or (failed_alone if mean > 0 else other_failed_alone):
        return "undecided"
    return "better" if mean > 0 else "worse"


def _improvement(arm: Any, other: Any, better: Better) -> float:
    """Return the share of pairs in which the arm is better (Mann and Whitney's U over the number of pairs)."""
    one, two = arm[np.isfinite(arm), None], other[None, np.isfinite(other)]
    if not one.size * two.size:
        return nan
    higher = float((one > two).mean() + (one == two).mean() / 2)
    return higher if better == "higher" else 1 - higher


def _number(score: float | None) -> float:
    return nan if score is None or not isfinite(score) else float(score)


def _failed(scores: Scores) -> int:
    """Return in how many seeds a run of an arm failed."""
    return len({seed_of(block) for block, score in scores.items() if isnan(_number(score))})


def _failures(scores: Scores, others: Scores) -> int:
    """Return in how many blocks an arm failed in which another has a score."""
    return sum(isnan(_number(score)) and not isnan(_number(others.get(block))) for block, score in scores.items())
