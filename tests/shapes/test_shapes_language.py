"""The layer language: what it reads is what layers say of themselves."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, parse


def one_or_two(low, high):
    return st.one_of(st.integers(low, high), st.tuples(st.integers(low, high), st.integers(low, high)))


convs = st.builds(
    Conv, one_or_two(1, 9), one_or_two(1, 4), one_or_two(0, 4), one_or_two(1, 3), groups=st.integers(1, 4)
)
sames = st.builds(Conv, one_or_two(1, 9), st.just(1), st.just("same"), one_or_two(1, 3))
pools = st.builds(Pool, one_or_two(4, 9), one_or_two(1, 4), one_or_two(0, 2), one_or_two(1, 3), st.booleans())
transposed = st.builds(
    ConvTranspose,
    one_or_two(1, 9),
    one_or_two(2, 4),
    one_or_two(0, 4),
    one_or_two(0, 1),
    one_or_two(1, 3),
    groups=st.integers(1, 4),
)
factors = st.one_of(st.integers(1, 9), st.fractions(Fraction(1, 9), 9, max_denominator=99), st.floats(1e-9, 1e9))
resizes = st.builds(
    Resize, st.one_of(factors, st.tuples(factors, factors)), st.sampled_from(["nearest", "bilinear", "bicubic"])
)
layers = st.one_of(convs, sames, pools, transposed, resizes, st.builds(PixelShuffle, st.integers(1, 5)))


@settings(max_examples=50)
@given(st.lists(layers, min_size=1, max_size=5))
def test_parse_reads_what_layers_say_of_themselves(chain):
    assert parse(", ".join(map(str, chain))) == chain


def test_the_example():
    assert parse("conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2") == [
        Conv(7, 2, 3),
        Pool(3, 2, 1),
        ConvTranspose(2, 2),
    ]


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("  conv   p1 k3  s2 ", Conv(3, 2, 1)),
        ("conv k3 psame d2", Conv(3, padding="same", dilation=2)),
        ("conv k3 pvalid", Conv(3)),
        ("conv k3x1 p1x0 g2", Conv((3, 1), padding=(1, 0), groups=2)),
        ("pool k2", Pool(2)),
        ("pool k2 s1 ceil", Pool(2, 1, ceil_mode=True)),
        ("deconv k3 s2 p1 op1 d2", ConvTranspose(3, 2, 1, 1, 2)),
        ("resize x2", Resize(2)),
        ("resize x3/2 nearest", Resize(Fraction(3, 2), "nearest")),
        ("resize x2x3/2", Resize((2, Fraction(3, 2)))),
        ("resize x0.29", Resize(0.29)),
        ("pixel_shuffle x2", PixelShuffle(2)),
    ],
)
def test_one_layer(text, layer):
    assert parse(text) == [layer]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"^layer 1, '': there are no words here; layers are named like 'conv k7"),
        ("conv k3,, conv k3", r"^layer 2, '': there are no words here"),
        (
            "conv k3, decov k2",
            r"^layer 2, 'decov k2': unknown kind of layer 'decov': did you mean 'deconv'\? ",
        ),
        ("conv s2", r"^layer 1, 'conv s2': kernel_size is missing\.\n  try: conv k2"),
        ("resize", r"^layer 1, 'resize': scale_factor is missing\.\n  try: resize x2"),
        ("pixel_shuffle", r"upscale_factor is missing\.\n  try: pixel_shuffle x2"),
        ("conv k3 k5", r"kernel_size is given twice, the second time by 'k5'\."),
        ("conv k3 op1", r"unknown parameter 'op1'; conv takes k, s, p, d, g, each with its number\."),
        ("pool k3 g2", r"unknown parameter 'g2'; pool takes k, s, p, d, ceil, each with its number\."),
        ("conv k3 ceil", r"unknown parameter 'ceil'"),
        ("conv k", r"'k' needs a number after its letter"),
        ("conv k3.0", r"'k3\.0' needs a number after its letter"),
        ("conv k3x3x3", r"'k3x3x3' needs a number after its letter, or height x width"),
        ("deconv k3 psame", r"'psame' needs a number after its letter"),
        ("resize x1/0", r"'x1/0' needs a number after its letter"),
        ("conv k3 s0", r"^layer 1, 'conv k3 s0': stride must be an int of at least 1, not 0\.\n  try: conv k3$"),
        ("conv k3 p-1", r"^layer 1, 'conv k3 p-1': padding must be an int of at least 0, not -1\.\n  try: conv k3$"),
        ("pool k3 p2", r"^layer 1, 'pool k3 p2': padding of a pool must be at most half its kernel_size"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    with pytest.raises(ShapeError, match=message):
        parse(text)


def test_only_text_is_read():
    with pytest.raises(ShapeError, match="layers are named by a text such as 'conv k7"):
        parse([Conv(3)])
