import itertools

import pytest
from torch import nn

from segup.encoders.pyramid import probe_pyramid


class Stages(nn.Module):
    """Three stages of stride 2; the result of each is a map."""

    def __init__(self, kernel_size, padding):
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(c, c + 1, kernel_size, 2, padding) for c in (3, 4, 5))

    def forward(self, x):
        return list(itertools.accumulate(self.stages, lambda x, stage: stage(x), initial=x))[1:]


def test_rounding_up_and_down_are_found():
    up = probe_pyramid(Stages(3, 1))
    assert (up.channels, up.strides, up.roundings, up.min_size) == ((4, 5, 6), (2, 4, 8), ("up",) * 3, 1)
    down = probe_pyramid(Stages(2, 0))
    assert (down.strides, down.roundings, down.min_size) == ((2, 4, 8), ("down",) * 3, 8)
    assert "Kernel size can't be greater" in down.refused[1]


def test_a_rule_that_is_neither_is_its_offset():
    """Without padding, k3 s2 loses a row: 17 → 8 is no rounding of 17 / 2 at every size."""
    assert probe_pyramid(Stages(3, 0)).roundings == (-1, -1, -1)


def test_a_size_refused_in_between_is_left_out():
    class Picky(nn.Module):
        def forward(self, x):
            if 65 in x.shape[-2:]:
                raise RuntimeError("not this one")
            return [x[..., ::2, ::2]]

    pyramid = probe_pyramid(Picky())
    assert str(pyramid.accepted) == "every size from 1 on but 65"
    assert pyramid.refused == {65: "RuntimeError: not this one"}
    assert [pyramid.accepted.next(size) for size in (1, 64, 65, 66)] == [1, 64, 66, 66]


@pytest.mark.parametrize("minimum", [1, 2, 13, 32, 64])
def test_the_minimum_is_found(minimum):
    class Demanding(nn.Module):
        def forward(self, x):
            assert x.shape[-1] >= minimum
            return [x]

    assert probe_pyramid(Demanding()).min_size == minimum


@pytest.mark.parametrize(
    ("body", "proved"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2)), True),
        (nn.Sequential(nn.Conv2d(3, 4, 7)), True),
        (nn.Sequential(nn.Conv2d(3, 4, (3, 1), (2, 1))), False),
        (nn.Sequential(nn.Conv2d(3, 4, (3, 5), 2)), False),
    ],
)
def test_a_pyramid_is_proved_where_both_axes_and_all_sizes_follow(body, proved):
    pyramid = probe_pyramid(body)
    assert pyramid.functions is not None
    assert pyramid.proved == proved


class Picky(nn.Module):
    """Refuses a band of sizes that no probe tries."""

    def __init__(self, refused):
        super().__init__()
        self.refused = refused
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, image):
        if image.shape[-2] == self.refused or image.shape[-1] == self.refused:
            raise ValueError(f"no {self.refused}")
        return self.conv(image)


@pytest.mark.parametrize("refused", [45, 1001])
def test_a_refusal_that_no_probe_met_is_no_proof(refused):
    pyramid = probe_pyramid(Picky(refused))
    assert pyramid.refused == {}
    assert not pyramid.proved
