"""Every claimed rewrite, in float64, with random weights and bias, at several sizes."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from old_torch import but_on_old_torch
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.surgery import to_deconv, to_subpixel, to_zero_insertion
from segup.surgery.forms import BilinearDeconv2d, insert_zeros

SIZES = ((1, 2), (5, 3))
FORMS = (to_subpixel, to_zero_insertion)


def drawn(layer):
    """Give a layer weights and a bias that differ from each other, in float64."""
    layer = layer.double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def inputs(channels, sizes=SIZES):
    return [torch.randn(2, channels, *size, dtype=torch.float64) for size in sizes]


def assert_same(new, old, xs):
    """Equal to rounding wherever the old one gives a map, refused wherever it is refused."""
    for x in xs:
        try:
            expected = old(x)
        except RuntimeError:
            with pytest.raises((ShapeError, RuntimeError)):
                new(x)
            continue
        found = new(x)
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, rtol=0, atol=1e-11), f"{new} is not {old} on {tuple(x.shape)}"


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("stride", range(1, 5))
def test_every_transposed_convolution_has_both_forms_and_comes_back(kernel, stride):
    """All paddings up to the kernel's extent, all output paddings and groups; dilated ones in the next test."""
    torch.manual_seed(0)
    for padding, extra, groups in itertools.product(range(kernel + 1), range(stride), (1, 2)):
        old = drawn(nn.ConvTranspose2d(2, 4, kernel, stride, padding, extra, groups=groups))
        xs = inputs(2)
        for rewrite in FORMS:
            new = rewrite(old)
            assert_same(new, old, xs)
            back = to_deconv(new)
            assert str(back) == str(old)
            assert torch.equal(back.weight, old.weight)
            assert torch.equal(back.bias, old.bias)


@pytest.mark.parametrize("dilation", [2, 3])
@pytest.mark.parametrize("stride", range(1, 5))
def test_dilated_ones_too(dilation, stride):
    torch.manual_seed(0)
    for kernel in range(1, 8):
        extent = dilation * (kernel - 1) + 1
        for padding in sorted({0, 1, extent // 2, extent}):
            for extra in sorted({0, max(stride, dilation) - 1}):
                old = drawn(nn.ConvTranspose2d(2, 2, kernel, stride, padding, extra, 2, True, dilation))
                for rewrite in FORMS:
                    new = rewrite(old)
                    assert_same(new, old, inputs(2, ((2, 5),)))
                    assert str(to_deconv(new)) == str(old)


axis = st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(0, 9), st.integers(0, 3), st.integers(1, 3))


@settings(max_examples=80, deadline=None)
@given(axis, axis, st.sampled_from([(1, 1, 1), (3, 2, 1), (4, 6, 2), (3, 3, 3)]), st.booleans(), st.integers(1, 6))
def test_each_axis_has_parameters_of_its_own(rows, columns, channels, bias, size):
    kernel, stride, padding, extra, dilation = zip(rows, columns, strict=True)
    extra = tuple(min(op, max(s, d) - 1) for op, s, d in zip(extra, stride, dilation, strict=True))
    inside, outside, groups = channels
    old = drawn(nn.ConvTranspose2d(inside, outside, kernel, stride, padding, extra, groups, bias, dilation))
    for rewrite in FORMS:
        new = rewrite(old)
        assert_same(new, old, inputs(inside, ((size, 7 - size),)))
        back = to_deconv(new)
        assert str(back) == str(old)
        assert_same(to_subpixel(new), old, inputs(inside, ((size, 3),)))


@pytest.mark.parametrize("rewrite", FORMS)
def test_output_size_reaches_what_torchs_does(rewrite):
    torch.manual_seed(0)
    for kernel, stride, padding, dilation in itertools.product((2, 3, 5), (2, 3), (0, 1), (1, 2)):
        old = drawn(nn.ConvTranspose2d(2, 3, kernel, stride, padding, stride - 1, dilation=dilation))
        new = rewrite(old)
        x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
        least = [(n - 1) * stride - 2 * padding + dilation * (kernel - 1) + 1 for n in (3, 4)]
        for more in range(stride):
            size = [least[0] + more, least[1]]
            assert torch.allclose(new(x, output_size=size), old(x, output_size=size), rtol=0, atol=1e-11)
        for wrong in (least[0] - 1, least[0] + stride):
            with pytest.raises(ValueError, match=r"requested an output size|output_size"):
                old(x, output_size=[wrong, least[1]])
            message = rf"brings height 3 to {least[0]} … {least[0] + stride - 1}, not to {wrong}"
            with pytest.raises(ShapeError, match=message):
                new(x, output_size=[wrong, least[1]])


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("scale", range(1, 5))
def test_convolution_and_shuffle_are_one_transposed_convolution(kernel, scale):
    torch.manual_seed(0)
    shuffle = nn.PixelShuffle(scale)
    paddings = [*range(kernel + 2), "same", "valid"]
    for padding, dilation, groups in itertools.product(paddings, (1, 2), (1, 2)):
        if dilation * kernel > 10:
            continue
        conv = drawn(nn.Conv2d(2, 2 * scale**2, kernel, 1, padding, dilation, groups))
        conv.bias.data = torch.randn(2).double().repeat_interleave(scale**2)
        new = to_deconv(conv, shuffle)
        assert type(new) is nn.ConvTranspose2d
        assert_same(new, nn.Sequential(conv, shuffle), inputs(2, ((2, 5),)))
        if dilation == 1 and isinstance(padding, int) and padding < kernel:
            assert (new.kernel_size[0], new.padding[0]) == (scale * kernel, scale * (kernel - 1 - padding))


@pytest.mark.parametrize("kernel", range(1, 8))
@pytest.mark.parametrize("scale", range(1, 5))
def test_nearest_and_convolution_are_one_transposed_convolution(kernel, scale):
    torch.manual_seed(0)
    resize = nn.Upsample(scale_factor=scale)
    for padding, dilation, groups in itertools.product([*range(kernel + 1), "same"], (1, 2), (1, 2)):
        conv = drawn(nn.Conv2d(2, 4, kernel, 1, padding, dilation, groups))
        old = nn.Sequential(resize, conv)
        new = to_deconv(resize, conv)
        assert_same(new, old, inputs(2, ((1, 5),)))
        if dilation == 1 and kernel % 2 and padding == kernel // 2:
            assert (new.kernel_size[0], new.padding[0]) == (kernel + scale - 1, kernel // 2)
            assert_same(to_subpixel(resize, conv), old, inputs(2))
            assert_same(to_zero_insertion(resize, conv), old, inputs(2))


def test_nearest_by_a_factor_for_each_axis():
    torch.manual_seed(0)
    for resize in (nn.Upsample(scale_factor=(2, 3)), nn.UpsamplingNearest2d(scale_factor=(3, 1))):
        conv = drawn(nn.Conv2d(3, 2, (3, 5), padding=(1, 2)))
        assert_same(to_deconv(resize, conv), nn.Sequential(resize, conv), inputs(3))


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8, (2, 3), (4, 1)])
def test_bilinear_is_a_fixed_depthwise_transposed_convolution(scale):
    torch.manual_seed(0)
    resize = nn.Upsample(scale_factor=scale, mode="bilinear")
    new = to_deconv(resize)
    assert isinstance(new, BilinearDeconv2d)
    assert not list(new.parameters())
    assert not new.state_dict()
    assert_same(new, resize, inputs(3, ((1, 1), (1, 6), (5, 4))))
    x = torch.randn(1, 2, 4, 5)
    assert torch.allclose(new(x), resize(x), atol=1e-6)


def test_the_textbook_example():
    """All numbers small and whole: equal to the last bit."""
    old = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
    old.weight.data = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    for rewrite in FORMS:
        y = rewrite(old)(torch.ones(1, 1, 4, 4))[0, 0]
        assert y[0].tolist() == [6, 12, 14, 12, 14, 12, 14, 7]
        assert y[:, 0].tolist() == [6, 12, 20, 12, 20, 12, 20, 10]


def test_zeros_are_inserted_after_every_row_and_column():
    x = torch.randn(2, 3, 4, 5)
    spread = insert_zeros(x, (2, 3))
    assert torch.equal(spread[..., ::2, ::3], x)
    assert spread.count_nonzero() == x.count_nonzero()
    assert spread.shape == (2, 3, 8, 15)


@pytest.mark.parametrize("rewrite", FORMS)
def test_gradients_are_those_of_the_transposed_convolution(rewrite):
    torch.manual_seed(0)
    old = drawn(nn.ConvTranspose2d(2, 3, 3, 2, 1, 1))
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn(1, 3, 6, 8, dtype=torch.float64)
    expected = torch.autograd.grad((old(x) * weigh).sum(), x)[0]
    assert torch.allclose(torch.autograd.grad((rewrite(old)(x) * weigh).sum(), x)[0], expected, atol=1e-11)


def test_after_training_a_subpixel_form_still_comes_back():
    """Training moves the zeros that fill the kernel up: what comes back then has a larger kernel, and is exact."""
    torch.manual_seed(0)
    for kernel, stride, padding, extra in ((3, 2, 1, 1), (3, 2, 1, 0), (5, 3, 0, 0), (2, 3, 0, 2), (1, 4, 0, 0)):
        form = to_subpixel(drawn(nn.ConvTranspose2d(2, 2, kernel, stride, padding, extra)))
        nn.init.normal_(form.conv.weight)
        back = to_deconv(form)
        assert back.kernel_size[0] % stride == 0 or back.kernel_size[0] > kernel
        assert_same(back, form, inputs(2))


@pytest.mark.parametrize("rewrite", [*FORMS, to_deconv])
def test_what_a_layer_has_beside_its_weights_is_kept(rewrite):
    old = nn.ConvTranspose2d(4, 4, 4, 2, 1).to(torch.bfloat16, memory_format=torch.channels_last).eval()
    old.bias.requires_grad_(False)
    draws = torch.get_rng_state()
    new = rewrite(old)
    assert torch.equal(torch.get_rng_state(), draws)
    conv = new if rewrite is to_deconv else new.conv
    assert conv.weight.dtype == torch.bfloat16
    assert conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert (conv.weight.requires_grad, conv.bias.requires_grad, new.training) == (True, False, False)
    with torch.no_grad():
        conv.weight.zero_()
    assert old.weight.abs().sum() > 0
    x = torch.randn(4, 3, 3)
    old = nn.ConvTranspose2d(4, 4, 4, 2, 1)
    assert torch.allclose(rewrite(old)(x), old(x), atol=1e-5)  # without a batch, as torch's own


@pytest.mark.parametrize("rewrite", FORMS)
def test_wrong_inputs_are_refused_with_their_shape(rewrite):
    new = rewrite(nn.ConvTranspose2d(3, 2, 2, 2, 1))
    name = type(new).__name__
    for shape in ((1, 4, 5, 5), (5, 5), (1, 3, 0, 5)):
        with pytest.raises(ShapeError, match=rf"{name} takes \(N, 3, h, w\) with h, w ≥ 1, not \({shape[0]}, "):
            new(torch.zeros(shape))
    message = rf"{name} brings width 1 to 2·1 − 2 = 0: its padding cuts all of it.\n  try: width 2 or more"
    with pytest.raises(ShapeError, match=message):
        new(torch.zeros(1, 3, 2, 1))
    with pytest.raises(ShapeError, match=r"BilinearDeconv2d takes \(N, C, h, w\) with h, w ≥ 1, not \(3, 4, 4\)"):
        BilinearDeconv2d(2)(torch.zeros(3, 4, 4))


def hooked(layer):
    layer.register_forward_hook(lambda *_: None)
    return layer


def patched(layer):
    layer.forward = lambda x: x
    return layer


class Doubled(nn.ConvTranspose2d):
    def forward(self, x, output_size=None):
        return 2 * super().forward(x, output_size)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(2, 8, 3), nn.PixelShuffle(2)], "the bias differs by up to .* within a group of 4 channels"),
        ([nn.Conv2d(2, 8, 3, 2), nn.PixelShuffle(2)], "has stride .* stride 1 is known"),
        ([nn.Conv2d(2, 8, 3, padding_mode="reflect", padding=1), nn.PixelShuffle(2)], "has padding_mode='reflect'"),
        ([nn.Conv2d(2, 4, 3, groups=2), nn.PixelShuffle(2)], r"gives 2 channels for each group, no multiple of 2² = 4"),
        ([nn.Upsample(scale_factor=1.5), nn.Conv2d(2, 2, 3)], "a factor that is no whole number"),
        ([nn.Upsample(size=9), nn.Conv2d(2, 2, 3)], "resizes to a size: its factor depends on the input"),
        ([nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(2, 2, 3)], "has mode 'bilinear': a nearest resize"),
        ([nn.Upsample(scale_factor=2)], "has mode 'nearest': a nearest resize is rewritten with the Conv2d after it"),
        ([nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)], "align_corners=True: its step depends on"),
        ([nn.UpsamplingBilinear2d(scale_factor=2)], "align_corners=True: its step depends on the input's size"),
        ([nn.Upsample(scale_factor=2, mode="bicubic")], "has mode 'bicubic'"),
        ([nn.Conv2d(2, 2, 3)], r"Conv2d has no exact rewrite; known: ConvTranspose2d; Conv2d, PixelShuffle; "),
        ([nn.ConvTranspose3d(2, 2, 3)], "ConvTranspose3d has no exact rewrite"),
        ([nn.ConvTranspose2d(2, 2, 3), nn.ReLU()], "ConvTranspose2d, then ReLU has no exact rewrite"),
        ([], "nothing has no exact rewrite"),
        ([Doubled(2, 2, 3)], "Doubled is a subclass of torch's layer, and may compute something else"),
        ([hooked(nn.ConvTranspose2d(2, 2, 3))], "ConvTranspose2d has hooks, which a rewrite would lose"),
        ([patched(nn.ConvTranspose2d(2, 2, 3))], "ConvTranspose2d has a forward of its own"),
        ([nn.utils.parametrizations.weight_norm(nn.ConvTranspose2d(2, 2, 3))], "has a parametrized weight"),
        ([nn.LazyConvTranspose2d(2, 3)], "LazyConvTranspose2d has no weights yet.\n  try: run the model once first"),
        (["deconv"], "'deconv' is no torch.nn.Module"),
    ],
)
def test_what_is_not_claimed_is_refused_with_the_reason(layers, message):
    with pytest.raises(ConfigError, match=message):
        to_deconv(*layers)


def test_channels_that_no_shuffle_takes_are_a_shape_error():
    with pytest.raises(ShapeError, match=r"PixelShuffle\(2\) takes a multiple of 2² = 4 channels, .* gives 6"):
        to_deconv(nn.Conv2d(2, 6, 3), nn.PixelShuffle(2))


@pytest.mark.parametrize("rewrite", but_on_old_torch(FORMS, to_zero_insertion))
def test_the_forms_compile_and_export_with_any_size(rewrite):
    torch.manual_seed(0)
    old = nn.ConvTranspose2d(2, 3, 5, 3, 1, 2)
    new = rewrite(old).eval()
    torch.compiler.reset()
    compiled = torch.compile(new, backend="eager", dynamic=True, fullgraph=True)
    dims = {2: torch.export.Dim("h", min=3, max=64), 3: torch.export.Dim("w", min=3, max=64)}
    exported = torch.export.export(new, (torch.zeros(1, 2, 5, 6),), dynamic_shapes={"x": dims})
    for h, w in ((5, 6), (3, 9), (8, 4)):
        x = torch.randn(1, 2, h, w)
        for run in (compiled, exported.module()):
            assert torch.allclose(run(x), old(x), atol=1e-5)


def test_bilinear_exports_with_any_size():
    new = BilinearDeconv2d(2)
    dims = {2: torch.export.Dim("h", min=3, max=64), 3: torch.export.Dim("w", min=3, max=64)}
    exported = torch.export.export(new, (torch.zeros(1, 2, 5, 6),), dynamic_shapes={"x": dims}).module()
    x = torch.randn(1, 2, 7, 4)
    assert torch.allclose(exported(x), F.interpolate(x, scale_factor=2, mode="bilinear"), atol=1e-6)
