import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import MaxUnpool, create_upsampler
from segup.upsamplers.max_unpool import unpool


def pooled(channels, size, scale=2, count=2, ceil_mode=False, dtype=torch.float32):
    image = torch.randn(count, channels, *size, dtype=dtype)
    return F.max_pool2d(image, scale, return_indices=True, ceil_mode=ceil_mode)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from([2, 3, 4, 8]), st.integers(1, 30), st.integers(1, 30), st.booleans(), st.booleans(), st.integers(0)
)
def test_it_is_torchs_max_unpool2d_then_the_convolution(scale, height, width, ceil_mode, last, seed):
    """For every size that pools to the input, rounded either way, in both memory formats."""
    height, width = (height, width) if ceil_mode else (height + scale - 1, width + scale - 1)
    torch.manual_seed(seed % 1000)
    x, indices = pooled(3, (height, width), scale, ceil_mode=ceil_mode, dtype=torch.float64)
    x = torch.randn_like(x).to(memory_format=torch.channels_last if last else torch.contiguous_format)
    up = MaxUnpool(3, 2, scale).double()
    # torch's own check refuses sizes that only ceil_mode pools, where a window reaches over the edge by most of it.
    theirs = torch.zeros(2, 3, height * width, dtype=torch.float64)
    for n in range(2):
        for c in range(3):
            theirs[n, c, indices[n, c].flatten()] = x[n, c].flatten()
    theirs = theirs.view(2, 3, height, width)
    if not ceil_mode:
        assert torch.equal(theirs, F.max_unpool2d(x.contiguous(), indices, scale, output_size=(height, width)))
    assert torch.equal(unpool(x, indices, (height, width)), theirs)
    assert torch.allclose(up(x, (height, width), indices=indices), up.conv(theirs), atol=1e-12)
    assert up.correction == (0, 0)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_pooling_again_gives_back_what_was_unpooled(scale):
    torch.manual_seed(0)
    x, indices = pooled(3, (4 * scale + 1, 5 * scale), scale)
    assert torch.equal(F.max_pool2d(unpool(x.abs(), indices, (4 * scale + 1, 5 * scale)), scale), x.abs())


def test_without_a_size_the_map_is_the_scale_times_the_input():
    x, indices = pooled(3, (10, 14))
    up = MaxUnpool(3, 2)
    assert torch.equal(up(x, indices=indices), up(x, (10, 14), indices=indices))
    assert torch.equal(up(x, indices=indices), up.upsample(x, indices=indices))


@pytest.mark.parametrize("fit", ["correct", "strict"])
@pytest.mark.parametrize("scale", [2, 3])
def test_exactly_the_sizes_that_pool_to_the_input_are_reached(fit, scale):
    up = MaxUnpool(1, 1, scale, fit=fit)
    low = 5
    for wanted in range(1, 4 * low * scale):
        if -(-wanted // scale) == low or wanted // scale == low:
            assert up.reach(low, wanted) == wanted
        else:
            with pytest.raises(ShapeError, match=f"brings size 5 to {5 * scale - scale + 1} … {6 * scale - 1}, not to"):
                up.reach(low, wanted)
    assert [up.arithmetic.out(low), *up.arithmetic.reachable(low)] == [5 * scale, *range(5 * scale, 6 * scale)]


@pytest.mark.parametrize("skip_channels", [None, 5])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_gradcheck(scale, skip_channels):
    torch.manual_seed(0)
    size = (2 * scale + 1, 3 * scale)
    indices = pooled(skip_channels or 2, size, scale, count=1)[1]
    up = MaxUnpool(2, 2, scale, skip_channels=skip_channels).double()
    x = torch.randn(1, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: up(x, size, indices=indices), (x,))
    parameters = tuple(up.parameters())
    up(x, size, indices=indices).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in parameters)


def test_parameters_are_those_of_the_formula():
    assert sum(p.numel() for p in MaxUnpool(8, 6).parameters()) == 9 * 8 * 6 + 6
    assert sum(p.numel() for p in MaxUnpool(8, 6, skip_channels=8).parameters()) == 9 * 8 * 6 + 6
    assert sum(p.numel() for p in MaxUnpool(8, 6, skip_channels=4).parameters()) == 9 * 4 * 6 + 6 + 8 * 4 + 4
    assert sum(p.numel() for p in MaxUnpool(8, 6, kernel_size=5).parameters()) == 25 * 8 * 6 + 6


def test_other_channels_are_brought_to_those_of_the_indices():
    torch.manual_seed(0)
    _, indices = pooled(4, (9, 12))
    up = MaxUnpool(8, 6, skip_channels=4)
    x = torch.randn(2, 8, 4, 6)
    theirs = up.conv(F.max_unpool2d(up.project(x), indices, 2, output_size=(9, 12)))
    assert torch.equal(up(x, (9, 12), indices=indices), theirs)


def test_it_runs_in_bfloat16_autocast_and_channels_last():
    torch.manual_seed(0)
    x, indices = pooled(8, (9, 12))
    up = MaxUnpool(8, 6).to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = up(x, (9, 12), indices=indices)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last)
    y.float().square().sum().backward()
    assert torch.allclose(y.float(), up(x, (9, 12), indices=indices), rtol=0.05, atol=0.05)
    assert x.grad.abs().sum() > 0


def test_it_has_a_deterministic_form():
    x, indices = pooled(3, (9, 12))
    up = MaxUnpool(3, 2)
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        up(x.requires_grad_(), (9, 12), indices=indices).sum().backward()
    finally:
        torch.set_deterministic_debug_mode(before)


@pytest.mark.parametrize(
    ("size", "given", "message"),
    [
        ((9, 12), None, r"takes the pooling indices \(2, 3, 4, 6\) with this input, and got none"),
        ((9, 12), ((1, 3, 4, 6), torch.int64), r"takes int64 indices \(2, 3, 4, 6\) .*, not int64 \(1, 3, 4, 6\)"),
        ((9, 12), ((2, 2, 4, 6), torch.int64), r"not int64 \(2, 2, 4, 6\)"),
        ((9, 12), ((2, 3, 4, 5), torch.int64), r"not int64 \(2, 3, 4, 5\)"),
        ((9, 12), ((3, 4, 6), torch.int64), r"not int64 \(3, 4, 6\)"),
        ((9, 12), ((2, 3, 4, 6), torch.float32), r"not float32 \(2, 3, 4, 6\)"),
        ((10, 12), None, "and got none"),
    ],
)
def test_wrong_indices_are_refused_with_their_shape(size, given, message):
    indices = None if given is None else torch.zeros(given[0], dtype=given[1])
    up = MaxUnpool(3, 2)
    x = torch.zeros(2, 3, 4, 6)
    with pytest.raises(ShapeError, match=message):
        up(x, size, indices=indices)


def test_a_refusal_reads_the_same_under_compile():
    up = MaxUnpool(3, 2)
    x, indices = torch.zeros(2, 3, 4, 6), torch.zeros(2, 3, 4, 5, dtype=torch.int64)
    compiled = torch.compile(up, backend="eager", dynamic=True)
    with pytest.raises(ShapeError, match=r"takes int64 indices \(2, 3, 4, 6\) .*, not int64 \(2, 3, 4, 5\)"):
        compiled(x, (9, 12), indices=indices)


def test_a_size_that_does_not_pool_to_the_input_is_refused():
    x, indices = pooled(3, (9, 12))
    with pytest.raises(ShapeError, match="brings width 6 to 11 … 13, not to 14: no map of 14 pools to 6 with kernel"):
        MaxUnpool(3, 2)(x, (9, 14), indices=indices)


@pytest.mark.parametrize(("pooled_size", "size"), [((9, 13), (9, 12)), ((9, 12), (9, 13)), ((8, 12), (8, 11))])
def test_indices_of_a_map_of_another_width_are_refused(pooled_size, size):
    """Left alone they would put every row a little further from its place."""
    torch.manual_seed(0)
    x, indices = pooled(3, pooled_size)
    with pytest.raises(ShapeError, match=r"the index at \(\d, \d\) is \d+, which in a map of .* outside its window"):
        MaxUnpool(3, 2)(x, size, indices=indices)


@pytest.mark.parametrize("index", [108, -1, 10**6])
def test_an_index_beyond_the_map_is_refused_in_whatever_channel(index):
    x, indices = pooled(3, (9, 12))
    indices[1, 2, 3, 4] = index
    said = f"indices go from {indices.min()} to {indices.max()}, but a map of (9, 12) has the pixels 0 … 107"
    with pytest.raises(ShapeError, match=re.escape(said)):
        MaxUnpool(3, 2)(x, (9, 12), indices=indices)


def test_an_empty_batch_passes():
    x, indices = pooled(3, (9, 12))
    assert MaxUnpool(3, 2)(x[:0], (9, 12), indices=indices[:0]).shape == (0, 2, 9, 12)


def test_indices_of_overlapping_windows_are_refused():
    torch.manual_seed(0)
    x, indices = F.max_pool2d(torch.randn(1, 3, 12, 12), 3, stride=2, padding=1, return_indices=True)
    with pytest.raises(ShapeError, match="with kernel and stride 2 and no padding"):
        MaxUnpool(3, 2)(x, (12, 12), indices=indices)


@pytest.mark.parametrize(("option", "value"), [("kernel_size", 2), ("kernel_size", 3.0), ("skip_channels", 0)])
def test_wrong_options_are_refused(option, value):
    with pytest.raises(ConfigError, match=f"{option}={value}"):
        create_upsampler("max_unpool", 3, 2, **{option: value})


def test_fake_tensors_have_no_values_to_look_at():
    with torch.device("meta"):
        up = MaxUnpool(3, 2)
        y = up(torch.zeros(1, 3, 4, 6), (9, 12), indices=torch.zeros(1, 3, 4, 6, dtype=torch.int64))
    assert y.shape == (1, 2, 9, 12)


def test_macs_are_those_of_the_formula():
    indices = pooled(8, (10, 8), count=1)[1]
    with FlopCounterMode(display=False) as counter:
        MaxUnpool(16, 6, skip_channels=8)(torch.zeros(1, 16, 5, 4), indices=indices)
    assert counter.get_total_flops() == 2 * 20 * (4 * 9 * 8 * 6 + 16 * 8)
