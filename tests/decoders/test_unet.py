import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.decoders import UNetBlock, UNetDecoder, create_decoder, list_decoders
from segup.errors import ConfigError, ShapeError
from segup.upsamplers import create_upsampler, list_upsamplers

OPERATORS = list_upsamplers()


@pytest.mark.parametrize("upsampler", OPERATORS)
@pytest.mark.parametrize("rounding", ["up", "down"])
@pytest.mark.parametrize("strides", [(1, 2, 4), (2, 4, 8), (4, 8, 16)])
def test_any_size_comes_back_exactly(upsampler, rounding, strides, pyramid, guides_of):
    channels = (3, 4, 5)
    roundings = [rounding] * 2
    decoder = create_decoder(
        "unet", channels, strides, upsampler=upsampler, widths=[4] * (2 + (strides[0] > 1)), roundings=roundings
    )
    decoder.eval()
    for size in (*range(strides[-1], strides[-1] + 5), 2 * strides[-1] + 1):
        features = pyramid((size, size + 1), strides, channels, rounding)
        guides = guides_of(decoder, features, (size, size + 1))
        with torch.no_grad():
            assert decoder(features, (size, size + 1), **guides).shape == (1, 4, size, size + 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.sampled_from(OPERATORS), st.sampled_from([1, 2, 4]))
def test_the_ladder_tells_what_the_decoder_does(size, upsampler, first):
    strides = [first, 2 * first, 4 * first]
    decoder = UNetDecoder((2, 2, 2), strides, upsampler=upsampler, widths=[2] * (2 + (first > 1)))
    sizes = [-(-size // stride) for stride in strides]
    rungs = decoder.ladder(sizes, size)
    assert [rung.wanted for rung in rungs] == [sizes[1], sizes[0], size][: len(rungs)]
    for rung, (_, _, up) in zip(rungs, decoder.steps(), strict=True):
        assert rung.reached + rung.correction == rung.wanted
        assert abs(rung.correction) <= up.scale - 1


def test_the_corrections_of_a_run_are_those_of_the_ladder(pyramid):
    decoder = UNetDecoder((2, 2, 2), (2, 4, 8), widths=[2, 2, 2]).eval()
    features = pyramid((67, 66), (2, 4, 8), (2, 2, 2))
    decoder(features, (67, 66))
    seen = [up.correction for _, _, up in decoder.steps()]
    told = [
        [rung.correction for rung in decoder.ladder([f.shape[axis] for f in features], size)]
        for axis, size in ((2, 67), (3, 66))
    ]
    assert seen == list(zip(*told, strict=True))


def test_widths_follow_the_reduction():
    assert [b.up.out_channels for b in UNetDecoder((8, 8, 8, 8, 8), (2, 4, 8, 16, 32)).blocks] == [128, 64, 48, 32]
    assert UNetDecoder((8, 8, 8), (8, 16, 32)).out_channels == 16
    assert UNetDecoder((8, 8), (1, 2)).out_channels == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ["a"]}, r"decoder.widths=\['a'\] must be a list, each an int of 1 or more, or null; 'a' is not"),
        ({"channels": (4, 4.0, 4)}, r"channels=\(4, 4.0, 4\) must be a list, each an int of 1 or more; 4.0 is not"),
        (
            {"strides": (0, 4, 8)},
            r"strides=\(0, 4, 8\) must be a list, each an int of 1 or more, or a fraction above 0",
        ),
        ({"widths": [8, 8]}, r"decoder.widths=\[8, 8\] must have one width for each step: 3, to strides 4, 2, 1"),
        ({"channels": (4, 4)}, r"channels=\[4, 4\] and strides=\[2, 4, 8\] must be two lists of one length"),
        ({"strides": (2, 4, 6)}, r"strides=\[2, 4, 6\] must go from high to low.*6 after 4 is not"),
        ({"strides": (8, 4, 2)}, "4 after 8 is not"),
        ({"upsampler": "decov"}, "unknown upsampler 'decov': did you mean 'deconv'"),
        ({"final": "bilinar"}, "unknown upsampler 'bilinar': did you mean 'bilinear'"),
        ({"upsampler_options": 5}, "^decoder.upsampler_options=5 must be a group of keys or null$"),
        ({"final_options": [3]}, r"^decoder.final_options=\[3\] must be a group of keys or null$"),
        ({"upsampler_options": {"kernel": 4}}, "unknown option of upsampler 'deconv' 'kernel'"),
        ({"depth": 4}, "unknown option of topology 'unet' 'depth'"),
        ({"upsampler": "deconv_matched", "roundings": [None, "up"]}, "how the encoder rounds from stride 2 to 4"),
    ],
)
def test_what_does_not_fit_is_refused_at_construction(arguments, message):
    with pytest.raises(ConfigError, match=message):
        create_decoder("unet", **{"channels": (4, 4, 4), "strides": (2, 4, 8), **arguments})


def test_an_unknown_topology_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown topology 'unett': did you mean 'unet'"):
        create_decoder("unett", [4, 4], [1, 2])
    assert "unet" in list_decoders()


def test_a_pyramid_of_other_channels_is_refused():
    decoder = UNetDecoder((4, 4), (1, 2), widths=[4])
    with pytest.raises(ShapeError, match=r"takes maps of \(4, 4\) channels, from high to low resolution, not \(4, 5\)"):
        decoder([torch.zeros(1, 4, 8, 8), torch.zeros(1, 5, 4, 4)], (8, 8))


def test_a_block_joins_a_skip_of_its_own_size():
    block = UNetBlock(in_channels=6, skip_channels=3, out_channels=4, upsampler="bilinear")
    assert block(torch.zeros(2, 6, 16, 16), torch.zeros(2, 3, 31, 33)).shape == (2, 4, 31, 33)


@pytest.mark.parametrize("shape", [(2, 4, 32, 32), (1, 3, 32, 32), (3, 32, 32)])
def test_a_skip_that_does_not_belong_is_refused(shape):
    block = UNetBlock(6, 3, 4)
    with pytest.raises(ShapeError, match=r"takes a skip \(2, 3, H, W\) with its input \(2, 6, 16, 16\), not \("):
        block(torch.zeros(2, 6, 16, 16), torch.zeros(shape))


def test_a_block_says_when_its_skip_is_missing():
    with pytest.raises(ShapeError, match=r"takes a skip \(N, 3, H, W\), and got none"):
        UNetBlock(6, 3, 4)(torch.zeros(2, 6, 16, 16))


def test_a_block_without_a_skip_refuses_one_and_says_so():
    block = UNetBlock(in_channels=6, skip_channels=0, out_channels=4)
    message = r"takes no skip \(skip_channels=0\), and got one of \(1, 3, 8, 8\)\.\n  try: block\(x, size="
    with pytest.raises(ShapeError, match=message):
        block(torch.zeros(1, 6, 4, 4), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("channels", [None, -1, 2.5, True])
def test_a_skips_channels_are_a_number_of_them(channels):
    with pytest.raises(ConfigError, match=f"skip_channels={channels} must be an int of 0 or more"):
        UNetBlock(in_channels=6, skip_channels=channels, out_channels=4)


def test_a_block_of_an_operator_asks_nothing_else_of_it():
    up = create_upsampler("deconv", 8, 4, 4)
    assert UNetBlock(8, 4, 4, up, scale=4, fit="correct", upsampler_options={"kernel_size": up.kernel_size}).up is up
    for asked, said in (
        ({"in_channels": 16}, "in_channels=16 and an operator of in_channels=8"),
        ({"scale": 2}, "scale=2 and an operator of scale=4"),
        ({"fit": "strict"}, "fit='strict' and an operator of fit='correct'"),
        ({"upsampler_options": {"kernel_sizee": 99}}, "kernel_sizee=99 and an operator of kernel_sizee=None"),
    ):
        with pytest.raises(ConfigError) as raised:
            UNetBlock(**{"in_channels": 8, "skip_channels": 4, "out_channels": 4, "upsampler": up, **asked})
        name = said.split("=")[0]
        assert str(raised.value) == (
            f"the block is given {said}: {up.describe()}\n"
            f"  try: upsampler='deconv', which the block makes itself; or the operator's own {name}"
        )


def test_an_operator_that_is_to_join_a_skip_says_when_there_is_none():
    up = create_upsampler("deconv", 8, 4, 4)
    with pytest.raises(ShapeError) as raised:
        up.with_skip(torch.zeros(1, 8, 2, 2))
    assert str(raised.value) == (
        f"{up.describe()}: with_skip joins a skip (N, C, H, W), and got none.\n  try: up(x), without a skip"
    )


def test_a_block_without_a_skip_brings_its_input_to_a_size():
    block = UNetBlock(6, 0, 4)
    assert block(torch.zeros(2, 6, 8, 8)).shape[-2:] == (16, 16)
    assert block(torch.zeros(2, 6, 8, 8), size=(15, 17)).shape[-2:] == (15, 17)


def test_a_block_undoes_a_pooling_with_its_indices():
    block = UNetBlock(in_channels=6, skip_channels=3, out_channels=4, upsampler="max_unpool").eval()
    skip = torch.rand(1, 3, 9, 8)
    indices = torch.nn.functional.max_pool2d(skip, 2, return_indices=True)[1]
    assert block(torch.rand(1, 6, 4, 4), skip, indices=indices).shape == (1, 4, 9, 8)
    with pytest.raises(ShapeError, match=r"takes the pooling indices \(1, 3, 4, 4\) .*, and got none"):
        block(torch.rand(1, 6, 4, 4), skip)


@pytest.mark.parametrize("convs", [0, -1, 1.5, True])
def test_a_block_has_a_convolution_at_least(convs):
    with pytest.raises(ConfigError, match=f"convs={convs} must be an int of 1 or more"):
        UNetBlock(6, 3, 4, convs=convs)


def test_a_blocks_operator_is_not_told_twice():
    with pytest.raises(ConfigError, match=r"decoder.upsampler_options.scale=4 cannot be given: it follows from the"):
        UNetBlock(8, 4, 4, upsampler="deconv", upsampler_options={"scale": 4})
