"""What windows leave unread, and stamps unwritten, against a walk over every window."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.shapes import Conv, ConvTranspose, Pool, ShapeError

settings_ = settings(max_examples=300, deadline=None)


@st.composite
def windows(draw):
    kernel, stride = draw(st.integers(1, 7)), draw(st.integers(1, 9))
    dilation = draw(st.integers(1, 6))
    kind = draw(st.sampled_from(["conv", "pool", "ceil", "same"]))
    if kind == "conv":
        return Conv(kernel, stride, draw(st.integers(0, kernel + 1)), dilation)
    if kind == "same":
        return Conv(kernel, 1, "same", dilation)
    return Pool(kernel, stride, draw(st.integers(0, kernel // 2)), dilation, kind == "ceil")


def walk(size, out, kernel, stride, before, dilation):
    """Return the indices that no window reads, by visiting every tap of every window."""
    read = {o * stride - before + dilation * j for o in range(out) for j in range(kernel)}
    return [n for n in range(size) if n not in read]


@settings_
@given(windows(), st.integers(0, 60))
def test_unread_agrees_with_a_walk_over_every_window(layer, more):
    size = layer.min_size + more
    before = layer.dilation * (layer.kernel_size - 1) // 2 if layer.padding == "same" else layer.padding
    expected = walk(size, layer.out(size), layer.kernel_size, layer.stride, before, layer.dilation)
    unread = layer.unread(size)
    assert len(unread) == len(expected)
    assert list(unread) == expected
    assert [n for n in range(-2, size + 2) if n in unread] == expected
    assert unread[:] == tuple(expected)
    assert unread[::-2] == tuple(expected[::-2])


@settings_
@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 4), st.integers(0, 5), st.integers(1, 40), st.data())
def test_unwritten_agrees_with_stamping_every_input(kernel, stride, dilation, padding, size, data):
    up = ConvTranspose(kernel, stride, padding, dilation=dilation)
    reachable = up.reachable(size)
    if not reachable:
        with pytest.raises(ShapeError, match="does not accept"):
            up.unwritten(size)
        return
    out = data.draw(st.sampled_from(reachable))
    stamped = {n * stride - padding + dilation * j for n in range(size) for j in range(kernel)}
    assert list(up.unwritten(size, out)) == [n for n in range(out) if n not in stamped]


@settings_
@given(windows(), st.integers(0, 60))
def test_residue_is_what_lies_beyond_the_last_window(layer, more):
    size = layer.min_size + more
    axis = layer.axes[0]
    end_of_last = (layer.out(size) - 1) * axis.stride + axis.extent
    assert layer.residue(size) == max(0, size + axis.before + axis.after - end_of_last)
    if not (isinstance(layer, Pool) and layer.ceil_mode):
        assert layer.residue(size) == (size + axis.before + axis.after - axis.extent) % axis.stride


def test_a_residue_may_be_padding_alone():
    down = Conv(3, stride=2, padding=1)
    assert (down.residue(416), len(down.unread(416))) == (1, 0)
    assert (down.residue(417), len(down.unread(417))) == (0, 0)


def test_a_kernel_of_one_at_stride_ten_leaves_whole_stretches():
    unread = Conv(1, stride=10).unread(31)
    assert list(unread) == [*range(1, 10), *range(11, 20), *range(21, 30)]


def test_a_dilated_kernel_that_never_reads_odd_positions():
    assert list(Conv(2, stride=2, dilation=2).unread(9)) == [1, 3, 5, 7]


def test_a_size_of_a_million_millions_is_computed_and_not_walked():
    unread = Conv(kernel_size=2, stride=7, padding=1, dilation=3).unread(10**12)
    assert len(unread) == 10**12 - (2 * 142857142857 - 1)  # the first of all taps lies in the padding
    assert unread[len(unread) // 2] in unread
    assert repr(Conv(3, 2, 0).unread(10**12)) == "<1 of 1000000000000: 999999999999>"


def test_a_pair_gives_a_pair():
    rows, columns = Conv((1, 3), (2, 1)).unread((4, 9))
    assert (list(rows), list(columns)) == ([1, 3], [])
    assert Conv((1, 3), (2, 1)).residue((4, 9)) == (1, 0)
    with pytest.raises(ShapeError, match="treats height and width differently"):
        Conv((1, 3), (2, 1)).unread(4)


def test_an_index_beyond_the_end_is_an_index_error():
    with pytest.raises(IndexError, match="index 1 is outside a sequence of 1"):
        Conv(2, stride=2).unread(5)[1]
