"""Every topology × operator × encoder gives back every size from 1 to 130, and exactly what ``requires`` rules out is
refused.

A decoder's sizes depend on nothing but the sizes of the encoder's maps, and the two axes do not meet. So the encoders'
maps are measured once per size, on real images; what the decoder makes of them is worked out by its ladder for every
size; every rung that differs from the others is run once by its operator; and that a decoder runs the rungs of its
ladder is shown on whole decoders for a few sizes here, for all sizes where time allows (``-m slow``), equal ladders
once. Batches of segup's own parts are empty: real kernels with their real refusals, and nothing to compute.
"""

import itertools
from functools import cache

import pytest
import torch
from own_parts import OWN_OPERATORS, OWN_TOPOLOGIES

from segup import create_model
from segup.decoders import create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.encoders import create_encoder
from segup.errors import ConfigError
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

ENCODERS = ("resnet18", "efficientnet_lite0", "timm/vgg11_bn", "convnext_atto", "densenet121", "pvt_v2_b0", "segnet")
TOPOLOGIES = list_decoders()
OPERATORS = list_upsamplers()
SIZES = range(1, 131)
WITHOUT_SKIPS = ("plain", "duc")


@cache
def encoder(name):
    return create_encoder(name, pretrained=False).eval()


@cache
def map_sizes(name):
    """For each size from 1 to 130, the accepted size and those of the maps; two sizes a run, one on each axis."""
    body = encoder(name)
    accepted = sorted({body.accepted_size((size, size))[0] for size in SIZES})
    sizes = {}
    for height, width in zip(accepted[::2], [*accepted[1::2], accepted[-1]], strict=False):
        with torch.no_grad():
            maps = body(torch.zeros(1, 3, height, width))
        sizes[height], sizes[width] = tuple(m.shape[-2] for m in maps), tuple(m.shape[-1] for m in maps)
    return {size: (body.accepted_size((size, size))[0], sizes[body.accepted_size((size, size))[0]]) for size in SIZES}


def refused(topology, upsampler, provides):
    requires = operator_class(upsampler).requires
    if "skip" in requires and topology in WITHOUT_SKIPS:
        return True
    return "indices" in requires and ("indices" not in provides or topology == "duc")


@cache
def small_decoder(topology, upsampler, name, small_widths):
    """A narrow decoder on the encoder's strides and stage rules: channels change no size."""
    body = encoder(name)
    roundings = body.pyramid.roundings
    widths = small_widths(topology, body.strides, 4)
    return create_decoder(
        topology, [4] * len(body.strides), body.strides, upsampler=upsampler, widths=widths, roundings=roundings,
        **({"num_classes": 4} if topology_class(topology).gives_scores else {}),
    ).eval()  # fmt: skip


def batch_of(topology, upsampler):
    """No image at all; one where a part is not segup's own, and need not take an empty batch."""
    return 0 if topology in OWN_TOPOLOGIES and upsampler in OWN_OPERATORS else 1


def window_starts(batch, channels, low, high, scale):
    """Pooling indices ``(batch, channels, *low)``: the first position of each window, flat in a map of ``high``."""
    rows, columns = (torch.arange(n) * scale for n in low)
    return (rows[:, None] * high[1] + columns).expand(batch, channels, *low)


def zero_maps(batch, heights, widths):
    """Maps ``(batch, 4, h, w)``, and what may guide a step beside them."""
    maps = [torch.zeros(batch, 4, h, w) for h, w in zip(heights, widths, strict=True)]
    sizes = itertools.pairwise(zip(heights, widths, strict=True))
    indices = [window_starts(batch, 4, low, high, 2) for high, low in sizes]
    return maps, {"indices": indices, "image": torch.zeros(batch, 3, heights[0], widths[0])}


def same_rules():
    """One encoder for each set of strides, stage rules and map sizes, the others beside it."""
    kinds = {}
    for name in ENCODERS:
        body = encoder(name)
        rules = (body.strides, body.pyramid.roundings, body.provides)
        kinds.setdefault((rules, tuple(map_sizes(name).items())), []).append(name)
    return [names[0] for names in kinds.values()]


@pytest.mark.parametrize("name", ENCODERS)
def test_what_requires_rules_out_is_refused_at_construction(name, monkeypatch):
    body = encoder(name)
    monkeypatch.setattr("segup.models.create_encoder", lambda *args, **options: body)
    for topology, upsampler in itertools.product(TOPOLOGIES, OPERATORS):
        if refused(topology, upsampler, body.provides):
            with pytest.raises(ConfigError, match=f"upsampler '{upsampler}' requires "):
                create_model(name, topology, upsampler, num_classes=19)


@pytest.mark.parametrize(
    "name", [n if n == "efficientnet_lite0" else pytest.param(n, marks=pytest.mark.slow) for n in ENCODERS]
)
def test_nothing_else_is_refused(name, monkeypatch):
    """With the encoder's real channels and default widths, on the meta device: nothing but names is decided here."""
    body = encoder(name)
    monkeypatch.setattr("segup.models.create_encoder", lambda *args, **options: body)
    for topology, upsampler in itertools.product(TOPOLOGIES, OPERATORS):
        if not refused(topology, upsampler, body.provides):
            with torch.device("meta"):
                assert create_model(name, topology, upsampler, num_classes=19).decoder.steps()


@pytest.fixture(scope="module")
def ran():
    """The rungs that were run: topologies share most of them."""
    return set()


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_every_rung_of_every_ladder_is_reached(topology, small_widths, ran):
    """The whole grid in integers; then each rung that differs, run by its operator on real kernels."""
    for name, upsampler in itertools.product(same_rules(), OPERATORS):
        if refused(topology, upsampler, encoder(name).provides):
            continue
        decoder = small_decoder(topology, upsampler, name, small_widths)
        steps = decoder.steps()
        for size in SIZES:
            accepted, maps = map_sizes(name)[size]
            assert accepted >= size
            rungs = decoder.ladder(maps, accepted)
            assert rungs[-1].wanted == accepted
            for (low, high, up), rung in zip(steps, rungs, strict=True):
                assert (rung.low, rung.wanted) == (maps[low], accepted if high is None else maps[high])
                assert rung.reached + rung.correction == rung.wanted
                assert abs(rung.correction) < up.scale
                case = (up.label(), up.in_channels, up.out_channels, rung.low, rung.wanted)
                if case not in ran:
                    ran.add(case)
                    run_step(up, rung, batch_of(topology, upsampler))
    assert len(ran) > 100


def run_step(up, rung, batch):
    low, wanted = (rung.low, 1), (rung.wanted, up.scale)
    x = torch.zeros(batch, up.in_channels, *low)
    guides = {
        "skip": torch.zeros(batch, up.skip_channels or 1, *wanted),
        "indices": window_starts(batch, up.skip_channels or 1, low, wanted, up.scale),
        "image": torch.zeros(batch, 3, *wanted),
    }
    with torch.no_grad():
        y = up(x, wanted, **{guide: guides[guide] for guide in up.requires})
    assert y.shape == (batch, up.out_channels, *wanted)
    assert up.correction[0] == rung.correction


def run_whole(topology, upsampler, name, sizes, small_widths):
    """Run one decoder at sizes taken in pairs, one on each axis."""
    decoder, batch = small_decoder(topology, upsampler, name, small_widths), batch_of(topology, upsampler)
    for first, second in zip(sizes[::2], sizes[1::2], strict=True):
        (height, heights), (width, widths) = map_sizes(name)[first], map_sizes(name)[second]
        maps, guides = zero_maps(batch, heights, widths)
        with torch.no_grad():
            y = decoder(maps, (height, width), **{guide: guides[guide] for guide in decoder.requires})
        assert y.shape == (batch, decoder.out_channels, height, width)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_whole_decoders_give_back_some_sizes(topology, small_widths):
    for name, upsampler in itertools.product(same_rules(), OPERATORS):
        if not refused(topology, upsampler, encoder(name).provides):
            run_whole(topology, upsampler, name, (1, 130, 67, 33), small_widths)


@pytest.mark.slow
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_whole_decoders_give_back_every_size(topology, small_widths):
    for name, upsampler in itertools.product(same_rules(), OPERATORS):
        if not refused(topology, upsampler, encoder(name).provides):
            run_whole(topology, upsampler, name, tuple(SIZES), small_widths)


@pytest.mark.parametrize("name", ENCODERS)
def test_real_models_cut_back_what_was_extended(name):
    """The last step of the argument, on real images: the logits have the image's size, above and below the minimum."""
    upsampler = "max_unpool" if "indices" in encoder(name).provides else "deconv_matched"
    model = create_model(name, "fpn", upsampler, num_classes=2, pretrained=False, widths=[8] * 3).eval()
    for size in ((1, 1), (2, 41), (33, 28), (67, 45)):
        with torch.no_grad():
            assert model(torch.rand(1, 3, *size)).shape == (1, 2, *size)
