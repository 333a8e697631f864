"""Topologies join the skip as the operator changed it."""

import pytest
import torch
from own_parts import OWN_TOPOLOGIES

from segup.decoders import create_decoder
from segup.decoders.contract import topology_class
from segup.upsamplers import FreqFusion

JOINING = [
    name for name in OWN_TOPOLOGIES if "skip" not in topology_class(name).lacks and name not in ("segformer", "pspnet")
]
"""In segformer several climbs reach the highest map, and none is joined with it alone; pspnet joins none."""


@pytest.mark.parametrize("topology", JOINING)
def test_topologies_join_the_changed_skip(topology, pyramid):
    """With the change undone, the result differs."""
    torch.manual_seed(0)
    decoder = create_decoder(topology, (8, 16), (4, 8), upsampler="freqfusion").eval()
    maps, size = pyramid((45, 34), (4, 8), (8, 16)), (45, 34)
    joined = decoder(maps, size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FreqFusion, "with_skip", lambda up, x, size, skip: (up(x, size, skip=skip), skip))
        plain = decoder(maps, size)
    assert (joined - plain).abs().max() > 1e-3 * plain.abs().max()
