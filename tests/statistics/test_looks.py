"""Studies that are looked at while they grow: the error is kept over all looks, and when runs end changes nothing."""

import random

import numpy as np
import pytest
from simulated import allowed, noise, patterns

from segup.errors import ConfigError
from segup.statistics import conclusion, decide, decide_in_looks, looks_at
from segup.statistics.estimates import critical_value, estimates
from segup.statistics.looks import levels_of


def wrong_at_any_look(scores, first, most, level=0.95):
    """Which studies without a difference see one at some look; ``(studies, arms, blocks)``."""
    arms, looks = scores.shape[-2], looks_at(first, most)
    found = np.zeros(len(scores), dtype=bool)
    for blocks, at in zip(looks, levels_of(looks, level), strict=True):
        seen = estimates(scores[..., :blocks], [(arm, 0) for arm in range(1, arms)])
        found |= (np.abs(seen.means) > critical_value(arms - 1, arms, blocks, at) * seen.errors).any(-1)
    return found.mean()


def errors(rng, arms, most, studies, ratios=(1, 2, 5)):
    for kind in ("normal", "t5", "lognormal"):
        for ratio in ratios:
            for noisy in patterns(arms, ratio):
                scores = noise(kind, rng, (studies, arms, most)) * noisy[:, None]
                yield wrong_at_any_look(scores, 3, most), f"{arms} arms, {most} seeds, {kind}, {noisy}"


def rows_of(scores):
    return {str(arm): dict(enumerate(row.tolist())) for arm, row in enumerate(scores)}


@pytest.mark.parametrize(("first", "most"), [(1, 2), (3, 40), (5, 20), (20, 20), (30, 20), (1, 500)])
def test_looks_rise_to_the_last_and_their_errors_add_up(first, most):
    looks = looks_at(first, most)
    assert looks[-1] == most
    assert list(looks) == sorted(set(looks))
    spent = 0.05 if len(looks) == 1 else 0.0375  # a quarter is kept for skewed noise
    assert sum(1 - level for level in levels_of(looks, 0.95)) == pytest.approx(spent)
    assert min(looks) >= min(3, most)


@pytest.mark.parametrize(("arms", "most"), [(2, 20), (6, 40)])
def test_the_error_of_all_looks_together_is_kept(arms, most):
    studies = 2000
    found = list(errors(np.random.default_rng(arms), arms, most, studies, ratios=(1, 5)))
    assert max(found)[0] <= allowed(studies), max(found)
    assert max(found)[0] > 0.01


def test_to_look_again_and_again_at_one_level_would_not_keep_it():
    """The simulation can fail."""
    scores, looks = np.random.default_rng(0).standard_normal((3000, 6, 40)), looks_at(3, 40)
    found = np.zeros(len(scores), dtype=bool)
    for blocks in looks:
        seen = estimates(scores[..., :blocks], [(arm, 0) for arm in range(1, 6)])
        found |= (np.abs(seen.means) > critical_value(5, 6, blocks, 0.95) * seen.errors).any(-1)
    assert found.mean() > 0.08


def test_one_look_is_a_decision_and_a_verdict_stands():
    rng = np.random.default_rng(3)
    scores = rows_of(rng.standard_normal((3, 8)) * 0.004 + np.array([[0.7], [0.75], [0.7]]))
    one = decide_in_looks(scores, "0", looks=(8,))
    assert one.differences == decide(scores, "0").differences
    grown = {arm: {**of, **{8 + n: 0.1 if arm == "1" else 0.7 for n in range(8)}} for arm, of in scores.items()}
    at_eight = {one.arm: one for one in decide_in_looks(scores, "0", looks=(8, 16)).differences}
    after = {one.arm: one for one in decide_in_looks(grown, "0", looks=(8, 16)).differences}
    decided = [arm for arm, found in at_eight.items() if found.verdict != "undecided"]
    assert decided
    assert all(after[arm] == at_eight[arm] for arm in decided)


def test_runs_that_have_not_come_yet_change_no_look_before_them():
    """Whichever runs of a round have ended, and in whatever order: what is decided is decided by whole looks."""
    rng, numbers = np.random.default_rng(4), random.Random(4)
    scores = rows_of(rng.standard_normal((4, 10)) * 0.01 + np.array([[0.7], [0.73], [0.705], [0.69]]))
    looks, order = (3, 5, 7, 10), list(range(10))
    whole = decide_in_looks(scores, "0", looks=looks, blocks=order)
    for _ in range(30):
        ended = numbers.randint(7, 10)
        part = {arm: {b: s for b, s in of.items() if b < ended or numbers.random() < 0.5} for arm, of in scores.items()}
        part = {arm: dict(numbers.sample(sorted(of.items()), len(of))) for arm, of in part.items()}
        found = decide_in_looks(part, "0", looks=looks, blocks=order)
        assert [look.differences for look in found.looks[:3]] == [look.differences for look in whole.looks[:3]]


def test_a_look_counts_seeds_and_waits_for_all_their_folds():
    rng = np.random.default_rng(6)
    scores = rows_of(rng.standard_normal((2, 10)) * 0.004 + np.array([[0.7], [0.75]]))
    folds = {arm: {(seed, fold): score for seed, score in of.items() for fold in (0, 1)} for arm, of in scores.items()}
    options = {"baseline": "0", "looks": (3, 5, 7, 10), "margin": 0}
    assert decide_in_looks(folds, **options).differences == decide_in_looks(scores, **options).differences
    del folds["1"][2, 1]
    assert decide_in_looks(folds, **options).looks == ()


def test_an_arm_that_was_left_after_its_verdict_keeps_it_and_one_that_lacks_a_run_is_undecided():
    rng = np.random.default_rng(5)
    scores = rows_of(rng.standard_normal((3, 10)) * 0.004 + np.array([[0.7], [0.9], [0.703]]))
    scores["1"] = {seed: score for seed, score in scores["1"].items() if seed < 3}
    found = decide_in_looks(scores, "0", looks=(3, 5, 7, 10))
    assert (found.differences[0].arm, found.differences[0].pairs, found.differences[0].verdict) == ("1", 3, "better")
    assert [len(look.differences) for look in found.looks] == [2, 1, 1, 1]
    del scores["2"][1]
    assert decide_in_looks(scores, "0", looks=(3, 5, 7, 10)).of("2", "0").verdict == "undecided"
    del scores["0"][2]
    none = decide_in_looks(scores, "0", looks=(3, 5))
    assert (none.looks, {one.verdict for one in none.differences}) == ((), {"undecided"})


def grown(scores, looks):
    """A study in which arms are left as soon as they are decided."""
    kept, active = {arm: {} for arm in scores}, list(scores)
    for count in looks:
        for arm in active:
            kept[arm] = {seed: scores[arm][seed] for seed in range(count)}
        found = decide_in_looks(kept, "0", looks=looks, margin=0.0)
        active = ["0", *(one.arm for one in found.differences if one.verdict == "undecided")]
    return found


@pytest.mark.parametrize("looks", [(), (1, 3), (3, 3), (5, 3)])
def test_looks_that_do_not_rise_are_refused(looks):
    with pytest.raises(ConfigError, match=r"must rise from 2 or more.\n  try: looks=\[3, 5, 7"):
        decide_in_looks({"a": {0: 1.0}, "b": {0: 1.0}}, "a", looks=looks)


@pytest.mark.parametrize(
    ("seeds", "others", "said"),
    [
        (2, 2, "Seeds come in rounds, and no look has been taken yet at what is undecided."),
        (1, 1, "One seed gives no interval: a difference may be noise."),
        (0, 2, "No seed has a score of both: no difference is known."),
    ],
)
def test_what_no_look_was_taken_at_is_not_told_as_missing(seeds, others, said):
    scores = {
        "a": {n: 0.7 + n / 100 for n in range(others)},
        "b": {n: 0.6 if n < seeds else None for n in range(others)},
    }
    assert conclusion(decide_in_looks(scores, "a", looks=(3, 5))).endswith(said)


@pytest.mark.slow
@pytest.mark.parametrize("arms", [2, 3, 6, 10])
def test_the_error_of_all_looks_in_ten_thousand_studies_a_cell(arms):
    rng = np.random.default_rng(arms)
    for most in (5, 10, 20, 40):
        worst = max(errors(rng, arms, most, 10_000))
        print(f"{worst[0]:.4f} {worst[1]}")
        assert worst[0] <= allowed(10_000), worst


@pytest.mark.slow
def test_arms_that_leave_do_not_hurt_those_that_stay():
    """Three of six arms differ, and are left as soon as that is decided; the others do not."""
    rng, wrong, used, studies = np.random.default_rng(0), 0, [], 600
    for study in range(studies):
        kind = ("normal", "t5", "lognormal")[study % 3]
        scores = noise(kind, rng, (6, 20)) * 0.006 * np.array([1, 1, 1, 1, 3, 3])[:, None]
        scores[1:4] += np.array([[0.05], [-0.04], [0.03]])
        found = grown(rows_of(scores), looks_at(3, 20))
        wrong += any(one.verdict in ("better", "worse") for one in found.differences if one.arm in "45")
        used += [one.pairs for one in found.differences if one.arm in "123"]
    assert wrong / studies <= allowed(studies)
    assert np.mean(used) < 7
