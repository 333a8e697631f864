"""Decisions against independent references, and properties that hold for all scores."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from segup.errors import ConfigError
from segup.statistics import Difference, conclusion, decide, difference_text, spread
from segup.statistics.estimates import critical_value, estimates, freedom, kept

ROOT = Path(__file__).resolve().parents[2]
SCORES = st.floats(0, 1, width=32)
TABLES = st.integers(2, 5).flatmap(
    lambda arms: st.integers(2, 6).flatmap(
        lambda blocks: st.lists(st.lists(SCORES, min_size=blocks, max_size=blocks), min_size=arms, max_size=arms)
    )
)


def rows(table):
    return {f"arm{place}": dict(enumerate(row)) for place, row in enumerate(table)}


def of_docs():
    found = {}
    for row in csv.DictReader((ROOT / "docs/ablation/report.csv").open()):
        found.setdefault(row["decoder"], {})[row["seed"]] = float(row["miou"])
    return found


def test_one_value_has_no_spread():
    assert math.isnan(spread([0.5]).deviation)


@given(st.lists(SCORES, min_size=2, max_size=8), st.sampled_from([0.9, 0.95, 0.99]))
@settings(max_examples=40, deadline=None)
def test_two_arms_are_the_paired_t_with_a_share_of_the_error_kept(values, level):
    assume(np.std(values) > 1e-3)
    other = [0.5] * len(values)
    (found,) = decide(rows([other, values]), "arm0", level=level).differences
    interval = stats.ttest_rel(values, other).confidence_interval(1 - (1 - kept(2, len(values))) * (1 - level))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(
        tuple(interval), rel=1e-3, abs=1e-3 * found.half_width
    )


@pytest.mark.parametrize(("comparisons", "arms", "blocks"), [(5, 6, 3), (9, 10, 5), (15, 6, 4)])
def test_the_critical_value_is_that_of_the_largest_of_independent_t(comparisons, arms, blocks):
    rng, degrees = np.random.default_rng(0), freedom(arms, blocks)
    scale = np.sqrt(rng.chisquare(degrees, 200_000) / degrees)
    largest = np.abs(rng.standard_normal((comparisons, 200_000))).max(0) / scale
    error = 0.05 * (1 - kept(arms, blocks))
    assert np.mean(largest > critical_value(comparisons, arms, blocks)) == pytest.approx(error, abs=0.0015)


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_variances_are_those_of_the_two_way_residuals(table):
    """Another way to each arm's own variance: what is left of its scores without its mean and the blocks' means."""
    scores = np.array(table, dtype=float)
    arms, blocks = scores.shape
    found = estimates(scores, [(arm, 0) for arm in range(1, arms)])
    plain = (scores[1:] - scores[0]).var(1, ddof=1)
    own = plain
    if arms > 2:
        rest = scores - scores.mean(1, keepdims=True)
        squares = ((rest - rest.mean(0)) ** 2).sum(1) / (blocks - 1)
        of_arms = np.maximum((squares - squares.sum() / (arms - 1) / arms) / (1 - 2 / arms), 0)
        own = of_arms[1:] + of_arms[0]
    assert found.variances == pytest.approx(np.maximum(plain.mean(), own), abs=1e-12)
    assert found.means == pytest.approx((scores[1:] - scores[0]).mean(1), abs=1e-12)


@given(TABLES, st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.randoms())
@settings(max_examples=40, deadline=None)
def test_what_a_seed_does_to_all_arms_and_the_order_of_seeds_change_nothing(table, shifts, random):
    before = decide(rows(table), "arm0")
    blocks = list(range(len(table[0])))
    random.shuffle(blocks)
    moved = {arm: {b: scores[b] + shifts[b] for b in blocks} for arm, scores in rows(table).items()}
    for one, other in zip(before.differences, decide(moved, "arm0").differences, strict=True):
        assert one.mean == pytest.approx(other.mean, abs=1e-9)
        assert one.half_width == pytest.approx(other.half_width, rel=1e-6, abs=1e-6)


@given(TABLES, st.sampled_from([0, 0.005, 0.1]))
@settings(max_examples=40, deadline=None)
def test_turned_scores_turn_the_verdict_and_lower_turns_it_back(table, margin):
    turn = {"better": "worse", "worse": "better"}
    turned = [[-score for score in row] for row in table]
    before = decide(rows(table), margin=margin)
    for better, expected in (("higher", turn), ("lower", {})):
        after = decide(rows(turned), margin=margin, better=better)
        for one, other in zip(before.differences, after.differences, strict=True):
            assert expected.get(one.verdict, one.verdict) == other.verdict


@given(TABLES)
@settings(max_examples=40, deadline=None)
def test_no_verdict_claims_what_its_interval_does_not(table):
    for baseline in (None, "arm0"):
        found = decide(rows(table), baseline, margin=0.05)
        for one in found.differences:
            if one.verdict in ("better", "worse"):
                assert abs(one.mean) > one.half_width
                assert (one.mean > 0) == (one.verdict == "better")
            assert (one.verdict == "equal") == (abs(one.mean) + one.half_width <= 0.05)
            assert one.detectable >= one.half_width
        said = conclusion(found)
        if all(one.verdict == "undecided" for one in found.differences):
            assert said.startswith("Nothing is decided")
        if not any(one.verdict == "equal" for one in found.differences):
            assert "equal" not in said
        assert "no difference" not in said


def test_one_seed_has_no_interval_and_says_so():
    found = decide({"a": {0: 0.5}, "b": {0: 0.9}, "c": {0: 0.5}}, "a")
    assert all(math.isnan(one.half_width) and one.verdict == "undecided" for one in found.differences)
    assert [one.mean for one in found.differences] == [0.4, 0.0]
    assert conclusion(found) == (
        "Nothing is decided: b and c are undecided against a. One seed gives no interval: a difference may be noise."
    )


@given(TABLES, st.integers(1, 3), st.randoms())
@settings(max_examples=40, deadline=None)
def test_folds_of_a_seed_are_one_difference_the_mean_of_them(table, folds, random):
    """With a fold for each seed it is the same as without; with several, as if each seed had the mean of its folds."""
    told = decide(rows(table), "arm0")
    each = {arm: {(seed, seed % 2): score for seed, score in of.items()} for arm, of in rows(table).items()}
    assert decide(each, "arm0") == told
    apart = [[random.uniform(-1, 1) for _ in range(folds)] for _ in table[0]]
    several = {
        arm: {(seed, fold): score + apart[seed][fold] for seed, score in of.items() for fold in range(folds)}
        for arm, of in rows(table).items()
    }
    found = decide(several, "arm0")
    assert found.blocks == told.blocks
    for one, other in zip(found.differences, told.differences, strict=True):
        assert one.pairs == other.pairs
        assert (one.mean, one.half_width) == pytest.approx((other.mean, other.half_width), rel=1e-6, abs=1e-6)


def test_of_unequal_folds_those_count_that_both_arms_have():
    a = {(0, 0): 0.50, (0, 1): 0.60, (1, 0): 0.52, (2, 1): 0.61}
    b = {(0, 0): 0.51, (0, 1): 0.64, (1, 0): 0.55, (1, 1): 0.9, (2, 1): None}
    (found,) = decide({"a": a, "b": b}, "a").differences
    alone = decide({"a": {0: 0.0, 1: 0.0}, "b": {0: 0.025, 1: 0.03}}, "a").differences[0]
    assert (found.mean, found.half_width) == pytest.approx((alone.mean, alone.half_width))
    assert (found.pairs, found.failures) == (2, 1)
    assert "b failed in 1 of 3 seeds." in conclusion(decide({"a": a, "b": b}, "a"))
    one_seed = {arm: {(0, fold): start + fold / 100 for fold in range(5)} for arm, start in (("a", 0.5), ("b", 0.9))}
    assert conclusion(decide(one_seed, "a")).endswith("One seed gives no interval: a difference may be noise.")


@pytest.mark.parametrize("failure", [None, float("nan"), float("inf")])
def test_an_arm_that_failed_alone_is_neither_better_nor_equal(failure):
    steps = (0.001, -0.001, 0.0005, 0.0, -0.0005)
    good, bad = ({seed: start + step for seed, step in enumerate(steps)} for start in (0.9, 0.5))
    alike = {seed: score + steps[-seed] / 9 for seed, score in bad.items()}
    for arm, verdict in ((good, "better"), (alike, "equal")):
        assert decide({"base": bad, "arm": arm}, "base").differences[0].verdict == verdict
        (found,) = decide({"base": bad, "arm": {**arm, 2: failure}}, "base").differences
        assert (found.verdict, found.failures, found.pairs) == ("undecided", 1, 4)
        assert "arm failed in 1 of 5 seeds." in conclusion(decide({"base": bad, "arm": {**arm, 2: failure}}, "base"))
        both = {"base": {**bad, 2: failure}, "arm": {**arm, 2: failure}}
        assert decide(both, "base").differences[0].verdict == verdict  # a seed that fails both tells them not apart
    assert decide({"base": good, "arm": {**bad, 2: failure}}, "base").differences[0].verdict == "worse"
    assert decide({"base": {**good, 2: failure}, "arm": bad}, "base").differences[0].verdict == "undecided"
    never = dict.fromkeys(range(5), failure)
    (found,) = decide({"base": good, "arm": never}, "base").differences
    assert (found.verdict, found.failures) == ("undecided", 5)
    assert difference_text(found, 0.005) == "–"
    assert not decide({"base": good, "arm": never}, "base").best("base")


def test_failures_are_named_as_what_keeps_a_difference_open_and_no_further_seeds_are_promised():
    good, bad = ({seed: start + seed % 2 / 500 for seed in range(5)} for start in (0.9, 0.5))
    said = conclusion(decide({"base": bad, "arm": {**good, 2: None}}, "base"))
    assert "never better or equal, however many seeds are added." in said
    assert "four in five" not in said
    other = {seed: 0.5 + seed / 100 for seed in range(5)}
    said = conclusion(decide({"base": bad, "arm": {**good, 2: None}, "other": other}, "base"))
    assert "four in five" in said  # of the one that seeds would tell
    assert "never" not in conclusion(decide({"base": {**bad, 2: None}, "arm": other}, "base"))


@pytest.mark.parametrize("margin", [0, 0.005])
def test_an_interval_is_told_on_the_side_of_0_on_which_it_ends(margin):
    for low, high in ((-0.0001, 0.0029), (0.0001, 0.0029), (-0.0029, -0.00002), (-0.01, 0.02), (-0.00004, 0.00003)):
        value = Difference("a", "b", (low + high) / 2, (high - low) / 2, "undecided", 3, 0, 0, 0.002, 5)
        ends = difference_text(value, margin).replace("−", "-").partition("[")[2].rstrip("]").split(", ")
        assert [float(end) < 0 for end in ends] == [low < 0, high < 0]
        assert all(float(end) != 0 for end in ends)
    exact = Difference("a", "b", 0.0, 0.0, "equal", 3, 0, 0, 0.0, 0)
    assert difference_text(exact, margin) == "+0.000 [+0.000, +0.000]"


def test_an_arm_without_two_scores_widens_no_interval():
    table = rows([[0.5, 0.51, 0.52], [0.6, 0.612, 0.62], [0.7, 0.708, 0.72]])
    alone = decide(table, "arm0").differences
    for also in ({}, {0: 0.4}, {0: None, 1: None, 2: None}):
        assert decide({**table, "also": also}, "arm0").differences[:2] == alone


def test_an_operator_under_two_names_is_never_better():
    scores = {0: 0.71, 1: 0.72, 2: 0.70}
    for margin, verdict in ((0.005, "equal"), (0, "equal")):
        (found,) = decide({"one": scores, "other": scores}, "one", margin=margin).differences
        assert (found.verdict, found.mean, found.half_width, found.more) == (verdict, 0, 0, 0)


def test_the_runs_of_docs_are_told_by_at_most_three_hundredths():
    for baseline in of_docs():
        assert all(one.half_width <= 0.03 for one in decide(of_docs(), baseline).differences)
    said = conclusion(decide(of_docs(), "deconv"), "mIoU")
    assert said == (
        "Nothing is decided: deconv_matched, bilinear, pixel_shuffle, carafe and dysample are undecided against "
        "deconv. Of studies with 3 seeds, four in five would see a difference in mIoU of 0.034; with about 47 more, of "
        "0.005."
    )


def test_many_arms_are_decided_in_a_moment():
    """As many as a sweep of 500 runs has: what is computed twice is kept."""
    rng = np.random.default_rng(0)
    critical_value.cache_clear()
    decide({str(arm): dict(enumerate(rng.random(12).tolist())) for arm in range(42)})
    assert critical_value.cache_info().misses < 3000


def test_what_is_refused():
    with pytest.raises(ConfigError, match="unknown baseline 'decnov': did you mean 'deconv'"):
        decide({"deconv": {0: 0.5}}, "decnov")
    with pytest.raises(ConfigError, match="decide: margin=-1 must be a number of 0 or more"):
        decide({"deconv": {0: 0.5}}, margin=-1)
    with pytest.raises(ConfigError, match="decide: level=95 must be a number of 0.5 or more and at most 0.9999"):
        decide({"deconv": {0: 0.5}}, level=95)
    assert decide({}).differences == ()
    assert conclusion(decide({"deconv": {0: 0.5}})) == "One arm has scores: there is nothing to hold it against."


@given(TABLES, st.sampled_from(["higher", "lower"]))
@settings(max_examples=25, deadline=None)
def test_the_probability_of_improvement_is_mann_and_whitneys(table, better):
    for one in decide(rows(table), better=better).differences:
        arm, other = (list(rows(table)[name].values()) for name in (one.arm, one.other))
        share = stats.mannwhitneyu(arm, other).statistic / len(arm) / len(other)
        assert one.improvement == pytest.approx(share if better == "higher" else 1 - share)
    assert math.isnan(decide({"a": {0: 0.5}, "b": {0: None}}, "a").differences[0].improvement)
