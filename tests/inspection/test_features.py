import pytest
import torch
from torch import nn

from segup.inspection import feature_sizes, probe_pyramid


def test_sizes_are_those_of_the_maps(halving):
    encoder = halving(padding=1, kernel_size=3)
    maps = encoder(torch.zeros(2, 3, 67, 50))
    assert feature_sizes(encoder, (67, 50)) == [tuple(m.shape[-2:]) for m in maps]


def test_looking_changes_nothing(halving):
    encoder = halving(padding=1, kernel_size=3)
    encoder.stages[0].eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    flags = [m.training for m in encoder.modules()]
    probe_pyramid(encoder)
    feature_sizes(encoder, 33)
    assert [m.training for m in encoder.modules()] == flags
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())


def test_rounding_up_and_down_are_found(halving):
    up = probe_pyramid(halving(padding=1, kernel_size=3))
    assert (up.channels, up.strides, up.roundings(), up.min_size) == ((4, 5, 6), (2, 4, 8), ("up", "up"), 1)
    down = probe_pyramid(halving(padding=0, kernel_size=2))
    assert (down.strides, down.roundings(), down.min_size) == ((2, 4, 8), ("down", "down"), 8)
    assert "Kernel size can't be greater" in down.refused[1]


def test_a_rule_that_is_neither_is_none(halving):
    """Without padding, k3 s2 loses a row: 17 → 8 is no rounding of 17 / 2 at every size."""
    neither = probe_pyramid(halving(padding=0, kernel_size=3))
    assert neither.roundings() == (None, None)


def test_sizes_refused_in_between_are_gaps():
    class Picky(nn.Module):
        def forward(self, x):
            if x.shape[-1] == 65:
                raise RuntimeError("not this one")
            return [x[..., ::2, ::2]]

    pyramid = probe_pyramid(Picky())
    assert pyramid.gaps == (65,)
    assert pyramid.refused == {65: "RuntimeError: not this one"}


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
    assert pyramid.lines is not None
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
