"""check_sizes against models that prove, fail, lie and resist; real runs on the CPU are the reference."""

import contextlib
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.inspection import check_sizes
from segup.inspection.check import look_through
from segup.inspection.spread import spread


class Small(nn.Module):
    """Layers for the functions below, which are its forward."""

    def __init__(self, forward):
        super().__init__()
        self.function = forward
        self.keep = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 4, 4, 2, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.function(self, x)


def straight(m, x):
    return m.up(m.down(m.keep(x)))


def resized_back(m, x):
    return F.interpolate(m.down(m.keep(x)), size=x.shape[-2:], mode="bilinear")


def half_and_double(m, x):
    height, width = x.shape[-2:]
    return F.interpolate(m.keep(x), size=(height // 2 * 2, width // 2 * 2))


def skip_that_must_fit(m, x):
    y = m.keep(x)
    return torch.cat([y, m.up(m.down(y))], 1)


def skip_by_output_size(m, x):
    y = m.keep(x)
    return torch.cat([y, m.up(m.down(y), output_size=y.shape[-2:])], 1)


def skip_padded_to_fit(m, x):
    a = m.keep(x)
    b = m.up(m.down(a))
    dy, dx = a.size(2) - b.size(2), a.size(3) - b.size(3)
    return torch.cat([a, F.pad(b, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])], 1)


def padded_by_modulo(m, x):
    height, width = x.shape[-2:]
    return straight(m, F.pad(x, (0, -width % 2, 0, -height % 2)))[..., :height, :width]


def cropped_at_500(m, x):
    return m.keep(x)[:, :, :500]


def pooled_twice(m, x):
    return F.interpolate(F.max_pool2d(F.avg_pool2d(m.keep(x), 2), 2), scale_factor=4)


def attention(m, x):
    y = m.keep(x)
    n, c, h, w = y.shape
    tokens = y.flatten(2).transpose(1, 2)
    return F.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2).reshape(n, c, h, w)


def shuffled(m, x):
    return F.pixel_shuffle(F.pixel_unshuffle(x, 4), 4)


def in_place(m, x):
    y = m.keep(x)
    y += 1
    y.relu_()
    y[:, :, 0] = 0
    return y.mul_(2)


def reflected(m, x):
    return F.max_pool2d(F.pad(x, (3, 3, 3, 3), mode="reflect"), 7, stride=1)


def one_axis_only(m, x):
    return F.interpolate(F.avg_pool2d(m.keep(x), (2, 1)), scale_factor=(2, 1))


def new_tensor(m, x):
    return torch.zeros(1, 2, *x.shape[2:])


def expanded_by_a_mixed_list(m, x):
    y = m.keep(x)
    return y[:, :, -1:].expand([-1, -1, x.shape[2], -1])


def gated(m, x):
    y = m.keep(x)
    return y * F.adaptive_avg_pool2d(y, 1).sigmoid()


def catches(m, x):
    try:
        return skip_that_must_fit(m, x)
    except RuntimeError:
        return m.keep(x)


def resizes_by_a_half(m, x):
    return F.interpolate(F.interpolate(m.keep(x), scale_factor=(1.5, 0.25)), scale_factor=(2, 4.0))


PROVED = {
    resizes_by_a_half: (False, 4),
    straight: (False, 2),
    resized_back: (True, 1),
    half_and_double: (False, 2),
    skip_that_must_fit: (False, 2),
    skip_by_output_size: (False, 2),
    skip_padded_to_fit: (True, 1),
    padded_by_modulo: (True, 1),
    cropped_at_500: (False, 1),
    pooled_twice: (False, 4),
    attention: (True, 1),
    shuffled: (False, 4),
    in_place: (True, 1),
    reflected: (False, 1),
    one_axis_only: (False, 2),
    new_tensor: (True, 1),
    gated: (True, 1),
    expanded_by_a_mixed_list: (True, 1),
}


def truly_holds(model, axis, size, other=64):
    shape = (size, other) if axis == 0 else (other, size)
    try:
        with torch.no_grad():
            out = model.eval()(torch.zeros(1, 3, *shape))
    except (RuntimeError, ValueError):
        return False
    return out.shape[2 + axis] == size


def is_empty(model, size):
    try:
        with torch.no_grad():
            return model.eval()(torch.zeros(1, 3, size, 64)).numel() == 0
    except (RuntimeError, ValueError):
        return False


@pytest.mark.parametrize("forward", PROVED, ids=lambda f: f.__name__)
def test_what_is_proved_is_what_the_cpu_does_at_sizes_never_run(forward):
    model = Small(forward)
    report = check_sizes(model)
    always, period = PROVED[forward]
    assert (report.verdict, report.always, report.period) == ("proved", always, period), str(report)
    large = () if forward is attention else (99, 100, 301, 498, 499, 500, 501, 502, 503, 640)  # which needs gigabytes
    for size in (*range(1, 41), *large):
        for axis in (0, 1):
            assert report.axes[axis].holds(size) == truly_holds(model, axis, size), (axis, size)


def branches(m, x):
    y = m.keep(x)
    return y[:, :, 1:] if x.shape[2] > 500 else y


def branches_on_parity(m, x):
    y = m.keep(x)
    return y[:, :, :-1] if x.shape[2] % 2 else y


def rounds_through_a_float(m, x):
    height, width = x.shape[-2:]
    return F.interpolate(m.down(m.keep(x)), size=(int(height / 2) * 2, int(width / 2) * 2))


def pads_through_a_float(m, x):
    height, width = x.shape[-2:]
    padded = F.pad(x, (0, math.ceil(width / 4) * 4 - width, 0, math.ceil(height / 4) * 4 - height))
    return straight(m, padded)[..., :height, :width]


def takes_the_smaller(m, x):
    return F.interpolate(m.keep(x), size=(min(x.shape[2], 500), x.shape[3]))


def looks_up(m, x):
    y = m.keep(x)
    return y[:, :, 1:] if x.shape[2] in {300, 301} else y


def reads_text(m, x):
    y = m.keep(x)
    return y[:, :, 1:] if str(x.shape[2]).endswith("77") else y


def loops(m, x):
    y = m.keep(x)
    for _ in range(x.shape[2] // 200):
        y = y[:, :, 1:]
    return y


def asks_for_the_type(m, x):
    y = m.keep(x)
    return y if type(x.shape[2]) is int else y[:, :, 1:]


def counts(m, x):
    y = m.keep(x)
    return y[:, :, 1:] if x.numel() > 10**5 else y


def asks_for_strides(m, x):
    y = m.keep(x)
    return y[:, :, 1:] if y.stride(1) > 10**5 else y


def resizes_by_a_float(m, x):
    return F.interpolate(F.interpolate(m.keep(x), scale_factor=1.4), size=x.shape[-2:])


def converts_a_size_to_a_tensor(m, x):
    y, height = m.keep(x), torch.tensor(x.shape[2])
    return y[:, :, 1:] if height > 500 else y


def repeats_by_a_list(m, x):
    y = m.keep(x)
    return torch.cat([y] * x.shape[2], 2)[:, :, : x.shape[2]]


def picks_from_a_list(m, x):
    y = m.keep(x)
    return torch.cat([y, torch.zeros(1, 4, [*[0] * 500, *[1] * 500][x.shape[2]], x.shape[3])], 2)


UNPROVED = {
    catches: "the way that the code takes at a size of one axis depends on the other",
    repeats_by_a_list: "reads a size as a plain number",
    picks_from_a_list: "reads a size as a plain number",
    branches: "branches on a size",
    branches_on_parity: "branches on a size",
    rounds_through_a_float: "divides a size into a float",
    pads_through_a_float: "divides a size into a float",
    takes_the_smaller: "branches on a size",
    looks_up: "its code was run on plain sizes",
    reads_text: "turns a size into text",
    loops: "reads a size as a plain number",
    asks_for_the_type: "asks for types",
    counts: "branches on a size",
    asks_for_strides: "'stride' is no function that the calculus knows",
    resizes_by_a_float: "a resize by the float 1.4",
    converts_a_size_to_a_tensor: "'tensor' is no function that the calculus knows",
}


@pytest.mark.parametrize("forward", UNPROVED, ids=lambda f: f.__name__)
def test_what_may_lie_is_checked_and_never_proved(forward):
    model = Small(forward)
    report = check_sizes(model)
    assert report.verdict == "checked"
    assert any(UNPROVED[forward] in reason for reason in report.reasons), report.reasons
    assert report.period is None
    assert report.holds(10**6) is None
    assert report.axes[0].sizes[:128] == tuple(range(1, 129))
    for size in (1, 2, 3, 17, 32, 76, 77, 78, 127):
        for axis in (0, 1):
            assert report.axes[axis].holds(size) == truly_holds(model, axis, size), (axis, size)


@st.composite
def chains(draw):
    parts, channels = [], 3
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["conv", "pool", "deconv", "resize", "shuffle"]))
        kernel, stride, padding = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
        if kind == "conv":
            parts.append(nn.Conv2d(channels, 4, kernel, (stride, draw(st.integers(1, 3))), padding))
            channels = 4
        elif kind == "pool":
            parts.append(nn.MaxPool2d(kernel, stride, min(padding, kernel // 2), ceil_mode=draw(st.booleans())))
        elif kind == "deconv":
            parts.append(nn.ConvTranspose2d(channels, 4, kernel, stride, padding, draw(st.integers(0, stride - 1))))
            channels = 4
        elif kind == "resize":
            parts.append(nn.Upsample(scale_factor=draw(st.integers(1, 3)), mode="nearest"))
        else:
            parts += [nn.Conv2d(channels, 16, 1), nn.PixelShuffle(2)]
            channels = 4
    return nn.Sequential(*parts)


@settings(max_examples=25, deadline=None)
@given(chains())
def test_random_chains_are_proved_as_the_cpu_does_them(model):
    assume(not any(is_empty(model, size) for size in range(1, 9)))  # torch gives no rows there, where segup refuses
    report = check_sizes(model, in_channels=3)
    if report.other is None:  # the layers refuse every square that was tried
        assert not truly_holds(model, 0, 64)
        return
    assert report.verdict == "proved", str(report)
    for size in (*range(1, 20), 37, 61, 90):
        for axis in (0, 1):
            assert report.axes[axis].holds(size) == truly_holds(model, axis, size, report.other), (axis, size)


def refuses_a_band(m, x):
    if 40 <= x.shape[2] <= 50:
        raise RuntimeError(f"not {x.shape[2]}")
    return m.keep(x)


def test_a_band_of_refused_sizes_is_found_with_its_message():
    report = check_sizes(Small(refuses_a_band))
    assert [failure.size for failure in report.failures] == list(range(40, 51))
    assert str(report.first_failure) == "height 40: the model's own forward: RuntimeError: not 40"
    assert (report.verdict, report.always, report.holds((39, 64)), report.holds((45, 64))) == (
        "checked",
        False,
        True,
        False,
    )


def test_a_pair_that_was_not_run_is_not_answered_without_a_proof():
    """Height and width are varied one at a time: (3, 3) was neither run nor proved, and this model refuses it."""

    def rows_of_four(m, x):
        y = m.keep(x)
        return y.reshape(1, 4, -1, 4).reshape(y.shape)

    report = check_sizes(Small(rows_of_four))
    assert report.verdict == "checked"
    assert "'reshape' is called in a way that the calculus does not follow" in report.reasons[0]
    assert (report.holds((3, 64)), report.holds((64, 3)), report.holds((3, 3))) == (True, True, None)
    assert (report.holds(3), report.holds(10**6)) == (True, None)


def test_a_size_that_changes_the_other_axis_fails():
    """At an odd width the sum fails, and the way around it cuts a row: the width is right and the height is not."""

    def cuts_a_row_where_a_sum_fails(m, x):
        y = m.keep(x)
        try:
            return y + m.up(m.down(y))
        except RuntimeError:
            return y[:, :, 1:]

    model = Small(cuts_a_row_where_a_sum_fails)
    report = check_sizes(model)
    for size in (1, 2, 3, 33, 34):
        for axis in (0, 1):
            image = torch.zeros(1, 3, *((size, 64) if axis == 0 else (64, size)))
            assert report.axes[axis].holds(size) == (model(image).shape[2:] == image.shape[2:]) == (size % 2 == 0)
    failure = next(failure for failure in report.axes[1].failures if failure.size == 3)
    assert (failure.axis, failure.out) == ("width", None)
    assert failure.message == "the output's height becomes 63, and is 64 at another width"


class Normed(nn.Module):
    def __init__(self, norm, shrink=16):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 4, 3, shrink, 1), norm

    def forward(self, x):
        return F.interpolate(self.norm(self.down(x)), size=x.shape[-2:])


@pytest.mark.parametrize(
    ("norm", "training", "words"),
    [
        (nn.BatchNorm2d(4), True, "a batch norm in training"),
        (nn.InstanceNorm2d(4), False, "an instance norm"),
        (nn.GroupNorm(4, 4), False, "a group norm"),
    ],
)
@pytest.mark.parametrize("shrink", [1, 16, (16, 3)])
def test_norms_that_refuse_one_value_are_proved_but_for_the_pairs_that_they_refuse(norm, training, words, shrink):
    model = Normed(norm, shrink)
    report = check_sizes(model, training=training)
    assert (report.verdict, report.always) == ("proved", False), str(report)
    model.train(training)
    pairs = [(h, w) for h in (1, 2, 3, 4, 15, 16, 17, 40) for w in (1, 2, 3, 4, 16, 17, 33)]
    for pair in pairs:
        assert report.holds(pair) == gives_back(model, pair), pair
    assert not report.holds((1, 1))
    assert report.holds((1, 64))
    assert report.holds(1)
    square = next(n for n in range(1, 64) if gives_back(model, (n, n)))
    assert report.min_size == square
    failure = report.first_failure
    assert str(failure) == f"height and width 1: layer 'norm': {words} needs more than one value"
    (refused,) = report.as_dict()["refused"]
    assert [range(*refused[name]["below"][0]).stop for name in ("heights", "widths")] == (
        list(shrink) if isinstance(shrink, tuple) else [shrink] * 2
    )


def gives_back(model, size):
    try:
        with torch.no_grad():
            return tuple(model(torch.zeros(1, 3, *size)).shape[2:]) == size
    except ValueError:
        return False


def test_the_report_says_which_images_are_refused_for_both_sizes():
    words = "whose height and width are both among 1 … 16: layer 'norm': an instance norm needs more than one value"
    assert f"\n  but an image is refused {words}\n" in str(check_sizes(Normed(nn.InstanceNorm2d(4))))
    words = "whose height is among 1 … 16 and whose width is 1: layer 'norm'"
    assert words in str(check_sizes(Normed(nn.InstanceNorm2d(4), (16, 1))))


class Around(Normed):
    def forward(self, x):
        y = self.down(x)
        with contextlib.suppress(ValueError):
            y = self.norm(y)
        return F.interpolate(y, size=x.shape[-2:])


def test_code_that_goes_around_the_refusal_of_a_norm_is_not_proved():
    report = check_sizes(Around(nn.InstanceNorm2d(4)))
    words = "an instance norm needs more than one value, in layer 'norm', and 1×1 is taken all the same"
    assert report.reasons == (words,)


def test_a_norm_on_which_the_base_has_one_row_is_not_proved():
    """Beside a width of 64 the norm has one column: what is said of heights there is not so at larger widths."""
    report = check_sizes(Normed(nn.InstanceNorm2d(4), (4, 64)), other=64)
    assert report.verdict == "checked"
    assert any("on which height and width decide together" in reason for reason in report.reasons)


@pytest.mark.parametrize(
    ("norm", "training"),
    [
        (nn.BatchNorm2d(4), False),
        (nn.GroupNorm(2, 4), False),
        (nn.InstanceNorm2d(4, track_running_stats=True), False),
        (nn.BatchNorm2d(4, track_running_stats=False), False),
    ],
)
def test_norms_are_proved_where_one_value_is_no_matter(norm, training):
    report = check_sizes(Normed(norm), training=training)
    torch_takes_it = not (isinstance(norm, nn.BatchNorm2d) and not norm.track_running_stats)
    assert report.proved
    assert report.always == torch_takes_it
    if torch_takes_it:
        assert truly_holds(Normed(norm), 0, 1, 1)
        assert report.holds((1, 1))


def test_a_norm_of_one_row_is_refused_by_the_other_axis_alone():
    class OneRow(Normed):
        def forward(self, x):
            return F.interpolate(self.norm(F.adaptive_avg_pool2d(self.down(x), (1, None))), size=x.shape[-2:])

    model = OneRow(nn.InstanceNorm2d(4))
    report = check_sizes(model)
    assert report.proved
    for axis in (0, 1):
        for size in (1, 16, 17, 33):
            assert report.axes[axis].holds(size) == truly_holds(model, axis, size)
    assert not report.holds((64, 16))


def test_without_a_square_to_start_from_outputs_are_compared_all_the_same():
    report = check_sizes(nn.Conv2d(3, 2, 5), sizes=range(1, 9), other=4)
    assert (report.other, report.always, report.axes[0].holds(6)) == (None, False, False)
    assert report.failures[5].message == "the output has 2×2, the input 6×6"
    assert report.reasons == ("no image of 4×4 is accepted, so no axis could be varied by itself",)
    assert check_sizes(nn.Conv2d(3, 2, 5, padding=(2, 2)), sizes=range(1, 9), other=4).always
    assert report.min_size == 5


def test_the_windows_of_one_dimension_are_no_windows_of_a_map():
    def windows_of_rows(m, x):
        return F.pad(m.keep(x).unfold(2, 3, 1).mean(-1), (0, 0, 1, 1))

    model = Small(windows_of_rows)
    report = check_sizes(model)
    assert report.proved
    for size in (1, 2, 3, 4, 50):
        for axis in (0, 1):
            assert report.axes[axis].holds(size) == truly_holds(model, axis, size) == (axis == 1 or size >= 3)


@pytest.mark.parametrize("pooled", [F.avg_pool2d, F.max_pool2d], ids=["average", "largest"])
def test_one_window_as_large_as_the_map_is_followed(pooled):
    def gated(m, x):
        y = m.keep(x)
        return y * pooled(y, y.shape[-2:])

    assert check_sizes(Small(gated)).proved


def test_the_first_failure_names_the_layer_and_what_it_says():
    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2))
            self.head = nn.Upsample(scale_factor=4)

        def forward(self, x):
            return self.head(self.body(x))

    report = check_sizes(Nested())
    first = report.first_failure
    assert (first.axis, first.size, first.out, first.layer) == ("height", 1, None, "body.2")
    assert "Output size is too small" in first.message
    assert report.min_size == 3
    wrong = next(failure for failure in report.failures if failure.out is not None)
    assert (wrong.size, wrong.out, wrong.layer) == (3, 4, "head")
    assert wrong.message == "the output has 4, the input 3"


def test_a_failure_beyond_the_sizes_run_is_run_for_its_message():
    report = check_sizes(Small(cropped_at_500), sizes=range(1, 20))
    assert report.verdict == "proved"
    assert report.first_failure.size == 501
    assert report.first_failure.message == "the output has 500, the input 501"
    assert str(report).splitlines()[0] == "proved: the output has the input's size for height 1 … 500 alone"
    assert str(report).splitlines()[2] == "proved: the output has the input's size for every width"


def test_batch_norm_in_training_mode_does_not_hide_the_sizes():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4), nn.Upsample(size=(8, 8))
    )
    assert model.training
    report = check_sizes(model)
    assert [failure.out for failure in report.failures[:2]] == [8, 8]
    assert model.training
    strict = check_sizes(model, sizes=[8], training=True)
    assert strict.first_failure.layer == "2"
    assert "Expected more than 1 value per channel when training" in strict.first_failure.message


def test_a_map_is_found_in_what_the_model_gives():
    def as_dict(m, x):
        return {"aux": m.down(m.keep(x)), "out": m.keep(x)}

    def as_list(m, x):
        return [m.keep(x), m.down(m.keep(x))]

    assert check_sizes(Small(as_dict)).always
    assert not check_sizes(Small(as_dict), output="aux").always
    assert check_sizes(Small(as_list)).always
    assert not check_sizes(Small(as_list), output="1").always
    with pytest.raises(ConfigError, match="unknown output 'oud': did you mean 'out'"):
        check_sizes(Small(as_dict), output="oud")
    with pytest.raises(ConfigError, match=r"gives no map \(N, K, H, W\): \(1, 4\)"):
        check_sizes(Small(lambda m, x: m.keep(x).mean((2, 3))))


def test_a_model_of_one_size_is_found_at_that_size():
    def one_size(m, x):
        assert x.shape[-2:] == (224, 224)
        return m.keep(x)

    report = check_sizes(Small(one_size), sizes=range(200, 240))
    assert report.other == 224
    assert [size for size in range(200, 240) if report.axes[0].holds(size)] == [224]


def test_a_model_that_takes_nothing_is_reported():
    def nothing(m, x):
        raise RuntimeError("no")

    report = check_sizes(Small(nothing), sizes=[1, 2])
    assert (report.verdict, report.always, report.min_size, report.other) == ("checked", False, None, None)
    assert report.first_failure.message == "RuntimeError: no"
    assert "no square image was accepted" in str(report)


def test_values_that_choose_sizes_are_never_proved():
    report = check_sizes(Small(lambda m, x: m.keep(x) if x.mean() > 0 else m.down(m.keep(x))))
    assert (report.verdict, report.always) == ("checked", True)
    assert "the model's own forward reads the values of a tensor ('__bool__')" in report.reasons[0]


def test_wrong_sizes_are_refused():
    with pytest.raises(ShapeError, match="sizes must be an int of at least 1, not 0"):
        check_sizes(nn.Identity(), sizes=[0])
    with pytest.raises(ShapeError, match="sizes must hold at least one size"):
        check_sizes(nn.Identity(), sizes=[])
    with pytest.raises(ShapeError, match="in_channels must be an int of at least 1, not 0"):
        check_sizes(nn.Identity(), 0)
    with pytest.raises(ConfigError, match="check_sizes: in_channels='x' must be an int or None"):
        check_sizes(nn.Identity(), "x")


@pytest.mark.parametrize("size", [10**15, 10**20])
def test_sizes_beyond_what_torch_counts_are_refused(size):
    message = f"an image of {size}×64 of 3 channels is larger than any that a model is tried with: 281474976710656 "
    with pytest.raises(ShapeError, match=message):
        check_sizes(nn.Conv2d(3, 3, 1), sizes=[9, size])
    assert check_sizes(nn.Conv2d(3, 3, 1), sizes=[10**9]).verdict == "proved"


def test_a_wrong_number_of_channels_is_the_models_own_error():
    report = check_sizes(nn.Conv2d(3, 3, 1), in_channels=4, sizes=[8])
    assert "expected input[1, 4, 8, 8] to have 3 channels, but got 4" in report.first_failure.message


def test_the_report_says_it_in_words():
    assert str(check_sizes(Small(resized_back))).splitlines()[0] == (
        "proved: the output has the input's size for every height and width"
    )
    lines = str(check_sizes(Small(one_axis_only))).splitlines()
    assert lines[0] == "proved: the output has the input's size exactly for height mod 2 in {0}, from 2 on"
    assert lines[1].startswith("  first failure: height 1: the model's own forward: RuntimeError: ")
    assert lines[2] == "proved: the output has the input's size for every width"
    lines = str(check_sizes(Small(branches))).splitlines()
    assert lines[0] == "checked: the output has the input's size for every height and width that was run"
    assert lines[1] == "  Run: 1 … 128, the other axis at 64."
    assert lines[3].startswith("    - Python branches on a size (")


def test_sizes_that_are_left_out_for_time_are_counted_and_those_that_are_run_lie_evenly():
    class Unproved(nn.Module):
        def forward(self, image):
            return image if str(image.shape[-1]) else None

    whole, short = look_through(Unproved(), 3).report, look_through(Unproved(), 3, patience=-1).report
    assert [(axis.sizes, axis.left) for axis in whole.axes] == [(tuple(range(1, 129)), 0)] * 2
    assert "left out" not in str(whole)
    assert [(axis.sizes, axis.left) for axis in short.axes] == [((64,), 127)] * 2
    assert "127 sizes more were left out to save time: name those that matter" in str(short)
    first = sorted(spread(128)[:32])
    assert max(larger - size for size, larger in itertools.pairwise(first)) <= 8
