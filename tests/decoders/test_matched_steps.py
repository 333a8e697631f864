"""Operators that are matched to the encoder's stages: told how each rounds, they correct nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from segup.decoders import create_decoder
from segup.decoders.steps import composed
from segup.inspection import inverse_of, stage_rules


class Body(nn.ModuleList):
    """Stages given by kernel, stride and padding, one map after each."""

    def __init__(self, *stages):
        super().__init__(nn.Conv2d(3 if i == 0 else 4, 4, *stage) for i, stage in enumerate(stages))

    def forward(self, x):
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


@pytest.mark.parametrize(
    ("stages", "roundings"),
    [
        (((3, 2, 1), (3, 2, 1), (3, 2, 1)), ["up", "up", "up"]),
        (((2, 2, 0), (2, 2, 0), (4, 2, 1)), ["down", "down", "down"]),
        (((3, 2, 1), (2, 2, 0), (5, 2, 2)), ["up", "down", "up"]),
        (((3, 2, 0), (3, 2, 0), (2, 2, 0)), [-1, -1, "down"]),
        (((7, 4, 3), (3, 2, 0)), ["up", -1]),
        (((4, 4, 1), (7, 2, 1)), [2, -3]),
    ],
)
def test_the_rule_of_each_stage_is_inverted_at_every_size(stages, roundings):
    body = Body(*stages).eval()
    rules = [inverse_of(rule) for rule in stage_rules(body)]
    assert rules == roundings
    strides = torch.tensor([stride for _, stride, _ in stages]).cumprod(0).tolist()
    decoder = create_decoder(
        "unet",
        [4] * len(stages),
        strides,
        upsampler="deconv_matched",
        final="deconv_matched",
        widths=[4] * len(stages),
        roundings=rules,
    ).eval()
    for size in range(45, 45 + strides[-1]):
        with torch.no_grad():
            assert decoder(body(torch.zeros(1, 3, size, 45)), (size, 45)).shape[-2:] == (size, 45)
        assert [up.correction for _, _, up in decoder.steps()] == [(0, 0)] * len(stages)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(-6, 6)), min_size=1, max_size=5), st.integers(1, 10**6))
def test_stages_round_together_as_one(stages, size):
    """⌊(⌊(n + b)/s⌋ + c)/t⌋ and so on is one floor of one line."""
    reached, current, strides, roundings = 1, size, [], []
    for ratio, offset in stages:
        current, reached = (current + offset) // ratio, reached * ratio
        strides.append(reached)
        roundings.append({ratio - 1: "up", 0: "down"}.get(offset, offset))
    whole = composed(roundings, strides)
    offset = {"up": reached - 1, "down": 0}.get(whole, whole)
    assert (size + offset) // reached == current


def test_stages_without_a_rule_are_mixed():
    assert composed(["up", None, "down"], [2, 4, 8]) == "mixed"
