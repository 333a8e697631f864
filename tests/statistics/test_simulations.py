"""What intervals and verdicts promise, in simulated studies: a few in every run, all of them when asked for."""

import itertools

import numpy as np
import pytest
from scipy import stats
from simulated import allowed, noise, patterns

from segup.statistics import decide
from segup.statistics.estimates import critical_value, estimates, freedom

LEAST_POWER = {
    (2, 2): 0.87, (2, 3): 0.85, (2, 4): 0.84, (2, 5): 0.85, (2, 7): 0.85, (2, 10): 0.87, (2, 14): 0.88,
    (3, 2): 0.6, (3, 3): 0.66, (3, 4): 0.71, (3, 5): 0.75, (3, 7): 0.82, (3, 10): 0.88,
    (4, 2): 0.78, (4, 3): 0.75, (4, 4): 0.76, (4, 5): 0.79, (4, 7): 0.84, (6, 4): 0.88,
}  # fmt: skip
"""Arms and seeds where the power is below 0.9 of the pooled variance's, whose level does not hold there."""


def comparisons(arms, every):
    return list(itertools.combinations(range(arms), 2)) if every else [(arm, 0) for arm in range(1, arms)]


def beyond(scores, every=False):
    """Which comparisons of each study have an interval that excludes 0."""
    arms, blocks = scores.shape[-2:]
    pairs = comparisons(arms, every)
    found = estimates(scores, pairs)
    return np.abs(found.means) > critical_value(len(pairs), arms, blocks) * found.errors


def familywise_errors(rng, arms, blocks, studies, kinds=("normal", "t5", "lognormal"), ratios=(1, 2, 3, 5)):
    for kind, ratio in itertools.product(kinds, ratios):
        for noisy in patterns(arms, ratio):
            scores = noise(kind, rng, (studies, arms, blocks)) * noisy[:, None]
            for every in (False, True) if arms > 2 else (False,):
                error = beyond(scores, every).any(-1).mean()
                yield error, f"{arms} arms, {blocks} seeds, {kind}, {noisy}, {'all pairs' if every else 'a baseline'}"


def power(rng, arms, blocks, studies, pooled_power):
    """Power with equal noise at the difference that the pooled variance's test finds with ``pooled_power``."""
    scores = rng.standard_normal((studies, arms, blocks))
    degrees = (blocks - 1) * (1 if arms == 2 else 2)
    beyond_pooled = stats.t.ppf(1 - 0.025 / (arms - 1), degrees)

    def pooled(shift):
        differences = scores[:, 1:] - scores[:, :1]
        error = np.sqrt(differences.var(2, ddof=1).mean(1) / blocks)
        return (np.abs(differences[:, 0].mean(1) + shift) > beyond_pooled * error).mean()

    low, high = 0.0, 100.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if pooled(middle) < pooled_power else (low, middle)
    scores[:, 1] += high
    return beyond(scores)[:, 0].mean()


def called_equal(scores, at=0.035):
    """How often the worst arm is called equal whose true difference is the margin, and the noise small beside it."""
    arms, blocks = scores.shape[-2:]
    found = estimates(scores, comparisons(arms, False))
    far = stats.t.ppf(1 - at, blocks - 1) * found.errors
    return max((sign * found.means <= -far).mean(0).max() for sign in (-1, 1))  # the difference above 0, and below


def equality_errors(rng, arms, blocks, studies, kinds=("normal", "t5", "lognormal"), ratios=(1, 2, 3, 5)):
    for kind, ratio in itertools.product(kinds, ratios):
        for noisy in patterns(arms, ratio):
            found = called_equal(noise(kind, rng, (studies, arms, blocks)) * noisy[:, None])
            yield found, f"{arms} arms, {blocks} seeds, {kind}, {noisy}"


def verdicts(rng, arms, blocks, deviation, difference=0.0, studies=200, kind="normal", noisy=1.0, **options):
    """The share of each verdict over simulated studies; ``deviation`` is that of the paired difference.

    The last arm is ``noisy`` times as noisy as the others.
    """
    counts = dict.fromkeys(("better", "worse", "equal", "undecided"), 0)
    for _ in range(studies):
        scores = noise(kind, rng, (arms, blocks)) * deviation / np.sqrt(2)
        scores[-1] *= noisy
        scores[1:] += difference
        scores += rng.standard_normal(blocks)  # what a seed does to all arms
        rows = {str(arm): dict(enumerate(row.tolist())) for arm, row in enumerate(scores)}
        for one in decide(rows, "0", **options).differences:
            counts[one.verdict] += 1 / studies / (arms - 1)
    return counts


@pytest.mark.parametrize(("arms", "blocks"), [(2, 5), (3, 3), (6, 3), (6, 20)])
def test_the_familywise_error_is_kept(arms, blocks):
    studies, rng = 3000, np.random.default_rng(arms)
    found = list(familywise_errors(rng, arms, blocks, studies, ratios=(1, 5)))
    assert max(found)[0] <= 0.06, max(found)  # above two Monte Carlo errors: the largest of many cells
    assert max(found)[0] > 0.02  # the intervals are no wider than they have to be


def test_a_pooled_variance_alone_would_not_keep_it():
    """The simulation can fail: with one arm three times as noisy, as many seeds as one likes do not help."""
    scores = np.random.default_rng(0).standard_normal((4000, 6, 20)) * np.array([1, 3, 1, 1, 1, 1])[:, None]
    differences = scores[:, 1:] - scores[:, :1]
    error = np.sqrt(differences.var(2, ddof=1).mean(1, keepdims=True) / 20)
    wrong = np.abs(differences.mean(2)) > stats.t.ppf(1 - 0.025 / 5, 38) * error
    assert wrong.any(-1).mean() > 0.1
    assert beyond(scores).any(-1).mean() < 0.05


@pytest.mark.parametrize("arms", [2, 6])
def test_power_equality_and_what_three_deviations_are(arms):
    rng = np.random.default_rng(arms)
    assert power(rng, arms, 5, 4000, 0.9) >= 0.9 * LEAST_POWER.get((arms, 5), 0.89)
    assert verdicts(rng, arms, 20, 0.006)["equal"] >= 0.9
    assert verdicts(rng, arms, 5, 0.006, 3 * 0.006)["better"] >= 0.95
    for deviation in (0.001, 0.006, 0.05):
        found = verdicts(rng, arms, 4, deviation, studies=100)
        assert found["better"] + found["worse"] <= 0.05


@pytest.mark.parametrize(("arms", "blocks"), [(2, 5), (3, 3), (6, 3), (6, 10)])
def test_no_arm_is_called_equal_that_is_not(arms, blocks):
    rng, studies = np.random.default_rng(arms), 3000
    worst = max(equality_errors(rng, arms, blocks, studies, ("normal", "t5"), ratios=(1, 5)))
    assert 0.02 < worst[0] <= 0.06, worst  # above two Monte Carlo errors: the largest of many cells
    assert max(equality_errors(rng, arms, blocks, studies, ("lognormal",), ratios=(1, 5)))[0] <= 0.105
    found = verdicts(rng, arms, blocks, 1e-5, 0.005, 600, noisy=5)  # as decide says it
    assert found["equal"] <= allowed(600)


def test_equality_at_five_percent_would_not_keep_it():
    """The simulation can fail: with more freedom than that of the seeds, and nothing kept for skew."""
    scores = noise("lognormal", np.random.default_rng(0), (4000, 6, 5)) * np.array([1, 5, 1, 1, 1, 1])[:, None]
    found = estimates(scores, comparisons(6, False))
    assert (found.means <= -stats.t.ppf(0.95, freedom(6, 5)) * found.errors).mean(0).max() > 0.11


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_folds_of_a_seed_that_share_its_noise_are_no_seeds(share):
    """Runs of one seed share weights and order: five folds of one seed say nothing of others, and those of five do."""
    rng, studies, seeds, folds = np.random.default_rng(3), 4000, 5, 5
    scores = np.sqrt(share) * rng.standard_normal((studies, 2, seeds, 1))
    scores = (scores + np.sqrt(1 - share) * rng.standard_normal((studies, 2, seeds, folds))).reshape(studies, 2, -1)

    def wrong(of):
        found = estimates(scores, [(1, 0)], of)
        value = critical_value(1, 2, int(found.counts.max()))
        return (np.abs(found.means) > value * found.errors).mean()

    assert wrong([seed for seed in range(seeds) for _ in range(folds)]) <= allowed(studies)
    assert wrong(None) > allowed(studies)  # each run as if it were a seed


def test_seeds_that_are_missing_keep_the_error_too():
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(600):
        scores = rng.standard_normal((4, 6)) * np.array([5, 1, 1, 1])[:, None]
        kept = rng.random((4, 6)) < 0.8
        rows = {str(a): {s: float(scores[a, s]) for s in range(6) if kept[a, s]} for a in range(4)}
        wrong += any(one.verdict in ("better", "worse") for one in decide(rows, "0", margin=0).differences)
    assert wrong / 600 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)


def test_what_is_called_detectable_is_seen_by_four_in_five_studies_and_more_seeds_see_the_margin():
    rng = np.random.default_rng(2)
    scores = rng.standard_normal((6, 8)) * 0.006
    found = decide({str(a): dict(enumerate(row.tolist())) for a, row in enumerate(scores)}, "0").differences[0]
    scale = found.detectable * 0.006 * np.sqrt(2 / 8) / (found.half_width / critical_value(5, 6, 8))
    studies = rng.standard_normal((4000, 6, 8)) * 0.006
    studies[:, 1] += scale  # with the true error in place of the one that was estimated
    assert 0.74 <= beyond(studies)[:, 0].mean() <= 0.88
    true = decide_at(found.half_width / critical_value(5, 6, 8), 8, 0.005)
    assert found.more == true - 8


def decide_at(error, blocks, margin):
    """How many seeds bring (critical value + 80 % quantile of t) standard errors below the margin, one by one."""
    for count in itertools.count(blocks):
        reach = critical_value(5, 6, count) + stats.t.ppf(0.8, (count - 1) * (2 - 1 / 5))
        if reach * error * np.sqrt(blocks / count) <= margin:
            return count
    return None


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3, 4, 6, 8, 10])
def test_the_familywise_error_in_ten_thousand_studies_a_cell(arms):
    rng = np.random.default_rng(arms)
    for blocks in (2, 3, 4, 5, 7, 10, 14, 20):
        worst = max(familywise_errors(rng, arms, blocks, 10_000))
        print(f"{worst[0]:.4f} {worst[1]}")
        assert worst[0] <= allowed(10_000), worst


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3, 4, 6, 8, 10])
def test_no_arm_is_called_equal_in_ten_thousand_studies_a_cell(arms):
    rng = np.random.default_rng(arms)
    for blocks, (kinds, most) in itertools.product(
        (2, 3, 4, 5, 7, 10, 14, 20), ((("normal", "t5"), allowed(10_000)), (("lognormal",), 0.095))
    ):
        worst = max(equality_errors(rng, arms, blocks, 10_000, kinds))
        assert worst[0] <= most, worst


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3, 4, 6, 8, 10])
def test_the_power_is_nine_tenths_of_the_pooled_ones(arms):
    rng = np.random.default_rng(arms)
    for blocks in (2, 3, 4, 5, 7, 10, 14, 20):
        found = power(rng, arms, blocks, 10_000, 0.9) / 0.9
        print(f"{arms} arms, {blocks} seeds: {found:.3f}")
        assert found >= LEAST_POWER.get((arms, blocks), 0.9), (blocks, found)


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3, 6, 10])
def test_verdicts_in_two_thousand_studies(arms):
    rng = np.random.default_rng(arms)
    assert verdicts(rng, arms, 20, 0.006, studies=2000)["equal"] >= 0.9
    assert verdicts(rng, arms, 20, 0.006, 0.005, studies=2000)["equal"] <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)
    assert verdicts(rng, arms, 5, 0.006, 3 * 0.006, studies=2000)["better"] >= 0.95
    for deviation in (0.0001, 0.001, 0.006, 0.02, 0.1):
        found = verdicts(rng, arms, 5, deviation, studies=500)
        assert found["better"] + found["worse"] <= 0.05
