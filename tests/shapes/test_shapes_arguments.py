"""Every parameter and size is checked: the message names the field, the value and the rule."""

import pickle
from copy import deepcopy
from fractions import Fraction

import pytest
from numpy import bool_, float64, int64

from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError

LAYERS = [
    (Conv, ("kernel_size", "stride", "padding", "dilation", "groups")),
    (Pool, ("kernel_size", "stride", "padding", "dilation")),
    (ConvTranspose, ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups")),
    (PixelShuffle, ("upscale_factor",)),
]
FIELDS = [(kind, field) for kind, fields in LAYERS for field in fields]
FROM_ZERO = ("padding", "output_padding")


NO_INTS = [
    (2.0, r"2\.0 \(a float\); try 2\."),
    (2.5, r"2\.5 \(a float\)\."),
    (True, r"True \(a bool\)\."),
    (-1, r"-1\."),
    ("2", r"'2' \(a str\)\."),
    (Fraction(2), r"Fraction\(2, 1\) \(a Fraction\)\."),
]
# A convolution's padding may be a word, and has another message for an unknown one.
REFUSED = [(*one, *bad) for one in FIELDS for bad in NO_INTS if (*one, bad[0]) != (Conv, "padding", "2")]


@pytest.mark.parametrize(("kind", "field", "value", "said"), REFUSED)
def test_what_is_no_int_in_range_is_refused(kind, field, value, said):
    least = 0 if field in FROM_ZERO else 1
    with pytest.raises(ShapeError, match=rf"^{field} must be an int of at least {least}, not {said}$"):
        kind(**({} if kind is PixelShuffle else {"kernel_size": 3}) | {field: value})


@pytest.mark.parametrize(("kind", "field"), [one for one in FIELDS if one[1] not in ("groups", "upscale_factor")])
def test_a_pair_is_checked_on_both_axes_and_has_two_parts(kind, field):
    for bad in ((3, -1), (-1, 3), (3, 1.0)):
        with pytest.raises(ShapeError, match=rf"^{field} must be an int of at least [01], not (-1|1\.0 \(a float\))"):
            kind(**{"kernel_size": 7} | {field: bad})
    with pytest.raises(
        ShapeError, match=rf"^{field} must be one value or a \(height, width\) pair, not \(1, 1, 1\)\.$"
    ):
        kind(**{"kernel_size": 7} | {field: (1, 1, 1)})


def test_zero_is_a_padding_and_no_stride():
    assert Conv(3, padding=0) == Conv(3)
    for kind in (Conv, Pool, ConvTranspose):
        with pytest.raises(ShapeError, match=r"^stride must be an int of at least 1, not 0\.$"):
            kind(3, stride=0)


@pytest.mark.parametrize("size", [0, -3, 2.0, True, "7", None, (3,), (1, 2, 3)])
@pytest.mark.parametrize("layer", [Conv(1), Pool(1), ConvTranspose(2, 2), Resize(2), PixelShuffle(2), Chain([Conv(1)])])
def test_sizes_are_ints_from_one_on_or_pairs_of_them(layer, size):
    with pytest.raises(ShapeError, match=r"^size must be (an int of at least 1|one value or a \(height, width\) pair)"):
        layer.out(size)


def test_the_axis_at_fault_is_named():
    with pytest.raises(ShapeError, match=r"^width must be an int of at least 1, not 0\.$"):
        Conv(1).out((3, 0))
    with pytest.raises(ShapeError, match=r"^'conv k3' does not accept width 2: it would give ⌊\(2 \+ 2·0 − 3\)/1⌋"):
        Conv(3).out((3, 2))


def test_the_message_for_a_size_that_is_too_small():
    with pytest.raises(ShapeError) as caught:
        Conv(7, stride=2).out(3)
    assert str(caught.value) == (
        "'conv k7 s2' does not accept size 3: it would give ⌊(3 + 2·0 − 7)/2⌋ + 1 = -1, and an output is at least 1.\n"
        "  try: a size of at least 7, 4 more, or padding=2."
    )
    assert Conv(7, stride=2, padding=2).out(3) == 1


def test_one_size_for_two_different_axes():
    layer = Conv((3, 1))
    with pytest.raises(ShapeError, match=r"treats height and width differently\.\n  try: a \(height, width\) pair"):
        layer.out(9)
    assert (layer.out((9, 9)), layer.min_size) == ((7, 9), (3, 1))


def test_a_pair_of_equal_values_is_one_value():
    assert Conv((3, 3), (2, 2), (1, 1)) == Conv(3, 2, 1)
    assert hash(Conv([3, 3])) == hash(Conv(3))
    assert Conv((3, 3)).out(9) == 7


def test_words_for_padding():
    assert Conv(3, padding="valid") == Conv(3)
    assert Conv(4, padding="same", dilation=3).out(10) == 10
    with pytest.raises(ShapeError, match=r'padding must be .* "valid" or "same", not \'full\''):
        Conv(3, padding="full")
    with pytest.raises(ShapeError, match=r'"same" needs stride 1, not stride \(1, 2\).*\n  try: padding=1, which'):
        Conv(3, stride=(1, 2), padding="same")
    with pytest.raises(ShapeError, match=r"try: padding=\(2, 3\), which gives ⌈size/stride⌉"):
        Conv((5, 7), stride=2, padding="same")
    assert Conv((5, 7), stride=2, padding=(2, 3)).out((9, 9)) == (5, 5)


def test_a_pool_pads_by_half_its_kernel_at_most():
    with pytest.raises(ShapeError) as caught:
        Pool(3, padding=2)
    assert str(caught.value) == (
        "padding of a pool must be at most half its kernel_size, 3 // 2 = 1, not 2.\n"
        "  try: padding=1, or kernel_size=4."
    )
    assert Pool(4, padding=2).out(9) == 3


def test_output_padding_is_less_than_stride_or_dilation():
    with pytest.raises(ShapeError, match=r"output_padding must be less than .* max\(2, 1\) = 2, not 2\.\n  try: outp"):
        ConvTranspose(3, stride=2, output_padding=2)
    assert ConvTranspose(3, stride=2, dilation=3, output_padding=2).out(4) == 6 + 7 + 2


@pytest.mark.parametrize("factor", [0, -1, float("inf"), float("nan"), True, "2", None, 1j])
def test_a_factor_is_a_finite_number_above_zero(factor):
    with pytest.raises(ShapeError, match=r"^scale_factor must be an int, a Fraction or a float above 0 and finite"):
        Resize(factor)


@pytest.mark.parametrize("factor", [5e-324, 1e-10, 1e10, 1.7e308])
def test_a_float_factor_is_of_a_sensible_magnitude(factor):
    with pytest.raises(
        ShapeError, match=r"^scale_factor as a float must lie from 2\*\*-32 to 2\*\*32, not .*\n  try: a"
    ):
        Resize(factor)
    assert Resize(Fraction(factor)).out(10**330) >= 1
    assert Resize(2.0**-32).min_size == 2**32
    assert Resize(2.0**32).inputs(2**33) == range(2, 3)
    assert Resize(2.0**-32).inputs(2**20) == range(2**52, 2**52 + 2**32)
    assert Resize(2.0**-32).inputs(10**12)


def test_modes_and_ceil_mode():
    with pytest.raises(ShapeError, match=r"^mode of a resize must be one of nearest, .*, not 'linear'\.$"):
        Resize(2, "linear")
    with pytest.raises(ShapeError, match=r"^ceil_mode must be True or False, not 1\.$"):
        Pool(2, ceil_mode=1)


def test_ints_of_other_libraries_are_ints():
    assert Conv(int64(3), int64(2)).out(int64(9)) == 4
    assert type(Conv(int64(3)).kernel_size) is int


@pytest.mark.parametrize("layer", [Conv(3, 2, 1), Pool((3, 2)), ConvTranspose(4, 2, 1), Resize(2), Chain([Conv(3)])])
def test_layers_are_values(layer):
    assert pickle.loads(pickle.dumps(layer)) == layer == deepcopy(layer)
    with pytest.raises(AttributeError):
        layer.kernel_size = 5
    assert layer.axes == deepcopy(layer).axes


def test_factors_of_numpy_are_pythons_numbers():
    assert Resize(int64(2)) == Resize(2)
    assert repr(Resize(float64(0.5))) == "Resize(scale_factor=0.5, mode='bilinear')"
    with pytest.raises(ShapeError, match="scale_factor must be an int, a Fraction or a float above 0"):
        Resize(bool_(True))
