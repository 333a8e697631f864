import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from old_torch import OLD
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import ConfigError, ShapeError
from segup.upsamplers import Carafe, carafe_reassemble, create_upsampler

DOUBLE = torch.float64
SCALES = (2, 3, 4, 8)


def by_definition(x, kernels, k, groups=1, scale=2):
    """The textbook form: bring the map up by nearest, unfold that, weigh and add."""
    n, c, h, w = x.shape
    high = F.interpolate(x, scale_factor=scale, mode="nearest")
    near = F.unfold(high, k, dilation=scale, padding=k // 2 * scale)
    near = near.reshape(n, groups, c // groups, k * k, scale * h, scale * w)
    weighed = near * kernels.reshape(n, groups, 1, k * k, scale * h, scale * w)
    return weighed.sum(3).reshape(n, c, scale * h, scale * w)


def one_hot(position, k, h, w):
    return F.one_hot(torch.tensor(position), k * k).to(DOUBLE).reshape(1, k * k, 1, 1).expand(1, k * k, h, w)


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 2),
    groups=st.integers(1, 3),
    width=st.integers(1, 3),
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    k=st.sampled_from([1, 3, 5, 7]),
    scale=st.integers(1, 4),
    channels_last=st.booleans(),
)
def test_reassembly_and_its_gradients_are_those_of_the_definition(n, groups, width, size, k, scale, channels_last):
    """Kernels here are any numbers, negative ones too: they are used as they are."""
    torch.manual_seed(0)
    h, w = size
    x = torch.randn(n, groups * width, h, w, dtype=DOUBLE)
    kernels = torch.randn(n, groups * k * k, scale * h, scale * w, dtype=DOUBLE)
    if channels_last:
        x, kernels = (t.to(memory_format=torch.channels_last) for t in (x, kernels))
    x.requires_grad_()
    kernels.requires_grad_()
    ours = carafe_reassemble(x, kernels, k, groups=groups, scale=scale)
    theirs = by_definition(x, kernels, k, groups, scale)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weight = torch.randn_like(theirs)
    for mine, yours in zip(
        torch.autograd.grad(ours, (x, kernels), weight), torch.autograd.grad(theirs, (x, kernels), weight), strict=True
    ):
        torch.testing.assert_close(mine, yours, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_all_weight_on_the_middle_is_nearest_upsampling(scale, k):
    x = torch.randn(1, 4, 3, 5, dtype=DOUBLE)
    kernels = one_hot(k * k // 2, k, 3 * scale, 5 * scale)
    assert torch.equal(carafe_reassemble(x, kernels, k, scale=scale), F.interpolate(x, scale_factor=scale))


def test_kernel_channels_go_row_by_row_and_zeros_lie_beyond_the_border():
    """All weight on row r and column c of the neighbourhood reads the pixel r - 1 down and c - 1 to the right."""
    x = torch.arange(1.0, 13.0, dtype=DOUBLE).reshape(1, 1, 3, 4)
    padded = F.pad(x, (1, 1, 1, 1))
    for row in range(3):
        for column in range(3):
            moved = F.interpolate(padded[..., row : row + 3, column : column + 4], scale_factor=2)
            assert torch.equal(carafe_reassemble(x, one_hot(3 * row + column, 3, 6, 8), 3), moved)


def test_groups_are_runs_of_neighbouring_channels():
    x = torch.randn(1, 6, 3, 3, dtype=DOUBLE)
    kernels = torch.cat([one_hot(4, 3, 6, 6), torch.zeros(1, 9, 6, 6, dtype=DOUBLE)], dim=1)
    y = carafe_reassemble(x, kernels, 3, groups=2)
    assert torch.equal(y[:, :3], F.interpolate(x[:, :3], scale_factor=2))
    assert not y[:, 3:].any()


@pytest.mark.parametrize(
    ("features", "kernels", "options", "error", "message"),
    [
        ((1, 4, 3, 3), (1, 25, 6, 7), {}, ShapeError, r"= \(1, 25, 6, 6\) with features \(1, 4, 3, 3\), kernel_size=5"),
        ((2, 4, 3, 3), (1, 25, 6, 6), {}, ShapeError, r"= \(2, 25, 6, 6\) .* not \(1, 25, 6, 6\)"),
        ((1, 4, 3, 3), (1, 25, 6, 6), {"groups": 2}, ShapeError, r"= \(1, 50, 6, 6\) .*groups=2, scale=2, not \(1, 25"),
        ((1, 4, 3, 3), (25, 6, 6), {}, ShapeError, r"not \(25, 6, 6\)"),
        ((4, 3, 3), (1, 25, 6, 6), {}, ShapeError, r"takes features \(N, C, h, w\) with C, h, w ≥ 1, not \(4, 3, 3\)"),
        ((1, 4, 0, 3), (1, 25, 0, 6), {}, ShapeError, r"with C, h, w ≥ 1, not \(1, 4, 0, 3\)"),
        (
            (1, 4, 3, 3),
            (1, 75, 6, 6),
            {"groups": 3},
            ConfigError,
            r"groups=3 must divide features\.shape\[1\]=4: 4 mod 3 = 1\n  try: groups=2",
        ),
        ((1, 4, 3, 3), (1, 16, 6, 6), {"kernel_size": 4}, ConfigError, "kernel_size=4 must be an odd int"),
        ((1, 4, 3, 3), (1, 25, 6, 6), {"scale": 2.0}, ConfigError, "scale=2.0 must be an int of 1 or more"),
    ],
)
def test_reassembly_refuses_what_does_not_fit(features, kernels, options, error, message):
    with pytest.raises(error, match=message):
        carafe_reassemble(torch.zeros(features), torch.zeros(kernels), **{"kernel_size": 5, **options})


def test_parameters_are_those_of_the_paper():
    def count(*arguments, **options):
        return sum(p.numel() for p in Carafe(*arguments, **options).parameters())

    assert count(256, 256) == 74_148
    assert count(256, 128) == 74_148 + 256 * 128 + 128
    assert count(32, 32, 3, kernel_size=3, compressed_channels=16, encoder_kernel=5, groups=4) == (
        32 * 16 + 16 + (16 * 25 + 1) * 9 * 4 * 9
    )


@pytest.mark.parametrize("scale", [2, 3])
def test_multiply_accumulates_are_those_of_the_formula(scale):
    """Convolutions as torch counts them, and beside them the weighted sums, which are a matrix product here."""
    up, positions = Carafe(48, 24, scale, groups=2), 5 * 7
    with FlopCounterMode(display=False) as counter:
        up(torch.zeros(1, 48, 5, 7))
    macs = {op: flops // 2 for op, flops in counter.get_flop_counts()["Global"].items()}
    predicted = 48 * 64 + 64 * 9 * scale**2 * 2 * 25
    assert macs == {
        torch.ops.aten.convolution: positions * (predicted + scale**2 * 48 * 24),
        torch.ops.aten.bmm: positions * scale**2 * 25 * 48,
    }


class PeakBytes(TorchDispatchMode):
    """The most bytes that storages made inside hold together."""

    def __init__(self):
        super().__init__()
        self.live, self.peak, self.seen = 0, 0, weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.live += storage.nbytes()
                weakref.finalize(storage, self.release, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return out

    def release(self, count):
        self.live -= count


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("groups", [1, 4])
def test_a_forward_holds_less_than_0_6_gib_at_256_channels_and_128_pixels(channels_last, groups):
    """With everything that the backward pass needs; the largest single map is the neighbourhoods, 25·256·128²."""
    up = Carafe(256, 256, groups=groups).to("meta")
    x = torch.zeros(1, 256, 128, 128, device="meta")
    x = x.to(memory_format=torch.channels_last) if channels_last else x
    with PeakBytes() as memory:
        y = up(x)
    assert y.requires_grad
    assert 25 * 256 * 128**2 * 4 < memory.peak < 0.6 * 2**30


@pytest.mark.parametrize("scale", SCALES)
def test_gradcheck_of_input_and_parameters(scale):
    torch.manual_seed(0)
    up = Carafe(4, 3, scale, kernel_size=3, compressed_channels=2, groups=2).double()
    torch.nn.init.normal_(up.encode.weight)
    x = torch.randn(1, 4, 2, 3, dtype=DOUBLE, requires_grad=True)
    parameters = dict(up.named_parameters())

    def run(x, *values):
        return torch.func.functional_call(up, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *parameters.values()), fast_mode=True)


def test_kernels_are_predicted_from_the_content_and_sum_to_one():
    torch.manual_seed(0)
    up = Carafe(8, 8, groups=2).double()
    torch.nn.init.normal_(up.encode.weight)
    x = torch.randn(2, 8, 4, 5, dtype=DOUBLE)
    kernels = up.kernels(x)
    assert kernels.shape == (2, 50, 8, 10)
    assert (kernels > 0).all()
    torch.testing.assert_close(kernels.unflatten(1, (2, 25)).sum(2), torch.ones(2, 2, 8, 10, dtype=DOUBLE))
    assert torch.equal(up(x), carafe_reassemble(x, kernels, 5, groups=2))
    constant = carafe_reassemble(x, torch.full_like(kernels, 1 / 25), 5, groups=2)
    assert (up(x) - constant).abs().max() > 0.1


@pytest.mark.parametrize("scale", SCALES)
def test_a_constant_stays_constant_away_from_the_border(scale):
    torch.manual_seed(0)
    up = Carafe(4, 4, scale).double()
    torch.nn.init.normal_(up.encode.weight)
    edge = 2 * scale
    y = up(torch.full((1, 4, 8, 8), 3.0, dtype=DOUBLE))[..., edge:-edge, edge:-edge]
    torch.testing.assert_close(y, torch.full_like(y, 3.0))


@pytest.mark.parametrize("scale", SCALES)
def test_at_the_start_an_impulse_spreads_over_its_neighbourhood_and_stays_centred(scale):
    torch.manual_seed(0)
    up = Carafe(4, 4, scale).double()
    x = torch.zeros(1, 4, 7, 7, dtype=DOUBLE)
    x[..., 3, 3] = 1
    y = up(x).detach()[0, 0]
    centres = (torch.arange(7 * scale, dtype=DOUBLE) + 0.5) / scale - 0.5
    for axis in (0, 1):
        assert abs((y.sum(axis) * centres).sum() / y.sum() - 3) < 0.01
    reached = (y > 0).nonzero()
    assert reached.min() == scale
    assert reached.max() == 6 * scale - 1
    assert (y[scale : 6 * scale, scale : 6 * scale] * 25 - 1).abs().max() < 0.05


def test_every_parameter_moves_in_one_step():
    torch.manual_seed(0)
    up = Carafe(6, 4, groups=3)
    before = {name: p.detach().clone() for name, p in up.named_parameters()}
    optimizer = torch.optim.SGD(up.parameters(), lr=1.0)
    up(torch.randn(2, 6, 5, 5)).square().sum().backward()
    optimizer.step()
    assert all(not torch.equal(p, before[name]) for name, p in up.named_parameters())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("out_channels", [8, 6])
def test_bfloat16_autocast_is_near_float32_and_keeps_the_memory_format(channels_last, out_channels):
    torch.manual_seed(0)
    up = Carafe(8, out_channels, groups=2)
    torch.nn.init.normal_(up.encode.weight, std=0.1)
    x = torch.randn(2, 8, 6, 7)
    if channels_last:
        up, x = up.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = up(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    torch.testing.assert_close(y.float(), up(x), rtol=0.05, atol=0.05)
    y.float().square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.any() for p in up.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, DOUBLE])
def test_a_module_of_another_type_answers_in_that_type(dtype):
    assert Carafe(8, 8).to(dtype)(torch.randn(1, 8, 4, 4, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "'carafe': kernel_size=4 must be an odd int"),
        ({"encoder_kernel": 2}, "'carafe': encoder_kernel=2 must be an odd int"),
        ({"compressed_channels": 0}, "'carafe': compressed_channels=0 must be an int of 1 or more"),
        ({"groups": 0}, "'carafe': groups=0 must be an int of 1 or more"),
        ({"groups": 4}, "'carafe': groups=4 must divide in_channels=6: 6 mod 4 = 2\n  try: groups=3"),
        ({"up_kernel": 5}, "unknown option of upsampler 'carafe' 'up_kernel'"),
    ],
)
def test_wrong_options_are_refused_by_name(options, message):
    with pytest.raises(ConfigError, match=message):
        create_upsampler("carafe", 6, 6, **options)


@OLD
@pytest.mark.parametrize("channels_last", [False, True])
def test_exported_and_compiled_it_answers_alike_at_other_sizes(channels_last):
    torch.manual_seed(0)
    up = Carafe(6, 4, 3, groups=2, kernel_size=3).double().eval()

    def map_of(h, w):
        x = torch.randn(2, 6, h, w, dtype=torch.float64)
        return x.to(memory_format=torch.channels_last) if channels_last else x

    axes = {2: torch.export.Dim("height", min=3, max=64), 3: torch.export.Dim("width", min=3, max=64)}
    exported = torch.export.export(up, (map_of(7, 9),), dynamic_shapes={"x": axes}).module()
    torch.compiler.reset()
    compiled = torch.compile(up, backend="eager", dynamic=True, fullgraph=True)
    with torch.no_grad():
        for h, w in ((7, 9), (3, 11), (16, 5)):
            x = map_of(h, w)
            assert torch.allclose(exported(x), up(x), rtol=0, atol=1e-13)  # some processors sum in another order
            assert torch.allclose(compiled(x), up(x), rtol=0, atol=1e-13)
