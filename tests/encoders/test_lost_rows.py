"""Rows that convolutions without padding lose are put back, where a step could not reach the next map without."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segup import create_model
from segup.encoders import Encoder
from segup.encoders.lost_rows import functions_put_back, rows_put_back, with_rows_put_back
from segup.encoders.pyramid import probe_pyramid
from segup.inspection.periodic import PeriodicMap
from segup.shapes.law import FloorLaw


class Unpadded(nn.Module):
    """Three stages of stride 2 whose convolutions have no padding."""

    def __init__(self, kernel_size=7):
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(c, c + 1, kernel_size, 2) for c in (3, 4, 5))

    def forward(self, x):
        return list(itertools.accumulate(self.stages, lambda x, stage: stage(x), initial=x))[1:]


@given(st.integers(1, 2000), st.lists(st.tuples(st.integers(2, 4), st.integers(0, 9)), min_size=1, max_size=4))
def test_every_map_is_in_reach_of_a_step_of_its_factor(size, stages):
    maps, strides, here, stride = [], [], size, 1
    for factor, lost in stages:
        here, stride = max(1, -(-here // factor) - lost), stride * factor
        maps.append(here)
        strides.append(stride)
    found = rows_put_back(size, maps, strides)
    assert all(one >= other for one, other in zip(found, maps, strict=True))
    for (factor, _), above, below in zip(stages, [size, *found], found, strict=False):
        assert above - factor * below <= factor - 1


@given(st.integers(-9, 3), st.integers(-9, 3))
def test_functions_say_what_sizes_say(first, second):
    functions = [PeriodicMap.identity().through(FloorLaw(1, first, 2))]
    functions.append(functions[0].through(FloorLaw(1, second, 2)))
    found = functions_put_back(functions, [2, 4])
    for size in range(40, 60):
        assert [one(size) for one in found] == list(rows_put_back(size, [one(size) for one in functions], [2, 4]))


def test_rows_come_back_at_both_ends():
    image, x = torch.zeros(1, 3, 12, 9), torch.arange(8.0).reshape(1, 1, 2, 4)
    (grown,) = with_rows_put_back(image, [x], [2])
    assert grown.shape == (1, 1, 6, 4)
    assert grown[0, 0, :, 0].tolist() == [0, 0, 0, 4, 4, 4]


def test_an_encoder_that_loses_rows_is_proved_with_them():
    encoder = Encoder("unpadded", Unpadded())
    lost = encoder.pyramid
    encoder.put_rows_back()
    encoder.eval()
    for size in (lost.min_size, 60, 93, 101):
        with torch.no_grad():
            maps = encoder(torch.rand(1, 3, size, size + 5))
        assert tuple(m.shape[-2] for m in maps) == encoder.map_sizes(size)
        assert tuple(m.shape[-1] for m in maps) == encoder.map_sizes(size + 5)
    assert lost.proved
    assert encoder.pyramid.proved
    assert probe_pyramid(Unpadded()).roundings == (-5, -5, -5)
    assert encoder.pyramid.roundings == ("down",) * 3


@pytest.mark.parametrize("name", ["inception_v3"])
def test_a_model_of_convolutions_without_padding_gives_back_the_size(name):
    model = create_model(name, "fpn", "deconv", num_classes=2, pretrained=False, widths=[4] * 3).eval()
    assert model.verdict().proved
    for size in ((1, 1), (79, 120)):
        with torch.no_grad():
            assert model(torch.rand(1, 3, *size)).shape == (1, 2, *size)
