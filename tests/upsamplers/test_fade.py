import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import Fade, carafe_reassemble, create_upsampler


def textbook(up, x, skip):
    """FADE's equations pixel by pixel, for a skip on the grid: the slow form that cannot be wrong."""
    s, k = up.scale, up.kernel_size
    encode = lambda guide: F.conv2d(guide, up.encode.weight, up.encode.bias, padding=up.encode.padding)  # noqa: E731
    low = encode(F.conv2d(x, up.compress_x.weight))
    high = encode(F.conv2d(skip, up.compress_skip.weight, up.compress_skip.bias))
    gate = torch.sigmoid(F.conv2d(x, up.gate.weight, up.gate.bias))
    padded = F.pad(x, [k // 2] * 4)
    mixed = up.project_skip(skip).clone()
    for i in range(skip.shape[-2]):
        for j in range(skip.shape[-1]):
            kernel = torch.softmax(high[..., i, j] + low[..., i // s, j // s], dim=1)
            near = padded[..., i // s : i // s + k, j // s : j // s + k].flatten(2)
            g = gate[..., i // s, j // s]
            mixed[..., i, j] = g * mixed[..., i, j] + (1 - g) * (near * kernel[:, None]).sum(-1)
    return up.project(mixed)


@pytest.mark.parametrize(("scale", "kernel_size", "encoder_kernel"), [(2, 5, 3), (3, 3, 1), (4, 5, 5)])
@pytest.mark.parametrize(("inside", "outside", "guide"), [(6, 6, 6), (6, 4, 5)])
def test_it_is_what_the_paper_says(scale, kernel_size, encoder_kernel, inside, outside, guide):
    torch.manual_seed(0)
    up = Fade(
        inside,
        outside,
        scale,
        skip_channels=guide,
        kernel_size=kernel_size,
        compressed_channels=7,
        encoder_kernel=encoder_kernel,
    ).double()
    for p in up.parameters():
        torch.nn.init.normal_(p)
    x = torch.randn(2, inside, 4, 3, dtype=torch.float64)
    skip = torch.randn(2, guide, 4 * scale, 3 * scale, dtype=torch.float64)
    assert torch.allclose(up(x, skip=skip), textbook(up, x, skip), atol=1e-12)


def test_parameters_are_those_of_the_formula():
    count = lambda up: sum(p.numel() for p in up.parameters())  # noqa: E731
    assert count(Fade(256, 256, skip_channels=256)) == 2 * 256 * 64 + 64 + 25 * (64 * 9 + 1) + 256 + 1 == 47_514
    assert count(Fade(16, 8, skip_channels=4)) == 20 * 64 + 64 + 25 * 577 + 17 + (4 * 16 + 16) + (16 * 8 + 8)
    assert count(Fade(6, 6, skip_channels=6, kernel_size=3, compressed_channels=5, encoder_kernel=1)) == (
        5 * 13 + 9 * 6 + 7
    )


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_gate_chooses_between_the_skip_and_the_reassembly(scale):
    torch.manual_seed(0)
    up = Fade(6, 6, scale, skip_channels=6)
    x, skip = torch.randn(1, 6, 5, 4), torch.randn(1, 6, 5 * scale, 4 * scale)
    torch.nn.init.zeros_(up.gate.weight)
    torch.nn.init.constant_(up.gate.bias, 100)
    assert torch.allclose(up(x, skip=skip), skip)
    torch.nn.init.constant_(up.gate.bias, -100)
    reassembled = carafe_reassemble(x, up.kernels(x, skip), 5, scale=scale)
    assert torch.allclose(up(x, skip=skip), reassembled, atol=1e-6)


def test_its_kernels_sum_to_one_and_follow_both_maps():
    torch.manual_seed(0)
    up = Fade(6, 6, skip_channels=6)
    x, skip = torch.randn(1, 6, 5, 4), torch.randn(1, 6, 10, 8)
    kernels = up.kernels(x, skip)
    assert kernels.shape == (1, 25, 10, 8)
    assert torch.allclose(kernels.sum(1), torch.ones(1, 10, 8))
    assert not torch.allclose(up.kernels(x, 2 * skip), kernels, atol=1e-3)
    assert not torch.allclose(up.kernels(2 * x, skip), kernels, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_constant_shows_no_checkerboard(scale):
    torch.manual_seed(0)
    up = Fade(6, 4, scale, skip_channels=5).double()
    y = up(torch.ones(1, 6, 12, 12).double(), skip=torch.ones(1, 5, 12 * scale, 12 * scale).double())
    inner = y[..., 4 * scale : -4 * scale, 4 * scale : -4 * scale]
    assert torch.allclose(inner, inner[..., :1, :1].expand_as(inner), atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_an_impulse_stays_centred_where_all_kernels_are_alike(scale):
    up = Fade(1, 1, scale, skip_channels=1).double()
    for p in up.parameters():
        torch.nn.init.zeros_(p)
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[..., 4, 4] = 1
    y = up(x, skip=torch.zeros(1, 1, 9 * scale, 9 * scale, dtype=torch.float64))[0, 0]
    places = (torch.arange(9.0 * scale).double() + 0.5) / scale - 0.5
    assert torch.allclose((y.sum(1) * places).sum() / y.sum(), torch.tensor(4.0).double())
    assert torch.allclose((y.sum(0) * places).sum() / y.sum(), torch.tensor(4.0).double())


@pytest.mark.parametrize("name", ["fade", "sapa"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_skip_off_the_grid_is_cut_or_repeated_like_any_map(name, scale):
    """One rule for sizes: what stays does not move, whatever the last rows of the skip are."""
    torch.manual_seed(0)
    up = create_upsampler(name, 6, 4, scale, skip_channels=5).double()
    x = torch.randn(2, 6, 5, 6, dtype=torch.float64)
    rows, columns = 5 * scale, 6 * scale
    for more_rows in range(1 - scale, scale):
        for more_columns in (1 - scale, 0, scale - 1):
            size = (rows + more_rows, columns + more_columns)
            skip = torch.randn(2, 5, *size, dtype=torch.float64)
            index = torch.arange(rows).clamp(max=size[0] - 1), torch.arange(columns).clamp(max=size[1] - 1)
            whole = up(x, skip=skip[..., index[0], :][..., index[1]])
            index = torch.arange(size[0]).clamp(max=rows - 1), torch.arange(size[1]).clamp(max=columns - 1)
            assert torch.equal(up(x, size, skip=skip), whole[..., index[0], :][..., index[1]])
            assert up.correction == (more_rows, more_columns)


@pytest.mark.parametrize("name", ["fade", "sapa"])
@pytest.mark.parametrize(
    ("size", "skip", "message"),
    [
        ((9, 12), None, r"takes a skip \(2, 5, 9, 12\).*and got none"),
        ((9, 12), (2, 4, 9, 12), r"takes a skip \(2, 5, 9, 12\).*not \(2, 4, 9, 12\)"),
        ((9, 12), (1, 5, 9, 12), r"not \(1, 5, 9, 12\)"),
        ((9, 12), (2, 5, 10, 12), r"not \(2, 5, 10, 12\)"),
        ((9, 12), (5, 9, 12), r"not \(5, 9, 12\)"),
        (None, (2, 5, 11, 12), r"takes a skip \(2, 5, 10, 12\).*try: up\(x, size=skip.shape\[-2:\], skip=skip\)"),
        ((12, 12), (2, 5, 12, 12), "brings height 5 to 10 and corrects at most 1, so it reaches 9 … 11, not 12"),
    ],
)
def test_wrong_skips_are_refused_with_their_shape(name, size, skip, message):
    up = create_upsampler(name, 6, 4, skip_channels=5)
    with pytest.raises(ShapeError, match="(?s)" + message):
        up(torch.zeros(2, 6, 5, 6), size, skip=None if skip is None else torch.zeros(skip))


@pytest.mark.parametrize("name", ["fade", "sapa"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip_channels": None}, "is guided by the skip: it needs skip_channels, and a topology with skips"),
        ({"skip_channels": 0}, "skip_channels=0 must be an int of 1 or more"),
        ({"kernel_size": 4}, "kernel_size=4 must be an odd int"),
        ({"compressed_channels": 0}, "compressed_channels=0 must be an int of 1 or more"),
        ({"compressed_channels": 2.0}, "compressed_channels=2.0 must be an int of 1 or more"),
        ({"init": "interpolate"}, "unknown option of upsampler '.*' 'init'"),
    ],
)
def test_wrong_options_are_refused(name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_upsampler(name, 6, 4, **{"skip_channels": 5, **options})


def test_an_even_encoder_kernel_is_refused():
    with pytest.raises(ConfigError, match="'fade': encoder_kernel=2 must be an odd int"):
        Fade(6, 4, skip_channels=5, encoder_kernel=2)


@pytest.mark.parametrize("name", ["fade", "sapa"])
def test_every_part_of_it_matters(name):
    """Each parameter gets a gradient, from x and skip alike; neither input can be left out unseen."""
    torch.manual_seed(0)
    up = create_upsampler(name, 6, 4, skip_channels=5)
    x, skip = torch.randn(2, 6, 5, 6, requires_grad=True), torch.randn(2, 5, 9, 12, requires_grad=True)
    up(x, (9, 12), skip=skip).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in [x, skip, *up.parameters()])
    assert torch.equal(skip.grad.abs().sum((0, 1)) > 0, torch.ones(9, 12, dtype=torch.bool))


@pytest.mark.parametrize("name", ["fade", "sapa"])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_gradcheck_of_input_and_skip(name, scale):
    torch.manual_seed(0)
    up = create_upsampler(name, 2, 2, scale, skip_channels=3, compressed_channels=2, kernel_size=3).double()
    x = torch.randn(1, 2, 1, 2, dtype=torch.float64, requires_grad=True)
    size = (scale + 1, 2 * scale - 1)
    skip = torch.randn(1, 3, *size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, skip: up(x, size, skip=skip), (x, skip), fast_mode=scale > 3)


@pytest.mark.parametrize("name", ["fade", "sapa"])
def test_it_runs_in_bfloat16_autocast_and_channels_last(name):
    torch.manual_seed(0)
    up = create_upsampler(name, 6, 4, skip_channels=5).to(memory_format=torch.channels_last)
    x = torch.randn(2, 6, 5, 6).to(memory_format=torch.channels_last).requires_grad_()
    skip = torch.randn(2, 5, 9, 12).to(memory_format=torch.channels_last)
    y = up(x, (9, 12), skip=skip)
    assert y.stride(1) == 1
    assert torch.allclose(y, up(x.contiguous(), (9, 12), skip=skip.contiguous()), atol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = up(x, (9, 12), skip=skip)
    assert torch.allclose(low.float(), y, atol=0.05, rtol=0.05)
    low.float().square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("scale", [2, 3])
def test_macs_are_those_of_the_formula(scale):
    x, skip = torch.zeros(1, 16, 5, 4), torch.zeros(1, 6, 5 * scale, 4 * scale)
    with FlopCounterMode(display=False) as counter:
        Fade(16, 8, scale, skip_channels=6, compressed_channels=7)(x, skip=skip)
    convolutions = scale**2 * 7 * 6 + (7 + 1) * 16 + (scale**2 + 1) * 7 * 9 * 25
    sums, projections = scale**2 * 25 * 16, scale**2 * (6 * 16 + 16 * 8)
    assert counter.get_total_flops() == 2 * 20 * (convolutions + sums + projections)
