import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError
from segup.upsamplers import DySample, create_upsampler
from segup.upsamplers.dysample import sample_at_offsets

DOUBLE = torch.float64
SCALES = (2, 3, 4, 8)
KINDS = [(style, dynamic) for style in ("lp", "pl") for dynamic in (False, True)]


def randomised(*arguments, std=1.0, **options):
    """An operator whose offsets are large enough to tell its parts apart."""
    up = DySample(*arguments, **options)
    for conv in (up.offset, *([up.scope] if up.dynamic else [])):
        for parameter in conv.parameters():
            torch.nn.init.normal_(parameter, std=std)
    return up


def one_by_one(x, offsets, scale):
    """Every output by the definition: a position in pixels, clamped to the map, between its four neighbours."""
    n, c, h, w = x.shape
    groups = offsets.shape[2]
    y = torch.empty(n, c, scale * h, scale * w, dtype=x.dtype)
    for b, ch, i, j in torch.cartesian_prod(*map(torch.arange, y.shape)).tolist():
        column, row = offsets[b, :, ch // (c // groups), i, j].tolist()
        row = min(max((i + 0.5) / scale - 0.5 + row, 0), h - 1)
        column = min(max((j + 0.5) / scale - 0.5 + column, 0), w - 1)
        top, left = math.floor(row), math.floor(column)
        bottom, right = min(top + 1, h - 1), min(left + 1, w - 1)
        down, across = row - top, column - left
        upper = x[b, ch, top, left] * (1 - across) + x[b, ch, top, right] * across
        lower = x[b, ch, bottom, left] * (1 - across) + x[b, ch, bottom, right] * across
        y[b, ch, i, j] = upper * (1 - down) + lower * down
    return y


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [DOUBLE, torch.float32])
def test_with_offsets_of_zero_it_is_bilinear_upsampling(scale, dtype):
    """A position is divided by the width and multiplied by it again: known to width·eps each time, and so is a value
    to that times the steepest slope."""
    torch.manual_seed(0)
    up = DySample(8, 8, scale, init="interpolate").to(dtype)
    for size in ((1, 1), (2, 7), (5, 257)):
        x = torch.randn(2, 8, *size, dtype=dtype)
        expected = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        atol = 2 * size[1] * torch.finfo(dtype).eps * float(x.max() - x.min())
        torch.testing.assert_close(up(x), expected, rtol=0, atol=atol)


@settings(deadline=None, max_examples=15)
@given(
    groups=st.integers(1, 3),
    width=st.integers(1, 2),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    scale=st.integers(2, 3),
    reach=st.sampled_from([0.1, 3.0]),
)
def test_sampling_is_the_definition(groups, width, size, scale, reach):
    torch.manual_seed(0)
    h, w = size
    x = torch.randn(1, groups * width, h, w, dtype=DOUBLE)
    offsets = reach * torch.randn(1, 2, groups, scale * h, scale * w, dtype=DOUBLE)
    torch.testing.assert_close(sample_at_offsets(x, offsets, scale), one_by_one(x, offsets, scale), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
def test_offsets_are_those_of_the_paper(style, dynamic):
    """Channels: axis (columns, then rows), group, and for lp the pixel of the cell, row by row."""
    torch.manual_seed(0)
    s, g = 2, 4
    up = randomised(8, 8, s, style=style, dynamic=dynamic, groups=g).double()
    x = torch.randn(2, 8, 3, 5, dtype=DOUBLE)
    offsets = up.offsets(x)
    assert offsets.shape == (2, 2, g, 6, 10)
    read = x if style == "lp" else F.pixel_shuffle(x, s)
    for axis in (0, 1):
        for group in range(g):
            for i, j in ((0, 0), (3, 6), (4, 1), (5, 9)):
                channel = axis * g + group
                position = (i, j)
                if style == "lp":
                    channel, position = channel * s * s + i % s * s + j % s, (i // s, j // s)
                at = read[:, :, position[0], position[1]]
                value = at @ up.offset.weight[channel, :, 0, 0] + up.offset.bias[channel]
                reach = 0.5 * torch.sigmoid(at @ up.scope.weight[channel, :, 0, 0]) if dynamic else 0.25
                torch.testing.assert_close(offsets[:, axis, group, i, j], reach * value)
    assert torch.equal(up(x), sample_at_offsets(x, offsets, s))


@pytest.mark.parametrize(("axis", "name"), [(0, "columns"), (1, "rows")])
def test_an_offset_of_one_reads_the_next_pixel(axis, name):
    x = torch.randn(1, 2, 6, 6, dtype=DOUBLE)
    offsets = torch.zeros(1, 2, 1, 12, 12, dtype=DOUBLE)
    offsets[:, axis] = 1
    y, still = sample_at_offsets(x, offsets, 2), sample_at_offsets(x, torch.zeros_like(offsets), 2)
    dim = 3 - axis
    torch.testing.assert_close(y.narrow(dim, 0, 10), still.narrow(dim, 2, 10))


def test_parameters_are_those_of_the_paper():
    def three(**options):
        return 3 * sum(p.numel() for p in DySample(256, 256, **options).parameters())

    assert three() == three(style="lp", dynamic=False, groups=4) == 24_672
    assert three(dynamic=True) == 49_248
    assert three(style="pl", dynamic=True) == three(style="pl", dynamic=True, groups=8) == 6_192
    projected = DySample(256, 128)
    assert sum(p.numel() for p in projected.parameters()) == 24_672 // 3 + 256 * 128 + 128


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
def test_multiply_accumulates_are_those_of_the_formula(style, dynamic):
    up, positions = DySample(36, 18, 3, style=style, dynamic=dynamic, groups=2), 4 * 5
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 36, 4, 5))
    predicted = 36 * 2 * 2 * (9 if style == "lp" else 1) * (2 if dynamic else 1)
    assert counter.get_total_flops() == 2 * positions * (predicted + 9 * 36 * 18)


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
@pytest.mark.parametrize("scale", SCALES)
def test_gradcheck_of_input_and_parameters(style, dynamic, scale):
    """At random offsets: at a pixel's centre the derivative of a bilinear sample jumps."""
    torch.manual_seed(1)
    channels = scale**2 if style == "pl" else 4
    up = randomised(channels, 3, scale, style=style, dynamic=dynamic, groups=1 if scale == 3 else 2, std=0.3).double()
    x = torch.randn(1, channels, 3, 2, dtype=DOUBLE, requires_grad=True)
    parameters = dict(up.named_parameters())

    def run(x, *values):
        return torch.func.functional_call(up, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters.values()), fast_mode=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("autocast", [False, True])
def test_positions_are_exact_at_a_width_of_256_in_half_precision(dtype, autocast):
    """A ramp of whole numbers tells where each sample was taken, to the rounding of the result alone."""
    ramp = torch.arange(256.0).expand(1, 4, 2, 256)
    up = DySample(4, 4, groups=1)
    torch.nn.init.zeros_(up.offset.weight)
    torch.nn.init.constant_(up.offset.bias, 0.5)
    expected = (((torch.arange(512.0) + 0.5) / 2 - 0.5) + 0.125).clamp(0, 255).expand(1, 4, 4, 512)
    with torch.autocast("cpu", dtype=dtype, enabled=autocast):
        y = up(ramp) if autocast else up.to(dtype)(ramp.to(dtype))
    if autocast:
        assert y.dtype == torch.float32
        assert (y - expected).abs().max() < 1e-4
    else:
        assert torch.equal(y, expected.to(dtype))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("out_channels", [8, 6])
@pytest.mark.parametrize(("style", "dynamic"), KINDS)
def test_bfloat16_autocast_is_near_float32_and_keeps_the_memory_format(style, dynamic, out_channels, channels_last):
    torch.manual_seed(0)
    up = randomised(8, out_channels, style=style, dynamic=dynamic, groups=2, std=0.3)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    up, x = up.to(memory_format=memory_format), torch.randn(2, 8, 6, 7).to(memory_format=memory_format)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = up(x.bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(y.float(), up(x), rtol=0.05, atol=0.05)
    y.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in up.parameters())


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
def test_every_parameter_moves_in_one_step_and_the_prediction_matters(style, dynamic):
    torch.manual_seed(0)
    up = DySample(8, 4, style=style, dynamic=dynamic)
    before = {name: p.detach().clone() for name, p in up.named_parameters()}
    x = torch.randn(2, 8, 5, 5)
    up(x).square().sum().backward()
    torch.optim.SGD(up.parameters(), lr=1e-2).step()
    assert all(not torch.equal(p, before[name]) for name, p in up.named_parameters())
    up = randomised(8, 8, style=style, dynamic=dynamic)
    offsets = up.offsets(x)
    constant = sample_at_offsets(x, offsets.mean().expand_as(offsets), 2)
    assert (up(x) - constant).abs().max() > 0.1


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
@pytest.mark.parametrize("scale", [2, 4])
def test_at_the_start_a_constant_stays_and_an_impulse_is_where_it_was(style, dynamic, scale):
    torch.manual_seed(0)
    up = DySample(32, 32, scale, style=style, dynamic=dynamic).double()
    constant = torch.full((1, 32, 5, 5), 3.0, dtype=DOUBLE)
    torch.testing.assert_close(up(constant), torch.full((1, 32, 5 * scale, 5 * scale), 3.0, dtype=DOUBLE))
    x = torch.zeros(1, 32, 7, 7, dtype=DOUBLE)
    x[..., 3, 3] = 1
    y = up(x).detach().mean((0, 1))
    centres = (torch.arange(7 * scale, dtype=DOUBLE) + 0.5) / scale - 0.5
    for axis in (0, 1):
        assert abs((y.sum(axis) * centres).sum() / y.sum() - 3) < 0.01


@pytest.mark.parametrize(("style", "dynamic"), KINDS)
def test_init_interpolate_is_bilinear_upsampling_of_the_drawn_channels(style, dynamic):
    torch.manual_seed(3)
    up = DySample(8, 6, style=style, dynamic=dynamic, init="interpolate").double()
    torch.manual_seed(3)
    bilinear = create_upsampler("bilinear", 8, 6, init="interpolate").double()
    x = torch.randn(2, 8, 5, 4, dtype=DOUBLE)
    torch.testing.assert_close(up(x), bilinear(x), rtol=0, atol=1e-12)
    up(x).square().sum().backward()
    assert up.offset.weight.grad.any()


def test_groups_are_the_papers_where_they_divide():
    assert [DySample(c, c).groups for c in (1, 2, 6, 8, 24, 320)] == [1, 2, 2, 4, 4, 4]
    assert [DySample(c, c, style="pl").groups for c in (4, 12, 24, 320)] == [4, 4, 8, 8]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style": "lq"}, "'dysample': style='lq' is unknown; known: lp, pl"),
        ({"style": "pl"}, r"divisible by scale² = 4: 6 mod 4 = 2\n  try: style='lp'"),
        ({"style": "pl", "scale": 4}, r"shuffles channels into 4×4 pixels, .* scale² = 16: 6 mod 16 = 6"),
        ({"groups": 4}, r"'dysample': groups=4 must divide in_channels=6: 6 mod 4 = 2\n  try: groups=3"),
        ({"groups": 12}, r"groups=12 must divide in_channels=6: 6 mod 12 = 6\n  try: groups=6"),
        ({"groups": 0}, "groups=0 must be an int of 1 or more"),
        ({"dynamic": "yes"}, "dynamic='yes' must be True or False"),
        ({"init": "interpolation"}, "init='interpolation' is unknown: did you mean 'interpolate'?"),
        ({"group": 2}, "unknown option of upsampler 'dysample' 'group': did you mean 'groups'?"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        create_upsampler("dysample", 6, 6, **options)


@pytest.mark.parametrize(
    ("style", "dynamic", "channels_last"), [("lp", True, True), ("pl", False, False), ("pl", True, True)]
)
def test_exported_and_compiled_it_answers_alike_at_other_sizes(style, dynamic, channels_last):
    torch.manual_seed(0)
    up = randomised(18, 4, 3, style=style, dynamic=dynamic, groups=2).eval()

    def map_of(h, w):
        x = torch.randn(2, 18, h, w)
        return x.to(memory_format=torch.channels_last) if channels_last else x

    axes = {2: torch.export.Dim("height", min=3, max=64), 3: torch.export.Dim("width", min=3, max=64)}
    exported = torch.export.export(up, (map_of(7, 9),), dynamic_shapes={"x": axes}).module()
    torch.compiler.reset()
    compiled = torch.compile(up, backend="eager", dynamic=True, fullgraph=True)
    with torch.no_grad():
        for h, w in ((7, 9), (3, 11), (16, 5)):
            x = map_of(h, w)
            torch.testing.assert_close(exported(x), up(x))
            torch.testing.assert_close(compiled(x), up(x))
