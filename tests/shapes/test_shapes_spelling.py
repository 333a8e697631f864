"""Other spellings: each gives the layer that it means, or a refusal whose last line parses."""

import itertools
import re
from fractions import Fraction

import pytest
from torch import nn

from segup.inspection import size_map
from segup.shapes import Conv, ConvTranspose, PixelShuffle, Pool, Resize, ShapeError, parse

MEANT = {
    "conv k4,s2,p1": [Conv(4, 2, 1)],
    "conv k3, s2, p1, pool k2": [Conv(3, 2, 1), Pool(2)],
    "conv k3 padding=same": [Conv(3, padding="same")],
    "conv k3, padding=same": [Conv(3, padding="same")],
    "conv k3 same": [Conv(3, padding="same")],
    'conv k3 p="same"': [Conv(3, padding="same")],
    "CONV K3 S2 P1": [Conv(3, 2, 1)],
    "conv 3x3 s2": [Conv(3, 2)],
    "conv3x3 s2": [Conv(3, 2)],
    "conv k=3 s=2": [Conv(3, 2)],
    "conv k 3 stride 2": [Conv(3, 2)],
    "conv kernel_size = (3, 1), stride=2": [Conv((3, 1), 2)],
    "conv2d k3×1": [Conv((3, 1))],
    "conv k3 -> pool k2; deconv k2 s2": [Conv(3), Pool(2), ConvTranspose(2, 2)],
    "deconv kernel_size=4 stride=2 padding=1 output_padding=1": [ConvTranspose(4, 2, 1, 1)],
    "maxpool k2": [Pool(2)],
    "avg_pool k3 s2 ceil_mode=True": [Pool(3, 2, ceil_mode=True)],
    "pool k2 avg": [Pool(2)],
    "upsample x2": [Resize(2, "nearest")],
    "bilinear x2": [Resize(2)],
    "resize scale_factor=3/2 mode=nearest": [Resize(Fraction(3, 2), "nearest")],
    "pixelshuffle upscale_factor=3": [PixelShuffle(3)],
    "Conv(kernel_size=3, stride=2, padding=1, dilation=1, groups=1)": [Conv(3, 2, 1)],
    "conv(k=3, s=2)": [Conv(3, 2)],
    "ConvTranspose2d(1,1,4,2,1)": [ConvTranspose(4, 2, 1)],
    "nn.Conv2d(3, 8, 3), torch.nn.MaxPool2d(2)": [Conv(3), Pool(2)],
    'nn.Conv2d(3, 8, kernel_size=3, padding="same")': [Conv(3, padding="same")],
    "nn.Conv2d(3, 8, 3, padding=same)": [Conv(3, padding="same")],
    "F.interpolate(scale_factor=2, mode='bicubic')": [Resize(2, "bicubic")],
}


@pytest.mark.parametrize("text", MEANT)
def test_a_spelling_is_the_layer_that_it_means(text):
    assert parse(text) == MEANT[text]


CALLS = [
    *(
        f"nn.Conv2d(4, 8, {k}, {rest})"
        for k, rest in itertools.product((3, (3, 1)), ("2", "stride=(2, 1)", "1, 1, 2", "padding='same'", "1, 0, 1, 2"))
    ),
    *(f"nn.ConvTranspose2d(4, 8, 3, {rest})" for rest in ("2", "2, 1", "2, 1, 1", "2, 1, 1, 2, True, 2", "dilation=2")),
    *(f"nn.MaxPool2d({rest})" for rest in ("2", "3, 2", "3, 2, 1", "3, 2, 1, 2", "3, 2, 1, 1, False, True")),
    *(f"nn.AvgPool2d({rest})" for rest in ("2", "3, 2, 1", "3, 2, 1, True", "3, ceil_mode=True")),
    *(f"nn.Upsample({rest})" for rest in ("scale_factor=2", "None, 2, 'bilinear'", "scale_factor=(2, 3)")),
    "nn.PixelShuffle(2)",
    "nn.UpsamplingNearest2d(scale_factor=2)",
]


@pytest.mark.parametrize("text", CALLS)
def test_a_call_of_torch_is_read_as_torch_reads_it(text):
    assert parse(text) == [size_map(eval(text, {"nn": nn}))]


WRONG = [
    *(
        "psame",
        "same",
        "padding=same",
        "k4,s2,p1",
        "k3",
        "x2",
        "s2 p1 k3",
        "stride=2, kernel_size=3",
        "",
        "conv k3,,pool k2",
        "Conv2d(3, 8, 3, wobble=2)",
        "Conv2d(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)",
        "Conv2d(3, 8, 3+)",
        "Upsample(scale_factor=3/x)",
        "Conv2d(3, 8, 3, kernel_size=5)",
    ),
    *("deconv k4 s2 psame", "deconv k3 padding=same", "pool k3 s2 psame", "conv k3 s2 psame", "conv k3x5 s1x2 psame"),
    *("nn.Conv2d()", "nn.Conv2d(3, 8)", "nn.Conv3d(1, 1, 3)", "nn.Linear(3, 4)", "nn.Conv2d(3, 8, 3, padding=n)"),
    *("nn.Conv2d(3, 8, 3, padding_mode='reflect')", "nn.Upsample(size=(3, 4))", "UpsamplingBilinear2d(scale_factor=2)"),
    *("nn.Upsample(scale_factor=2, mode='bilinear', align_corners=True)", "nn.Conv2d(3, 8, 3, kernel_size=3)"),
    *("conv 3 2 1", "deconv 4 2 1", "conv k3 q7", "conv k3 op1", "conv k3.5", "conv k", "decov k4", "convv k3 s2"),
    *("conv k3 s0", "conv k0", "conv k-1", "pool k3 p2", "deconv k3 s2 op2", "resize x0", "resize x1/0", "resize 2x"),
    *(
        "resize k2",
        "pixel_shuffle x1/2",
        "pool k2 g2",
        "conv k３",
        "nn.Conv2d(3, 8, [3",
        "conv(k=3",
        "🙂",
        "conv k3 k5",
    ),
]


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_read_is_answered_with_what_can(text):
    with pytest.raises(ShapeError) as caught:
        parse(text)
    way = str(caught.value).splitlines()[-1]
    assert way.startswith("  try: ")
    for proposed in re.split(", or ", way.removeprefix("  try: ")):
        assert len(parse(proposed)) == 1


def test_what_was_understood_is_kept():
    for text, way in {
        "psame": "conv k3 psame",
        "k4,s2,p1": "conv k4 s2 p1",
        "deconv k4 s2 psame": "deconv k4 s2 p1",
        "pool k3 s2 psame": "pool k3 s2 p1",
        "conv k3 s2 psame": "conv k3 s2 p1",
        "deconv 4 2 1": "deconv k4 s2 p1",
        "decov k4 s2": "deconv k4 s2",
        "x2": "resize x2",
    }.items():
        with pytest.raises(ShapeError) as caught:
            parse(text)
        assert str(caught.value).endswith(f"\n  try: {way}")
