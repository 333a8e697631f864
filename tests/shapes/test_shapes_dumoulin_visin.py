"""The fifteen relationships of Dumoulin and Visin, "A guide to convolution arithmetic for deep learning" (1603.07285).

Each test states the paper's own formula and compares the calculus with it. Relationships 8 to 14 are also checked for
what they are for: the transposed convolution returns to the size that the convolution was given.
"""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from segup.shapes import Conv, ConvTranspose, Pool, inverse

sizes = st.integers(1, 10**6)
kernels = st.integers(1, 31)
strides = st.integers(1, 17)
pads = st.integers(0, 31)
dilations = st.integers(1, 9)
many = settings(max_examples=100, deadline=None)


@many
@given(sizes, kernels)
def test_relationship_1_no_padding_unit_stride(i, k):
    assume(i >= k)
    assert Conv(k).out(i) == (i - k) + 1


@many
@given(sizes, kernels, pads)
def test_relationship_2_padding_unit_stride(i, k, p):
    assume(i + 2 * p >= k)
    assert Conv(k, padding=p).out(i) == (i - k) + 2 * p + 1


@many
@given(sizes, st.integers(0, 15))
def test_relationship_3_half_padding_keeps_the_size(i, n):
    assert Conv(2 * n + 1, padding=n).out(i) == i == Conv(2 * n + 1, padding="same").out(i)


@many
@given(sizes, kernels)
def test_relationship_4_full_padding(i, k):
    assert Conv(k, padding=k - 1).out(i) == i + (k - 1)


@many
@given(sizes, kernels, strides)
def test_relationship_5_no_padding_any_stride(i, k, s):
    assume(i >= k)
    assert Conv(k, s).out(i) == (i - k) // s + 1


@many
@given(sizes, kernels, strides, pads)
def test_relationship_6_padding_and_any_stride(i, k, s, p):
    assume(i + 2 * p >= k)
    assert Conv(k, s, p).out(i) == (i + 2 * p - k) // s + 1


@many
@given(sizes, kernels, strides)
def test_relationship_7_pooling(i, k, s):
    assume(i >= k)
    assert Pool(k, s).out(i) == (i - k) // s + 1


@many
@given(sizes, kernels)
def test_relationship_8_transposed_no_padding_unit_stride(i, k):
    assume(i >= k)
    small = Conv(k).out(i)
    assert ConvTranspose(k).out(small) == small + (k - 1) == i


@many
@given(sizes, kernels, pads)
def test_relationship_9_transposed_padding_unit_stride(i, k, p):
    assume(i + 2 * p >= k)
    small = Conv(k, padding=p).out(i)
    assert ConvTranspose(k, padding=p).out(small) == small + (k - 1) - 2 * p == i


@many
@given(sizes, st.integers(0, 15))
def test_relationship_10_transposed_half_padding(i, n):
    assert ConvTranspose(2 * n + 1, padding=n).out(i) == i


@many
@given(sizes, kernels)
def test_relationship_11_transposed_full_padding(i, k):
    small = Conv(k, padding=k - 1).out(i)
    assert ConvTranspose(k, padding=k - 1).out(small) == small - (k - 1) == i


@many
@given(st.integers(0, 10**5), kernels, strides)
def test_relationship_12_transposed_no_padding_where_the_stride_divides(steps, k, s):
    i = k + steps * s
    small = Conv(k, s).out(i)
    assert ConvTranspose(k, s).out(small) == s * (small - 1) + k == i


@many
@given(st.integers(0, 10**5), kernels, strides, pads)
def test_relationship_13_transposed_padding_where_the_stride_divides(steps, k, s, p):
    i = k + steps * s - 2 * p
    assume(i >= 1)
    small = Conv(k, s, p).out(i)
    assert ConvTranspose(k, s, p).out(small) == s * (small - 1) + k - 2 * p == i


@many
@given(sizes, kernels, strides, pads)
def test_relationship_14_transposed_with_the_residue(i, k, s, p):
    assume(i + 2 * p >= k)
    down = Conv(k, s, p)
    small, a = down.out(i), (i + 2 * p - k) % s
    assert down.residue(i) == a
    assert ConvTranspose(k, s, p, output_padding=a).out(small) == s * (small - 1) + a + k - 2 * p == i
    assert inverse(down).output_padding_for(small, i) == a


@many
@given(sizes, kernels, strides, pads, dilations)
def test_relationship_15_dilation(i, k, s, p, d):
    assume(i + 2 * p >= k + (k - 1) * (d - 1))
    assert Conv(k, s, p, d).out(i) == (i + 2 * p - k - (k - 1) * (d - 1)) // s + 1
