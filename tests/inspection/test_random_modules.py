"""check_sizes against random modules; real runs on the CPU are the reference."""

from collections import Counter

import pytest
import torch
from random_modules.assembly import HONEST, alone, module_of, names_of_module
from random_modules.form import FORMS, make
from random_modules.judge import judge

from segup.inspection import record, shape_mode, traced, verify
from segup.inspection.shape_rules import elementwise

SUITE = 120
SLOW = 3000
BATCH = 50


@pytest.mark.parametrize("start", range(0, SUITE, 10))
def test_no_report_is_contradicted_by_its_module(start):
    assert [str(fault) for i in range(start, start + 10) for fault in judge(module_of(i))[:1]] == []


@pytest.mark.parametrize("index", [1378, 1408], ids=["base refused", "other axis"])
def test_what_the_3000_once_found_stays_right(index):
    assert [str(fault) for fault in judge(module_of(index, seed=1000), dense=True)[:1]] == []


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, SLOW, BATCH))
def test_no_report_of_3000_is_contradicted_by_its_module(start):
    faults = [fault for i in range(start, start + BATCH) for fault in judge(module_of(i, seed=1000), dense=True)[:1]]
    assert [str(fault) for fault in faults] == []


def test_every_form_comes_once_in_the_suite_and_twenty_times_in_the_slow_test():
    assert len(FORMS) >= 40
    assert 1 / 3 <= sum(i % 5 in (0, 2) for i in range(SUITE)) / SUITE <= 1 / 2
    for count, seed, least in ((SUITE, 0, 1), (SLOW, 1000, 20)):
        drawn = Counter(name for i in range(count) for name in names_of_module(i, seed))
        assert min(drawn[name] for name in FORMS) >= least


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_a_module_that_runs(name):
    taken = 0
    for seed in range(12):
        part = make(name, f"{seed}").eval()
        taken += any(runs(part, shape) for n in (64, 128, *part.thresholds) for shape in ((n, 64), (64, n)))
        assert part.honest == (name in HONEST)
    assert taken >= 8


def runs(part, shape):
    """Return whether a form takes a map of this shape; that it gives one of its channels is asserted."""
    try:
        with torch.no_grad():
            out = part(torch.rand(1, 4, *shape))
    except Exception:
        return False
    assert (out.dim(), *out.shape[:2]) == (4, 1, 4)
    return True


def broken_comparison(monkeypatch):
    """A size forgets to note that it is compared."""
    monkeypatch.setattr(traced.TracedSize, "__gt__", lambda self, other: self.value > traced.as_int(other))


def broken_loss(monkeypatch):
    """A run forgets why nothing can be proved of it."""
    monkeypatch.setattr(record.Record, "lose", lambda self, reason: None)


def broken_rule(monkeypatch):
    """After a resize there is one row too many where their number is odd."""
    right = shape_mode.SHAPE_RULES["interpolate"]

    def wrong(*args, **kwargs):
        n, c, h, w = right(*args, **kwargs)
        return n, c, h + h % 2, w

    monkeypatch.setattr(shape_mode, "SHAPE_RULES", {**shape_mode.SHAPE_RULES, "interpolate": wrong})


def broken_in_place(monkeypatch):
    """What is done in place does not state that the others have to fit."""
    monkeypatch.setattr(elementwise, "fitted", lambda sizes, shape, other: None)


def broken_watch(monkeypatch):
    """Nothing tells of sizes that are read unseen."""
    monkeypatch.setattr(shape_mode.ShapeMode, "_tell", lambda self, what: None)


BROKEN = [
    (broken_comparison, "int_comparison"),
    (broken_loss, "text_of_size"),
    (broken_rule, "resized_and_back"),
    (broken_in_place, "in_place_arithmetic_that_broadcasts"),
    (broken_watch, "scripted_function"),
]


@pytest.mark.parametrize(("broken", "form"), BROKEN)
def test_a_tracer_broken_on_purpose_is_caught(broken, form, monkeypatch):
    """By the random modules, where the comparison with the model itself is off too: it would save the day."""
    monkeypatch.setattr(verify.Verifier, "verified", lambda self: list(self._proofs))
    modules = [alone(form, seed) for seed in range(3)]
    assert [fault for module in modules for fault in judge(module)] == []
    broken(monkeypatch)
    assert [fault for module in modules for fault in judge(module)] != []
