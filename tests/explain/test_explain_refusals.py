"""Bad parameters: what the formula gives, the rule, and what works, which is tried here."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ConfigError, DataError, ShapeError
from segup.explain import explain


def refused(*arguments, error=ShapeError, **named):
    with pytest.raises(error) as caught:
        explain(*arguments, **named)
    return str(caught.value)


@pytest.mark.parametrize(
    ("words", "size", "gives", "rule"),
    [
        ("deconv k4 s2 p1 op2", (4, 4), "(4 − 1)·2 − 2·1 + 4 + 2 = 10", "output_padding must be less than max(stride"),
        ("deconv k3 s2 p5", (3, 3), "(3 − 1)·2 − 2·5 + 3 = -3", "at least 1 row and 1 column"),
        ("conv k5", (3, 4), "⌊(3 + 2·0 − 5)/1⌋ + 1 = -1", "has to fit in the padded input"),
        ("conv k3 d3 p1", (4, 4), "⌊(4 + 2·1 − 7)/1⌋ + 1 = 0", "7 wide with its dilation"),
        ("conv k3 s2 psame", (8, 8), "⌊(8 + 2 − 3)/2⌋ + 1 = 4", "needs stride 1"),
        ("pool k3 p2", (6, 6), "⌊(6 + 2·2 − 3)/3⌋ + 1 = 3", "at most half its kernel_size, 3 // 2 = 1"),
        ("resize x1/3", (2, 2), "⌊2·1/3⌋ = 0", "at least 1 row"),
    ],
)
def test_formula_rule_and_way_out(words, size, gives, rule):
    lines = refused(words, torch.ones(size)).splitlines()
    assert gives in lines[1]
    assert "rule: " in lines[2]
    assert rule in lines[2]
    assert lines[3].startswith("  try: ")


LETTERS = {"kernel_size": "k", "stride": "s", "padding": "p", "output_padding": "op", "dilation": "d"}


@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("deconv k4 s2 p1 op2", (4, 4)),
        ("deconv k2 s3 p3", (2, 2)),
        ("deconv k3 s2 p1 d2 op4", (3, 3)),
        ("conv k9 s2 p1", (4, 4)),
        ("conv k3 d4", (6, 6)),
        ("pool k2 s2 p2", (4, 4)),
    ],
)
def test_what_is_proposed_works(words, size):
    message = refused(words, torch.ones(size))
    proposals = re.findall(r"((?:\w+=\d+(?:, )?)+), which gives (\d+)(?:×\d+)?", message)
    assert proposals
    for changes, out in proposals:
        kind, *letters = words.split()
        spelled = {re.match(r"(op|[a-z])", word)[0]: word for word in letters}
        named = dict(part.split("=") for part in changes.split(", ") if part)
        for name, value in named.items():
            spelled[LETTERS[name]] = f"{LETTERS[name]}{value}"
        e = explain(" ".join([kind, *spelled.values()]), torch.ones(size))
        assert e.output.shape[0] == int(out)
    larger = re.search(r"an input of (\d+)×(\d+), which gives (\d+)×(\d+)", message)
    if larger:
        height, width, *made = map(int, larger.groups())
        assert list(explain(words, torch.ones(height, width)).output.shape) == made


pairs = st.tuples(st.integers(1, 5), st.integers(1, 5))
cuts = st.tuples(st.integers(0, 4), st.integers(0, 4))


def proposals(message):
    """Every proposed set of parameters with the size that it is said to give."""
    found = re.findall(r"((?:\w+=(?:\d+|\(\d+, \d+\))(?:, )?)+), which gives (\d+)×(\d+)", message)
    return [(eval(f"dict({changed})"), (int(high), int(wide))) for changed, high, wide in found]


@settings(max_examples=150)
@given(pairs, pairs, pairs, cuts, st.tuples(st.integers(1, 3), st.integers(1, 3)), st.booleans(), st.data())
def test_what_is_proposed_for_a_pair_is_one_layer_that_works(size, kernel, stride, padding, dilation, reach, data):
    given_ = {"kernel_size": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    x = torch.ones(1, 1, *size)
    wanted = None
    if reach:
        wanted = data.draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    else:
        given_["output_padding"] = data.draw(cuts)
    words = "deconv " + " ".join(f"{LETTERS[name]}{high}x{wide}" for name, (high, wide) in given_.items())
    try:
        explain(words, x[0, 0], wanted)
        return
    except ShapeError as error:
        message = str(error)
    if "without output_size" in message:
        wanted = None
    for changed, out in proposals(message):
        layer = nn.ConvTranspose2d(1, 1, **{**given_, **changed})
        made = layer(x, output_size=wanted) if wanted else layer(x)
        assert tuple(made.shape[2:]) == out
        if wanted:
            assert out == wanted
    near = re.search(r"output_size (\d+)×(\d+)", message)
    if near:
        out = (int(near[1]), int(near[2]))
        assert tuple(nn.ConvTranspose2d(1, 1, **given_)(x, output_size=out).shape[2:]) == out
    assert "try: " in message
    assert proposals(message) or near or "an input of" in message


@pytest.mark.parametrize(
    ("words", "size", "way"),
    [
        ("conv k3x5 s1x2 psame", (8, 7), {"padding": (1, 2)}),
        ("conv k5 s2 d1x3 psame", (9, 15), {"padding": (2, 6)}),
        ("deconv k1x5 p2x0", (3, 3), {"padding": (1, 0)}),
        ("deconv k4x3 s2x3 p1 op2x1", (4, 5), {"padding": (0, 1), "output_padding": (0, 1)}),
    ],
)
def test_the_nearest_pair_is_named_as_one(words, size, way):
    assert proposals(refused(words, torch.ones(size)))[0][0] == way


def test_an_output_size_out_of_reach():
    message = refused("deconv k4 s2 p1", torch.ones(17, 17), (33, 34))
    assert message.splitlines()[0] == "'deconv k4 s2 p1' cannot bring height 17 to 33."
    assert "(17 − 1)·2 − 2·1 + 4 = 34" in message
    assert "rule: output_size may ask for 34 … 35" in message
    assert "try: output_size 34×34; or kernel_size=3, output_padding=(0, 1), which gives 33×34" in message
    assert explain("deconv k3 s2 p1", torch.ones(17, 17), (33, 34)).output.shape == (33, 34)


def test_modules_are_refused_as_words_are():
    assert "(4 − 1)·2 − 2·1 + 4 + 2 = 10" in refused(nn.ConvTranspose2d(1, 1, 4, 2, 1, 2), torch.ones(1, 4, 4))
    assert "has 3" in refused(nn.Conv2d(2, 1, 3), torch.ones(1, 3, 8, 8))
    assert "has one output size" in refused(nn.Conv2d(1, 1, 3), torch.ones(1, 8, 8), (4, 4))
    nested = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 3))
    assert "module.1 (Conv2d)" in refused(nested, torch.ones(1, 8, 8), error=ConfigError)
    assert "reflect" in refused(nn.Conv2d(1, 1, 9, padding=4, padding_mode="reflect"), torch.ones(1, 3, 3))


@pytest.mark.parametrize(
    ("words", "x", "named", "part"),
    [
        ("conv k3 g2", torch.ones(3, 8, 8), {}, "must divide in_channels=3"),
        ("pixel_shuffle x2", torch.ones(3, 4, 4), {}, "in_channels=4"),
        ("conv k3", torch.ones(8), {}, "x must be"),
        ("conv k3", torch.ones(0, 8, 8), {}, "none of them 0"),
        ("conv k3, pool k2", torch.ones(8, 8), {}, "one layer is explained at a time"),
        ("conf k3", torch.ones(8, 8), {}, "did you mean 'conv'"),
        ("conv k3", torch.ones(8, 8), {"weight": torch.ones(2, 2)}, "weight must have the shape (1, 1, 3, 3)"),
        ("conv k3", torch.ones(8, 8), {"bias": torch.ones(2)}, "bias must have the shape (1,)"),
        ("pool k2", torch.ones(8, 8), {"bias": torch.ones(1)}, "has no bias"),
        ("pool k2 d2 avg", torch.ones(8, 8), {}, "torch's average pooling has none"),
        ("carafe x2 k4", torch.ones(8, 8), {}, "must be odd"),
    ],
)
def test_other_mistakes_are_named(words, x, named, part):
    assert part in refused(words, x, **named)


def test_an_entry_that_does_not_exist():
    e = explain("conv k3", torch.ones(4, 4))
    with pytest.raises(ShapeError, match="has rows 0 … 1, not 2"):
        e.contributions(2, 0)
    with pytest.raises(ShapeError, match="images 0 … 0, not 1"):
        e.contributions(0, 0, image=1)


def test_values_that_are_not_finite():
    with pytest.raises(ValueError, match="must be finite"):
        explain("conv k3", torch.full((4, 4), torch.inf))


@pytest.mark.parametrize(
    ("layer", "x", "error", "part"),
    [
        (None, torch.ones(4, 4), ConfigError, "a layer's words or a module, not None"),
        (nn.Conv2d, torch.ones(4, 4), ConfigError, "a layer's words or a module"),
        (nn.LazyConv2d(1, 3), torch.ones(1, 4, 4), ConfigError, "try: layer(x) before"),
        (nn.Conv2d(1, 1, 3, dtype=torch.complex64), torch.ones(1, 4, 4), DataError, "weight must be real numbers"),
        (nn.Conv2d(1, 1, 3, device="meta"), torch.ones(1, 4, 4), DataError, "weight is on the meta device"),
        (nn.Conv2d(1, 1, 3), torch.ones(1, 4, 4, dtype=torch.complex64), DataError, "x must be real numbers"),
        ("conv k3", torch.ones(4, 4, dtype=torch.complex64), DataError, "x must be real numbers"),
        ("conv k3", torch.ones(4, 4, device="meta"), DataError, "x is on the meta device"),
        ("conv k3", None, DataError, "x must be a tensor"),
        ("conv k3", "ones", DataError, "not 'ones'"),
    ],
)
def test_what_has_no_real_numbers_is_named(layer, x, error, part):
    assert part in refused(layer, x, error=error)


def test_lists_and_sparse_tensors_are_numbers_too():
    x = torch.tensor([[0, 1, 0], [2, 0, 0], [0, 0, 3]])
    assert explain("conv k2", x.tolist()).output.tolist() == explain("conv k2", x.to_sparse()).output.tolist()


def test_a_place_that_is_none(tmp_path):
    e = explain("conv k3", torch.ones(4, 4))
    with pytest.raises(ShapeError, match="the row of an entry is an int, not 0.5"):
        e.contributions(0.5, 0)
    for at in (0, (0, 1, 2)):
        with pytest.raises(ShapeError, match="at is .row, column."):
            e.save(tmp_path / "conv.svg", at=at)
    assert list(tmp_path.iterdir()) == []
