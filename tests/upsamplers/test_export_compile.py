"""One program for all sizes: torch.compile and torch.export with dynamic height and width."""

import itertools

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.export import Dim, export

from segup.errors import ShapeError
from segup.upsamplers import fit_to, list_upsamplers

OPERATORS = list_upsamplers()


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    torch.manual_seed(0)


class Stage(nn.Module):
    """Halve an image, rounding up, and bring it back to its own size: the size asked for depends on the input's."""

    def __init__(self, up):
        super().__init__()
        self.down = nn.Conv2d(3, up.in_channels, 3, stride=2, padding=1)
        self.side = nn.Conv2d(3, up.skip_channels or up.in_channels, 1)
        self.up = up

    def forward(self, image):
        low, skip, indices = self.down(image), None, None
        if "skip" in self.up.requires:
            skip = self.side(image)
        if "indices" in self.up.requires:
            _, indices = nn.functional.max_pool2d(self.side(image), 2, ceil_mode=True, return_indices=True)
        return self.up(low, (image.shape[-2], image.shape[-1]), skip=skip, indices=indices)


def stage(build, name, **options):
    return Stage(build(name, 4, 3, 2, **options)).eval()


@pytest.mark.parametrize("name", OPERATORS)
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


@pytest.mark.parametrize("name", OPERATORS)
def test_an_exported_module_gives_every_size_in_its_range_and_refuses_the_rest(name, build):
    model = stage(build, name)
    before = model.up.correction
    ranges = {2: Dim("height", min=3, max=40), 3: Dim("width", min=3, max=40)}
    exported = export(model, (torch.randn(2, 3, 9, 12),), dynamic_shapes=(ranges,)).module()
    assert model.up.correction == before  # no symbol of the trace is left behind
    for height, width in ((3, 3), (9, 12), (4, 3), (8, 13), (7, 7), (40, 5)):
        image = torch.randn(2, 3, height, width)
        y = exported(image)
        assert y.shape == (2, 3, height, width)
        torch.testing.assert_close(y, model(image))
    for height, width in ((2, 9), (9, 41)):
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
    ("name", "options", "reaches"),
    [
        ("deconv", {}, (-1, 0, 1)),
        ("deconv", {"kernel_size": 3}, (-1, 0, 1)),
        ("deconv", {"fit": "strict"}, (0,)),
        ("deconv_matched", {}, (-1, 0)),
        ("deconv_matched", {"rounding": "down"}, (0, 1)),
        ("bilinear", {}, (-1, 0, 1)),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
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
