import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError, ShapeError
from segup.shapes import cost
from segup.upsamplers import Bilinear, Deconv, MatchedDeconv, PixelShuffleConv, create_upsampler, overlap_counts


@pytest.mark.parametrize(
    ("up", "parameters"),
    [
        (Deconv(8, 6), 16 * 8 * 6 + 6),
        (Deconv(8, 6, kernel_size=2), 4 * 8 * 6 + 6),
        (MatchedDeconv(8, 6), 9 * 8 * 6 + 6),
        (Bilinear(8, 6), 9 * 8 * 6 + 6),
        (PixelShuffleConv(8, 6), 4 * (9 * 8 * 6 + 6)),
        (PixelShuffleConv(8, 6, 3, kernel_size=1), 9 * (8 * 6 + 6)),
    ],
)
def test_parameters_are_those_of_the_formula(up, parameters):
    assert sum(p.numel() for p in up.parameters()) == parameters


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_deconv_is_one_transposed_convolution_on_the_grid(scale):
    up = Deconv(2, 2, scale)
    assert (overlap_counts(up.kernel_size, scale).unique().numel() == 1) == (scale % 2 == 0)  # as the docstring says
    assert overlap_counts(Deconv(2, 2, scale, kernel_size=3 * scale).kernel_size, scale).unique().tolist() == [9]
    assert Deconv(2, 2, scale, kernel_size=3 * scale).arithmetic.out(5) == 5 * scale
    assert up.arithmetic.out(5) == 5 * scale
    assert up.conv.output_padding == (0, 0)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_a_row_beyond_the_grid_is_the_operators_own_to_give_or_to_keep(kernel_size):
    """An odd difference of kernel and scale overshoots by one row: cutting it from 2h is not a correction."""
    torch.manual_seed(0)
    up = Deconv(2, 2, kernel_size=kernel_size)
    x = torch.randn(1, 2, 5, 5)
    whole = up.upsample(x)
    assert up.arithmetic.out(5) == whole.shape[-1] == 11
    for size, correction in ((9, -1), (10, 0), (11, 0)):
        assert torch.equal(up(x, (size, 10)), whole[..., :size, :10])
        assert up.correction == (correction, 0)


@pytest.mark.parametrize(
    ("name", "options", "shown"),
    [
        ("carafe", {"groups": 2}, "Carafe(\n  8, 4, scale=2, fit='correct', kernel_size=5, groups=2, border='zeros'\n"),
        ("dysample", {"style": "pl"}, "8, 4, scale=2, fit='correct', style='pl', dynamic=False, groups=8\n"),
        ("deconv_matched", {"fit": "strict", "rounding": -1}, "8, 4, scale=2, fit='strict', rounding=-1\n"),
        ("sapa", {"skip_channels": 3}, "4, scale=2, skip_channels=3, fit='correct', kernel_size=5, border='zeros'\n"),
        ("nearest", {}, "8, 4, scale=2, fit='correct', kernel_size=3, conv_first=False\n"),
    ],
)
def test_a_printed_operator_tells_its_options(name, options, shown):
    assert shown in repr(create_upsampler(name, 8, 4, **options))


def test_deconv_refuses_a_kernel_with_gaps():
    with pytest.raises(ConfigError, match=r"must be an int of at least the scale, 2: .*\n  try: kernel_size=4"):
        Deconv(2, 2, kernel_size=1)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("c", range(-3, 9))
def test_the_matched_kernel_and_range_are_those_that_the_docstring_tells(scale, c):
    up = MatchedDeconv(1, 1, scale, rounding=c)
    assert up.kernel_size == 3 * scale - 2 - c or (c > 2 * scale - 2 and up.kernel_size in (scale, scale + 1))
    assert up.own(20) == (scale * 20 - c, scale * 20 - c + scale - 1)
    x = torch.zeros(1, 1, 20, 20)
    if 0 <= c < scale:
        assert up(x).shape[-2:] == (scale * 20, scale * 20)
    else:
        with pytest.raises(
            ShapeError, match=f"brings height 20 to {up.own(20)[0]} … {up.own(20)[1]}, not to {scale * 20}"
        ):
            up(x)


ROUNDINGS = ["up", "down", 1, -1, -5]


def twin_of(up):
    """Return torch's own layer with the weights of a matched one, and no output padding of its own."""
    twin = torch.nn.ConvTranspose2d(up.in_channels, up.out_channels, up.kernel_size, up.scale, up.padding).double()
    twin.load_state_dict(up.conv.state_dict())
    return twin


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_matched_deconv_is_torchs_with_output_size(rounding, scale):
    """Equal to the last bit on integer-valued tensors, for every size that can be reached."""
    torch.manual_seed(0)
    up = MatchedDeconv(3, 2, scale, rounding=rounding).double()
    up.conv.weight.data = torch.randint(-4, 5, up.conv.weight.shape).double()
    up.conv.bias.data = torch.randint(-4, 5, up.conv.bias.shape).double()
    twin = twin_of(up)
    for low in (1, 2, 5):
        x = torch.randint(-4, 5, (2, 3, low, low + 1)).double()
        for size in up.arithmetic.reachable(low):
            for other in (up.arithmetic.reachable(low + 1)[0], up.arithmetic.reachable(low + 1)[-1]):
                assert torch.equal(up(x, (size, other)), twin(x, output_size=(size, other)))
                assert up.correction == (0, 0)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_matched_deconv_is_torchs_for_real_numbers_too(rounding, scale):
    torch.manual_seed(0)
    up = MatchedDeconv(3, 2, scale, rounding=rounding).double()
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    for size in up.arithmetic.reachable(4):
        target = (size, up.arithmetic.reachable(6)[0])
        torch.testing.assert_close(up(x, target), twin_of(up)(x, output_size=target), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_matched_deconv_reaches_every_size_that_its_stage_makes_the_input_of(rounding, scale):
    up = MatchedDeconv(1, 1, scale, rounding=rounding)
    offset = {"up": scale - 1, "down": 0}.get(rounding, rounding)
    for size in range(1, 90):
        low = (size + offset) // scale
        if low >= 1:
            assert up.reach(low, size) == size
            with pytest.raises(ShapeError):
                up.reach(low + 1, size)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_no_row_of_a_matched_deconv_holds_bias_alone(rounding, scale):
    up = MatchedDeconv(1, 1, scale, rounding=rounding)
    for size in up.arithmetic.reachable(5):
        assert not list(up.arithmetic.unwritten(5, size))


def test_mixed_rounding_corrects_below_the_grid_alone():
    up = MatchedDeconv(1, 1, 4, rounding="mixed")
    assert (up.span(5), up.own(5)) == ((17, 23), (20, 23))
    for size in range(17, 24):
        up(torch.zeros(1, 1, 5, 5), (size, 20))
        assert up.correction == (min(0, size - 20), 0)


@pytest.mark.parametrize(
    "up",
    [
        *(Deconv(6, 4, s, kernel_size=k) for s, k in ((2, None), (2, 2), (2, 5), (3, None), (8, None))),
        *(MatchedDeconv(6, 4, 2, rounding=r) for r in ("up", "down")),
    ],
    ids=lambda up: up.label(),
)
def test_multiply_accumulates_are_those_of_the_calculus_and_of_torch(up):
    expected = cost(up.arithmetic, (5, 7), 6, 4)
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 6, 5, 7))
    assert counter.get_total_flops() == 2 * expected.macs
    assert sum(p.numel() for p in up.parameters()) == expected.parameters


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("scale", [2, 3])
def test_those_of_resize_and_shuffle_are_the_formulas(scale, kernel_size):
    """Where each weight is used: at high resolution after a resize, unless it is 1×1; at low before a shuffle."""
    for operator, times in ((Bilinear, 1 if kernel_size == 1 else scale**2), (PixelShuffleConv, scale**2)):
        up = operator(6, 4, scale, kernel_size=kernel_size)
        with FlopCounterMode(display=False) as counter:
            up(torch.zeros(1, 6, 5, 7))
        assert counter.get_total_flops() == 2 * 5 * 7 * times * kernel_size**2 * 6 * 4


def test_bilinear_resizes_by_the_factor_and_not_to_the_size():
    torch.manual_seed(0)
    up = Bilinear(3, 3, kernel_size=1).double()
    x = torch.randn(1, 3, 16, 16, dtype=torch.float64)
    resized = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(up(x, (31, 31)), up.conv(resized)[..., :31, :31])
    stretched = F.interpolate(x, size=(31, 31), mode="bilinear", align_corners=False)
    assert not torch.allclose(up(x, (31, 31)), up.conv(stretched), atol=1e-2)


@pytest.mark.parametrize("operator", [Bilinear, PixelShuffleConv])
@pytest.mark.parametrize("kernel_size", [0, 2, 3.0])
def test_even_kernels_are_refused(operator, kernel_size):
    with pytest.raises(ConfigError, match=f"kernel_size={kernel_size} must be an odd int"):
        operator(2, 2, kernel_size=kernel_size)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_icnr_starts_as_nearest_upsampling_of_one_convolution(scale):
    torch.manual_seed(0)
    up = PixelShuffleConv(3, 2, scale)
    x = torch.randn(1, 3, 6, 6)
    one = F.conv2d(x, up.conv.weight[:: scale**2], up.conv.bias[:: scale**2], padding=1)
    assert torch.allclose(up(x), F.interpolate(one, scale_factor=scale, mode="nearest"), atol=1e-6)


@pytest.mark.parametrize(
    "up", [Deconv(64, 64, init="he"), MatchedDeconv(64, 64, init="he"), Bilinear(64, 64), PixelShuffleConv(64, 64)]
)
def test_the_variance_of_a_rectified_input_is_kept_at_the_start(up):
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 16).relu()
    ratio = up(x)[..., 4:-4, 4:-4].var() / (2 * x.square().mean())
    # Bilinear averages neighbours before it convolves, which loses variance by design.
    assert 0.3 < ratio < 1.3
