import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segup.errors import ConfigError, ShapeError
from segup.inspection import size_map
from segup.shapes import Chain, Conv, ConvTranspose, PixelShuffle, Pool, Resize

pairs = st.tuples(st.integers(1, 4), st.integers(1, 4))
small = st.tuples(st.integers(0, 2), st.integers(0, 2))


def conv(draw):
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    padding = draw(st.one_of(small, st.just("valid"), st.just("same") if stride == (1, 1) else small))
    return nn.Conv2d(
        4, 4, kernel, stride, padding, dilation, padding_mode=draw(st.sampled_from(["zeros", "replicate"]))
    )


def transposed(draw):
    stride, dilation = draw(pairs), draw(pairs)
    extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
    return nn.ConvTranspose2d(4, 4, draw(pairs), stride, draw(small), extra, dilation=dilation)


def pool(draw):
    kernel = draw(pairs)
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    if draw(st.booleans()):
        return nn.MaxPool2d(kernel, draw(pairs), padding, draw(pairs), ceil_mode=draw(st.booleans()))
    return nn.AvgPool2d(kernel, draw(pairs), padding, draw(st.booleans()), count_include_pad=draw(st.booleans()))


def resize(draw):
    return nn.Upsample(scale_factor=draw(st.sampled_from([2, 3, 0.5, 0.29, (2, 1.5)])), mode="nearest")


@st.composite
def layers(draw):
    return draw(st.sampled_from([conv, transposed, pool, resize, lambda _: nn.PixelShuffle(2), lambda _: nn.ReLU()]))(
        draw
    )


@settings(max_examples=300, deadline=None)
@given(st.data(), st.integers(1, 14), st.integers(1, 14))
def test_the_object_accepts_and_gives_what_the_layer_does(data, height, width):
    layer = data.draw(layers())
    try:
        with torch.no_grad():
            expected = tuple(layer(torch.zeros(1, 4, height, width)).shape[-2:])
        if 0 in expected and isinstance(layer, nn.ConvTranspose2d):
            expected = None  # to exactly 0, some of torch's kernels refuse and some return an empty map
    except RuntimeError:
        expected = None
    try:
        found = size_map(layer).out((height, width))
    except ShapeError:
        found = None
    assert found == expected


def test_the_parameters_are_the_layers_own():
    assert size_map(nn.Conv2d(3, 6, 3, 2, 1, groups=3)) == Conv(3, 2, 1, groups=3)
    assert size_map(nn.Conv2d(3, 6, (3, 5), padding="same")) == Conv((3, 5), padding="same")
    assert size_map(nn.ConvTranspose2d(3, 6, 3, 2, 1, 1)) == ConvTranspose(3, 2, 1, 1)
    assert size_map(nn.MaxPool2d(3, ceil_mode=True)) == Pool(3, ceil_mode=True)
    assert size_map(nn.AvgPool2d((2, 3), (2, 1), count_include_pad=False)) == Pool((2, 3), (2, 1))
    assert size_map(nn.Upsample(scale_factor=2)) == Resize(2, "nearest")
    assert size_map(nn.UpsamplingBilinear2d(scale_factor=(2, 0.5))) == Resize((2, 0.5), "bilinear")
    assert size_map(nn.UpsamplingNearest2d(scale_factor=3)) == Resize(3, "nearest")
    assert size_map(nn.PixelShuffle(3)) == PixelShuffle(3)
    assert size_map(nn.BatchNorm2d(3)) == size_map(nn.Identity()) == size_map(nn.Sequential()) == Chain([])


def test_a_sequential_is_a_chain():
    stem = nn.Sequential(nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.BatchNorm2d(8), nn.GELU()), nn.MaxPool2d(3, 2, 1))
    assert size_map(stem) == Chain([Conv(7, 2, 3), Pool(3, 2, 1)])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            nn.Conv1d(3, 3, 3),
            "no size rule of Conv1d.*the calculus has no object for it.\n  try: Conv2d, ConvTranspose2d",
        ),
        (nn.PixelUnshuffle(2), "takes multiples of its factor alone"),
        (nn.AdaptiveAvgPool2d(1), "gives one size whatever comes in"),
        (nn.Upsample(size=(7, 7)), r"it gives \(7, 7\) whatever comes in"),
        (nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "refuses maps that are smaller than its padding"),
        (nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten()), "no size rule of Flatten"),
        (
            nn.InstanceNorm2d(8),
            "without track_running_stats it refuses maps of 1×1, and takes 1×2: height and width decide together.\n"
            "  try: InstanceNorm2d\\(8, track_running_stats=True\\); segup.inspection.check_sizes",
        ),
        (nn.GroupNorm(8, 8), "with one channel in each of its 8 groups, and in a batch of one, it refuses maps of 1×1"),
        (nn.Sequential(nn.GroupNorm(2, 2)), r"try: GroupNorm\(1, 2\); segup"),
        (nn.GroupNorm(1, 1), "try: segup.inspection.check_sizes"),
        (
            nn.BatchNorm2d(8, track_running_stats=False),
            "without running statistics, and in a batch of one, it refuses",
        ),
    ],
)
def test_what_has_no_law_is_refused_with_the_reason(layer, message):
    with pytest.raises(ConfigError, match=message):
        size_map(layer)


NORMS = [
    *(nn.InstanceNorm2d(4, affine=a, track_running_stats=t) for a in (False, True) for t in (False, True)),
    *(nn.BatchNorm2d(4, track_running_stats=t) for t in (False, True)),
    *(nn.GroupNorm(groups, 4) for groups in (1, 2, 4)),
    nn.LocalResponseNorm(2),
]


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_a_norm_has_a_size_rule_where_it_takes_one_pixel_in_a_batch_of_one(norm):
    try:
        norm.eval()(torch.zeros(1, 4, 1, 1))
        takes = True
    except ValueError:
        takes = False
    assert norm(torch.zeros(1, 4, 1, 2)).shape == (1, 4, 1, 2)
    if takes:
        assert size_map(norm) == Chain([])
    else:
        with pytest.raises(ConfigError, match="height and width decide together"):
            size_map(norm)
