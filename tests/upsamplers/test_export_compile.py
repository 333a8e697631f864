"""One program for all sizes: torch.compile and torch.export with dynamic height and width."""

import inspect
import itertools
from contextlib import nullcontext

import pytest
import torch
from old_torch import but_on_old_torch
from torch import nn
from torch._dynamo.exc import Unsupported
from torch._dynamo.testing import CompileCounter
from torch.export import Dim, export

from segup.decoders import create_decoder
from segup.errors import ShapeError
from segup.export.program import any_size
from segup.upsamplers import fit_to, list_upsamplers
from segup.upsamplers.contract import operator_class

OPERATORS = list_upsamplers()
READING_WINDOWS = ("carafe", "fade", "freqfusion", "naf", "sapa", "uplift")


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    torch.manual_seed(0)


class Stage(nn.Module):
    """Halve an image and bring it back to its own size, so that the size asked for depends on the input's.

    A convolution halves it, rounding up; or a max pooling, rounding down, for an operator that takes its indices.
    """

    def __init__(self, up):
        super().__init__()
        self.up = up
        self.pools = "indices" in up.requires
        self.least = 4 if self.pools else 3  # torch.export makes a constant of a size that can be 1, here the map's
        self.side = nn.Conv2d(3, up.in_channels if self.pools else up.skip_channels or 1, 1)
        self.down = nn.Conv2d(3, up.in_channels, 3, stride=2, padding=1)

    def forward(self, image):
        size = (image.shape[-2], image.shape[-1])
        if self.pools:
            low, indices = nn.functional.max_pool2d(self.side(image), 2, return_indices=True)
            return self.up(low, size, indices=indices)
        known = {"skip": lambda: self.side(image), "image": lambda: image}
        return self.up(self.down(image), size, **{guide: known[guide]() for guide in self.up.requires})


def stage(build, name, **options):
    return Stage(build(name, 4, 3, 2, **options)).eval()


@pytest.mark.parametrize("name", but_on_old_torch(OPERATORS, "max_unpool"))
def test_one_compiled_program_serves_every_size_and_parity(name, build):
    model, counter = stage(build, name), CompileCounter()
    compiled = torch.compile(model, backend=counter, dynamic=True, fullgraph=True)
    for height, width in ((9, 12), (10, 11), (12, 14), (7, 9), (5, 20)):
        image = torch.randn(2, 3, height, width)
        y, correction = compiled(image), model.up.correction
        expected = model(image)
        assert y.shape == (2, 3, height, width)
        torch.testing.assert_close(y, expected)
        assert correction == model.up.correction
    assert counter.frame_count == 1


@pytest.mark.parametrize("name", but_on_old_torch(OPERATORS, "max_unpool", *READING_WINDOWS))
def test_an_exported_module_gives_every_size_in_its_range_and_refuses_the_rest(name, build):
    model = stage(build, name)
    before = model.up.correction
    least = model.least
    ranges = {2: Dim("height", min=least, max=40), 3: Dim("width", min=least, max=40)}
    exported = export(model, (torch.randn(2, 3, 9, 12),), dynamic_shapes=(ranges,)).module()
    assert model.up.correction == before  # no symbol of the trace is left behind
    for height, width in ((least, least), (9, 12), (least + 1, least), (8, 13), (7, 7), (40, 5)):
        image = torch.randn(2, 3, height, width)
        y = exported(image)
        assert y.shape == (2, 3, height, width)
        torch.testing.assert_close(y, model(image))
    for height, width in ((least - 1, 9), (9, 41)):
        with pytest.raises(AssertionError, match="Guard failed"):
            exported(torch.randn(2, 3, height, width))


class Given(nn.Module):
    """An operator that is told the size by another input, which the trace knows nothing else about."""

    def __init__(self, up):
        super().__init__()
        self.up = up

    def forward(self, x, like):
        return self.up(x, (like.shape[-2], like.shape[-1]))


@pytest.mark.parametrize(
    ("name", "options", "reaches", "strict"),
    [
        ("deconv", {}, (-1, 0, 1), True),
        ("deconv", {"kernel_size": 3}, (-1, 0, 1), False),
        ("deconv", {"fit": "strict"}, (0,), True),
        ("deconv_matched", {}, (-1, 0), True),
        ("deconv_matched", {"rounding": "down"}, (0, 1), False),
        ("bilinear", {}, (-1, 0, 1), False),
    ],
)
def test_an_exported_module_refuses_a_size_out_of_reach(name, options, reaches, strict, build):
    up = build(name, **options)
    low, high = ({2: Dim(f"{n}h", min=3, max=64), 3: Dim(f"{n}w", min=3, max=64)} for n in ("low", "high"))
    example = (torch.randn(1, 4, 7, 6), torch.randn(1, 1, 14, 12))
    exported = export(Given(up), example, dynamic_shapes=(low, high), strict=strict).module()
    x = torch.randn(1, 4, 5, 8)
    for rows, columns in itertools.product(range(-3, 4), (-2, 0, 2)):
        like = torch.randn(1, 1, 10 + rows, 16 + columns)
        if rows in reaches and columns in reaches:
            torch.testing.assert_close(exported(x, like), up(x, like.shape[-2:]))
        else:
            with pytest.raises(RuntimeError, match="the (height|width) asked for is out of its reach"):
                exported(x, like)


@pytest.mark.parametrize("name", ["deconv", "deconv_matched"])
@pytest.mark.parametrize("scale", [3, 4, 8])
def test_larger_scales_export_too(name, scale, build):
    up = build(name, scale=scale)
    ranges = {2: Dim("h", min=3, max=32), 3: Dim("w", min=3, max=32)}
    exported = export(up, (torch.randn(1, 4, 5, 6),), dynamic_shapes=(ranges,)).module()
    x = torch.randn(1, 4, 9, 3)
    torch.testing.assert_close(exported(x), up(x))


def test_compiled_errors_are_those_of_eager_mode(build):
    up = build("deconv")
    compiled = torch.compile(up, backend="eager", dynamic=True)
    compiled(torch.randn(1, 4, 6, 6))
    for x, size in (
        (torch.zeros(1, 3, 5, 5), None),
        (torch.zeros(4, 5, 5), None),
        (torch.zeros(1, 4, 0, 5), None),
        (torch.zeros(1, 4, 5, 5), (12, 10)),
        (torch.zeros(1, 4, 5, 5), 10),
    ):
        with pytest.raises(ShapeError) as eager:
            up(x, size)
        with pytest.raises(ShapeError) as traced:
            compiled(x, size)
        assert str(traced.value) == str(eager.value)
    assert compiled(torch.randn(1, 4, 7, 5)).shape == (1, 4, 14, 10)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 5, 6, 7), None),
        ((4, 6, 7), None),
        ((1, 4, 0, 7), None),
        ((1, 4, 6, 7), (12, 17)),
        ((1, 4, 6, 7), (0, 14)),
        ((1, 4, 6, 7), (12.0, 14)),
        ((1, 4, 6, 7), [12, 14, 3]),
        ((1, 4, 6, 7), 12),
    ],
)
def test_a_program_that_may_not_break_quotes_the_same_error(shape, size, build):
    """torch.compile(fullgraph=True) wraps any error in one of its own; the message is in it, in figures."""
    up = build("deconv")
    compiled = torch.compile(up, backend="eager", dynamic=True, fullgraph=True)
    with pytest.raises(ShapeError) as eager:
        up(torch.zeros(shape), size)
    with pytest.raises(Unsupported) as traced:
        compiled(torch.zeros(shape), size)
    assert str(eager.value) in str(traced.value).replace("\\n", "\n").replace("\\'", "'")


def test_fitting_in_a_traced_program_is_fitting_in_eager_mode():
    counter = CompileCounter()
    traced = torch.compile(fit_to, backend=counter, fullgraph=True, dynamic=True)
    for rows, columns in itertools.product((-2, -1, 0, 1, 2), repeat=2):
        y = torch.randn(1, 2, 6, 7, requires_grad=True)
        size = (6 + rows, 7 + columns)
        fitted, expected = traced(y, size, 2), fit_to(y, size)
        assert torch.equal(fitted, expected)
        weights = torch.randn_like(expected)
        gradients = [torch.autograd.grad((z * weights).sum(), y)[0] for z in (fitted, expected)]
        torch.testing.assert_close(*gradients)
    assert counter.frame_count <= 2  # the sizes are passed as ints here, whose first values torch may take as constants


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_module_of_torch_jit_trace_follows_the_size_too(name, build):
    """Its checks are those of the example alone; what it computes is not."""
    model = stage(build, name)
    traced = torch.jit.trace(model, (torch.randn(1, 3, 9, 12),), check_trace=False)
    for height, width in ((9, 12), (10, 11), (7, 8), (12, 15)):
        image = torch.randn(2, 3, height, width)
        torch.testing.assert_close(traced(image), model(image))


GUIDED = [name for name in OPERATORS if operator_class(name).reaches_any]


@pytest.mark.parametrize("options", [{}, {"fit": "strict"}, {"scale": 3}], ids=str)
@pytest.mark.parametrize("size", [(48, 48), (24, 24), (16, 16), (15, 15), (23, 31)])
@pytest.mark.parametrize("name", GUIDED)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_module_of_torch_jit_trace_gives_the_size_of_its_example_on_its_grid_and_off_it(name, size, options, build):
    up = build(name, **options).eval()
    call = Guided(up)
    example = (torch.randn(1, 4, 8, 8), torch.randn(1, 3, *size))
    traced = torch.jit.trace(call, example, check_trace=False)
    for given in (example, tuple(torch.randn_like(one) for one in example)):
        torch.testing.assert_close(traced(*given), call(*given))


TILED = [name for name in GUIDED if "tile" in inspect.signature(operator_class(name)).parameters]


@pytest.mark.parametrize("name", TILED)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_rows_that_are_made_at_once_are_no_matter_of_a_traced_program(name, build):
    """Their number would be a constant, of the example's size. Memory is saved where the operator itself runs."""
    model = stage(build, name, tile=4)
    ranges = {2: Dim("height", min=3, max=40), 3: Dim("width", min=3, max=40)}
    example = torch.randn(1, 3, 14, 12)
    with any_size():
        exported = export(model, (example,), dynamic_shapes=(ranges,)).module()
    traced = torch.jit.trace(model, (example,), check_trace=False)
    for size in ((14, 12), (3, 3), (9, 22), (40, 5)):
        image = torch.randn(1, 3, *size)
        torch.testing.assert_close(exported(image), model(image))
        torch.testing.assert_close(traced(image), model(image))


class Guided(nn.Module):
    """An operator that brings a map to the size of its image."""

    def __init__(self, up):
        super().__init__()
        self.up = up

    def forward(self, x, image):
        return self.up(x, (image.shape[-2], image.shape[-1]), image=image)


class Whole(nn.Module):
    """An encoder of three stages and a U-Net on it: every skip's size follows from the image's."""

    def __init__(self, name):
        super().__init__()
        self.pools = "indices" in operator_class(name).requires
        channels, step = (4, 4, 4), 1 if self.pools else 2
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(4, 4, 3, stride=step, padding=1) for _ in channels[1:])
        self.decoder = create_decoder(
            "unet", channels, (2, 4, 8), upsampler=name, widths=[4, 4, 4], roundings=["up", "up"], convs=1
        )

    def forward(self, image):
        features, indices = [self.stem(image)], []
        for down in self.downs:
            x = features[-1]
            if self.pools:
                x, where = nn.functional.max_pool2d(x, 2, return_indices=True)
                indices.append(where)
            features.append(down(x))
        given = {"indices": indices} if self.pools else {}
        given |= {"image": image} if "image" in self.decoder.requires else {}
        return self.decoder(features, (image.shape[-2], image.shape[-1]), **given)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("deconv", "deconv_matched") else pytest.param(name, marks=pytest.mark.slow)
        for name in OPERATORS
    ],
)
@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_whole_decoder_exports_with_skips_that_depend_on_the_image(name, strict):
    """From 17 up: below, the smallest map has a side of 1 or 2, of which torch.export makes constants."""
    model = Whole(name).eval()
    least = 24 if model.pools else 17
    ranges = {2: Dim("height", min=least, max=80), 3: Dim("width", min=least, max=80)}
    # Of these torch.export alone cannot prove that (4 + 4·w) % (1 + w) is 0: they need what segup's exporter sets.
    with any_size() if name in ("freqfusion", "naf") else nullcontext():
        exported = export(model, (torch.randn(1, 3, 35, 44),), dynamic_shapes=(ranges,), strict=strict).module()
    for size in range(least, least + 9):
        image = torch.randn(1, 3, size, 80 - size)
        torch.testing.assert_close(exported(image), model(image))
    with pytest.raises(AssertionError, match="Guard failed"):
        exported(torch.randn(1, 3, least - 1, 44))


@pytest.mark.slow
@pytest.mark.parametrize("name", OPERATORS)
def test_inductor_serves_every_size_too(name, build):
    model = stage(build, name)
    compiled = torch.compile(model, dynamic=True, fullgraph=True)
    for height, width in ((9, 12), (10, 11), (7, 16)):
        image = torch.randn(2, 3, height, width, requires_grad=True)
        y, expected = compiled(image), model(image)
        torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)
        gradients = [torch.autograd.grad(z.square().sum(), image)[0] for z in (y, expected)]
        torch.testing.assert_close(*gradients, atol=1e-3, rtol=1e-3)
