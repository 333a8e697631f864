"""What every operator keeps, whatever it is called: a new one is covered as soon as it is in the table."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from old_torch import but_on_old_torch
from own_parts import OWN_OPERATORS

from segup.errors import ConfigError, ShapeError
from segup.shapes import ConvTranspose, Resize
from segup.shapes.layer import Layer
from segup.upsamplers import Deconv, Upsampler, create_upsampler, fit_to, list_upsamplers, register_upsampler
from segup.upsamplers.contract import operator_class, upsamplers
from segup.upsamplers.interpolation import channel_map

SCALES = (2, 3, 4, 8)
OPERATORS = list_upsamplers()
UNGUIDED = [name for name in OPERATORS if not operator_class(name).requires]
MATCHED = ("deconv_matched", "max_unpool")
"""Operators that land on a size by themselves and correct nothing."""


def make_differentiable(up):
    """Move sampled positions off the pixels' centres, where a bilinear sample has a corner."""
    for name, parameter in up.named_parameters():
        if "offset" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    return up


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("scale", SCALES)
def test_without_a_size_the_result_is_exactly_the_scale_times_the_input(name, scale, build, guides):
    up = build(name, 3, 2, scale)
    for h, w in ((1, 1), (2, 5), (7, 4)):
        x = torch.randn(2, 3, h, w)
        assert up(x, **guides(up, x)).shape == (2, 2, scale * h, scale * w)
        assert up.correction == (0, 0)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("scale", SCALES)
def test_every_size_is_reached_exactly_or_refused(name, scale, build, guides):
    """Up to scale − 1 rows either way are corrected, or what an operator reaches by itself; all else is refused, or
    reached without a correction from the input's size on."""
    up = build(name, 2, 2, scale)
    low = 3
    grid = scale * low
    reaches = up.arithmetic.reachable(low) if name == "deconv_matched" else range(grid - scale + 1, grid + scale)
    for wanted in range(1, grid + scale + 2):
        x = torch.randn(1, 2, low, low)
        if wanted in reaches:
            for size in ((wanted, grid), (grid, wanted)):
                assert up(x, size, **guides(up, x, size)).shape == (1, 2, *size)
                assert all(abs(rows) <= scale - 1 for rows in up.correction)
                assert name not in MATCHED or up.correction == (0, 0)
        elif up.reaches_any and wanted >= low:
            assert up(x, (wanted, grid), **guides(up, x, (wanted, grid))).shape == (1, 2, wanted, grid)
            assert up.correction == (0, 0)
        else:
            with pytest.raises(ShapeError, match=f"height {low} to .*not (to )?{wanted}"):
                up(x, (wanted, grid), **guides(up, x, (wanted, grid)))


@pytest.mark.parametrize("name", OPERATORS)
def test_the_arithmetic_is_that_of_the_operator(name, build, guides):
    up = build(name, 3, 2, 3)
    assert isinstance(up.arithmetic, Layer)
    x = torch.randn(1, 3, 4, 5)
    reached = up.upsample(x, **guides(up, x)).shape[-2:]
    # The matched one computes its largest size, output padding included, and cuts it to the one asked for.
    more = up.scale - 1 if name == "deconv_matched" else 0
    assert reached == (up.arithmetic.out(4) + more, up.arithmetic.out(5) + more)


@pytest.mark.parametrize("name", UNGUIDED)
@pytest.mark.parametrize("scale", [2, 3])
def test_the_result_at_a_corrected_size_is_the_result_cut_or_repeated(name, scale, build):
    """All operators stay on one grid: a size never changes the pixels that stay."""
    torch.manual_seed(0)
    up = build(name, 3, 2, scale).double()
    x = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    height, width = 5 * scale, 6 * scale
    whole = up(x)
    assert torch.equal(up(x, (height - 1, width)), whole[..., :-1, :])
    if name not in MATCHED:
        longer = up(x, (height + 1, width + 1))
        assert torch.equal(longer[..., :height, :width], whole)
        assert torch.equal(longer[..., height, :], longer[..., height - 1, :])
        assert torch.equal(longer[..., width], longer[..., width - 1])


@pytest.mark.parametrize("name", OPERATORS)
def test_corrections_are_counted(name, build, guides):
    up = build(name, 2, 2, 4)
    x = torch.randn(1, 2, 4, 4)
    up(x, (13, 16), **guides(up, x, (13, 16)))
    assert up.correction == ((0, 0) if name in MATCHED else (-3, 0))
    if name != "deconv_matched":
        up(x, (16, 18), **guides(up, x, (16, 18)))
        assert up.correction == ((0, 0) if name in MATCHED else (0, 2))


@pytest.mark.parametrize("name", OPERATORS)
def test_strict_refuses_what_the_operator_does_not_reach_itself(name, build, guides):
    up = build(name, 2, 2, fit="strict")
    x = torch.randn(1, 2, 4, 4)
    assert up(x, (8, 8), **guides(up, x)).shape[-2:] == (8, 8)
    if up.reaches_any:
        assert up(x, (7, 9), **guides(up, x, (7, 9))).shape[-2:] == (7, 9)
        assert up.correction == (0, 0)
    elif name not in MATCHED:
        for wanted, rounding, change in ((7, "up", "cuts 1"), (9, "down", "repeats 1")):
            message = (
                rf'brings height 4 to 8, not to {wanted} \(fit="strict"\)\.\n  .* = 8\.\n  try: decoder=deconv_matched '
                rf"\(rounding={rounding} reaches {wanted}\), or decoder\.fit=correct \({change} at the end\)"
            )
            with pytest.raises(ShapeError, match=message):
                up(x, (wanted, 8), **guides(up, x, (wanted, 8)))


@pytest.mark.parametrize("name", OPERATORS)
def test_every_parameter_learns(name, build, guides):
    torch.manual_seed(0)
    up = build(name, 8, 6)
    x = torch.randn(2, 8, 5, 5)
    up(x, (9, 10), **guides(up, x, (9, 10))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in up.parameters())


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("scale", SCALES)
def test_gradients_are_those_of_finite_differences(name, scale, build, guides):
    """In float64, for the input, the skip and every parameter, at a size that is cut on one axis."""
    torch.manual_seed(0)
    up = make_differentiable(build(name, 4, 4, scale)).double()
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    size = (2 * scale - 1, 3 * scale)
    given = guides(up, x, size)
    if "skip" in given:
        given["skip"].requires_grad_()
    inputs = (x, *(g for g in given.values() if g.requires_grad), *up.parameters())
    assert torch.autograd.gradcheck(lambda *_: up(x, size, **given), inputs, fast_mode=True)
    if scale == 2:
        assert torch.autograd.gradcheck(lambda x: up(x, size, **given), (x,))


@pytest.mark.parametrize("name", OPERATORS)
def test_bfloat16_autocast_is_near_float32_forward_and_backward(name, build, guides):
    torch.manual_seed(0)
    up = build(name, 8, 6)
    x = torch.randn(2, 8, 6, 7, requires_grad=True)
    size = (11, 14)
    given = guides(up, x, size)
    expected = up(x, size, **given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = up(x, size, **given)
    assert y.shape == expected.shape
    scale = expected.abs().max()
    assert (y.float() - expected).abs().max() <= 0.05 * scale
    y.float().square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in up.parameters())


@pytest.mark.parametrize("name", OWN_OPERATORS)
@pytest.mark.parametrize("size", [(10, 12), (9, 12), (10, 11)])
def test_channels_last_goes_in_and_comes_out(name, size, build, guides):
    torch.manual_seed(0)
    up = build(name, 8, 6).to(memory_format=torch.channels_last)
    x = torch.randn(2, 8, 5, 6)
    given = guides(up, x, size)
    expected = up(x, size, **given)
    last = {key: value.contiguous(memory_format=torch.channels_last) for key, value in given.items()}
    y = up(x.contiguous(memory_format=torch.channels_last), size, **last)
    torch.testing.assert_close(y, expected)
    # A cut map is a view of one that is laid out so: its channels are neighbours, which is what counts.
    assert y.stride(1) == 1
    again = build(name, 6, 6).to(memory_format=torch.channels_last)
    size = tuple(2 * n for n in y.shape[-2:])
    last = {key: value.contiguous(memory_format=torch.channels_last) for key, value in guides(again, y, size).items()}
    assert again(y, **last).stride(1) == 1


@pytest.mark.parametrize("name", OPERATORS)
def test_fake_tensors_go_through(name, build, guides):
    """Sizes can be followed without memory: nothing looks at a value."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    up = build(name, 4, 4)
    with FakeTensorMode(allow_non_fake_inputs=True):
        x = torch.empty(1, 4, 100, 80)
        assert up(x, (199, 160), **guides(up, x, (199, 160))).shape == (1, 4, 199, 160)


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_built_of_fake_tensors_too(name, build, guides):
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        up = build(name, 4, 6)
        x = torch.empty(2, 4, 5, 6)
        assert up(x, (9, 12), **guides(up, x, (9, 12))).shape == (2, 6, 9, 12)


@pytest.mark.parametrize("name", but_on_old_torch(OPERATORS, "dysample"))
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_of_each_image_are_had_by_vmap(name, layout, build, guides):
    """torch.func.vmap runs a forward on tensors that stand for a batch."""
    torch.manual_seed(0)
    up = build(name, 4, 3).to(memory_format=layout).eval()  # in training, BatchNorm mixes the images of a batch
    x = torch.randn(3, 4, 4, 5).contiguous(memory_format=layout)
    given = guides(up, x, (7, 10))

    def loss(parameters, image, guide):
        guide = {key: value[None] for key, value in guide.items()}
        return torch.func.functional_call(up, parameters, (image[None], (7, 10)), guide).square().sum()

    parameters = dict(up.named_parameters())
    per_image = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, given)
    up(x, (7, 10), **given).square().sum().backward()
    for key, parameter in parameters.items():
        torch.testing.assert_close(per_image[key].sum(0), parameter.grad, rtol=1e-3, atol=1e-4)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 12))
def test_fit_to_keeps_what_is_there_and_repeats_the_edge(h, w, height, width):
    y = torch.arange(h * w, dtype=torch.float32).reshape(1, 1, h, w)
    fitted = fit_to(y, (height, width))
    rows = torch.arange(height).clamp(max=h - 1)
    columns = torch.arange(width).clamp(max=w - 1)
    assert torch.equal(fitted, y[..., rows, :][..., columns])


@pytest.mark.parametrize("y", [torch.zeros(2), torch.zeros(1, 2, 3), [1, 2], None])
def test_fit_to_refuses_what_is_no_batch_of_maps(y):
    with pytest.raises(ShapeError, match=r"fit_to takes maps \(N, C, H, W\) and .* not (Tensor|list|None)"):
        fit_to(y, (3, 1))


def test_fit_to_copies_nothing_that_it_only_cuts():
    y = torch.randn(1, 2, 6, 6)
    assert fit_to(y, (6, 6)) is y
    assert fit_to(y, (5, 4)).data_ptr() == y.data_ptr()


def test_an_operator_that_falls_short_of_the_grid_is_still_brought_to_it():
    """An operator from outside, k3 s2 p1: 2h − 1 by itself; the row that is missing is a correction."""

    class Short(Deconv):
        def build(self, kernel_size, padding, output_padding, init):
            super().build(3, 1, 0, init)

    up = Short(2, 2)
    assert (up.excess, up.own(5), up.span(5)) == (-1, (9, 9), (9, 10))
    x = torch.randn(1, 2, 5, 5)
    y = up(x)
    assert y.shape[-2:] == (10, 10)
    assert up.correction == (1, 1)
    assert torch.equal(y[..., 9, :], y[..., 8, :])
    assert up(x, (9, 10)).shape[-2:] == (9, 10)
    with pytest.raises(ShapeError, match=r"corrects at most 1, so it reaches 9 … 10, not 11"):
        up(x, (11, 10))


@pytest.fixture
def _table_as_it_was():
    parts = dict(upsamplers._parts)
    yield
    upsamplers._parts.clear()
    upsamplers._parts.update(parts)


def test_a_class_is_registered_under_a_name_of_its_own():
    with pytest.raises(ConfigError, match="cannot be registered: a name is text"):

        @register_upsampler
        class Nameless(Deconv):
            pass

    class Other(Deconv):
        pass

    with pytest.raises(ConfigError, match="upsampler 'deconv' is already segup.upsamplers.deconv.Deconv"):
        register_upsampler("deconv")(Other)
    with pytest.raises(ConfigError, match="upsampler 'bilinear' is already"):
        register_upsampler("bilinear")(Other)
    assert Other.name == "deconv"  # its parent's: what is refused is left as it was


@pytest.mark.usefixtures("_table_as_it_was")
def test_an_operator_from_outside_is_one_class():
    """The one in the README's form: it needs no edit anywhere else, and keeps the whole contract."""

    @register_upsampler("test_repeat")
    class Repeat(Upsampler):
        def __init__(self, in_channels, out_channels, scale=2, *, gain=1.0, **options):
            super().__init__(in_channels, out_channels, scale, **options)
            self.gain = gain
            self.register_buffer("mix", channel_map(in_channels, out_channels))

        @property
        def arithmetic(self):
            return Resize(self.scale)

        def upsample(self, x, *, skip=None, indices=None):
            mixed = torch.einsum("oi,nihw->nohw", self.mix, x) * self.gain
            return mixed.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)

    up = create_upsampler("test_repeat", 3, 3, scale=4, gain=2.0, fit="correct")
    x = torch.randn(1, 3, 5, 6)
    y = up(x, size=(18, 27))
    assert y.shape == (1, 3, 18, 27)
    assert up.correction == (-2, 3)
    assert torch.equal(y[..., ::4, :24:4], 2 * x)


class Overlap(Upsampler):
    """A transposed convolution without padding, which gives three rows more than twice its input."""

    said = Resize(2)

    def __init__(self, in_channels, out_channels, scale=2, **options):
        super().__init__(in_channels, out_channels, scale, **options)
        self.conv = torch.nn.ConvTranspose2d(in_channels, out_channels, 5, stride=2)

    @property
    def arithmetic(self):
        return self.said

    def upsample(self, x):
        return self.conv(x)


@pytest.mark.parametrize("fit", ["correct", "strict"])
def test_a_result_of_another_size_than_the_arithmetic_says_is_refused(fit):
    """Otherwise rows were cut in silence, and proofs of sizes were false."""
    message = r"upsample made height 13 of 5, and its arithmetic says 10\.\n  try: cut the result to 10 in upsample"
    with pytest.raises(ShapeError, match=message):
        Overlap(2, 2, fit=fit)(torch.zeros(1, 2, 5, 6), size=(10, 12))


def test_a_result_of_the_size_that_the_arithmetic_says_is_cut_to_the_size_asked_for():
    class Honest(Overlap):
        said = ConvTranspose(5, 2)

    up, x = Honest(2, 2), torch.randn(1, 2, 5, 6)
    assert torch.equal(up(x, size=(10, 12)), up.conv(x)[..., :10, :12])


ALONE = [(name, {"kernel_size": None}) for name in ("nearest", "bilinear", "bicubic")]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in OPERATORS), *ALONE])
def test_a_1x1_convolution_that_changes_the_channels_stands_in_the_label_on_its_side(name, options, build, guides):
    up, x = build(name, 4, 7, 3, **options), torch.randn(1, 4, 5, 5)
    sizes = []
    for module in up.modules():
        if isinstance(module, torch.nn.Conv2d) and (module.kernel_size, module.out_channels) == ((1, 1), 7):
            module.register_forward_hook(lambda _, given, __: sizes.append(given[0].shape[-1]))
    up(x, **guides(up, x))
    words = {"": up.label(), "first": up.label().removeprefix("1×1, "), "last": up.label().removesuffix(", 1×1")}
    assert "1×1" not in build(name, 4, 4, 3, **options).label()
    assert {key for key, rest in words.items() if rest != up.label()} == {{5: "first", 15: "last"}[s] for s in sizes}
