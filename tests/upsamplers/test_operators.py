import pytest
import torch
import torch.nn.functional as F

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import Bilinear, Deconv, MatchedDeconv, PixelShuffle


@pytest.mark.parametrize(
    ("up", "parameters"),
    [
        (Deconv(8, 6), 16 * 8 * 6 + 6),
        (Deconv(8, 6, kernel_size=2), 4 * 8 * 6 + 6),
        (MatchedDeconv(8, 6), 9 * 8 * 6 + 6),
        (Bilinear(8, 6), 9 * 8 * 6 + 6),
        (PixelShuffle(8, 6), 4 * (9 * 8 * 6 + 6)),
        (PixelShuffle(8, 6, 3, kernel_size=1), 9 * (8 * 6 + 6)),
    ],
)
def test_parameters_are_those_of_the_formula(up, parameters):
    assert sum(p.numel() for p in up.parameters()) == parameters


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_deconv_is_one_transposed_convolution_on_the_grid(scale):
    up = Deconv(2, 2, scale)
    assert up.conv.kernel_size[0] % scale == 0 or scale % 2  # no checkerboard by construction
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


@pytest.mark.parametrize("kernel_size", [1, 2.0, True])
def test_deconv_refuses_a_kernel_with_gaps(kernel_size):
    with pytest.raises(ConfigError, match="must be an int of at least the scale, 2"):
        Deconv(2, 2, kernel_size=kernel_size)


@pytest.mark.parametrize("rounding", ["up", "down"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matched_deconv_is_torchs_with_output_size(rounding, scale):
    """Equal to the last bit on integer-valued tensors, for every size that can be reached."""
    torch.manual_seed(0)
    up = MatchedDeconv(3, 2, scale, rounding=rounding).double()
    up.conv.weight.data = torch.randint(-4, 5, up.conv.weight.shape).double()
    up.conv.bias.data = torch.randint(-4, 5, up.conv.bias.shape).double()
    reference = torch.nn.ConvTranspose2d(3, 2, up.conv.kernel_size, up.conv.stride, up.conv.padding).double()
    reference.load_state_dict(up.conv.state_dict())
    for low in (1, 2, 5):
        x = torch.randint(-4, 5, (2, 3, low, low + 1)).double()
        for size in up.arithmetic.reachable(low):
            target = (size, up.arithmetic.reachable(low + 1)[0])
            assert torch.equal(up(x, target), reference(x, output_size=target))


@pytest.mark.parametrize("rounding", ["up", "down"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_matched_deconv_reaches_every_size_that_rounds_to_its_input(rounding, scale):
    up = MatchedDeconv(1, 1, scale, rounding=rounding)
    for size in range(scale, 60):
        low = -(-size // scale) if rounding == "up" else size // scale
        assert up.reach(low, size) == size


def test_matched_deconv_says_what_it_reaches():
    with pytest.raises(
        ShapeError, match=r"k?.*\(kernel 3, stride 2, padding 1\) brings height 17 to 33 … 34, not to 35"
    ):
        MatchedDeconv(1, 1)(torch.zeros(1, 1, 17, 17), (35, 34))
    with pytest.raises(ConfigError, match="rounding='both' is unknown; known: up, down"):
        MatchedDeconv(1, 1, rounding="both")


def test_bilinear_resizes_by_the_factor_and_not_to_the_size():
    torch.manual_seed(0)
    up = Bilinear(3, 3, kernel_size=1)
    x = torch.randn(1, 3, 16, 16)
    resized = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    assert torch.allclose(up(x, (31, 31)), up.conv(resized)[..., :31, :31])
    stretched = F.interpolate(x, size=(31, 31), mode="bilinear", align_corners=False)
    assert not torch.allclose(up(x, (31, 31)), up.conv(stretched), atol=1e-2)


@pytest.mark.parametrize("operator", [Bilinear, PixelShuffle])
@pytest.mark.parametrize("kernel_size", [0, 2, 3.0])
def test_even_kernels_are_refused(operator, kernel_size):
    with pytest.raises(ConfigError, match=f"kernel_size={kernel_size} must be an odd int"):
        operator(2, 2, kernel_size=kernel_size)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_icnr_starts_as_nearest_upsampling_of_one_convolution(scale):
    torch.manual_seed(0)
    up = PixelShuffle(3, 2, scale)
    x = torch.randn(1, 3, 6, 6)
    one = F.conv2d(x, up.conv.weight[:: scale**2], up.conv.bias[:: scale**2], padding=1)
    assert torch.allclose(up(x), F.interpolate(one, scale_factor=scale, mode="nearest"), atol=1e-6)


@pytest.mark.parametrize("up", [Deconv(64, 64), MatchedDeconv(64, 64), Bilinear(64, 64), PixelShuffle(64, 64)])
def test_the_variance_of_a_rectified_input_is_kept_at_the_start(up):
    torch.manual_seed(0)
    x = torch.randn(4, 64, 16, 16).relu()
    ratio = up(x)[..., 4:-4, 4:-4].var() / (2 * x.square().mean())
    # Bilinear averages neighbours before it convolves, which loses variance by design.
    assert 0.3 < ratio < 1.3
