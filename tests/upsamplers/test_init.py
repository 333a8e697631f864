"""How operators start: as one interpolation, with bilinear kernels, without a checkerboard."""

import inspect
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from segup.errors import ConfigError
from segup.streams import own_stream
from segup.upsamplers import Deconv, MatchedDeconv, Nearest, PixelShuffleConv, create_upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class
from segup.upsamplers.interpolation import channel_map, phase_taps, smoothing_taps, transposed_taps, triangle

SCALES = (2, 3, 4, 8)


def has_init(name):
    return "init" in inspect.signature(operator_class(name)).parameters


WITH_INIT = [name for name in list_upsamplers() if has_init(name)]
REFUSE = {"bicubic": "no convolution makes its resize bilinear", "deconv_matched": "pixels off the grid"}
"""Operators whose options know the word, and say why they cannot start so."""
CAN = [name for name in WITH_INIT if name not in REFUSE]


def options_for(name, scale):
    """Nearest upsampling needs a kernel as wide as its scale."""
    return {"kernel_size": scale + 1 - scale % 2} if name == "nearest" and scale > 3 else {}


def interpolating(build, name, in_channels, out_channels, scale):
    torch.manual_seed(3)
    return build(name, in_channels, out_channels, scale, init="interpolate", **options_for(name, scale))


def inner(y, scale):
    """The map without the rows and columns where zeros beyond the edge can be read: scale // 2 at each side."""
    edge = scale // 2
    return y[..., edge:-edge, edge:-edge]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", [*CAN, "bilinear_additive"])
def test_with_the_channels_kept_the_start_is_bilinear_interpolation(name, scale, build):
    up = build(name, 3, 3, scale) if name == "bilinear_additive" else interpolating(build, name, 3, 3, scale)
    x = torch.randn(2, 3, 5, 6)
    expected = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    torch.testing.assert_close(inner(up(x), scale), inner(expected, scale))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", CAN)
def test_operators_of_one_seed_start_as_one_function(name, scale, build):
    x = torch.randn(2, 6, 5, 6)
    torch.manual_seed(3)
    with own_stream():
        mixed = torch.einsum("oi,nihw->nohw", channel_map(6, 4), x)
    expected = F.interpolate(mixed, scale_factor=scale, mode="bilinear", align_corners=False)
    up = interpolating(build, name, 6, 4, scale)
    torch.testing.assert_close(inner(up(x), scale), inner(expected, scale), atol=1e-5, rtol=1e-4)
    other = build(name, 6, 4, scale, init="interpolate", **options_for(name, scale))
    assert not torch.allclose(up(x), other(x), atol=1e-2)  # the next draw is another one


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("name", "init"), [*((name, "interpolate") for name in CAN), ("deconv", "bilinear")])
def test_a_constant_stays_constant(name, init, scale, build):
    up = build(name, 3, 3, scale, init=init, **options_for(name, scale))
    y = inner(up(torch.full((1, 3, 5, 5), 0.7)), scale)
    torch.testing.assert_close(y, torch.full_like(y, 0.7))


@pytest.mark.parametrize("kernel_size", range(2, 9))
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bilinear_kernels_of_any_size_leave_no_checkerboard(kernel_size, scale):
    if kernel_size < scale:
        return
    up = Deconv(2, 2, scale, kernel_size=kernel_size, init="bilinear")
    y = up(torch.ones(1, 2, 9, 9))[..., 2 * scale : -2 * scale, 2 * scale : -2 * scale]
    torch.testing.assert_close(y, torch.ones_like(y))


@pytest.mark.parametrize("scale", SCALES)
def test_matched_bilinear_kernels_interpolate_on_their_own_grid(scale):
    """Rounding up, output s·h is input h, and those between lie on the line between two inputs."""
    up = MatchedDeconv(1, 1, scale, rounding="up", init="bilinear")
    x = torch.randn(1, 1, 5, 5)
    y = up(x)
    torch.testing.assert_close(y[..., ::scale, ::scale], x)
    between = (x[..., :-1, :] * (scale - 1) + x[..., 1:, :]) / scale
    torch.testing.assert_close(y[..., 1 : -scale + 1 : scale, ::scale], between)


@pytest.mark.parametrize("scale", SCALES)
def test_matched_to_rounding_down_it_starts_as_the_others(scale):
    torch.manual_seed(3)
    up = MatchedDeconv(6, 4, scale, rounding="down", init="interpolate")
    torch.manual_seed(3)
    twin = Deconv(6, 4, scale, init="interpolate")
    x = torch.randn(1, 6, 5, 4)
    torch.testing.assert_close(inner(up(x), scale), inner(twin(x), scale))


def centroid(y):
    y = y.detach()
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in y.shape[-2:]), indexing="ij")
    return [float((y * place).sum() / y.sum()) for place in (rows, columns)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", CAN)
def test_an_impulse_stays_where_it_was(name, scale, build):
    """On the grid of align_corners=False, input i has its centre at output scale·i + (scale − 1)/2."""
    up = interpolating(build, name, 1, 1, scale)
    x = torch.zeros(1, 1, 7, 9)
    x[..., 3, 4] = 1
    expected = [scale * i + (scale - 1) / 2 for i in (3, 4)]
    assert centroid(up(x)) == pytest.approx(expected, abs=1e-4)
    assert centroid(up(x, (7 * scale - 1, 9 * scale + 1))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    "up",
    [
        *(Deconv(1, 1, s, kernel_size=k) for s in (2, 3, 4) for k in range(s, 8)),
        *(MatchedDeconv(1, 1, s, rounding=r) for s in SCALES for r in ("up", "down", "mixed", 1, -1, -3)),
    ],
    ids=lambda up: up.label(),
)
def test_the_label_tells_by_how_much_a_kernel_shifts(up):
    """An impulse through all-ones kernels has its centroid where the kernel has its centre."""
    torch.nn.init.ones_(up.conv.weight)
    x = torch.zeros(1, 1, 9, 9)
    x[..., 4, 4] = 1
    shift = centroid(up.upsample(x))[0] - (4 * up.scale + (up.scale - 1) / 2)
    assert shift == pytest.approx(float(up.shift))
    assert up.label().endswith(f"shift {up.shift}px") == (shift != 0)


def test_the_half_pixel_of_k3_s2_p1_is_said():
    up = MatchedDeconv(1, 1, 2, rounding="up")
    assert up.label() == "deconv_matched k3 s2 p1 shift -1/2px"
    assert "half a pixel" in MatchedDeconv.__doc__


OWN = (
    "anyup", "bicubic", "bilinear", "bilinear_additive", "carafe", "deconv", "deconv_matched", "dysample", "fade",
    "freqfusion", "jbu", "max_unpool", "naf", "nearest", "pixel_shuffle", "sapa", "uplift",
)  # fmt: skip
"""What segup's own operators say of their start; a newcomer's need not."""


@pytest.mark.parametrize("name", OWN)
def test_an_operator_starts_as_the_interpolation_or_its_docstring_says_why_not(name):
    says = " ".join((operator_class(name).__doc__ or "").split())
    if name in CAN:
        assert "interpolat" in says or "init" in inspect.signature(operator_class(name)).parameters
    else:
        reasons = (
            'It has no ``init="interpolate"``',
            'It refuses ``init="interpolate"``:',
            "It cannot start as an interpolation",
        )
        assert any(reason in says for reason in reasons)


@pytest.mark.parametrize("name", REFUSE)
def test_a_start_that_cannot_be_is_refused_with_the_reason(name, build):
    with pytest.raises(ConfigError, match=REFUSE[name]):
        build(name, init="interpolate")


FRACTIONS = [name for name in WITH_INIT if operator_class(name).takes_fractions]


@pytest.mark.parametrize("conv_first", [False, True])
@pytest.mark.parametrize("kernel_size", [None, 1, 3, 5])
@pytest.mark.parametrize("name", FRACTIONS)
def test_by_a_fraction_an_operator_starts_as_the_interpolation_or_is_refused_with_a_way_out(
    name, kernel_size, conv_first
):
    """The resize of bilinear is the interpolation; no convolution makes one of pixels that repeat unevenly."""
    options = {"kernel_size": kernel_size, "conv_first": conv_first}
    x, scale = torch.randn(1, 3, 8, 10), Fraction(7, 2)
    expected = F.interpolate(x, (28, 35), mode="bilinear")
    if name == "bilinear" and not (conv_first and kernel_size is None):
        up = create_upsampler(name, 3, 3, scale, init="interpolate", **options)
        torch.testing.assert_close(inner(up(x), 7), inner(expected, 7))
        return
    with pytest.raises(ConfigError, match=r"\n  try: ") as refused:
        create_upsampler(name, 3, 3, scale, init="interpolate", **options)
    if conv_first and kernel_size is None:
        return
    assert str(refused.value) == (
        f"'{name}' cannot start with init='interpolate': no convolution makes its resize bilinear.\n"
        f"  try: init=he, or decoder=bilinear."
    )
    assert create_upsampler(name, 3, 3, scale, init="he", **options)(x).shape == expected.shape


@pytest.mark.parametrize("name", WITH_INIT)
def test_an_unknown_start_is_answered_with_those_that_are_known(name, build):
    with pytest.raises(ConfigError, match=f"'{name}': init='interpolat' is unknown.*known: "):
        build(name, init="interpolat")


def test_kernels_too_small_to_interpolate_are_refused_with_the_size_that_is_needed():
    for refused, needed in (
        (lambda: Deconv(2, 2, kernel_size=3, init="interpolate"), 4),
        (lambda: Deconv(2, 2, 8, kernel_size=15, init="interpolate"), 16),
        (lambda: PixelShuffleConv(2, 2, kernel_size=1, init="interpolate"), 3),
        (lambda: Nearest(2, 2, 4, init="interpolate"), 5),
    ):
        with pytest.raises(ConfigError, match=f"takes a kernel of at least {needed}.*\n  try: kernel_size={needed}"):
            refused()


@pytest.mark.parametrize("scale", range(2, 10))
def test_taps_sum_to_one_in_every_phase(scale):
    for kernel_size in range(scale, 3 * scale):
        taps = triangle(scale, kernel_size)
        assert all(taps[phase::scale].sum() == pytest.approx(1) for phase in range(scale))
        torch.testing.assert_close(taps.flip(0), taps)
    least = 2 * scale - scale % 2
    torch.testing.assert_close(transposed_taps("t", scale, least + 2)[1:-1], transposed_taps("t", scale, least))
    torch.testing.assert_close(phase_taps("t", scale, 5).sum(1), torch.ones(scale))
    assert smoothing_taps("t", scale, scale + 3 - scale % 2).sum() == pytest.approx(1)


def test_started_interpolations_learn(build):
    for name in CAN:
        up = interpolating(build, name, 6, 4, 2)
        up(torch.randn(2, 6, 5, 5)).square().sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in up.parameters())
