"""What every topology keeps: exact sizes, a ladder that tells the truth, parts that are all in use."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.decoders import UNetDecoder, create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.errors import ConfigError, ShapeError
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import Upsampler, operator_class

TOPOLOGIES = list_decoders()
OPERATORS = list_upsamplers()
WITHOUT_SKIPS = {"plain", "duc"}
CHANNELS, STRIDES = (4, 6, 8, 12), (2, 4, 8, 16)


def refused(topology, upsampler):
    """What ``requires`` rules out, written down once more: no skip in two topologies, no poolings in one."""
    requires = operator_class(upsampler).requires
    return ("skip" in requires and topology in WITHOUT_SKIPS) or ("indices" in requires and topology == "duc")


PAIRS = [(t, u) for t in TOPOLOGIES for u in OPERATORS if not refused(t, u)]


def build(topology, upsampler, small_widths, channels=CHANNELS, strides=STRIDES, **options):
    options.setdefault("widths", small_widths(topology, strides))
    torch.manual_seed(0)
    return create_decoder(topology, channels, strides, upsampler=upsampler, **options).eval()


def test_all_are_there():
    named = {"deeplabv3plus", "duc", "fcn", "fpn", "linknet", "plain", "pspnet", "segformer", "unet", "upernet"}
    assert named <= set(TOPOLOGIES)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("upsampler", OPERATORS)
def test_exactly_what_requires_rules_out_is_refused_at_construction(topology, upsampler, small_widths):
    if refused(topology, upsampler):
        with pytest.raises(ConfigError, match=f"'{upsampler}' requires .*, which topology '{topology}' does not have"):
            build(topology, upsampler, small_widths)
    else:
        assert build(topology, upsampler, small_widths).steps()


@pytest.mark.parametrize(
    ("topology", "upsampler", "rounding"),
    [
        *((t, u, "down" if u == "max_unpool" else "up") for t, u in PAIRS),
        *((t, "deconv_matched", "down") for t in TOPOLOGIES),
    ],
)
def test_a_run_takes_the_steps_of_the_ladder_and_no_others(
    topology, upsampler, rounding, pyramid, guides_of, small_widths
):
    """Which operator from which size to which, in which order, with which correction: as the ladder tells it."""
    decoder = build(topology, upsampler, small_widths, roundings=[rounding] * len(STRIDES))
    taken = []

    def take(up, args, out):
        made = out[0] if isinstance(out, tuple) else out  # beside the skip that the operator changed
        taken.append((up, args[0].shape[-2:], made.shape[-2:], up.correction))

    for module in decoder.modules():
        if isinstance(module, Upsampler):
            module.register_forward_hook(take)
    for size in ((67, 45), (32, 33)):
        taken.clear()
        maps = pyramid(size, STRIDES, CHANNELS, rounding, batch=2)
        guides = guides_of(decoder, maps, size)
        with torch.no_grad():
            assert decoder(maps, size, **guides).shape == (2, decoder.out_channels, *size)
        ladders = [decoder.ladder([m.shape[2 + axis] for m in maps], size[axis]) for axis in (0, 1)]
        assert [up for up, *_ in taken] == [up for *_, up in decoder.steps()]
        for axis in (0, 1):
            assert [t[1][axis] for t in taken] == [rung.low for rung in ladders[axis]]
            assert [t[2][axis] for t in taken] == [rung.wanted for rung in ladders[axis]]
            assert [t[3][axis] for t in taken] == [rung.correction for rung in ladders[axis]]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 10**6), rounding=st.sampled_from(["up", "down"]), data=st.data())
def test_each_step_multiplies_by_neighbouring_strides_and_corrects_less(topology, size, rounding, data, small_widths):
    first = data.draw(st.sampled_from([1, 2, 4]))
    ratios = data.draw(st.lists(st.sampled_from([2, 3, 4]), min_size=1, max_size=4))
    strides = [first]
    for ratio in ratios:
        strides.append(strides[-1] * ratio)
    size += 0 if rounding == "up" else strides[-1]
    decoder = build(topology, "bilinear", small_widths, [2] * len(strides), strides)
    sizes = [-(-size // stride) if rounding == "up" else size // stride for stride in strides]
    rungs = decoder.ladder(sizes, size)
    for (low, high, up), rung in zip(decoder.steps(), rungs, strict=True):
        assert up.scale == strides[low] // (1 if high is None else strides[high])
        assert high is None or high == low - 1
        assert rung.low == sizes[low]
        assert rung.wanted == (size if high is None else sizes[high])
        assert abs(rung.correction) < up.scale


@pytest.mark.parametrize(("topology", "upsampler"), PAIRS)
def test_every_part_learns(topology, upsampler, pyramid, guides_of, small_widths):
    decoder = build(topology, upsampler, small_widths).train()
    maps = [m.requires_grad_() for m in pyramid((67, 45), STRIDES, CHANNELS, batch=2)]
    decoder(maps, (67, 45), **guides_of(decoder, maps, (67, 45))).square().mean().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None] == []
    used = {
        "plain": maps[-1:],
        "duc": maps[-1:],
        "fcn": maps[-3:],
        "deeplabv3plus": [maps[0], maps[-1]],
        "pspnet": maps[-1:],
    }
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in used.get(topology, maps))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_one_image_at_a_time_trains(topology, pyramid, small_widths):
    """BatchNorm wants more than one value per channel; no branch here has only one unless the last map has."""
    decoder = build(topology, "deconv", small_widths).train()
    assert decoder(pyramid((33, 17), STRIDES, CHANNELS), (33, 17)).shape[-2:] == (33, 17)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("strides", [(1, 2, 4), (2, 4, 8), (4, 8, 16), (8, 16), (4, 16, 32), (1, 2, 4, 8, 16, 32)])
def test_pyramids_begin_anywhere(topology, strides, pyramid, small_widths):
    channels = [3 + level for level in range(len(strides))]
    decoder = build(topology, "pixel_shuffle", small_widths, channels, strides)
    for size in ((67, 45), (33, 64)):
        with torch.no_grad():
            assert decoder(pyramid(size, strides, channels), size).shape[-2:] == size


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_defaults_are_enough(topology, pyramid):
    decoder = create_decoder(topology, CHANNELS, STRIDES).eval()
    with torch.no_grad():
        assert decoder(pyramid((35, 37), STRIDES, CHANNELS), (35, 37)).shape == (1, decoder.out_channels, 35, 37)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_arguments_that_a_yaml_sets_mean_the_same_everywhere(topology):
    shared = {"upsampler", "widths", "final", "fit", "convs", "upsampler_options", "final_options", "roundings"}
    parameters = inspect.signature(type(create_decoder(topology, CHANNELS, STRIDES))).parameters
    assert shared <= set(parameters)
    create_decoder(topology, CHANNELS, STRIDES, **dict.fromkeys(("widths", "convs", "roundings")))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_convs_add_convolutions(topology, pyramid, small_widths):
    fewer, more = (build(topology, "bilinear", small_widths, convs=convs) for convs in (1, 2))
    count = [
        sum(isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3) for m in d.modules()) for d in (fewer, more)
    ]
    assert count[1] > count[0]
    with torch.no_grad():
        assert more(pyramid((33, 35), STRIDES, CHANNELS), (33, 35)).shape[-2:] == (33, 35)


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if not topology_class(t).gives_scores])
def test_final_convs_follow_the_step_to_the_image(topology, pyramid, small_widths):
    plain, more = (build(topology, "bilinear", small_widths, final_convs=convs) for convs in (0, 2))
    width = more.out_channels
    added = sum(p.numel() for p in more.parameters()) - sum(p.numel() for p in plain.parameters())
    assert added == 2 * (9 * width**2 + 2 * width), "two convolutions without bias, each with BatchNorm"
    seen = []
    for layer in more.final_act:
        layer.register_forward_hook(lambda _, args, out: seen.append((args[0].shape[-2:], out.shape[-2:])))
    with torch.no_grad():
        assert more(pyramid((33, 35), STRIDES, CHANNELS), (33, 35)).shape == (1, width, 33, 35)
    assert seen == [((33, 35), (33, 35))] * 4
    at_stride_1 = create_decoder(topology, CHANNELS, (1, 2, 4, 8), final_convs=2)
    assert not hasattr(at_stride_1, "final_act") or at_stride_1.first > 0
    with pytest.raises(ConfigError, match="decoder.final_convs=-1 must be an int of 0 or more"):
        create_decoder(topology, CHANNELS, STRIDES, final_convs=-1)


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if t != "duc"])
@pytest.mark.parametrize("final", [u for u in OPERATORS if not operator_class(u).requires])
def test_the_step_to_the_image_takes_any_operator_that_requires_nothing(topology, final, pyramid, small_widths):
    for rounding in ("up", "down") if final == "deconv_matched" else ("up",):
        strides = (4, 8, 16, 32)
        decoder = build(
            topology, "bilinear", small_widths, strides=strides, final=final, roundings=[rounding] * len(strides)
        )
        assert decoder.steps()[-1][1:] == (None, decoder.final)
        assert decoder.final.name == final
        with torch.no_grad():
            assert decoder(pyramid((67, 45), strides, CHANNELS, rounding), (67, 45)).shape[-2:] == (67, 45)


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if t != "duc"])
@pytest.mark.parametrize("final", [u for u in OPERATORS if operator_class(u).requires - {"image"}])
def test_the_step_to_the_image_has_no_skip(topology, final):
    for strides in (STRIDES, (1, 2, 4, 8)):
        with pytest.raises(
            ConfigError, match=f"final='{final}' requires the .*has none.\n  try: decoder.final=bilinear"
        ):
            create_decoder(topology, CHANNELS, strides, final=final)


def test_the_final_operator_has_options_of_its_own(small_widths):
    decoder = build("fpn", "bilinear", small_widths, final="deconv", final_options={"kernel_size": 2})
    assert decoder.final.conv.kernel_size == (2, 2)
    with pytest.raises(ConfigError, match="unknown option of upsampler 'deconv' 'kernel'"):
        build("fpn", "bilinear", small_widths, final="deconv", final_options={"kernel": 2})


def test_a_resize_to_the_image_mixes_channels_alone_unless_told_otherwise(small_widths):
    kernels = [
        build("fpn", "bilinear", small_widths, final=final, final_options=options).final.conv.kernel_size
        for final, options in (("bilinear", None), ("nearest", {}), ("bicubic", {"kernel_size": 3}))
    ]
    assert kernels == [(1, 1), (1, 1), (3, 3)]


@pytest.mark.parametrize(
    ("topology", "strides", "rule"),
    [
        ("segformer", (4, 8), "must have length 2: the channels of every map, of the step to the image"),
        ("segformer", (1, 2), "must have length 1: the channels of every map"),
        ("linknet", (2, 4), r"must have length 1: the channels of the step to the image; the others are .*, \[4, 6\]"),
        ("linknet", (1, 2), r"must be empty or null; the others are the encoder's, \[4, 6\]"),
    ],
)
def test_widths_of_another_number_are_answered_with_what_they_are_of(topology, strides, rule):
    with pytest.raises(ConfigError, match=rf"decoder.widths=\[1, 2, 3\] {rule}"):
        create_decoder(topology, [4, 6], strides, widths=[1, 2, 3])


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": ["a"]}, r"decoder.widths=\['a'\] must be a list, each an int of 1 or more, or null; 'a' is not"),
        ({"widths": [8, 0]}, r"decoder.widths=\[8, 0\] must be a list, each an int of 1 or more, or null; 0 is not"),
        ({"widths": 64}, "decoder.widths=64 must be a list, each an int of 1 or more"),
        ({"widths": "64"}, "decoder.widths='64' must be a list, each an int of 1 or more"),
        ({"widths": [8] * 9}, r"decoder.widths=\[8, 8, 8, 8, 8, 8, 8, 8, 8\] must "),
        ({"convs": -1}, "decoder.convs=-1 must be an int of [01] or more"),
        ({"convs": 1.5}, "decoder.convs=1.5 must be an int of [01] or more"),
        ({"fit": "resize"}, "fit='resize' is unknown; known: correct, strict"),
        ({"upsampler": "decov"}, "unknown upsampler 'decov': did you mean 'deconv'"),
        ({"final": "bilinar"}, "unknown upsampler 'bilinar': did you mean 'bilinear'|final='bilinar' changes"),
        ({"upsampler_options": {"kernel": 4}}, "unknown option of upsampler '.*' 'kernel'"),
        ({"depth": 4}, "unknown option of topology '.*' 'depth'"),
        (
            {"upsampler_options": {"scale": 2}},
            "decoder.upsampler_options.scale=2 cannot be given: it follows from the operator's place in the decoder",
        ),
        (
            {"upsampler_options": {"fit": "strict"}},
            "upsampler_options.fit='strict' cannot be given for one operator.\n  try: decoder.fit=strict",
        ),
        ({"upsampler_options": {"fit": "stric"}}, "fit='stric' cannot be .*\n  try: decoder.fit=strict"),
        ({"roundings": "up"}, "roundings='up' must be a list"),
        ({"roundings": 2}, "roundings=2 must be a list"),
        (
            {"roundings": ["up", "mixed", None]},
            r"must be a list, each up or down or an int or null.*mixed. is not",
        ),
        ({"roundings": ["up"]}, r"roundings=\['up'\] must have length 3, one between each map and the next"),
    ],
)
def test_what_does_not_fit_is_refused_at_construction(topology, options, message):
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        create_decoder(topology, CHANNELS, STRIDES, **options)


@pytest.mark.parametrize(
    ("channels", "strides", "message"),
    [
        (None, [2], "channels=None must be a list, each an int of 1 or more"),
        ([8], 2, "strides=2 must be a list, each an int of 1 or more"),
        (torch.tensor([8, 16]), [2, 4], r"channels=tensor\(\[ 8, 16\]\) must be a list, each an int of 1 or more"),
    ],
)
def test_a_pyramid_is_two_lists(channels, strides, message):
    with pytest.raises(ConfigError, match=message):
        create_decoder("unet", channels, strides)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "no"}, "decoder.fit='no' is unknown"),
        ({"upsampler_options": {"kernel": 4}}, "unknown option of upsampler 'deconv' 'kernel'"),
        ({"final_options": {"kernel": 4}}, "unknown option of upsampler 'bilinear' 'kernel'"),
    ],
)
def test_options_are_checked_where_there_is_no_step_too(options, message):
    with pytest.raises(ConfigError, match=message):
        create_decoder("unet", [8], [1], **options)


def test_a_constructor_of_its_own_hands_on_the_options_of_all():
    class Shared(UNetDecoder):
        def __init__(self, channels, strides, *, shared: bool = True, **common):
            super().__init__(channels, strides, **common)
            self.shared = shared

    assert set(inspect.signature(Shared).parameters) == {*inspect.signature(UNetDecoder).parameters, "shared"}
    made = Shared((4, 6), (2, 4), shared=False, upsampler="bilinear", final="nearest", widths=[8, 9])
    assert (made.shared, made.upsampler, made.final.name, made.widths) == (False, "bilinear", "nearest", (8, 9))
    with pytest.raises(ConfigError, match="decoder.shared=3 must be true or false"):
        Shared((4, 6), (2, 4), shared=3)
    with pytest.raises(ConfigError, match="'share': did you mean 'shared'"):
        Shared((4, 6), (2, 4), share=True)


@pytest.mark.parametrize("topology", ["deeplabv3plus", "fcn", "fpn", "segformer", "upernet"])
def test_depths_choose_the_deepest_maps(topology, pyramid):
    full = create_decoder(topology, (4, 4, 4, 4, 4), (2, 4, 8, 16, 32))
    assert min(high for _, high, _ in full.steps() if high is not None) == (2 if topology == "fcn" else 1)
    two = create_decoder(topology, (4, 4, 4, 4, 4), (2, 4, 8, 16, 32), depths=2).eval()
    assert two.final.scale == 16
    with torch.no_grad():
        assert two(pyramid((67, 45), (2, 4, 8, 16, 32), (4,) * 5), (67, 45)).shape[-2:] == (67, 45)
    with pytest.raises(ConfigError, match="decoder.depths=6 must be an int of 1 or more and at most 5, or null"):
        create_decoder(topology, (4, 4, 4, 4, 4), (2, 4, 8, 16, 32), depths=6)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 4, 8, 8), (1, 5, 4, 4)], r"takes maps of \(4, 6\) channels, from high to low resolution, not \(4, 5\)"),
        ([(1, 4, 8, 8)], r"takes maps of \(4, 6\) channels, .* not \(4,\)"),
        ([(2, 4, 8, 8), (1, 6, 4, 4)], r"of one batch size, not \[\(2, 4, 8, 8\), \(1, 6, 4, 4\)\]"),
        ([(4, 8, 8), (6, 4, 4)], r"takes maps \(N, C, h, w\) of one batch size, not \[\(4, 8, 8\), \(6, 4, 4\)\]"),
        ([(1, 4, 8, 8), (1, 6, 0, 4)], r"with h, w ≥ 1, not \[\(1, 4, 8, 8\), \(1, 6, 0, 4\)\]"),
        ([(1, 4, 8, 0), (1, 6, 4, 4)], r"with h, w ≥ 1, not \[\(1, 4, 8, 0\), \(1, 6, 4, 4\)\]"),
    ],
)
def test_maps_of_another_pyramid_are_refused(topology, shapes, message, small_widths):
    decoder = build(topology, "bilinear", small_widths, (4, 6), (2, 4))
    with pytest.raises(ShapeError, match=message):
        decoder([torch.zeros(shape) for shape in shapes], (16, 16))


def test_maps_are_given_in_a_list(small_widths):
    decoder = build("unet", "bilinear", small_widths, (4, 6), (2, 4))
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4)]
    assert decoder(tuple(maps), (16, 16)).shape[-2:] == (16, 16)
    message = (
        r"takes a list of maps \(N, C, h, w\), from high to low resolution, not a dict.\n  try: list\(features.val"
    )
    with pytest.raises(ShapeError, match=message):
        decoder(dict(enumerate(maps)), (16, 16))
    with pytest.raises(ShapeError, match="not a list of other things"):
        decoder([*maps[:1], None], (16, 16))
    with pytest.raises(ShapeError, match="not a NoneType$"):
        decoder(None, (16, 16))
    with pytest.raises(ShapeError, match="of one batch size, not"):
        decoder(maps[0], (16, 16))


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_size_out_of_reach_is_refused_and_never_resized(topology, small_widths):
    decoder = build(topology, "bilinear", small_widths, (4, 6), (2, 4))
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4)]
    for size in ((20, 16), (16, 12)):
        with pytest.raises(ShapeError, match="corrects at most [13], so it reaches"):
            decoder(maps, size)


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if t != "duc"])
def test_at_stride_1_the_image_has_the_size_of_the_map(topology, small_widths):
    decoder = build(topology, "bilinear", small_widths, (4, 6), (1, 2))
    maps = [torch.zeros(1, 4, 8, 8), torch.zeros(1, 6, 4, 4)]
    assert decoder(maps, (8, 8)).shape[-2:] == (8, 8)
    with pytest.raises(ShapeError, match=r"the map of stride 1 has size \(8, 8\), not the image's, \(8, 9\)"):
        decoder(maps, (8, 9))
    with pytest.raises(ShapeError, match=r"size must be \(height, width\), ints of 1 or more, not 8"):
        decoder(maps, 8)


def test_unpooling_asks_for_the_indices(pyramid, pooling_indices, small_widths):
    decoder = build("fpn", "max_unpool", small_widths)
    maps = pyramid((32, 32), STRIDES, CHANNELS)
    assert decoder.requires == {"indices"}
    for few in (None, pooling_indices(maps)[:2]):
        with pytest.raises(ShapeError, match="takes a list of 3 indices, one between each map .* and got (none|2).\n"):
            decoder(maps, (32, 32), few)


@pytest.mark.parametrize("topology", [t for t in TOPOLOGIES if t not in WITHOUT_SKIPS])
@pytest.mark.parametrize("upsampler", [u for u in OPERATORS if "skip" in operator_class(u).requires])
def test_guides_reach_the_guided_operator(topology, upsampler, pyramid, small_widths):
    """Each guided step is handed the map at the size that it goes to, and no other."""
    decoder = build(topology, upsampler, small_widths)
    handed = []
    for _, high, up in decoder.steps():
        up.register_forward_pre_hook(
            lambda module, args, kwargs, high=high: handed.append((high, kwargs.get("skip"))), with_kwargs=True
        )
    maps = pyramid((67, 45), STRIDES, CHANNELS)
    with torch.no_grad():
        decoder(maps, (67, 45))
    assert len(handed) == len(decoder.steps())
    assert all(skip is (None if high is None else maps[high]) for high, skip in handed)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_rows_added_below_leave_the_rows_above(topology, pyramid, small_widths):
    """One grid for all sizes: nothing stretches. Only means of the whole map see what was added."""
    decoder = build(topology, "deconv", small_widths, (4, 6), (2, 4), **({"rates": [1]} if "plus" in topology else {}))
    maps = pyramid((160, 16), (2, 4), (4, 6))
    cut = [maps[0][..., :79, :], maps[1][..., :40, :]]
    if topology == "deeplabv3plus":
        decoder.aspp.whole[0].weight.data.zero_()
    if topology in ("pspnet", "upernet"):
        for grid in decoder.pool.grids:
            grid[0].weight.data.zero_()
    with torch.no_grad():
        tall, short = decoder(maps, (160, 16)), decoder(cut, (157, 16))
    assert F.mse_loss(tall[..., :120, :], short[..., :120, :]) < 1e-10


def test_what_a_topology_takes_follows_from_what_it_says_of_itself():
    said = {
        "unet": {"final_convs"},
        "plain": {"final_convs"},
        "linknet": {"final_convs"},
        "fpn": {"final_convs", "depths"},
        "segformer": {"final_convs", "depths"},
        "upernet": {"final_convs", "depths"},
        "deeplabv3plus": {"final_convs", "depths", "rates", "separable"},
        "fcn": {"depths"},
        "duc": set(),
        "pspnet": set(),
    }
    taken = {name: set(topology_class(name).all_options()) - {"num_classes"} for name in TOPOLOGIES}
    assert said.items() <= taken.items()
    for name, options in taken.items():
        assert options <= set(inspect.signature(topology_class(name)).parameters)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_fewer_convolutions_than_a_topology_needs_are_refused_before_anything_is_built(topology, small_widths):
    least = topology_class(topology).least_convs
    if least:
        with pytest.raises(ConfigError, match=rf"decoder\.convs={least - 1} must be an int of {least} or more"):
            build(topology, "deconv", small_widths, convs=least - 1)
    else:
        assert build(topology, "deconv", small_widths, convs=0).steps()
