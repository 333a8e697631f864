"""Every view of every layer computes what torch computes, and every entry is the sum of its contributions."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.explain import explain

sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))
pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
channels = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3))  # groups, inputs and outputs of each


def image(size, inputs, whole, seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    if whole:
        return torch.randint(-9, 10, (batch, inputs, *size), generator=generator).float()
    return torch.randn((batch, inputs, *size), generator=generator)


def entries_are_sums(e):
    output = e.output if e.output.dim() == 4 else e.output[None]
    for place in np.ndindex(*output.shape[1:]):
        entry = e.contributions(place[1], place[2], channel=place[0])
        assert float(entry.value) == pytest.approx(float(output[0][place]), rel=1e-4, abs=1e-4)


def all_views_agree(e, module, x):
    with torch.no_grad():
        theirs = module(x) if not isinstance(module, tuple) else module[0](x, output_size=module[1])
    for view in e.operations[0].ways:
        made = e.result(view)
        assert made.shape == theirs.shape
        assert torch.allclose(made, theirs, rtol=1e-4, atol=1e-4), view


@settings(max_examples=120)
@given(sizes, pairs, pairs, st.tuples(st.integers(0, 4), st.integers(0, 4)), pairs, channels, st.data())
def test_transposed_convolution(size, kernel, stride, padding, dilation, channels, data):
    more = tuple(data.draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    whole, bias, seed = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.integers(0, 99))
    groups, inputs, outputs = channels
    module = nn.ConvTranspose2d(
        groups * inputs, groups * outputs, kernel, stride, padding, more, groups, bias=bias, dilation=dilation
    )
    if whole:
        module.weight.data = torch.randint(-9, 10, module.weight.shape).float()
    x = image(size, groups * inputs, whole, seed)
    try:
        e = explain(module, x)
    except ShapeError:
        sizes = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1 + o
            for n, s, p, d, k, o in zip(size, stride, padding, dilation, kernel, more, strict=True)
        ]
        assert min(sizes) < 1
        return
    all_views_agree(e, module, x)
    entries_are_sums(e)


@settings(max_examples=40)
@given(sizes, pairs, pairs, st.tuples(st.integers(0, 2), st.integers(0, 2)), st.data())
def test_an_output_size_is_reached_as_torch_reaches_it(size, kernel, stride, padding, data):
    module = nn.ConvTranspose2d(1, 1, kernel, stride, padding)
    least = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(size, stride, padding, kernel, strict=True)]
    wanted = tuple(low + data.draw(st.integers(0, s - 1)) for low, s in zip(least, stride, strict=True))
    assume(min(wanted) >= 1)
    x = image(size, 1, False, 0)
    all_views_agree(explain(module, x, wanted), (module, wanted), x)


@settings(max_examples=80)
@given(sizes, pairs, pairs, st.tuples(st.integers(0, 3), st.integers(0, 3)), pairs, channels, st.data())
def test_convolution(size, kernel, stride, padding, dilation, channels, data):
    groups, inputs, outputs = channels
    kind = data.draw(st.sampled_from(["numbers", "same", "valid", "reflect", "replicate", "circular"]))
    around = {"same": "same", "valid": "valid"}.get(kind, padding)
    mode = kind if kind in ("reflect", "replicate", "circular") else "zeros"
    if kind == "same":
        stride = (1, 1)
    module = nn.Conv2d(groups * inputs, groups * outputs, kernel, stride, around, dilation, groups, padding_mode=mode)
    x = image(size, groups * inputs, False, data.draw(st.integers(0, 99)))
    try:
        e = explain(module, x)
    except ShapeError:
        with pytest.raises(RuntimeError):
            module(x)
        return
    all_views_agree(e, module, x)
    entries_are_sums(e)


@settings(max_examples=80)
@given(sizes, pairs, pairs, pairs, st.booleans(), st.booleans(), st.data())
def test_pooling(size, kernel, stride, dilation, ceil, largest, data):
    padding = tuple(data.draw(st.integers(0, k // 2)) for k in kernel)
    if largest:
        module = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=ceil)
    else:
        divisor = data.draw(st.one_of(st.none(), st.integers(1, 5)))
        module = nn.AvgPool2d(kernel, stride, padding, ceil, data.draw(st.booleans()), divisor)
    x = image(size, 2, data.draw(st.booleans()), data.draw(st.integers(0, 99)))
    try:
        e = explain(module, x)
    except ShapeError:
        with pytest.raises(RuntimeError):
            module(x)
        return
    all_views_agree(e, module, x)
    entries_are_sums(e)


@settings(max_examples=100)
@given(sizes, st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic"]), st.data())
def test_resize(size, mode, data):
    smooth = mode in ("bilinear", "bicubic")
    corners = data.draw(st.booleans()) if smooth else None
    if data.draw(st.booleans()):
        module = nn.Upsample(size=data.draw(sizes), mode=mode, align_corners=corners)
    else:
        factor = st.one_of(st.integers(1, 4), st.sampled_from([0.5, 1.5, 2.5, 0.75, 1.2]))
        module = nn.Upsample(
            scale_factor=(data.draw(factor), data.draw(factor)),
            mode=mode,
            align_corners=corners,
            recompute_scale_factor=data.draw(st.booleans()),
        )
    x = image(size, 2, data.draw(st.booleans()), data.draw(st.integers(0, 99)))
    try:
        e = explain(module, x)
    except ShapeError:
        with pytest.raises(RuntimeError):
            module(x)
        return
    all_views_agree(e, module, x)
    entries_are_sums(e)


@settings(max_examples=150)
@given(
    st.integers(1, 24),
    st.floats(0.05, 3).map(lambda factor: round(factor, 2)),
    st.sampled_from(["nearest", "nearest-exact"]),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
)
def test_nearest_reads_what_torch_reads_where_a_product_rounds(size, factor, mode, dtype, by_size):
    made = int(size * factor)
    assume(made >= 1)
    module = nn.Upsample(size=(made, 2), mode=mode) if by_size else nn.Upsample(scale_factor=(factor, 1.0), mode=mode)
    x = torch.arange(2 * size, dtype=dtype).reshape(1, 1, size, 2)
    assert torch.equal(explain(module, x).output, module(x))


def test_where_torch_disagrees_with_itself_nothing_is_claimed(monkeypatch):
    from segup.explain.resize import ResizeOperation

    theirs = ResizeOperation.by_torch
    monkeypatch.setattr(ResizeOperation, "by_torch", lambda self: theirs(self) + 1)
    with pytest.raises(ConfigError, match="torch's kernels do not agree on 'resize x2.01 nearest' at 4×4"):
        explain("resize x2.01 nearest", torch.ones(4, 4))
    with pytest.raises(AssertionError, match="internal error: the view 'sampling' of 'resize x2'"):
        explain("resize x2", torch.ones(4, 4))


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("factor", [(1.2, 1.2), (2.0, 1.2), (1.01, 2.0), (1.2, 1.0)])
@pytest.mark.parametrize("size", [(1, 2), (4, 3), (2, 5)])
def test_an_axis_that_keeps_its_size_under_another_factor_is_what_torch_makes_of_it(size, factor, mode, corners):
    module, x = nn.Upsample(scale_factor=factor, mode=mode, align_corners=corners), image(size, 2, False, 0)
    all_views_agree(explain(module, x), module, x)


def test_an_axis_that_is_copied_is_said_to_be():
    told = str(explain(nn.Upsample(scale_factor=(2.0, 1.2), mode="bilinear"), torch.rand(1, 1, 2, 4)))
    assert "Columns stay 4: there torch copies, whatever the factor." in told
    assert "Rows stay" not in told


@settings(max_examples=20)
@given(sizes, st.integers(1, 3), st.integers(1, 3))
def test_pixel_shuffle(size, factor, outputs):
    module, x = nn.PixelShuffle(factor), image(size, outputs * factor**2, True, 0)
    e = explain(module, x)
    all_views_agree(e, module, x)
    entries_are_sums(e)


@settings(max_examples=10)
@given(sizes, st.integers(2, 3), st.sampled_from([1, 3, 5]), st.integers(1, 2))
def test_carafe(size, scale, kernel, groups):
    from segup.upsamplers import create_upsampler

    module = create_upsampler("carafe", 4, 4, scale, kernel_size=kernel, groups=groups).eval()
    nn.init.normal_(module.encode.weight)
    x = image(size, 4, False, 0)
    e = explain(module, x)
    all_views_agree(e, module, x)
    entries_are_sums(e)


def test_all_images_of_a_batch():
    module, x = nn.ConvTranspose2d(2, 3, 4, 2, 1), image((3, 4), 2, False, 0, batch=3)
    e = explain(module, x)
    assert torch.allclose(e.output, module(x), atol=1e-5)
    assert float(e.contributions(2, 1, channel=1, image=2).value) == pytest.approx(
        float(e.output[2, 1, 2, 1]), rel=1e-5
    )


def test_whole_numbers_stay_whole_beyond_what_a_float_holds():
    x = torch.tensor([[2**40, 3]])
    e = explain("deconv k2 s1", x, weight=torch.tensor([[2**20 + 1, 1], [1, 1]]))
    assert e.output[0, 0] == 2**40 * (2**20 + 1)
    assert "= 1099511627776·1048577 = 1152922604118474752" in str(e.contributions(0, 0))
