"""The windowed kernel against a loop that reads like the definition, at integer and at other ratios."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.upsamplers import create_upsampler
from segup.upsamplers.cells import from_grid, to_grid
from segup.upsamplers.window_sums import attend, reassemble
from segup.upsamplers.windows import extended, windows

BORDERS = ("zeros", "replicate", "shift")
SIZES = [
    ((5, 7), (23, 29)), ((8, 8), (16, 16)), ((3, 3), (17, 20)), ((16, 16), (7, 9)), ((1, 1), (5, 5)), ((4, 4), (6, 6)),
    ((9, 2), (20, 15)), ((2, 6), (5, 6)), ((6, 7), (6, 7)),
]  # fmt: skip


def cell_of(row, low, high):
    return (2 * row + 1) * low // (2 * high)


def window_of(cell, size, kernel_size, border):
    """The cells of a window along one axis; None is a zero."""
    if border == "shift":
        taken = min(kernel_size, size)
        start = min(max(cell - taken // 2, 0), size - taken)
        return list(range(start, start + taken))
    around = range(cell - kernel_size // 2, cell + kernel_size // 2 + 1)
    inside = [min(max(place, 0), size - 1) for place in around]
    return [i if border == "replicate" or i == place else None for i, place in zip(inside, around, strict=True)]


def loop(query, key, value, kernel_size, heads, border):
    """Neighbourhood attention, pixel by pixel and head by head."""
    (height, width), (h, w) = query.shape[-2:], key.shape[-2:]
    y = value.new_zeros(*value.shape[:2], height, width)
    for i in range(height):
        rows = window_of(cell_of(i, h, height), h, kernel_size, border)
        for j in range(width):
            columns = window_of(cell_of(j, w, width), w, kernel_size, border)
            near = [(r, c) for r in rows for c in columns]
            zero = lambda m, r, c: m[..., r, c] if None not in (r, c) else torch.zeros_like(m[..., 0, 0])  # noqa: E731
            keys, values = (torch.stack([zero(m, *place) for place in near], dim=-1) for m in (key, value))
            q, k, v = query[..., i, j].unflatten(1, (heads, -1)), *(m.unflatten(1, (heads, -1)) for m in (keys, values))
            weights = (q.unsqueeze(-1) * k).sum(2).softmax(-1)
            y[..., i, j] = (weights.unsqueeze(2) * v).sum(-1).flatten(1)
    return y


def maps(low, high, dtype, channels=6, depth=4):
    shapes = ((2, depth, *high), (2, depth, *low), (2, channels, *low))
    return [2 * torch.rand(*shape, dtype=dtype) - 1 for shape in shapes]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("low", "high"), SIZES)
def test_attention_is_the_loop_over_windows(low, high, border, dtype, tolerance):
    torch.manual_seed(0)
    for kernel_size, heads in ((1, 1), (3, 2), (5, 1)):
        query, key, value = maps(low, high, dtype)
        y = attend(query, key, value, kernel_size, heads, border=border)
        torch.testing.assert_close(y, loop(query, key, value, kernel_size, heads, border), atol=tolerance, rtol=0)


@settings(max_examples=25, deadline=None)
@given(
    *[st.integers(1, 9)] * 2, *[st.integers(1, 16)] * 2, st.sampled_from((1, 3, 5, 7, 9)), st.sampled_from(BORDERS),
    st.integers(0, 99),
)  # fmt: skip
def test_attention_is_the_loop_at_any_two_sizes(h, w, height, width, kernel_size, border, seed):
    torch.manual_seed(seed)
    query, key, value = (m[:1] for m in maps((h, w), (height, width), torch.float64, channels=2, depth=2))
    y = attend(query, key, value, kernel_size, border=border)
    assert (y - loop(query, key, value, kernel_size, 1, border)).abs().max() <= 1e-12


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("scale", [2, 3])
def test_a_scale_gives_the_same_as_the_sizes_in_either_layout(scale, border):
    torch.manual_seed(0)
    query, key, value = maps((4, 5), (4 * scale, 5 * scale), torch.float64)
    expected = attend(query, key, value, 5, 2, border=border)
    assert torch.equal(attend(query, key, value, 5, 2, scale, border), expected)
    last = [m.contiguous(memory_format=torch.channels_last) for m in (query, key, value)]
    y = attend(*last, 5, 2, scale, border)
    assert y.stride(1) == 1
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("low", [(4, 5), (2, 7), (1, 1)])
def test_gradients_are_those_of_finite_differences(low, border):
    torch.manual_seed(0)
    inputs = [m.requires_grad_() for m in maps(low, (7, 9), torch.float64)]
    assert torch.autograd.gradcheck(lambda q, k, v: attend(q, k, v, 3, 2, border=border), inputs, fast_mode=True)


@pytest.mark.parametrize("border", BORDERS)
def test_given_kernels_weigh_the_window_too(border):
    """In the interior all borders are alike; kernels that sum to 1 keep a constant where nothing outside is read."""
    torch.manual_seed(0)
    x = torch.randn(2, 4, 9, 8, dtype=torch.float64)
    kernels = torch.rand(2, 2, 25, 18, 16, dtype=torch.float64)
    kernels = (kernels / kernels.sum(2, keepdim=True)).flatten(1, 2)
    y = reassemble(x, kernels, 5, groups=2, border=border)
    torch.testing.assert_close(y[..., 4:-4, 4:-4], reassemble(x, kernels, 5, groups=2)[..., 4:-4, 4:-4])
    ones = reassemble(torch.ones_like(x), kernels, 5, groups=2, border=border)
    assert ((ones - 1).abs().amax() < 1e-12) == (border != "zeros")


@settings(max_examples=200, deadline=None)
@given(*[st.integers(1, 20)] * 2, st.sampled_from((1, 3, 5, 7, 9)), st.sampled_from((*BORDERS, "reflect")), st.data())
def test_rows_of_an_extended_map_are_those_of_the_whole(h, w, kernel_size, border, data):
    x = torch.arange(1.0, h * w + 1).reshape(1, 1, h, w)
    more = tuple(data.draw(st.integers(0, max(kernel_size - 2, 0))) for _ in range(2))
    whole = extended(x, kernel_size, border, more=more)
    assert whole.shape == (1, h + kernel_size - 1 + more[0], w + kernel_size - 1 + more[1], 1)
    start = data.draw(st.integers(0, h - 1))
    rows = slice(start, data.draw(st.integers(start + kernel_size, whole.shape[1])))
    assert torch.equal(extended(x, kernel_size, border, rows, more), whole[:, rows])


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("offsets", [None, [(-1, 0), (0, 2)]])
def test_windows_are_read_from_a_table_as_they_are_sliced(offsets, border, monkeypatch):
    def made():
        x = torch.linspace(0, 1, 420, dtype=torch.float64).reshape(2, 6, 7, 5).requires_grad_()
        near = windows(extended(x, 5, border, slice(2, 10)), 5, groups=3, offsets=offsets)
        (near * torch.arange(near.numel()).reshape(near.shape)).sum().backward()
        return near, x.grad

    read = made()
    monkeypatch.setattr("segup.upsamplers.windows.is_traced", lambda: True)
    sliced = made()
    assert type(read[0].grad_fn) is not type(sliced[0].grad_fn)
    assert torch.equal(read[0], sliced[0])
    torch.testing.assert_close(read[1], sliced[1])


@given(*[st.integers(1, 12)] * 2, *[st.integers(1, 40)] * 2)
def test_every_row_comes_back_from_the_grid_of_its_cell(h, w, height, width):
    y = torch.arange(height * width, dtype=torch.float64).reshape(1, 1, height, width)
    grid = to_grid(y, (h, w))
    assert torch.equal(from_grid(grid, (h, w), (height, width)), y)
    down = grid.shape[-2] // h
    for i in range(height):
        assert i * width in grid[0, 0, down * cell_of(i, h, height) : down * (cell_of(i, h, height) + 1), 0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("low", "size"), [((5, 7), (10, 14)), ((5, 7), (23, 19))])
@pytest.mark.parametrize("name", ["naf", "anyup", "uplift"])
def test_rows_made_in_turn_are_the_same(name, low, size, layout):
    torch.manual_seed(0)
    whole, tiled = (create_upsampler(name, 8, 8, tile=tile).double().eval() for tile in (None, 5))
    tiled.load_state_dict(whole.state_dict())
    x = torch.randn(2, 8, *low).double().to(memory_format=layout).requires_grad_()
    image = torch.randn(2, 3, *size).double()
    results = [up(x, size, image=image) for up in (whole, tiled)]
    assert results[0].stride() == results[1].stride()
    torch.testing.assert_close(*results, atol=1e-12, rtol=0)
    torch.testing.assert_close(*[torch.autograd.grad(y.sin().sum(), x)[0] for y in results], atol=1e-12, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["naf", "anyup", "uplift", "jbu"])
def test_at_1024_pixels_little_memory_is_needed_beside_input_and_result(name):
    """In a process of its own, whose largest size is that of the call; jbu makes rows in turn unasked."""
    code = f"""
import resource, torch
from segup.upsamplers import create_upsampler
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
with torch.inference_mode():
    up = create_upsampler("{name}", 384, 384, 16, **{{}} if "{name}" == "jbu" else {{"tile": 64}}).eval()
    x, image = torch.rand(1, 384, 64, 64), torch.rand(1, 3, 1024, 1024)
    before = used()
    y = up(x, (1024, 1024), image=image)
    print(used() - before - y.numel() * 4)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) <= 2.5 * 2**30
