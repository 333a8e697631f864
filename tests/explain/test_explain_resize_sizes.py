"""A resize by a fraction: the exact size and torch's, for every factor that a crop of 120 asks for, and more."""

from fractions import Fraction
from math import floor

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segup.cli import explain as command
from segup.explain import explain
from segup.shapes import Resize, chain_report, parse

MODES = ["nearest", "nearest-exact", "bilinear", "bicubic"]
FACTORS = [Fraction(120, n) for n in range(4, 201)]
APART = [f for f in FACTORS if floor(f.denominator * f) != floor(f.denominator * float(f))]


def torchs(size, factor, mode="nearest", recompute=None):
    """torch's output size, or None where it refuses."""
    try:
        x = torch.zeros(1, 1, size, 1)
        return F.interpolate(x, scale_factor=(float(factor), 1.0), mode=mode, recompute_scale_factor=recompute).shape[2]
    except (RuntimeError, ValueError):
        return None


@pytest.mark.parametrize("recompute", [None, True])
@pytest.mark.parametrize("mode", MODES)
def test_what_is_said_of_torchs_size_is_torchs(mode, recompute):
    """Of every factor, at a size that it makes whole and at some others."""
    for factor in FACTORS:
        axis = Resize(factor, mode).axes[0]
        for size in {factor.denominator, 45, 120, 200}:
            given = torchs(size, factor, mode, recompute)
            assert axis.by_torch(size) == (given or 0)
            said = axis.rounding(size)
            assert bool(said) == (axis.by_torch(size) != axis.law.out(size))
            if said and given:
                assert f"gives {axis.law.out(size)}; " in said
                assert f"gives {given}, since" in said


def test_the_two_sizes_part_at_whole_sizes_alone_and_by_one():
    parted = 0
    for a in range(1, 60):
        for b in range(1, 30):
            factor = Fraction(a, b)
            axis = Resize(factor).axes[0]
            for size in range(1, 201):
                if axis.by_torch(size) != axis.law.out(size):
                    parted += 1
                    assert (size * factor).denominator == 1
                    assert axis.law.out(size) - axis.by_torch(size) == 1
    assert parted > 100


CASES = [
    (Fraction(7, 5), 45),
    (Fraction(29, 100), 100),
    (Fraction(120, 11), 11),
    (Fraction(23, 20), 20),
    (Fraction(1, 49), 49),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("factor", "size"), CASES)
def test_a_fraction_is_explained_exactly_and_both_sizes_are_given(factor, size, mode):
    x = torch.arange(1, 3 * size + 1).reshape(size, 3).double()
    exact, given = floor(size * factor), torchs(size, factor)
    made = explain(f"resize x{factor}x1 {mode}", x)
    assert made.output.shape == (exact, 3)
    expected = F.interpolate(x[None, None], size=(exact, 3), mode=mode)[0, 0]
    if not mode.startswith("nearest"):
        torch.testing.assert_close(made.output, expected)
    if exact != (given or 0):
        said = str(made)
        assert (
            f"torch: {factor} is meant exactly and gives {exact}; torch's scale_factor={float(factor)!r} gives" in said
        )
        assert f"gives {given or 0}, since" in said


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", APART)
def test_no_factor_ends_in_an_internal_error(factor, mode):
    size = factor.denominator
    made = explain(f"resize x1x{factor} {mode}", torch.arange(2.0 * size).reshape(2, size))
    assert made.output.shape == (2, floor(size * factor))


@pytest.mark.parametrize(("words", "size"), [("resize x7/5", "45x45"), ("resize x7/5", "45x44"), ("resize x1.4", "45")])
def test_the_command_says_which_is_meant(words, size, capsys):
    assert command.run([words, "--input", size, "--no-picture"]) == 0
    out = capsys.readouterr().out
    meant = (
        "7/5 is meant exactly and gives 63"
        if "/" in words
        else "the float 1.4 is meant, as torch takes it, and gives 62"
    )
    assert meant in out
    assert "62.99999999999999 in float64" in out
    report = str(chain_report(parse(words), 45))
    assert meant in report


def test_a_module_is_torchs_float():
    x = torch.rand(1, 1, 45, 45)
    for recompute in (None, False, True):
        module = nn.Upsample(scale_factor=1.4, mode="bilinear", recompute_scale_factor=recompute)
        torch.testing.assert_close(explain(module, x).output, module(x))


def test_where_torchs_float32_copies_another_pixel_it_is_said():
    e = explain("resize x11/13x1 nearest", torch.arange(26.0)[:, None])
    assert "torch takes o/factor in float32: output row 11 copies 12, not 13." in str(e)
    assert e.output[11, 0] == 12
