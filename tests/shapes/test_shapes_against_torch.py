"""Every layer against torch itself, on real CPU tensors (meta tensors accept what the CPU refuses).

The whole grid is run, none of it sampled: kernel ≤ 7, stride ≤ 4, padding ≤ kernel, dilation ≤ 3, ceil_mode,
output_padding up to its bound and at it, and every size ≤ 40. What torch refuses belongs to it. One axis carries the
sizes, the other is 1 wide, so that a call costs microseconds.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import pytest
import torch
from torch.nn import functional

from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError

SIZES = range(1, 41)
KERNELS, STRIDES, DILATIONS = range(1, 8), range(1, 5), range(1, 4)
COLUMNS = {n: torch.zeros(1, 1, n, 1) for n in SIZES}
WEIGHTS = {k: torch.zeros(1, 1, k, 1) for k in KERNELS}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def run(call: Callable[[], torch.Tensor]) -> int | None:
    """Return torch's output height, or None where torch refuses."""
    try:
        return call().shape[2]
    except (RuntimeError, ValueError):
        return None


def predict(call: Callable[[], int]) -> int | None:
    """Return the calculus's answer, or None where it refuses."""
    try:
        return call()
    except ShapeError:
        return None


def windows() -> Iterator[tuple[int, int, int, int]]:
    for k, s, d in itertools.product(KERNELS, STRIDES, DILATIONS):
        for p in range(k + 1):
            yield k, s, p, d


def differences(
    cases: Iterator[tuple[int, ...]],
    ours: Callable[..., Callable[[int], int]],
    theirs: Callable[..., torch.Tensor],
    sizes: range = SIZES,
) -> list[str]:
    """Run both over all cases and sizes and describe where they disagree."""
    found = []
    for case in cases:
        try:
            rule = ours(*case)
        except ShapeError:
            rule = None
        for n in sizes:
            expected = run(lambda n=n, case=case: theirs(COLUMNS[n], *case))
            actual = None if rule is None else predict(lambda n=n, rule=rule: rule(n))
            if expected != actual:
                found.append(f"{case} size {n}: torch {expected}, calculus {actual}")
    return found


def test_conv_on_the_whole_grid():
    assert not differences(
        windows(),
        lambda k, s, p, d: Conv(k, s, p, d).out,
        lambda x, k, s, p, d: functional.conv2d(x, WEIGHTS[k], stride=(s, 1), padding=(p, 0), dilation=(d, 1)),
    )


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("word", ["same", "valid"])
def test_conv_with_padding_in_words(word):
    assert not differences(
        itertools.product(KERNELS, STRIDES, DILATIONS),
        lambda k, s, d: Conv(k, s, word, d).out,
        lambda x, k, s, d: functional.conv2d(x, WEIGHTS[k], stride=(s, 1), padding=word, dilation=(d, 1)),
    )


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_on_the_whole_grid(ceil_mode):
    assert not differences(
        windows(),
        lambda k, s, p, d: Pool(k, s, p, d, ceil_mode).out,
        lambda x, k, s, p, d: functional.max_pool2d(x, (k, 1), (s, 1), (p, 0), (d, 1), ceil_mode),
    )


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_avg_pool_on_the_whole_grid(ceil_mode):
    assert not differences(
        ((k, s, p) for k, s, p, d in windows() if d == 1),
        lambda k, s, p: Pool(k, s, p, ceil_mode=ceil_mode).out,
        lambda x, k, s, p: functional.avg_pool2d(x, (k, 1), (s, 1), (p, 0), ceil_mode),
    )


def test_pool_stride_defaults_to_the_kernel():
    assert not differences(
        ((k,) for k in KERNELS),
        lambda k: Pool(k).out,
        lambda x, k: functional.max_pool2d(x, (k, 1)),
    )


def test_conv_transpose_on_the_whole_grid():
    cases = ((k, s, p, op, d) for k, s, p, d in windows() for op in range(max(s, d) + 1))
    assert not differences(
        cases,
        lambda k, s, p, op, d: ConvTranspose(k, s, p, op, d).out,
        lambda x, k, s, p, op, d: functional.conv_transpose2d(
            x, WEIGHTS[k], stride=(s, 1), padding=(p, 0), output_padding=(op, 0), dilation=(d, 1)
        ),
    )


def test_reachable_and_output_padding_for_against_output_size():
    disagreements = []
    for k, s, p, d in windows():
        up = ConvTranspose(k, s, p, dilation=d)
        module = torch.nn.ConvTranspose2d(1, 1, (k, 1), (s, 1), (p, 0), dilation=(d, 1), bias=False)
        for n in (1, 2, 3, 7, 40):
            smallest = (n - 1) * s - 2 * p + d * (k - 1) + 1
            asked = range(max(1, smallest - 2), max(1, smallest) + s + 2)
            accepted = [o for o in asked if run(lambda n=n, o=o, m=module: m(COLUMNS[n], output_size=(o, 1))) == o]
            padding = {o: predict(lambda n=n, o=o, up=up: up.output_padding_for(n, o)) for o in asked}
            right = {o: op for o, op in padding.items() if op is not None}
            outs = {
                o: run(
                    lambda n=n, case=(k, s, p, d, op): functional.conv_transpose2d(
                        COLUMNS[n],
                        WEIGHTS[case[0]],
                        stride=(case[1], 1),
                        padding=(case[2], 0),
                        output_padding=(case[4], 0),
                        dilation=(case[3], 1),
                    )
                )
                for o, op in right.items()
            }
            if not accepted == list(up.reachable(n)) == list(right) or any(o != out for o, out in outs.items()):
                disagreements.append((k, s, p, d, n, accepted, up.reachable(n), right, outs))
    assert not disagreements


FLOATS = [0.1, 0.29, 0.3, 0.5, 0.7, 1.0, 1.1, 1.5, 1.7, 2.0, 2.3, 3.14, 1 / 3, 2 / 3]


@pytest.mark.parametrize("factor", [1, 2, 3, 4, *FLOATS])
def test_resize_by_an_int_or_a_float(factor):
    resize = Resize(factor)
    for n in [*SIZES, 99, 100, 1000, 10**5 + 1]:
        image = torch.zeros(1, 1, n, 1).expand(1, 1, n, 4).contiguous()
        expected = run(lambda image=image: functional.interpolate(image, scale_factor=(float(factor), 1.0)))
        assert predict(lambda n=n: resize.out(n)) == expected, n


@pytest.mark.parametrize("factor", [Fraction(1, 2), Fraction(3, 4), Fraction(5, 4), Fraction(3, 2), Fraction(9, 8)])
def test_resize_by_a_fraction_that_a_float_holds_exactly(factor):
    for n in [*SIZES, 1001]:
        expected = run(lambda n=n: functional.interpolate(torch.zeros(1, 1, n, 1), scale_factor=(float(factor), 1.0)))
        assert predict(lambda n=n: Resize(factor).out(n)) == expected


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_pixel_shuffle(factor):
    for n in SIZES:
        assert functional.pixel_shuffle(torch.zeros(1, factor**2, n, 1), factor).shape[2] == PixelShuffle(factor).out(n)


BAD = [("kernel_size", 0), ("stride", 0), ("stride", -1), ("padding", -1), ("dilation", 0)]


@pytest.mark.parametrize(("field", "value"), BAD)
@pytest.mark.parametrize("kind", ["conv", "pool", "deconv"])
def test_what_torch_refuses_in_a_parameter_is_refused(kind, field, value):
    values = {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1} | {field: value}
    image, weight = torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, *[values["kernel_size"]] * 2)
    rest = {name: values[name] for name in ("stride", "padding", "dilation")}
    calls = {
        "conv": (Conv, lambda: functional.conv2d(image, weight, **rest)),
        "pool": (Pool, lambda: functional.max_pool2d(image, values["kernel_size"], **rest)),
        "deconv": (ConvTranspose, lambda: functional.conv_transpose2d(image, weight, **rest)),
    }
    ours, theirs = calls[kind]
    assert run(theirs) is None
    with pytest.raises(ShapeError, match=rf"{field} must be an int of at least [01], not {value}\."):
        ours(**values)


def test_size_zero_is_refused_by_both():
    assert run(lambda: functional.conv2d(torch.zeros(1, 1, 0, 1), WEIGHTS[1], padding=(1, 0))) is None
    with pytest.raises(ShapeError, match="size must be an int of at least 1, not 0"):
        Conv(1, padding=1).out(0)


def test_a_transposed_convolution_to_nothing_is_refused_though_some_of_torchs_kernels_return_an_empty_map():
    up = ConvTranspose(4, padding=2)
    for image, weight in ((COLUMNS[1], WEIGHTS[4]), (torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 4, 4))):
        assert run(lambda x=image, w=weight: functional.conv_transpose2d(x, w, padding=(2, 0))) in (None, 0)
    assert up.min_size == 2
    with pytest.raises(ShapeError, match=r"\(1 − 1\)·1 − 2·2 \+ 4 = 0, and an output is at least 1"):
        up.out(1)


@pytest.mark.parametrize(("height", "width"), [(5, 40), (13, 6), (1, 1)])
def test_pairs_follow_torch_on_both_axes(height, width):
    image = torch.zeros(1, 1, height, width)
    conv = Conv((3, 5), (2, 1), (1, 2), (1, 1))
    weight = torch.zeros(1, 1, 3, 5)
    expected = functional.conv2d(image, weight, stride=(2, 1), padding=(1, 2)).shape[2:]
    assert conv.out((height, width)) == tuple(expected)
    up = ConvTranspose((3, 4), (2, 3), (1, 0), (1, 2))
    weight = torch.zeros(1, 1, 3, 4)
    expected = functional.conv_transpose2d(image, weight, stride=(2, 3), padding=(1, 0), output_padding=(1, 2)).shape[
        2:
    ]
    assert up.out((height, width)) == tuple(expected)


@pytest.mark.parametrize("size", [math.inf, 3.0, True, "3", None])
def test_sizes_that_are_no_ints_are_refused(size):
    with pytest.raises(ShapeError, match="size must be an int of at least 1"):
        Conv(1).out(size)
