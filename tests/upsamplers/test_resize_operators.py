from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError
from segup.surgery.operators import operator_layers
from segup.upsamplers import Bicubic, Bilinear, BilinearAdditive, MatchedDeconv, Nearest, impulse_shift
from segup.upsamplers.bilinear_additive import summands
from segup.upsamplers.resize_conv import resize

RESIZES = [Nearest, Bilinear, Bicubic]
SCALES = (2, 3, 4, 8)


def interpolated(x, scale, mode):
    return F.interpolate(x, scale_factor=float(scale), mode=mode, align_corners=None if mode == "nearest" else False)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCALES), st.integers(1, 12), st.integers(1, 12), st.sampled_from(RESIZES))
def test_the_size_in_whole_numbers_is_the_factor_exactly(scale, height, width, operator):
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    assert torch.allclose(resize(x, scale, operator.mode), interpolated(x, scale, operator.mode), atol=1e-13)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("operator", RESIZES)
def test_it_is_torchs_resize_then_the_convolution(operator, scale):
    torch.manual_seed(0)
    up = operator(3, 2, scale).double()
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    assert torch.allclose(up(x), up.conv(interpolated(x, scale, operator.mode)), atol=1e-13)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("operator", RESIZES)
def test_the_convolution_may_stand_before_the_resize(operator, scale):
    torch.manual_seed(0)
    up = operator(3, 2, scale, conv_first=True).double()
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        y = up(x)
    assert counter.get_total_flops() == 2 * 2 * 9 * 3 * 2 * 5 * 4
    assert torch.allclose(y, interpolated(up.conv(x), scale, operator.mode), atol=1e-13)
    assert up.label() == f"3×3, {operator(3, 2, scale).label()}"
    assert_layers_are_it(up, x)


def assert_layers_are_it(up, x):
    assert torch.allclose(nn.Sequential(*operator_layers(up))(x), up(x), atol=1e-13)


def test_bilinear_can_start_as_interpolation_in_either_order_and_nearest_in_one():
    x = torch.rand(1, 3, 5, 4, dtype=torch.float64)
    up = Bilinear(3, 3, conv_first=True, init="interpolate").double()
    assert torch.allclose(up(x), interpolated(x, 2, "bilinear"), atol=1e-13)
    with pytest.raises(
        ConfigError, match="cannot start with init='interpolate' and conv_first=True: .*\n  try: conv_f"
    ):
        Nearest(3, 3, conv_first=True, init="interpolate")


@pytest.mark.parametrize("operator", RESIZES)
def test_a_resize_alone_is_a_layer_and_has_no_convolution_that_could_come_first(operator):
    assert_layers_are_it(operator(3, 3, kernel_size=None), torch.rand(1, 3, 5, 4, dtype=torch.float64))
    with pytest.raises(ConfigError, match="conv_first=True says where .*\n  try: kernel_size=3, or conv_first=False"):
        operator(3, 2, kernel_size=None, conv_first=True)


@pytest.mark.parametrize("operator", RESIZES)
def test_a_1x1_convolution_is_done_at_the_low_resolution_with_the_same_result(operator):
    torch.manual_seed(0)
    up = operator(3, 2, 4, kernel_size=1).double()
    torch.nn.init.normal_(up.conv.bias)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter:
        y = up(x)
    assert counter.get_total_flops() == 2 * 2 * 3 * 2 * 5 * 4
    assert torch.allclose(y, up.conv(interpolated(x, 4, operator.mode)), atol=1e-13)


@pytest.mark.parametrize("operator", RESIZES)
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_parameters_are_those_of_the_formula(operator, kernel_size):
    up = operator(8, 6, kernel_size=kernel_size)
    assert sum(p.numel() for p in up.parameters()) == kernel_size**2 * 8 * 6 + 6


@pytest.mark.parametrize("operator", RESIZES)
@pytest.mark.parametrize("kernel_size", [0, 2, 3.0])
def test_kernels_that_would_shift_are_refused(operator, kernel_size):
    with pytest.raises(
        ConfigError, match=f"'{operator.name}': kernel_size={kernel_size} must be an odd int.*\n  try: kernel_size="
    ):
        operator(2, 2, kernel_size=kernel_size)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("operator", RESIZES)
def test_an_impulse_stays_centred(operator, scale):
    up = operator(1, 1, scale).double()
    torch.nn.init.dirac_(up.conv.weight)
    assert_centred(up, scale)


@pytest.mark.parametrize("scale", SCALES)
def test_an_additive_impulse_stays_centred(scale):
    assert_centred(BilinearAdditive(1, 1, scale).double(), scale)


def assert_centred(up, scale):
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[..., 3, 5] = 1
    y = up(x)[0, 0]
    places = (torch.arange(9 * scale, dtype=torch.float64) + 0.5) / scale - 0.5
    centre = torch.stack(((y.sum(1) * places).sum(), (y.sum(0) * places).sum())) / y.sum()
    assert torch.allclose(centre, torch.tensor([3.0, 5.0]).double(), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCALES), st.integers(1, 9), st.integers(1, 9), st.sampled_from([Bilinear, Bicubic]))
def test_with_align_corners_pixel_scale_i_lies_on_cell_i_and_edges_repeat(scale, height, width, operator):
    up = operator(2, 2, scale, kernel_size=None, align_corners=True).double()
    x = torch.randn(1, 2, height, width, dtype=torch.float64)
    y, reached = up(x), [scale * (side - 1) + 1 for side in x.shape[-2:]]
    theirs = F.interpolate(x, size=reached, mode=operator.mode, align_corners=True)
    assert torch.allclose(y[..., : reached[0], : reached[1]], theirs, atol=1e-12)
    assert torch.allclose(y[..., ::scale, ::scale], x, atol=1e-12)
    wide = F.pad(x, (4, 4, 4, 4), mode="replicate")  # whose own edges are out of sight
    size = [scale * (side - 1) + 1 for side in wide.shape[-2:]]
    seen = [slice(4 * scale, 4 * scale + scale * side) for side in x.shape[-2:]]
    whole = F.interpolate(wide, size=size, mode=operator.mode, align_corners=True)
    assert torch.allclose(y, whole[..., seen[0], seen[1]], atol=1e-12)
    for size in range(reached[0], scale * height + 1):
        assert torch.equal(up(x, size=(size, reached[1])), y[..., :size, : reached[1]])
        assert up.correction == (0, 0)
    strict = operator(2, 2, scale, align_corners=True, fit="strict")
    assert strict.span(height) == (reached[0], scale * height)
    assert MatchedDeconv(2, 2, scale, rounding="up").span(height) == strict.span(height)


@pytest.mark.parametrize("scale", SCALES)
def test_align_corners_has_the_grid_of_a_matched_transposed_convolution(scale):
    up = Bilinear(2, 2, scale, kernel_size=None, align_corners=True).double()
    matched = MatchedDeconv(2, 2, scale, rounding="up", init="bilinear").double()
    with torch.no_grad():  # each channel by itself
        one = matched.conv.weight.abs().amax((0, 1))
        matched.conv.weight.copy_(torch.eye(2)[..., None, None] * one / one.amax())
    x = torch.randn(1, 2, 5, 6, dtype=torch.float64)
    size = (4 * scale + 1, 5 * scale + 1)
    assert torch.allclose(up(x, size=size), matched(x, size=size), atol=1e-12)
    assert up.shift == matched.shift == -Fraction(scale - 1, 2)
    assert impulse_shift(up) == pytest.approx(2 * [float(up.shift)])
    assert up.label() == f"bilinear ×{scale} shift {up.shift}px alone"


@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("conv_first", [False, True])
def test_align_corners_takes_the_convolution_on_either_side(kernel_size, conv_first):
    torch.manual_seed(0)
    up = Bilinear(3, 2, kernel_size=kernel_size, conv_first=conv_first, align_corners=True).double()
    alone = Bilinear(2, 2, kernel_size=None, align_corners=True)
    x = torch.randn(1, 3, 5, 4, dtype=torch.float64)
    after = up.conv(Bilinear(3, 3, kernel_size=None, align_corners=True)(x))
    assert torch.allclose(up(x), alone(up.conv(x)) if conv_first else after, atol=1e-12)


@pytest.mark.parametrize(
    ("operator", "options", "message"),
    [
        (Nearest, {}, r"unknown option of 'nearest' 'align_corners'"),
        (Bilinear, {"scale": Fraction(3, 2)}, r"'bilinear' multiplies by 3/2: align_corners=True is for whole scales"),
        (Bilinear, {"init": "interpolate"}, r"its pixels lie 1/2 before the grid of .*\n  try: init=he, or align_corn"),
    ],
)
def test_align_corners_is_refused_where_it_has_no_grid_of_its_own(operator, options, message):
    with pytest.raises(ConfigError, match=message):
        operator(4, 2, align_corners=True, **options)


def test_align_corners_is_no_run_of_layers():
    with pytest.raises(ConfigError, match="repeats the last cell at the edge .align_corners=True"):
        operator_layers(Bilinear(4, 2, align_corners=True))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("operator", [*RESIZES, BilinearAdditive])
def test_a_constant_shows_no_checkerboard(operator, scale):
    torch.manual_seed(0)
    y = operator(6, 4, scale).double()(torch.ones(1, 6, 5, 5, dtype=torch.float64))[..., 2:-2, 2:-2]
    assert torch.allclose(y, y[..., :1, :1].expand_as(y), atol=1e-12)


@pytest.mark.parametrize(("into", "out"), [(8, 8), (8, 4), (8, 2), (8, 1), (6, 2)])
@pytest.mark.parametrize("scale", [2, 3])
def test_additive_sums_neighbouring_channels_of_the_resized_map(into, out, scale):
    """Wojna et al., arXiv 1707.05847: no parameters where the channels divide."""
    torch.manual_seed(0)
    x = torch.randn(2, into, 5, 4, dtype=torch.float64)
    up = BilinearAdditive(into, out, scale).double()
    n = into // out
    resized = interpolated(x, scale, "bilinear")
    theirs = torch.stack([resized[:, c * n : (c + 1) * n].sum(1) for c in range(out)], dim=1)
    assert torch.allclose(up(x), theirs, atol=1e-12)
    assert not list(up.parameters())


@pytest.mark.parametrize(("into", "out", "n"), [(20, 8, 2), (8, 6, 1), (4, 8, 1), (15, 4, 3), (7, 2, 1), (12, 5, 2)])
def test_additive_brings_other_channels_to_size_by_a_convolution(into, out, n):
    torch.manual_seed(0)
    up = BilinearAdditive(into, out).double()
    x = torch.randn(2, into, 5, 4, dtype=torch.float64)
    assert up.summands == summands(into, out) == n
    sums = interpolated(x, 2, "bilinear").unflatten(1, (into // n, n)).sum(2)
    assert torch.allclose(up(x), up.project(sums), atol=1e-12)
    assert sum(p.numel() for p in up.parameters()) == into // n * out + out


@given(st.integers(1, 400), st.integers(1, 400))
def test_as_many_summands_as_leave_enough_sums(into, out):
    n = summands(into, out)
    enough = [m for m in range(1, into + 1) if into % m == 0 and into // m >= out]
    assert n == max(enough, default=1)
    if into % out == 0:
        assert n == into // out


@pytest.mark.parametrize("operator", RESIZES)
def test_macs_are_those_of_the_convolution(operator):
    assert macs(operator(8, 6, 3), torch.zeros(1, 8, 5, 4)) == 20 * 9 * 9 * 8 * 6


def test_additive_macs_are_those_of_its_convolution_at_low_resolution():
    assert macs(BilinearAdditive(8, 4), torch.zeros(1, 8, 5, 4)) == 0
    assert macs(BilinearAdditive(20, 8), torch.zeros(1, 20, 5, 4)) == 20 * 10 * 8


def macs(up, *arguments, **guides):
    with FlopCounterMode(display=False) as counter:
        up(*arguments, **guides)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("operator", RESIZES)
def test_without_a_kernel_it_is_torchs_resize_alone(operator, scale):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    up = operator(3, 3, scale, kernel_size=None)
    assert not list(up.parameters())
    assert torch.allclose(up(x), interpolated(x, scale, operator.mode), atol=1e-13)
    assert up.label() == f"{operator.name} ×{scale} alone"
    assert up.convex == (operator is not Bicubic)
    other = operator(3, 2, scale, kernel_size=None).double()
    assert torch.allclose(other(x), interpolated(other.conv(x), scale, operator.mode), atol=1e-13)
    assert sum(p.numel() for p in other.parameters()) == 3 * 2 + 2
    assert (other.label(), other.convex) == (f"1×1, {operator.name} ×{scale}", False)


def test_a_kernel_is_odd_or_none():
    message = (
        "kernel_size=2 must be an odd int or None: an even kernel shifts the map by half a pixel\n  try: kernel_size"
    )
    with pytest.raises(ConfigError, match=message):
        Bilinear(2, 2, kernel_size=2)


def test_a_resize_alone_starts_as_what_it_is():
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(Bilinear(3, 3, kernel_size=None, init="interpolate")(x), interpolated(x, 2, "bilinear"))
    with pytest.raises(ConfigError, match="'nearest'.*takes a kernel of at least 3: one of 1"):
        Nearest(3, 3, kernel_size=None, init="interpolate")
