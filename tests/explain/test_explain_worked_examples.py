"""Examples whose every number is known from elsewhere."""

import re

import pytest
import torch
from torch import nn

from segup.errors import ShapeError
from segup.explain import explain
from segup.explain.steps import steps

X = torch.tensor([[2, 4], [0, 1]])
W = torch.tensor([[3, 1], [1, 5]])
IMAGE = torch.tensor([[1, 2, 0, 3, 1], [0, 1, 2, 3, 1], [1, 2, 1, 0, 0], [5, 2, 3, 1, 1], [2, 1, 0, 1, 1]])
KERNEL = torch.tensor([[1, 2, 1], [0, 1, 0], [2, 1, 0]])


def every_way(e):
    results = [e.result(way).tolist() for way in e.operations[0].ways]
    assert all(result == results[0] for result in results)
    return results[0]


def test_ones_through_weights_1_to_16():
    up = nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
    up.weight.data = torch.arange(1.0, 17).reshape(1, 1, 4, 4)
    e = explain(up, torch.ones(1, 1, 4, 4))
    first, odd, even, last = (
        [6, 12, 14, 12, 14, 12, 14, 7],
        [12, 24, 28, 24, 28, 24, 28, 14],
        [20, 40, 44, 40, 44, 40, 44, 22],
        [10, 20, 22, 20, 22, 20, 22, 11],
    )
    assert every_way(e) == [[[first, odd, even, odd, even, odd, even, last]]]
    assert torch.equal(e.output, up(torch.ones(1, 1, 4, 4)))
    assert str(e.contributions(0, 0)) == "y[0,0] = x[0,0]·w[1,1] = 1·6 = 6"
    assert str(e.contributions(0, 1)) == "y[0,1] = x[0,0]·w[1,2] + x[0,1]·w[1,0] = 1·7 + 1·5 = 12"
    assert [term.product for term in e.contributions(0, 1)] == [7, 5]


@pytest.mark.parametrize(
    ("stride", "padding", "rows"),
    [
        (1, 0, [[6, 14, 4], [2, 17, 21], [0, 1, 5]]),
        (1, 1, [[17]]),
        (2, 0, [[6, 2, 12, 4], [2, 10, 4, 20], [0, 0, 3, 1], [0, 0, 1, 5]]),
        (2, 1, [[10, 4], [0, 3]]),
    ],
)
def test_a_2x2_image_through_a_2x2_kernel(stride, padding, rows):
    assert every_way(explain(f"deconv k2 s{stride} p{padding}", X, weight=W)) == rows


def test_what_leaves_nothing_is_refused_with_what_works():
    with pytest.raises(ShapeError) as caught:
        explain("deconv k2 s2 p2", X, weight=W)
    assert str(caught.value).splitlines() == [
        "'deconv k2 s2 p2' leaves nothing of 2×2.",
        "  (n − 1)·stride − 2·padding + e + output_padding = (2 − 1)·2 − 2·2 + 2 = 0 is what the formula gives for the "
        "height with e = dilation·(kernel_size − 1) + 1 = 2.",
        "  rule: an output has at least 1 row and 1 column; the padding may not cut all that the stamps fill.",
        "  try: padding=1, which gives 2×2; or kernel_size=3, which gives 1×1; or an input of 3×3, which gives 2×2.",
    ]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("conv k3", [[10, 12, 12], [18, 16, 16], [13, 9, 3]]),
        ("conv k3 s2", [[10, 12], [13, 3]]),
        (
            "conv k3 p1",
            [[1, 3, 4, 10, 8], [5, 10, 12, 12, 6], [7, 18, 16, 16, 8], [11, 13, 9, 3, 4], [14, 13, 9, 7, 4]],
        ),
        ("conv k3 s2 p1", [[1, 4, 8], [7, 16, 8], [14, 9, 4]]),
    ],
)
def test_a_5x5_image_through_a_3x3_kernel(words, rows):
    assert every_way(explain(words, IMAGE, weight=KERNEL)) == rows


def test_down_and_up_again_with_and_without_an_output_size():
    down, up = nn.Conv2d(16, 16, 3, 2, 1), nn.ConvTranspose2d(16, 16, 3, 2, 1)
    x = torch.randn(1, 16, 12, 12)
    low = explain(down, x)
    assert low.output.shape == (1, 16, 6, 6)
    assert explain(up, low.output).output.shape == (1, 16, 11, 11)
    back = explain(up, low.output, output_size=(12, 12))
    assert back.output.shape == (1, 16, 12, 12)
    assert back.words == "deconv k3 s2 p1 op1"
    assert torch.allclose(back.output, up(down(x), output_size=(12, 12)), atol=1e-5)


def test_6x6x3_through_two_3x3_kernels():
    conv, x = nn.Conv2d(3, 2, 3, bias=False), torch.randint(0, 9, (1, 3, 6, 6)).float()
    e = explain(conv, x)
    assert e.output.shape == (1, 2, 4, 4)
    assert e.parameters == 3 * 3 * 3 * 2
    operation = e.operations[0]
    added = sum(operation.contribution(channel, 1) for channel in range(3))
    assert torch.allclose(torch.from_numpy(added).float(), conv(x)[0, 1], atol=1e-4)
    assert set(e.contributions(0, 0, channel=1).by_channel()) == {0, 1, 2}


def test_a_convolution_in_two_groups():
    conv, x = nn.Conv2d(32, 48, 3, padding=1, groups=2), torch.randn(1, 32, 5, 5)
    e = explain(conv, x)
    assert torch.allclose(e.output, conv(x), atol=1e-5)
    assert e.parameters == 48 * 16 * 9 + 48 == sum(p.numel() for p in conv.parameters())
    assert {term.source[0] for term in e.contributions(2, 2, channel=23)} == set(range(16))
    assert {term.source[0] for term in e.contributions(2, 2, channel=24)} == set(range(16, 32))


def test_whole_numbers_stay_whole():
    assert explain("deconv k2 s2", X, weight=W).output.dtype == torch.int64
    assert explain("resize x2", X).output.dtype == torch.float32
    assert explain("deconv k2 s2", X.double(), weight=W).output.dtype == torch.float64
    half = nn.Conv2d(1, 1, 2).half()
    assert explain(half, X[None]).output.dtype == torch.float16


def test_unread_pixels_are_those_that_change_nothing():
    e = explain("conv k2 s3", torch.arange(64).reshape(8, 8))
    assert e.unread == ([2, 5], [2, 5])
    assert explain("conv k3 s2 p1", torch.ones(8, 8)).unread == ([], [])
    assert explain("pool k2", torch.ones(5, 4)).unread == ([4], [])
    assert explain("resize x1/3 nearest", torch.ones(6, 6)).unread == ([1, 2, 4, 5], [1, 2, 4, 5])


@pytest.mark.parametrize("words", ["deconv k3 p3", "deconv k2x3 s3x2 p2x4 d1x2", "deconv k1 s2 p2", "deconv k4 s2 p1"])
def test_a_deconv_leaves_unread_whose_stamps_the_padding_cuts(words):
    e = explain(words, torch.ones(7, 6))
    operation = e.operations[0]
    x = torch.ones(1, 1, 7, 6, requires_grad=True)
    layer = operation.layer
    y = torch.nn.functional.conv_transpose2d(
        x, torch.ones(1, 1, *operation.weight.shape[2:]), None, layer.stride, layer.padding, dilation=layer.dilation
    )
    (reached,) = torch.autograd.grad(y.sum(), x)
    rows, columns = (reached[0, 0].amax(dim) == 0 for dim in (1, 0))
    assert e.unread == (rows.nonzero().flatten().tolist(), columns.nonzero().flatten().tolist())


@pytest.mark.parametrize(
    ("words", "side", "said"),
    [
        ("conv k3 p1", 6, "Outputs read 4 to 9 inputs; those with fewer lie at the border."),
        ("conv k3 p4 d4", 5, "Outputs read 1 to 4 inputs; how many, its place says."),
        ("resize x3", 4, "Outputs read 1 to 4 inputs; how many, its place says."),
        ("resize x2", 4, "Outputs read 1 to 4 inputs; those with fewer lie at the border."),
    ],
)
def test_where_outputs_read_fewer_inputs_is_said_as_it_is(words, side, said):
    assert steps(explain(words, torch.ones(side, side)).operations[0], "overlap") == [said]


def test_the_convolution_that_is_turned_round_brings_back_the_size_or_that_is_said():
    for words, brings in (
        ("deconv k3 s2 p1 op1", "The convolution 'conv k3 s2 p1' brings 8×8 to 4×4: window n"),
        (
            "deconv k3 d3 op2",
            "The convolution 'conv k3 d3' brings 12×12 to 6×6, of which the first 4×4 count: ",
        ),
    ):
        assert steps(explain(words, torch.ones(4, 4)).operations[0], "gradient")[0].startswith(brings)


def test_overlap_shows_why_kernel_3_draws_a_checkerboard_and_kernel_4_does_not():
    inside = explain("deconv k3 s2", torch.ones(6, 6)).overlap[2:-2, 2:-2]
    assert inside[:2, :2].tolist() == [[4, 2], [2, 1]]
    assert set(explain("deconv k4 s2 p1", torch.ones(6, 6)).overlap[1:-1, 1:-1].flatten().tolist()) == {4}
    ones = torch.ones(3, 3)
    counts = explain("deconv k3 s2", torch.ones(6, 6), weight=ones)
    assert torch.equal(counts.overlap.float(), counts.output)


@pytest.mark.parametrize(
    ("words", "why", "even"),
    [
        ("deconv k4 s2 d1x2", "with dilation 2 the taps do not fall evenly on the 2 phases", "With dilation 1"),
        ("deconv k3x5 s2x3", "does not divide the kernel 5 (on the width)", "With kernel 4 (height) and 6 (width)"),
        ("deconv k4x3 s2", "the stride 2 does not divide the kernel 3 (on the width)", "With kernel 4, a multiple"),
        ("deconv k3 s2", "since the stride 2 does not divide the kernel 3:", "With kernel 4, a multiple"),
    ],
)
def test_uneven_overlap_names_the_axis_and_what_is_even(words, why, even):
    reason, way = steps(explain(words, torch.ones(6, 6)).operations[0], "overlap")
    assert why in reason
    assert way.startswith(even)
    kernels = re.findall(r"(\d+)(?: \(|, a)", way)
    if kernels:
        better = f"deconv k{kernels[0]}x{kernels[-1]} {words.split()[2]}"
        assert len(steps(explain(better, torch.ones(6, 6)).operations[0], "overlap")) == 1


def test_stride_1_has_one_phase_and_is_said_so():
    told = steps(explain("deconv k2", torch.ones(2, 2)).operations[0], "subpixel")
    assert told[0].endswith("1·1 = 1 phase.")
    assert told[3] == "The one map is the output: 3×3."


@pytest.mark.parametrize(
    ("words", "size", "said"),
    [
        (
            "pool k3 s2 ceil",
            (6, 7),
            "row 2 reaches 1 beyond the height; what is not there is never the largest",
        ),
        ("pool k3 s2 p1 ceil avg", (4, 5), "y[2,0] is divided by 6, not 9"),
        ("pool k3 s2 ceil avg", (4, 4), "row 1 reaches 1 beyond the height and that of column 1 reaches 1 beyond"),
        ("pool k2 s3 p1 ceil", (4, 4), "One more window on the height and the width would start beyond the input"),
    ],
)
def test_what_ceil_mode_does_is_said(words, size, said):
    assert said in " ".join(steps(explain(words, torch.ones(size)).operations[0], "pooling"))


def test_ceil_mode_is_said_only_where_it_does_something():
    told = steps(explain("pool k2 ceil", torch.ones(4, 4)).operations[0], "pooling")
    assert "ceil_mode" not in " ".join(told)


def test_the_divisor_of_a_mean_is_that_of_torch_in_words():
    def said(**options):
        return " ".join(steps(explain(nn.AvgPool2d(3, 2, 1, **options), torch.ones(1, 5, 5)).operations[0], "pooling"))

    assert "the padding's zeros counted" in said()
    assert "the padding left out" in said(count_include_pad=False)
    assert "divided by divisor_override = 4" in said(divisor_override=4)


@pytest.mark.parametrize(
    "words", ["deconv k2 s3", "deconv k2 s4 d2", "deconv k2 s2 op1", "deconv k1 s2x1", "deconv k3 s2"]
)
def test_where_no_stamp_falls_is_said(words):
    operation = explain(words, torch.ones(3, 3)).operations[0]
    told, counts = steps(operation, "scatter")[-1], operation.counts()
    rows, columns = ([n for n, line in enumerate(lines) if not line.any()] for lines in (counts, counts.T))
    assert ("no stamp reaches" in told) == bool(rows or columns)
    for noun, empty in (("row", rows), ("column", columns)):
        listed = re.search(rf"{noun}s? (\d+(?:, \d+)*)", told)
        assert [int(n) for n in listed[1].split(", ")] == empty if empty else listed is None


@pytest.mark.parametrize("words", ["resize x2 bicubic", "resize x3/2 bicubic", "resize x2", "resize x5/3"])
def test_weights_of_a_resize_have_one_form(words):
    e = explain(words, torch.arange(16).reshape(4, 4))
    size = e.output.shape
    lines = [str(e.contributions(row, column)) for row in range(size[0]) for column in range(size[1])]
    weights = " ".join(re.findall(r"·\(?-?([\d./]+)", " ".join(lines)))
    forms = set(re.findall("[/.]", weights))
    assert forms == {"." if "bicubic" in words else "/"}


def test_kernels_of_carafe_are_spread_by_default():
    kernels = explain("carafe x2 k3", torch.ones(3, 3)).operations[0].kernels
    assert kernels.max() < 0.9
