"""How every map of a model follows from the image's size, as data; the pages that draw it are tested in a browser."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup.errors import ShapeError
from segup.inspection.model_map import model_map


class Root(nn.Module):
    """Whose result has the square root of a map's size, of which nothing is proved."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)

    def forward(self, x):
        y = self.conv(x)
        return F.interpolate(y, size=tuple(int(n**0.5) + 1 for n in y.shape[-2:]))


def test_sizes_without_a_proof_are_those_of_runs():
    found, model = model_map(Root(), 3), Root()
    data = found.data
    assert not data["proved"]
    assert [layer for layer, *_ in data["rows"]] == ["conv", ""]
    for axis, one in enumerate(data["axes"]):
        (after_conv, _), (after_resize, _) = one["use"][0][0], one["use"][1][0]
        assert one["sizes"] == sorted(set(one["sizes"]))
        for place in range(0, len(one["sizes"]), 17):
            shape = [64, 64]
            shape[axis] = one["sizes"][place]
            image = torch.zeros(1, 3, *shape)
            assert data["laws"][after_conv]["at"][place] == model.conv(image).shape[axis + 2]
            assert data["laws"][after_resize]["at"][place] == model(image).shape[axis + 2]


def test_a_model_that_takes_no_square_image_has_nothing_to_draw():
    class Refuses(nn.Module):
        def forward(self, x):
            raise ValueError("no image is good enough")

    with pytest.raises(ShapeError, match="no square image was accepted, so there is nothing to draw"):
        model_map(Refuses(), 3)
