"""Every wrong use of an operator is answered with the actual value, the rule and the way out."""

import re

import numpy as np
import pytest
import torch

from segup.errors import ConfigError, ShapeError
from segup.shapes import Resize
from segup.upsamplers import Deconv, MatchedDeconv, Upsampler, create_upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class

OPERATORS = list_upsamplers()
OTHER = "skip.shape[-2:], or another map's"
GUIDED = [name for name in OPERATORS if "skip" in operator_class(name).requires]


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ((1, 5, 6, 6), "in_channels=5 at construction, or a 1×1 convolution 5 → 4 before"),
        ((4, 6, 6), "x.unsqueeze(0), a batch of one"),
        ((1, 4, 0, 6), "a map with one row and one column at least"),
        ((1, 4, 6, 0), "a map with one row and one column at least"),
        ((1, 1, 4, 6, 6), "a batch of maps, of four dimensions"),
        ((), "a batch of maps, of four dimensions"),
    ],
)
def test_an_input_of_the_wrong_shape_is_refused_with_its_shape(name, shape, fix, build):
    up = build(name, 4, 6)
    with pytest.raises(ShapeError) as refused:
        up(torch.zeros(shape))
    rule = f"{up.describe()} takes (N, 4, h, w) with h, w ≥ 1, not {shape}\n  try: {fix}."
    assert str(refused.value) == rule


@pytest.mark.parametrize("given", [None, "x", np.zeros((1, 4, 6, 6)), [torch.zeros(1, 4, 6, 6)]])
def test_what_is_no_tensor_is_refused_with_its_type(given, build):
    with pytest.raises(
        ShapeError, match=f"takes .N, 4, h, w. with h, w ≥ 1, not {type(given).__name__}\n  try: a batch"
    ):
        build("deconv", 4, 4)(given)
    if given is not None:
        for name in ("fade", "max_unpool"):
            guide = {"fade": "skip", "max_unpool": "indices"}[name]
            with pytest.raises(ShapeError, match=f"not {type(given).__name__}"):
                build(name, 4, 4)(torch.zeros(1, 4, 3, 3), (6, 6), **{guide: given})


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("size", "instead"),
    [
        (7, "(7, 7)"),
        ((7.0, 8.0), "(7, 8)"),
        ([np.float32(7), 8], "(7, 8)"),
        ((np.True_, 8), None),
        ((np.int64(0), 8), None),
        ((7,), None),
        ((7, 7, 7), None),
        ((7.5, 8), None),
        ("87", "(87, 87)"),
        ((0, 8), None),
        ((8, -1), None),
        ((True, 8), None),
        ((None, None), None),
    ],
)
def test_a_size_that_is_no_pair_of_pixels_is_refused(name, size, instead, build, guides):
    up = build(name, 4, 4)
    x = torch.zeros(1, 4, 4, 4)
    with pytest.raises(ShapeError) as refused:
        up(x, size, **guides(up, x))
    assert str(refused.value) == (
        f"size must be (height, width), ints of 1 or more, not {size!r}\n  try: size={instead or OTHER}"
    )


PAIRS = ([7, 8], (7, 8), torch.Size([7, 8]), (np.int64(7), np.uint8(8)), tuple(torch.tensor([7, 8])))


@pytest.mark.parametrize("size", PAIRS)
@pytest.mark.parametrize("name", OPERATORS)
def test_any_pair_of_ints_is_a_size(name, size, build, guides):
    """An int of any library: what torch makes of it is a plain one."""
    up, x = build(name, rounding="up") if name == "deconv_matched" else build(name), torch.randn(1, 4, 4, 4)
    given = guides(up, x, (7, 8))
    assert torch.equal(up.eval()(x, size, **given), up(x, (7, 8), **given))
    assert {type(rows) for rows in up.correction} == {int}


@pytest.mark.parametrize("name", OPERATORS)
def test_a_size_out_of_reach_names_axis_value_range_and_a_way_out(name, build, guides):
    up = build(name, 4, 4, 3)
    x = torch.zeros(1, 4, 10, 10)
    beyond = (((9, 30), "height", 9), ((30, 3), "width", 3))
    if not up.reaches_any:
        beyond = (((33, 30), "height", 33), ((30, 27), "width", 27), ((300, 30), "height", 300))
    for size, axis, wanted in beyond:
        with pytest.raises(ShapeError) as refused:
            up(x, size, **guides(up, x, size))
        least, most = up.span(10)
        reached = "10 and every larger size" if up.reaches_any else f"{least} … {most}"
        assert re.match(rf"'{name}' \(.*\) brings {axis} 10 to .*{reached}, not (to )?{wanted}", str(refused.value))
        assert "\n  try: " in str(refused.value)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_channels": 0}, r"in_channels=0 must be an int of 1 or more\n  try: in_channels=1"),
        ({"in_channels": -3}, "in_channels=-3 must be an int of 1 or more"),
        ({"out_channels": True}, "out_channels=True must be an int of 1 or more"),
        ({"out_channels": 2.0}, r"out_channels=2\.0 must be an int of 1 or more"),
        ({"out_channels": None}, "out_channels=None must be an int of 1 or more"),
        ({"scale": 1}, r"scale=1 must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=2"),
        ({"scale": 3.0}, r"scale=3\.0 must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=3"),
        ({"scale": 2.5}, r"scale=2\.5 must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=2"),
        ({"scale": float("nan")}, r"scale=nan must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=2"),
        ({"scale": "4"}, r"scale='4' must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=4"),
        (
            {"scale": np.int64(1)},
            r"scale=.*1\)? must be an int of 2 or more(,? or a fraction above 1)?\n  try: scale=2",
        ),
        ({"skip_channels": 0}, "skip_channels=0 must be an int of 1 or more"),
        ({"skip_channels": 1.5}, r"skip_channels=1\.5 must be an int of 1 or more"),
        ({"fit": "resize"}, "fit='resize' is unknown; known: correct, strict"),
        ({"fit": None}, "fit=None is unknown; known: correct, strict"),
        ({"no_such": 1}, "unknown option of upsampler '.*' 'no_such'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(name, options, message, build):
    with pytest.raises(ConfigError, match=message):
        build(name, **options)


@pytest.mark.parametrize("name", GUIDED)
def test_a_guided_operator_needs_the_skips_channels_at_construction(name):
    with pytest.raises(ConfigError, match=f"'{name}' is guided by the skip: it needs skip_channels.*\n  try: skip_ch"):
        create_upsampler(name, 4, 4)


@pytest.mark.parametrize("name", GUIDED)
@pytest.mark.parametrize(
    ("shape", "got", "way_out"),
    [
        (None, "and got none", r"up\(x, size=skip\.shape\[-2:\], skip=skip\)"),
        ((3, 3, 9, 10), r"not \(3, 3, 9, 10\)", "a batch of 2, one for each map"),
        ((1, 3, 9, 10), r"not \(1, 3, 9, 10\)", r"skip\.expand\(2, -1, -1, -1\)"),
        ((2, 4, 9, 10), r"not \(2, 4, 9, 10\)", "skip_channels=4 at construction"),
        ((2, 3, 10, 10), r"not \(2, 3, 10, 10\)", r"up\(x, size=skip\.shape\[-2:\], skip=skip\)"),
        ((2, 3, 9, 9), r"not \(2, 3, 9, 9\)", r"up\(x, size=skip\.shape\[-2:\], skip=skip\)"),
        ((3, 9, 10), r"not \(3, 9, 10\)", r"skip\.unsqueeze\(0\)"),
    ],
)
def test_a_skip_that_does_not_fit_is_refused_with_both_shapes_and_what_fits(name, shape, got, way_out, build):
    up = build(name, 4, 4)
    skip = None if shape is None else torch.zeros(shape)
    message = (
        rf"takes a skip \(2, 3, 9, 10\), of its input's batch and of the size asked for, {got}\.\n  try: {way_out}"
    )
    with pytest.raises(ShapeError, match=message):
        up(torch.zeros(2, 4, 5, 5), (9, 10), skip=skip)


BY_IMAGE = [name for name in OPERATORS if "image" in operator_class(name).requires]


@pytest.mark.parametrize("name", BY_IMAGE)
@pytest.mark.parametrize(
    ("shape", "way_out"),
    [
        ((3, 18, 20), r"image\.unsqueeze\(0\)"),
        ((1, 3, 18, 20), r"image\.expand\(2, -1, -1, -1\)"),
        ((4, 3, 18, 20), "a batch of 2"),
        ((18, 20), "a batch of four"),
    ],
)
def test_an_image_that_is_no_batch_like_the_maps_is_refused_with_what_makes_it_one(name, shape, way_out, build):
    message = rf"takes the image, \(2, C, H, W\), not {re.escape(str(shape))}\.\n  try: {way_out}"
    with pytest.raises(ShapeError, match=message):
        build(name, 4, 4)(torch.zeros(2, 4, 5, 5), (9, 10), image=torch.zeros(shape))


@pytest.mark.parametrize("name", [*GUIDED, *BY_IMAGE])
def test_a_guide_of_integers_is_refused(name, build, guides):
    up, x = build(name, 4, 4), torch.zeros(2, 4, 5, 5)
    whole = {key: value.byte() for key, value in guides(up, x, (9, 10)).items()}
    with pytest.raises(ConfigError, match=r"takes the \w+ as floats, not torch\.uint8\n  try: \w+\.float\(\) / 255"):
        up(x, (9, 10), **whole)


@pytest.mark.parametrize("name", [name for name in OPERATORS if not operator_class(name).requires])
def test_operators_without_a_guide_take_one_and_leave_it_alone(name, build):
    """One signature: a decoder may hand the same things to every operator."""
    up = build(name, 4, 4)
    x = torch.randn(1, 4, 4, 4)
    assert torch.equal(up(x, (7, 8), skip=torch.zeros(1, 2, 7, 8), indices=torch.zeros(1)), up(x, (7, 8)))


def test_an_option_that_a_class_hands_on_and_none_takes_is_refused_by_name():
    """Operators from outside hand on what they do not know, as the README's does."""

    class HandsOn(Upsampler):
        name = "hands_on"
        arithmetic = Resize(2)

        def __init__(self, in_channels, out_channels, scale=2, *, gain=1.0, **options):
            super().__init__(in_channels, out_channels, scale, **options)

        def upsample(self, x, *, skip=None, indices=None):
            return x.repeat_interleave(2, -1).repeat_interleave(2, -2)

    assert HandsOn(3, 3, gain=2.0, fit="strict").fit == "strict"
    for option, meant in (("fitt", "fit"), ("gian", "gain"), ("skip_chanels", "skip_channels")):
        message = f"unknown option of 'hands_on' '{option}': did you mean '{meant}'"
        with pytest.raises(ConfigError, match=message):
            HandsOn(3, 3, **{option: 1})


def test_strict_tells_the_arithmetic_and_both_ways_out():
    with pytest.raises(ShapeError) as refused:
        Deconv(4, 4, fit="strict")(torch.zeros(1, 4, 17, 17), (33, 34))
    assert str(refused.value) == (
        "'deconv' (kernel 4, stride 2, padding 1) brings height 17 to 34, not to 33 (fit=\"strict\").\n"
        "  (17 − 1)·2 − 2·1 + 4 = 34.\n"
        "  try: decoder=deconv_matched (rounding=up reaches 33), or decoder.fit=correct (cuts 1 at the end)."
    )


def test_strict_never_speaks_of_corrections_that_it_does_not_make():
    with pytest.raises(ShapeError) as refused:
        Deconv(4, 4, fit="strict")(torch.zeros(1, 4, 17, 17), (40, 34))
    assert str(refused.value) == (
        "'deconv' (kernel 4, stride 2, padding 1) brings height 17 to 34, not to 40 (fit=\"strict\").\n"
        "  (17 − 1)·2 − 2·1 + 4 = 34.\n"
        "  try: a scale near 40/17, or the size of the next skip."
    )
    odd = Deconv(4, 4, kernel_size=5, fit="strict")  # reaches a row more by itself
    with pytest.raises(
        ShapeError, match=r"brings width 6 to 12 … 13, not to 11 .*\n.*\n.*reaches 11\), .* \(cuts 1 at"
    ):
        odd(torch.zeros(1, 4, 6, 6), (13, 11))
    with pytest.raises(ShapeError, match=r"brings width 6 to 12 … 13, not to 14 "):
        odd(torch.zeros(1, 4, 6, 6), (12, 14))


def test_the_matched_one_tells_its_range_and_the_rounding_that_would_reach():
    with pytest.raises(ShapeError) as refused:
        MatchedDeconv(4, 4)(torch.zeros(1, 4, 17, 17), (33, 35))
    assert str(refused.value) == (
        "'deconv_matched' (kernel 3, stride 2, padding 1) brings width 17 to 33 … 34, not to 35.\n"
        "  (17 − 1)·2 − 2·1 + 3 = 33, and output padding adds at most 1.\n"
        "  try: rounding=down, if that is how the encoder's stage rounds, or decoder=deconv, which corrects."
    )
    with pytest.raises(ShapeError, match="try: a scale near 44/17, or the size of the next skip"):
        MatchedDeconv(4, 4)(torch.zeros(1, 4, 17, 17), (33, 44))


@pytest.mark.parametrize("rounding", ["both", 1.0, True])
def test_an_unknown_rounding_is_answered_with_those_that_are_known(rounding):
    message = re.escape(f"rounding={rounding!r} must be up or down or mixed or an int")
    with pytest.raises(ConfigError, match=message):
        MatchedDeconv(1, 1, rounding=rounding)


def test_an_unknown_operator_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown upsampler 'decov': did you mean 'deconv'"):
        create_upsampler("decov", 2, 2)


KINDS = sorted({operator_class(name).requires: name for name in reversed(OPERATORS)}.values())
"""One operator for each way of being guided: which errors there are depends on nothing else."""


@pytest.mark.parametrize("name", [*KINDS, "deconv_matched"])  # which reaches a few sizes alone
def test_under_compile_the_errors_are_the_same(name, build, guides):
    torch._dynamo.reset()
    up = build(name, 4, 6)
    compiled = torch.compile(up, backend="eager", dynamic=True)
    x = torch.zeros(2, 4, 5, 5)
    fine = guides(up, x, (10, 10))
    wrong = [
        (torch.zeros(2, 5, 5, 5), None, fine),
        (torch.zeros(4, 5, 5), None, fine),
        (torch.zeros(2, 4, 0, 5), None, fine),
        (x, (4, 10), guides(up, x, (4, 10))),
    ]
    if fine:
        other = guides(up, torch.zeros(3, 4, 5, 5), (10, 10))  # of another batch size
        wrong += [(x, (10, 10), other), (x, (10, 10), {})]
    for image, size, given in wrong:
        with pytest.raises(ShapeError) as eager:
            up(image, size, **given)
        with pytest.raises(ShapeError) as traced:
            compiled(image, size, **given)
        assert str(traced.value) == str(eager.value)
