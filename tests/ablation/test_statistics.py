import math
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from segup.ablation import differences, spread

VALUES = st.lists(st.floats(-1, 1), min_size=2, max_size=6)


def test_one_value_has_no_spread():
    assert math.isnan(spread([0.5]).deviation)


@given(VALUES)
def test_one_name_is_the_plain_paired_t_test(values):
    assume(statistics.stdev(values) > 1e-3)
    found = differences({"a": values})["a"]
    test = stats.ttest_1samp(values, 0)
    interval = test.confidence_interval(0.95)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx(tuple(interval), abs=1e-9)


def step_down(p_values, alpha):
    """Holm's procedure as in his paper: how many of the ordered hypotheses fall."""
    ordered = sorted(p_values.items(), key=lambda item: item[1])
    fallen = set()
    for rank, (name, p) in enumerate(ordered):
        if p > alpha / (len(ordered) - rank):
            break
        fallen.add(name)
    return fallen


@given(st.dictionaries(st.sampled_from("abcdef"), VALUES, min_size=1), st.sampled_from([0.01, 0.05, 0.2]))
def test_what_is_significant_is_what_holm_rejects(paired, alpha):
    assume(all(statistics.stdev(values) > 1e-3 for values in paired.values()))
    raw = {name: float(stats.ttest_1samp(values, 0).pvalue) for name, values in paired.items()}
    found = differences(paired, alpha)
    assert {name for name, one in found.items() if one.significant} == step_down(raw, alpha)
    for one in found.values():
        assert one.significant == (abs(one.mean) >= one.half_width * (1 - 1e-12))


def test_adjusted_p_values_never_fall_and_stay_below_one():
    # raw p values 0.01, 0.04, 0.03, 0.005 are adjusted to 0.03, 0.06, 0.06, 0.02
    wanted = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    paired = {}
    for name, p in wanted.items():
        t = stats.t.ppf(1 - p / 2, 2)  # three values with mean t/√3 and deviation 1
        paired[name] = [t / math.sqrt(3) + step for step in (-1, 0, 1)]
    found = differences(paired)
    assert {name: round(one.p_value, 9) for name, one in found.items()} == {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    assert {name for name, one in found.items() if one.significant} == {"a", "d"}


def test_a_single_pair_says_nothing_but_its_difference():
    found = differences({"a": [0.02], "b": [0.01, 0.02]})
    assert found["a"].mean == 0.02
    assert math.isnan(found["a"].half_width)
    assert math.isnan(found["a"].p_value)
    assert not found["a"].significant
    assert found["b"].p_value == pytest.approx(stats.ttest_1samp([0.01, 0.02], 0).pvalue)  # one comparison, not two


def test_equal_differences_are_certain_and_none_at_all_is_none():
    found = differences({"a": [0.25, 0.25], "b": [0.0, 0.0]})
    assert (found["a"].significant, found["a"].half_width, found["b"].significant) == (True, 0.0, False)
