"""Each topology against its definition, written down in plain torch or taken from torchvision."""

import sys
import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.segmentation import deeplabv3
from torchvision.ops import FeaturePyramidNetwork

from segup.decoders import ASPP, create_decoder
from segup.decoders.steps import Encoded
from segup.shapes import Resize
from segup.upsamplers import Upsampler

CHANNELS, STRIDES, SIZE = (4, 6, 8, 12), (4, 8, 16, 32), (64, 96)


class PureNearest(Upsampler):
    """Nothing but repeated pixels, so that a topology can be compared with one that calls F.interpolate."""

    @property
    def arithmetic(self):
        return Resize(self.scale)

    def upsample(self, x, *, skip=None, indices=None):
        return F.interpolate(x, scale_factor=self.scale)


@pytest.fixture
def pure(monkeypatch):
    module = types.ModuleType("pure_operators")
    module.PureNearest = PureNearest
    monkeypatch.setitem(sys.modules, "pure_operators", module)
    return "pure_operators:PureNearest"


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return [torch.randn(2, c, SIZE[0] // s, SIZE[1] // s) for c, s in zip(CHANNELS, STRIDES, strict=True)]


def times(x, factor):
    return F.interpolate(x, scale_factor=factor) if factor > 1 else x


def test_the_top_down_maps_of_fpn_are_torchvisions(pure, maps):
    decoder = create_decoder("fpn", CHANNELS, STRIDES, upsampler=pure, widths=[8, 8, 8]).eval()
    theirs = FeaturePyramidNetwork(list(CHANNELS), 8)
    for lateral, block in zip(decoder.laterals, theirs.inner_blocks, strict=True):
        block[0].load_state_dict(lateral.state_dict())
    theirs.layer_blocks = nn.ModuleList(nn.Identity() for _ in CHANNELS)
    ours = []
    for branch in decoder.branches:
        branch.register_forward_pre_hook(lambda module, args: ours.append(args[0]))
    with torch.no_grad():
        decoder(maps, SIZE)
        expected = theirs({str(level): m for level, m in enumerate(maps)})
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(ours, expected.values(), strict=True))


def test_the_branches_of_fpn_alternate_convolutions_and_steps(pure, maps):
    """One convolution for the highest map, then one before each ×2: 1, 1, 2 and 3 of them (arXiv 1901.02446)."""
    decoder = create_decoder("fpn", CHANNELS, STRIDES, upsampler=pure, widths=[8, 8, 8])
    assert [len(branch.convs) for branch in decoder.branches] == [1, 1, 2, 3]
    assert [len(branch.ups) for branch in decoder.branches] == [0, 1, 2, 3]


def test_aspp_is_torchvisions():
    """Its pooled branch has BatchNorm in place of a bias; fresh BatchNorm in evaluation divides by √(1 + 1e-5)."""
    theirs = deeplabv3.ASPP(6, [2, 4], 8).eval()
    ours = ASPP(6, 8, rates=[2, 4]).eval()
    for branch, other in zip(ours.branches, theirs.convs, strict=False):
        branch.load_state_dict(other.state_dict())
    ours.whole[0].weight.data.copy_(theirs.convs[-1][1].weight)
    ours.whole[0].bias.data.zero_()
    ours.mix.load_state_dict({name: t for name, t in theirs.project.state_dict().items() if name[0] in "01"})
    x = torch.randn(2, 6, 9, 7)
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_segformer_is_linear_layers_upsampled_and_mixed(pure, maps):
    decoder = create_decoder("segformer", CHANNELS, STRIDES, upsampler=pure, final=pure, widths=[8, 8]).eval()
    with torch.no_grad():
        high = [times(linear(m), s // 4) for linear, m, s in zip(decoder.linears, maps, STRIDES, strict=True)]
        expected = decoder.final_act(times(decoder.mix(torch.cat(high, dim=1)), 4))
        assert torch.allclose(decoder(maps, SIZE), expected, atol=1e-5)
    assert [up.scale for *_, up in decoder.steps()] == [2] * 6 + [4]


def test_segformer_mixes_each_map_before_a_resize_alone_brings_it_up(maps):
    """The same function as the joined maps mixed: a resize alone and a 1×1 convolution commute."""
    options = {"upsampler_options": {"kernel_size": None}, "head": "before"}
    summed = create_decoder("segformer", CHANNELS, STRIDES, upsampler="bilinear", **options).eval()
    assert [up.scale for *_, up in summed.steps()] == [2, 2, 2, 4]
    odd, size = [m[..., : (m.shape[-2] * 61 + 63) // 64, : (m.shape[-1] * 85 + 95) // 96] for m in maps], (61, 85)
    with torch.no_grad():
        for these, wanted in ((maps, SIZE), (odd, size)):
            high = []
            for level, (linear, m) in enumerate(zip(summed.linears, these, strict=True)):
                y = linear(m)
                for above in reversed(these[:level]):
                    y = F.interpolate(y, scale_factor=2, mode="bilinear")[..., : above.shape[-2], : above.shape[-1]]
                high.append(y)
            expected = summed.finish(summed.mix(torch.cat(high, dim=1)), wanted, Encoded(these))
            assert torch.allclose(summed(these, wanted), expected, atol=1e-5)


def test_fcn_adds_scores_from_the_deepest_up(pure, maps):
    decoder = create_decoder("fcn", CHANNELS, STRIDES, upsampler=pure, final=pure, num_classes=5).eval()
    with torch.no_grad():
        s8, s16, s32 = (score(m) for score, m in zip(decoder.scores, maps[1:], strict=True))
        expected = times(s8 + times(s16 + times(s32, 2), 2), 8)
        assert torch.allclose(decoder(maps, SIZE), expected, atol=1e-5)


def test_duc_is_one_convolution_and_a_shuffle(maps):
    decoder = create_decoder("duc", CHANNELS[:2], STRIDES[:2], num_classes=5)
    assert [name for name, _ in decoder.named_parameters()] == ["up.conv.weight", "up.conv.bias"]
    assert decoder.up.conv.out_channels == 5 * 8**2
    with torch.no_grad():
        expected = F.pixel_shuffle(decoder.up.conv(maps[1]), 8)
        assert torch.equal(decoder(maps[:2], SIZE), expected)
        assert torch.equal(decoder(maps[:2], (61, 89)), expected[..., :61, :89])


def test_linknet_adds_what_it_brings_up_to_the_skip(maps):
    decoder = create_decoder("linknet", CHANNELS, STRIDES, upsampler="deconv", widths=[3]).eval()
    for stage in decoder.stages:
        stage.expand[1].weight.data.zero_()
    with torch.no_grad():
        assert torch.equal(decoder(maps, SIZE), decoder.finish(maps[0], SIZE, Encoded(maps)))
    assert [stage.up.in_channels for stage in decoder.stages] == [3, 2, 1]


def test_plain_reads_the_last_map_alone(maps):
    decoder = create_decoder("plain", CHANNELS, STRIDES, upsampler="deconv").eval()
    others = [torch.full_like(m, float("nan")) for m in maps[:-1]]
    with torch.no_grad():
        assert torch.equal(decoder([*others, maps[-1]], SIZE), decoder(maps, SIZE))


def test_deeplab_joins_its_context_with_the_high_map(pure, maps):
    decoder = create_decoder("deeplabv3plus", CHANNELS, STRIDES, upsampler=pure, final=pure, widths=[8, 3, 8, 8]).eval()
    with torch.no_grad():
        joined = torch.cat((times(decoder.aspp(maps[-1]), 8), decoder.project(maps[0])), dim=1)
        expected = decoder.final_act(times(decoder.convs(joined), 4))
        assert torch.allclose(decoder(maps, SIZE), expected, atol=1e-5)


def test_unet_joins_the_skip_and_convolves(pure, maps):
    decoder = create_decoder("unet", CHANNELS[2:], (1, 2), upsampler=pure, widths=[12]).eval()
    with torch.no_grad():
        expected = decoder.blocks[0].convs(torch.cat((times(maps[3], 2), maps[2]), dim=1))
        assert torch.allclose(decoder(maps[2:], maps[2].shape[-2:]), expected, atol=1e-6)
