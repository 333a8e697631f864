import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import (
    checkerboard,
    checkerboard_spectrum,
    constant_response,
    create_upsampler,
    impulse_response,
    impulse_shift,
    list_upsamplers,
    overlap_counts,
)
from segup.upsamplers.contract import operator_class
from segup.upsamplers.probe import Probe, border_reach, constant_guides


def ones(kernel, stride, **options):
    up = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False, **options)
    return nn.init.ones_(up.weight) is not None and up


def share(phases):
    """The definition, by the transform itself: energy outside frequency 0, as a share of all."""
    energy = torch.fft.fft2(phases).abs().square()
    return 1 - energy[0, 0] / energy.sum()


@pytest.mark.parametrize(
    ("kernel", "stride", "interior"),
    [(3, 2, {1, 2, 4}), (5, 2, {4, 6, 9}), (6, 4, {1, 2, 4}), (4, 2, {4}), (2, 2, {1}), (7, 1, {49}), (2, 3, {0, 1})],
)
def test_published_overlaps(kernel, stride, interior):
    assert set(overlap_counts(kernel, stride).flatten().tolist()) == interior


@settings(max_examples=60, deadline=None)
@given(*(st.integers(1, 7), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)) * 2, st.integers(0, 2))
def test_overlaps_are_what_an_all_ones_kernel_makes_of_ones(kh, sh, dh, h, kw, sw, dw, w, padding):
    x = torch.ones(1, 1, h, w)
    weight = torch.ones(1, 1, kh, kw)
    expected = F.conv_transpose2d(x, weight, stride=(sh, sw), dilation=(dh, dw))[0, 0]
    options = {"dilation": (dh, dw), "size": (h, w)}
    assert torch.equal(overlap_counts((kh, kw), (sh, sw), **options), expected.long())
    if min(expected.shape) > 2 * padding:
        cut = expected[padding : len(expected) - padding, padding : expected.shape[1] - padding]
        assert torch.equal(overlap_counts((kh, kw), (sh, sw), padding=padding, **options), cut.long())


def test_overlaps_are_even_exactly_when_the_stride_divides_the_kernel():
    for kernel in range(1, 13):
        for stride in range(1, 7):
            assert (overlap_counts(kernel, stride).unique().numel() == 1) == (kernel % stride == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 0, "stride": 2}, "kernel_size=0 must be an int of 1 or more and below .*, or a "),
        ({"kernel_size": 3, "stride": 2.0}, r"stride=2.0 must be an int of 1 or more"),
        ({"kernel_size": (3, 3, 3), "stride": 2}, r"kernel_size=\(3, 3, 3\) must be an int of 1 or more"),
        ({"kernel_size": 3, "stride": 2, "size": 1, "padding": 2}, "padding=2 cuts all of the 3 pixels that size 1"),
    ],
)
def test_overlaps_of_what_is_no_layer_are_refused(arguments, message):
    with pytest.raises(ShapeError, match=message):
        overlap_counts(**arguments)


@pytest.mark.parametrize(
    ("kernel", "stride", "figure"),
    [
        (3, 2, 1 - 81 / 100),
        (5, 2, 0.0754),
        (2, 2, 0),
        (4, 2, 0),
        (6, 2, 0),
        (7, 3, None),
        (5, 4, None),
        ((3, 4), 2, None),
    ],
)
def test_all_ones_kernels_show_the_pattern_of_their_overlaps(kernel, stride, figure):
    found = checkerboard(ones(kernel, stride))
    assert found == pytest.approx(float(share(overlap_counts(kernel, stride).double())), abs=1e-12)
    if figure is not None:
        assert found == pytest.approx(figure, abs=5e-5)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("scale", [2, 3])
def test_interpolation_has_none(mode, scale):
    assert checkerboard(nn.Upsample(scale_factor=scale, mode=mode)) < 1e-20


@settings(max_examples=25, deadline=None)
@given(
    kernel=st.integers(1, 9),
    stride=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    padding=st.integers(0, 12),
    dilation=st.integers(1, 4),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_interior_is_that_of_an_endless_constant(kernel, stride, padding, dilation, bias, seed):
    """Every phase sums its own taps: what a map without borders would give, whatever kernel, padding and dilation."""
    torch.manual_seed(seed)
    extra = tuple(max(s, dilation) - 1 for s in stride)
    up = nn.ConvTranspose2d(2, 3, kernel, stride, padding, extra, bias=bias, dilation=dilation).double()
    phases = torch.zeros(3, *stride, dtype=torch.float64)
    for row in range(kernel):
        for column in range(kernel):
            place = (dilation * row - padding) % stride[0], (dilation * column - padding) % stride[1]
            phases[:, place[0], place[1]] += up.weight[:, :, row, column].detach().sum(dim=0)
    if bias:
        phases += up.bias.detach()[:, None, None]
    expected = torch.stack([share(p) for p in phases]).nan_to_num(0).mean()
    assert checkerboard(up) == pytest.approx(float(expected), abs=1e-9)


def test_a_random_kernel_shows_the_published_average():
    torch.manual_seed(0)
    figures = [checkerboard(create_upsampler("deconv", 64, 64, init="he")) for _ in range(3)]
    assert sum(figures) / 3 == pytest.approx(0.8, abs=0.05)


def test_a_channel_that_is_rounding_noise_counts_as_none():
    up = nn.ConvTranspose2d(2, 2, 4, 2, 1, bias=False)
    torch.manual_seed(0)
    with torch.no_grad():
        up.weight[1] = -up.weight[0]
        up.weight[1, 1] += ones(4, 2).weight[0, 0]
    assert checkerboard(up) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", list_upsamplers())
@pytest.mark.parametrize("scale", [2, 3])
def test_every_operator_can_be_measured_and_stays_as_it_was(name, scale):
    torch.manual_seed(0)
    guided = operator_class(name).requires & {"skip"}
    up = create_upsampler(name, 4, 4, scale, **({"skip_channels": 5} if guided else {}))
    up.correction, state = (7, 7), {key: value.clone() for key, value in up.state_dict().items()}
    draws = torch.get_rng_state()
    assert 0 <= checkerboard(up) <= 1
    response = impulse_response(up)
    assert response.shape[0] == 4
    assert response.abs().sum() > 0
    assert up.training
    assert up.correction == (7, 7)
    assert all(torch.equal(value, state[key]) for key, value in up.state_dict().items())
    assert torch.equal(torch.get_rng_state(), draws)


@pytest.mark.parametrize("name", [name for name in list_upsamplers() if operator_class(name).requires])
def test_what_guides_a_measurement_is_no_larger_than_its_result(name):
    up = create_upsampler(name, 4, 4, 8, **({"skip_channels": 5} if "skip" in operator_class(name).requires else {}))
    x = torch.ones(4, 5, 6)
    given = constant_guides(up, x)
    assert all(guide.shape[-2] <= 40 and guide.shape[-1] <= 48 for guide in given.values())
    assert up(x[None], (40, 48), **given).isfinite().all()


def test_half_precision_and_inference_mode_are_measured_as_any_other():
    torch.manual_seed(0)
    up = create_upsampler("deconv", 3, 3, kernel_size=3, init="he")
    figure = checkerboard(up)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert checkerboard(up) == figure
    up = up.bfloat16()
    rounded = checkerboard(up)
    assert rounded == checkerboard(up.float()) == pytest.approx(figure, abs=0.01)
    assert rounded != figure


def test_an_impulse_answers_with_the_kernel():
    torch.manual_seed(0)
    up = nn.ConvTranspose2d(2, 3, 5, 2, 1).double()
    response = impulse_response(up, channel=1)
    middle = border_reach(up)
    first = 2 * middle - 1
    assert torch.allclose(response[:, first : first + 5, first : first + 5], up.weight[1].detach())
    assert response.abs().sum() == pytest.approx(float(up.weight[1].detach().abs().sum()))
    both = impulse_response(up)
    assert torch.allclose(both, response + impulse_response(up, channel=0))


@pytest.mark.parametrize(
    ("up", "shift"),
    [
        (ones(4, 2, padding=1), (0, 0)),
        (ones(3, 2, padding=1), (-0.5, -0.5)),
        (ones(3, 2), (0.5, 0.5)),
        (ones((5, 4), (2, 3), padding=(1, 0)), (0.5, 0.5)),
        (nn.Upsample(scale_factor=3), (0, 0)),
        (nn.Upsample(scale_factor=4, mode="bilinear"), (0, 0)),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (0, 0)),
    ],
)
def test_an_impulse_shifts_by_what_the_kernel_and_padding_say(up, shift):
    assert impulse_shift(up) == pytest.approx(shift, abs=1e-9)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ShapeError, match=r"Conv2d makes .* that is no growth by a whole factor"):
        checkerboard(nn.Conv2d(1, 1, 3, stride=2))
    with pytest.raises(ConfigError, match="channel=3 must be one of the 3 input channels, from 0"):
        impulse_response(create_upsampler("deconv", 3, 2), channel=3)
    with pytest.raises(ShapeError, match="sums to zero: it has no centroid"):
        impulse_shift(nn.init.zeros_((up := nn.ConvTranspose2d(1, 1, 2, 2)).weight) is not None and up)

    with pytest.raises(ConfigError, match=r"an operator or another torch.nn.Module can be measured, not 'deconv'"):
        checkerboard("deconv")

    class Ramp(nn.Module):
        def forward(self, x):
            return F.interpolate(x, scale_factor=2) * torch.arange(2 * x.shape[-1])

    with pytest.raises(ShapeError, match="Ramp has no interior: what it makes of a constant differs from place to"):
        checkerboard(Ramp())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.complex64])
def test_a_precision_whose_noise_would_hide_the_pattern_is_refused(dtype):
    with pytest.raises(ConfigError, match=rf"dtype={dtype} must be torch.float32 or torch.float64\n  try: dtype="):
        checkerboard(nn.ConvTranspose2d(1, 1, 3, 2), dtype=dtype)


@pytest.mark.parametrize("channel", ["a", 1.0, True, -1])
def test_a_channel_that_is_none_is_refused(channel):
    with pytest.raises(ConfigError, match=f"channel={channel!r} must be one of the 3 input channels"):
        impulse_response(nn.ConvTranspose2d(3, 2, 2, 2), channel=channel)


@pytest.mark.parametrize(
    ("module", "channels"),
    [
        (nn.PixelShuffle(3), 9),
        (nn.Sequential(nn.Upsample(scale_factor=2), nn.BatchNorm2d(6)), 6),
        (nn.Sequential(nn.ReLU(), nn.GroupNorm(2, 4), nn.PixelShuffle(2)), 4),
        (nn.Sequential(nn.Conv2d(5, 8, 1), nn.PixelShuffle(2)), 5),
        (nn.Upsample(scale_factor=2), 1),
    ],
)
def test_the_first_layer_that_depends_on_the_channels_says_how_many(module, channels):
    assert Probe(module, None, torch.float64).in_channels == channels
    assert 0 <= checkerboard(module) <= 1


def test_a_map_that_a_module_does_not_take_is_refused_with_its_reason():
    message = r"Sequential does not take a map \(1, 4, \d+, \d+\): .*divisible by .*\n  try: in_channels=\.\.\., where"
    up = nn.Sequential(nn.PixelShuffle(2), nn.PixelShuffle(2))
    with pytest.raises(ShapeError, match=message):
        checkerboard(up)
    assert checkerboard(up, in_channels=16) == 0
    with pytest.raises(ConfigError, match="in_channels=0 must be an int of 1 or more\n  try: in_channels=1"):
        checkerboard(nn.ConvTranspose2d(3, 2, 2, 2), in_channels=0)


@pytest.mark.parametrize(("scale", "rounding"), [(2, -1), (2, 2), (3, -2), (3, 4), (2, "up"), (4, "down")])
def test_a_matched_operator_is_measured_at_a_size_that_it_reaches(scale, rounding):
    """One that inverts a stage without padding does not reach scale times its input."""
    up = create_upsampler("deconv_matched", 3, 2, scale, rounding=rounding)
    theirs = nn.ConvTranspose2d(3, 2, up.kernel_size, scale)
    theirs.load_state_dict(up.conv.state_dict())
    assert checkerboard(up) == pytest.approx(checkerboard(theirs), abs=1e-9)
    even = create_upsampler("deconv_matched", 3, 2, scale, rounding=rounding, init="bilinear")
    assert checkerboard(even) == pytest.approx(0, abs=1e-9)
    assert impulse_shift(even) == pytest.approx([float(even.shift)] * 2, abs=1e-6)
    for size, reached in zip((4, 5), constant_response(even, size=(4, 5)).shape[1:], strict=True):
        least, largest = even.span(size)
        assert least <= reached <= largest


class Hidden(nn.Module):
    """A wide kernel that no layer names: the interior has to be found by looking."""

    def __init__(self, kernel):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(1, 1, kernel, kernel, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        return F.conv_transpose2d(x, self.weight, stride=2)


def test_a_kernel_that_no_layer_names_is_found_out():
    named = nn.ConvTranspose2d(1, 1, 41, 2, bias=False)
    hidden = Hidden(41)
    named.weight.data = hidden.weight.data
    assert checkerboard(hidden) == pytest.approx(checkerboard(named), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        (name, scale)
        for name in list_upsamplers()
        for scale in (2, 4)
        if scale == 2 or "image" not in operator_class(name).requires  # these take seconds at 4, and are measured at 3
    ],
)
def test_the_spectrum_is_the_figure_spread_over_frequencies(name, scale):
    torch.manual_seed(0)
    kind = operator_class(name)
    guides = {"skip_channels": 8} if kind.requires else {}
    channels = 8 if kind.requires else 4
    up = create_upsampler(name, 8, channels, scale, **guides)
    spectrum = checkerboard_spectrum(up)
    assert spectrum.shape == (scale, scale)
    assert float(spectrum.sum()) == pytest.approx(1)
    assert float(spectrum.min()) > -1e-12
    assert 1 - float(spectrum[0, 0]) == pytest.approx(checkerboard(up), abs=1e-9)


def test_a_stripe_lies_at_its_own_frequency():
    up = nn.ConvTranspose2d(1, 1, (2, 1), 2, bias=False)  # every second column stays 0
    nn.init.ones_(up.weight)
    assert checkerboard_spectrum(up).tolist() == [[0.5, 0.5], [0, 0]]
    nn.init.zeros_(up.weight)
    assert checkerboard_spectrum(up).tolist() == [[1, 0], [0, 0]]


def test_the_constant_response_is_what_the_operator_makes_of_ones():
    up = create_upsampler("deconv", 3, 2)
    with torch.no_grad():
        expected = up.double()(torch.ones(1, 3, 5, 7, dtype=torch.float64))[0]
    assert torch.equal(constant_response(up, size=(5, 7)), expected)
    with pytest.raises(ShapeError, match="size=0 must be an int of 1 or more"):
        constant_response(up, size=0)
