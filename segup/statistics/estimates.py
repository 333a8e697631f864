"""Means over seeds, of scores and of paired differences, their standard errors, and the intervals around them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import nan
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


Floats = NDArray[np.floating[Any]]


def seed_of(block: Any) -> Any:
    """Return the seed of a block, which is a seed, or a tuple that begins with it, such as a seed and a fold.

    >>> seed_of(3), seed_of((3, 1))
    (3, 3)
    """
    return block[0] if isinstance(block, tuple) else block


@dataclass(frozen=True)
class Estimates:
    """Differences of arms, an entry for each pair of arms in the last dimension.

    Args:
        means: Of the differences over the seeds with which both arms have a score; NaN without one.
        counts: How many seeds these are.
        variances: Of one seed's difference; NaN with less than two seeds.
    """

    means: Floats
    counts: NDArray[np.integer[Any]]
    variances: Floats

    @property
    def errors(self) -> Floats:
        """The standard errors of the means."""
        return np.sqrt(self.variances / np.maximum(self.counts, 1))


def estimates(scores: Floats, pairs: Sequence[tuple[int, int]], seeds: Sequence[int] | None = None) -> Estimates:
    """Return the paired differences of arms, with variances that hold where one arm is noisier than the others.

    The variance of a difference is the larger of two: the one pooled over all ``pairs``, and the pair's own by Welch,
    the sum of the two arms' variances. An arm's own variance is told apart from what a block does to all arms by the
    differences to all other arms (Grubbs, J. Am. Stat. Assoc. 1948); with two arms, or where arms share less than two
    seeds, the pair's own is the plain variance of its differences.

    Args:
        scores: ``(..., arms, blocks)``, two arms or more; NaN where there is none.
        pairs: Of arms: the second is taken from the first.
        seeds: Of the blocks, as numbers from 0: a seed's difference is the mean over those of its blocks in which both
            arms have a score. Each block is a seed by default.

    >>> found = estimates(np.array([[0.75, 0.74, 0.73], [0.72, 0.71, 0.72]]), [(1, 0)])
    >>> found.means.round(3), found.counts, found.errors.round(4)
    (array([-0.023]), array([3]), array([0.0067]))
    """
    arms = scores.shape[-2]
    one, other = np.triu_indices(arms, 1)
    differences = scores[..., one, :] - scores[..., other, :]
    means, counts, variances = _paired(differences if seeds is None else _by_seed(differences, seeds))
    place = np.zeros((arms, arms), dtype=int)
    place[one, other] = place[other, one] = np.arange(len(one))
    first, second = np.array(pairs, dtype=int).T
    asked = place[first, second]
    sign = np.where(first < second, 1, -1)
    own = variances[..., asked]
    if arms > 2:
        of_arms = _of_arms(variances, one, other, arms)
        welch = of_arms[..., first] + of_arms[..., second]
        own = np.where(np.isnan(welch), own, welch)
    weights = np.maximum(counts[..., asked] - 1, 0)
    weighted = np.where(weights > 0, variances[..., asked] * weights, 0).sum(-1, keepdims=True)
    pooled = weighted / np.maximum(weights.sum(-1, keepdims=True), 1)
    larger = np.where(weights > 0, np.fmax(pooled, own), np.nan)
    return Estimates(means[..., asked] * sign, counts[..., asked], larger)


def _by_seed(differences: Floats, seeds: Sequence[int]) -> Floats:
    """Return the mean over the blocks of each seed, without what is NaN."""
    known = np.isfinite(differences)
    of_seeds = np.eye(max(seeds) + 1)[list(seeds)]
    counts = known @ of_seeds
    return np.where(counts > 0, np.where(known, differences, 0) @ of_seeds / np.maximum(counts, 1), np.nan)


def _paired(differences: Floats) -> tuple[Floats, NDArray[np.integer[Any]], Floats]:
    """Return mean, count and variance over the last dimension, without what is NaN."""
    known = np.isfinite(differences)
    counts = known.sum(-1)
    filled = np.where(known, differences, 0)
    means = filled.sum(-1) / np.maximum(counts, 1)
    squares = np.where(known, filled - means[..., None], 0) ** 2
    variances = squares.sum(-1) / np.maximum(counts - 1, 1)
    return np.where(counts > 0, means, np.nan), counts, np.where(counts > 1, variances, np.nan)


def _of_arms(variances: Floats, one: NDArray[Any], other: NDArray[Any], arms: int) -> Floats:
    """Return each arm's own variance, by least squares from those of the differences, which are sums of two."""
    whole = variances.sum(-1, keepdims=True)
    touching = np.stack([variances[..., (one == arm) | (other == arm)].sum(-1) for arm in range(arms)], -1)
    return np.maximum((touching - whole / (arms - 1)) / (arms - 2), 0)


_NODES = 200


def freedom(arms: int, blocks: float) -> float:
    """Return the degrees of freedom with which the standard errors of ``arms`` arms are known from ``blocks`` blocks.

    Two arms have those of a paired t, ``blocks - 1``. Further arms tell more about each other's noise, and no more
    about that of an arm that is noisier than they are: there are never twice as many.

    >>> freedom(2, 3), freedom(6, 3)
    (2.0, 3.6)
    """
    return (blocks - 1) * (2 - 1 / (arms - 1))


def kept(arms: int, blocks: float) -> float:
    """Return the share of the error that is kept for noise that is skewed.

    It was chosen by simulation, for lognormal noise of log deviation 0.5 in an arm that is up to five times as noisy
    as the others: the mean of a few such scores strays further than t says. It matters most with four to seven blocks
    and few arms; with two blocks, t is wide already, and with many arms or blocks, the pooled variance is.

    >>> [round(kept(arms, 5), 2) for arms in (2, 4, 10)]
    [0.48, 0.43, 0.14]
    """
    skewed = 0.55 * (1 - 0.6 ** (blocks - 1))
    return skewed if arms == 2 else skewed * min(1, 2.7 / (arms - 1)) * min(1, 6 / blocks)


@cache
def critical_value(comparisons: int, arms: int, blocks: int, level: float = 0.95) -> float:
    """Return the number of standard errors beyond which no comparison of a family strays, with probability ``level``.

    It is the studentized maximum modulus (Šidák, J. Am. Stat. Assoc. 1967: valid however the comparisons depend on
    each other), at a level above the one asked for: a share of the error is kept for noise that is skewed.

    Args:
        comparisons: How many intervals hold together.
        arms: How many arms are compared, the baseline among them; 2 or more.
        blocks: On how many blocks (seeds) a difference is known; 2 or more.
        level: The probability that all of them hold.

    >>> [round(critical_value(arms - 1, arms, 3), 2) for arms in (2, 6)]
    [5.42, 4.77]
    """
    from scipy.optimize import brentq  # here, so that what only plans or shows a study does not wait for it
    from scipy.special import chdtri, ndtr

    degrees = freedom(arms, blocks)
    points, weights = _nodes()
    scales = np.sqrt(chdtri(degrees, (1 - points) / 2) / degrees)
    aimed = 1 - (1 - level) * (1 - kept(arms, blocks))

    def beyond(value: float) -> float:
        return float(weights @ (2 * ndtr(value * scales) - 1) ** comparisons / 2) - aimed

    return float(brentq(beyond, 0.1, 1e6))


@cache
def _nodes() -> tuple[Any, Any]:
    """Return points in −1 … 1 and weights by which a function is integrated over them (Gauss and Legendre)."""
    found: tuple[Any, Any] = np.polynomial.legendre.leggauss(_NODES)
    return found


DRAWS = 1000
FEWEST = 20
"""Clusters of images from which scores say something of others of their kind."""


@dataclass(frozen=True)
class Counted:
    """What was counted on the images of one run.

    Args:
        clusters: For each image the name of the sequence, patient or field that it belongs to; its own if there is
            none. Images of one cluster are drawn together.
        counts: ``(images, classes, 2)``: the intersection and the union of target and prediction, in pixels.
    """

    clusters: Sequence[str]
    counts: NDArray[Any]


@annotated
def image_errors(
    counted: Mapping[str, Mapping[Any, Counted]], pairs: Sequence[tuple[str, str]], *, draws: int = DRAWS, seed: int = 0
) -> dict[tuple[str, str], float]:
    """Return for each pair of arms the standard error of its mean difference in mIoU that is due to the images.

    A bootstrap: clusters of images are drawn with replacement, the same for all arms and blocks; each time the pixels
    are summed and mIoU is taken of the sums. A fold counts by how many of its clusters were drawn, so that few images
    in many folds tell as much as without folds. The seeds stay as they are: their part is that of
    :func:`segup.statistics.decide`.

    Args:
        counted: For each arm and block what was counted.
        pairs: Of arms: the second is taken from the first.
        draws: How often the images are drawn.
        seed: Of the draws.

    Returns:
        By pair; a pair without a common block is left out. NaN where the common blocks have fewer than 20 clusters.

    Raises:
        ConfigError: Arms have other images in one block.

    >>> numbers = np.random.default_rng(0)
    >>> union = np.full((30, 2), 100)
    >>> def run(right): return Counted([str(n) for n in range(30)], np.stack([right, union], -1))
    >>> level = numbers.integers(40, 60, (30, 2))
    >>> counted = {"a": {0: run(level)}, "b": {0: run(level + 5)}, "c": {0: run(level[::-1])}}
    >>> {pair: round(error, 3) for pair, error in image_errors(counted, [("b", "a"), ("c", "a")]).items()}
    {('b', 'a'): 0.0, ('c', 'a'): 0.013}
    """
    every = sorted({name for blocks in counted.values() for one in blocks.values() for name in one.clusters})
    places = {name: place for place, name in enumerate(every)}
    weights = np.random.default_rng(seed).multinomial(len(every), np.full(len(every), 1 / max(1, len(every))), draws)
    drawn = {arm: {block: _drawn(one, places, weights) for block, one in of.items()} for arm, of in counted.items()}
    found = {}
    for arm, other in pairs:
        shared = [block for block in drawn.get(arm, {}) if block in drawn.get(other, {})]
        for block in shared:
            if list(counted[arm][block].clusters) != list(counted[other][block].clusters):
                raise ConfigError(f"'{arm}' and '{other}' have other images in block {block}: they are no pair")
        if not shared:
            continue
        inside = [sorted({places[name] for name in counted[arm][block].clusters}) for block in shared]
        if len(set().union(*inside)) < FEWEST:
            found[arm, other] = nan
            continue
        runs = Counter(map(seed_of, shared))
        shares = [weights[:, own].mean(-1) / runs[seed_of(block)] for block, own in zip(shared, inside, strict=True)]
        differences = np.array([drawn[arm][block] - drawn[other][block] for block in shared])
        known = np.isfinite(differences)
        counted_as = shares * known
        with np.errstate(invalid="ignore"):  # a draw may have none of these images
            means = (np.where(known, differences, 0) * counted_as).sum(0) / counted_as.sum(0)
        found[arm, other] = float(np.nanstd(means, ddof=1))
    return found


def _drawn(one: Counted, places: Mapping[str, int], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return mIoU in each draw."""
    sums = np.zeros((len(places), *one.counts.shape[1:]))
    np.add.at(sums, [places[name] for name in one.clusters], one.counts)
    both, either = (weights @ sums[..., part] for part in (0, 1))
    shares = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    known = np.isfinite(shares)
    total = np.where(known, shares, 0).sum(-1)
    return np.divide(total, known.sum(-1), out=np.full(len(total), np.nan), where=known.any(-1))
