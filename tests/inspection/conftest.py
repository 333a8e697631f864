import pytest
from torch import nn


class Pyramid(nn.Module):
    """Stages one after another; each one's result is a map."""

    def __init__(self, stages):
        super().__init__()
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


@pytest.fixture
def pyramid_of():
    """Make a module of stages whose results are its maps."""
    return Pyramid


@pytest.fixture
def halving():
    """Make a pyramid of three stages of stride 2, BatchNorm and dropout in each."""

    def build(padding, kernel_size):
        return Pyramid(
            nn.Sequential(nn.Conv2d(c, c + 1, kernel_size, 2, padding), nn.BatchNorm2d(c + 1), nn.Dropout())
            for c in (3, 4, 5)
        )

    return build
