"""The questions asked backwards, against trying everything."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import (
    Chain,
    Conv,
    ConvTranspose,
    Pool,
    Resize,
    ShapeError,
    find_convs,
    find_transposed,
    inputs_for,
    prove_inversion,
    smallest_padding,
)

some = settings(max_examples=100, deadline=None)
layers = st.one_of(
    st.builds(Conv, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3)),
    st.builds(
        lambda k, s, ceil_mode: Pool(k, s, k // 2, 1, ceil_mode), st.integers(1, 5), st.integers(1, 4), st.booleans()
    ),
    st.builds(ConvTranspose, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3)),
    st.builds(Resize, st.one_of(st.fractions(Fraction(1, 5), 4, max_denominator=9), st.floats(0.05, 4), st.just(0.29))),
)


def accepted(layer, size):
    try:
        return layer.out(size)
    except ShapeError:
        return None


@some
@given(st.lists(layers, min_size=1, max_size=3), st.integers(1, 60))
def test_the_inputs_for_an_output_are_all_of_them(chain, out):
    whole = Chain(chain)
    inputs = inputs_for(chain, out)
    sizes = range(1, 2 * (inputs.stop if inputs else 1000) + 50)
    assert [n for n in sizes if accepted(whole, n) == out] == list(inputs)


@some
@given(st.lists(layers, min_size=1, max_size=3), st.integers(1, 500))
def test_a_chain_accepts_every_size_from_its_smallest_on(chain, size):
    """And it gives what its layers give one after the other."""
    step = size
    for layer in chain:
        step = accepted(layer, step) if step is not None else None
    assert accepted(Chain(chain), size) == step
    assert (step is not None) == (size >= Chain(chain).min_size)


@pytest.mark.parametrize("factor", [0.1, 0.29, 0.3, 1 / 3, 0.7, 1.1, 2.3])
def test_the_inputs_of_a_float_resize(factor):
    resize = Resize(factor)
    for out in range(1, 40):
        assert list(inputs_for(resize, out)) == [n for n in range(1, 500) if accepted(resize, n) == out]


@some
@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 5), st.integers(1, 3))
def test_the_smallest_padding_is_the_first_that_works(size, kernel, stride, dilation):
    fits = [p for p in range(60) if accepted(Conv(kernel, stride, p, dilation), size) is not None]
    assert smallest_padding(size, kernel, stride, dilation) == fits[0]
    exact = [p for p in fits if Conv(kernel, stride, p, dilation).residue(size) == 0]
    if exact:
        assert smallest_padding(size, kernel, stride, dilation, exact=True) == exact[0]
    else:
        with pytest.raises(ShapeError, match=rf"no padding leaves a residue of 0: \({size} \+ 2·padding − "):
            smallest_padding(size, kernel, stride, dilation, exact=True)


@some
@given(st.integers(1, 40), st.integers(1, 40))
def test_the_convolutions_found_are_all_of_them(size, out):
    found = find_convs(size, out, kernel_sizes=range(1, 5), strides=range(1, 4), dilations=range(1, 3))
    grid = [
        Conv(k, s, p, d) for k in range(1, 5) for s in range(1, 4) for d in range(1, 3) for p in range(d * (k - 1) + 1)
    ]
    assert set(found) == {conv for conv in grid if accepted(conv, size) == out}
    assert len(found) == len(set(found))
    assert [conv.residue(size) for conv in found] == sorted(conv.residue(size) for conv in found)
    exact = find_convs(size, out, kernel_sizes=range(1, 5), strides=range(1, 4), dilations=range(1, 3), exact=True)
    assert exact == [conv for conv in found if conv.residue(size) == 0]


@some
@given(st.integers(1, 20), st.integers(1, 60))
def test_the_transposed_convolutions_found_are_all_of_them(size, out):
    found = find_transposed(size, out, kernel_sizes=range(1, 5), strides=range(1, 4), dilations=range(1, 3))
    grid = [
        ConvTranspose(k, s, p, op, d)
        for k in range(1, 5)
        for s in range(1, 4)
        for d in range(1, 3)
        for p in range(d * (k - 1) + 1)
        for op in range(max(s, d))
    ]
    assert set(found) == {up for up in grid if accepted(up, size) == out}
    assert len(found) == len(set(found))


def test_the_nearest_sizes_that_a_chain_inverts():
    proof = prove_inversion([Conv(3, 2, 1)] * 5, [ConvTranspose(3, 2, 1)] * 5)
    assert proof.nearest(416) == (385, 417)
    assert proof.nearest(417) == (417, 417)
    assert proof.nearest(10**12) == (10**12 - 31, 10**12 + 1)
    never = prove_inversion([Conv(3, 2)], [ConvTranspose(9, 2, 4)])
    assert never.nearest(5) == (None, None)


def test_arguments_are_checked():
    with pytest.raises(ShapeError, match=r"size must be an int of at least 1, not 0\."):
        smallest_padding(0, 3)
    with pytest.raises(ShapeError, match=r"kernel_sizes must be an int of at least 1, not 0\."):
        find_convs(5, 5, kernel_sizes=[0])
    with pytest.raises(ShapeError, match=r"out must be an int of at least 1, not 0\."):
        find_transposed(5, 0)
    with pytest.raises(
        ShapeError, match=r"layers must hold layers such as Conv\(3, stride=2, padding=1\), not 'conv k3'"
    ):
        inputs_for("conv k3", 5)
