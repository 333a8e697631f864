import itertools

import pytest
import timm
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from segup.errors import ShapeError
from segup.inspection import feature_sizes, inverse_of, rounding_of, stage_rules
from segup.inspection.stages import fitted_rule, map_sizes
from segup.inspection.tried import try_sizes
from segup.shapes import Conv

UP, DOWN = Conv(3, 2, 1), Conv(2, 2)
ENCODERS = {
    "resnet18": (UP,) * 5,
    "densenet121": (UP, UP, DOWN, DOWN, DOWN),
    "convnext_atto": (Conv(4, 4), DOWN, DOWN, DOWN),
    "vgg11_bn": (Conv(1), *(DOWN,) * 5),
    "pvt_v2_b0": (Conv(5, 4, 2), UP, UP, UP),
    "tf_efficientnet_lite0": (UP,) * 5,
}
SIZES = [(65, 97), (64, 40)]


def real_sizes(encoder, size):
    with torch.no_grad():
        maps = encoder.eval()(torch.zeros(1, 3, *size))
    return [tuple(one.shape[-2:]) for one in (maps.values() if isinstance(maps, dict) else maps)]


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "tf_efficientnet_lite0"])
def test_the_rule_of_every_stage_is_found(name):
    check_encoder(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_the_rule_of_every_stage_of_more_encoders_is_found(name):
    check_encoder(name)


def check_encoder(name):
    encoder = timm.create_model(name, pretrained=False, features_only=True)
    rules = stage_rules(encoder)
    assert rules == ENCODERS[name]
    for size in SIZES:
        assert feature_sizes(encoder, size) == real_sizes(encoder, size)
    for size in (64, 67, 95):
        before = size
        for rule, (after, _) in zip(rules, real_sizes(encoder, (size, 64)), strict=True):
            assert rule.out(before) == after
            before = after


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["hrnet_w18", "mobilevit_xxs", "edgenext_xx_small", "efficientvit_b0", "regnetx_002", "mobilenetv3_small_050"],
)
def test_sizes_on_shapes_alone_are_those_of_real_maps(name):
    encoder = timm.create_model(name, pretrained=False, features_only=True)
    assert feature_sizes(encoder, (64, 64)) == real_sizes(encoder, (64, 64))
    for size in ((65, 97), (1, 40), (29, 96)):
        try:
            expected = real_sizes(encoder, size)
        except RuntimeError:
            with pytest.raises(ShapeError, match=f"the encoder refuses {size[0]}×{size[1]}"):
                feature_sizes(encoder, size)
        else:
            assert feature_sizes(encoder, size) == expected


def test_torchvision_feature_extractors_are_taken():
    body = create_feature_extractor(torchvision.models.resnet18(weights=None), ["layer1", "layer3"])
    assert feature_sizes(body, (67, 50)) == real_sizes(body, (67, 50)) == [(17, 13), (5, 4)]
    assert stage_rules(body) == (Conv(5, 4, 2), Conv(5, 4, 2))


def test_a_refusal_names_the_size_and_the_layer():
    encoder = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2))
    with pytest.raises(ShapeError, match="the encoder refuses 1×40 at layer '1': RuntimeError: Given input size"):
        feature_sizes(encoder, (1, 40))
    with pytest.raises(ShapeError, match="height must be an int of at least 1, not 0"):
        feature_sizes(encoder, (0, 40))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2))
def test_the_rule_of_any_convolution_is_found(kernel, stride, padding):
    conv = Conv(kernel, stride, padding)
    sizes = range(conv.min_size, conv.min_size + 3 * stride)
    found = fitted_rule([(n, conv.out(n)) for n in sizes], stride)
    assert found is not None
    assert [found.axes[0].law.out(n) for n in range(1, 100)] == [conv.axes[0].law.out(n) for n in range(1, 100)]


@pytest.mark.parametrize(
    "conv", [nn.Conv2d(3, 4, 13, 4), nn.Conv2d(3, 4, 7, 4, dilation=2), nn.Conv2d(3, 4, 31, 2), nn.Conv2d(3, 4, 2, 3)]
)
def test_a_stage_that_loses_many_rows_has_its_own_stride_and_rule(conv):
    """The ratio of two sizes says too much: 88 rows become 19, which is 4.6 times less."""
    pyramid = map_sizes(try_sizes(nn.Sequential(conv), 3))
    assert pyramid.strides == conv.stride[:1]
    (rule,) = pyramid.rules()
    layer = Conv(conv.kernel_size[0], conv.stride[0], dilation=conv.dilation[0])
    assert rule is not None
    assert all(rule.axes[0].law.out(n) == layer.axes[0].law.out(n) for n in range(1, 100))


def test_a_deep_stage_of_few_sizes_has_the_rule_that_holds_for_all():
    """Its map has one row at every size that is tried, which several rules would make."""
    encoder = nn.ModuleList(nn.Conv2d(3, 3, k, 2) for k in (7, 3, 5, 3, 3))
    encoder.forward = lambda x: list(itertools.accumulate(encoder, lambda x, stage: stage(x), initial=x))[1:]
    pyramid = map_sizes(try_sizes(encoder, 3))
    assert pyramid.strides == (2, 4, 8, 16, 32)
    assert {sizes[-1] for sizes in pyramid.sizes.values()} == {1}
    assert [inverse_of(rule) for rule in pyramid.rules()] == [-5, -1, -3, -1, -1]


def test_rules_that_differ_from_size_to_size_are_none():
    class Fickle(nn.Module):
        def forward(self, x):
            return [x[..., ::2, ::2] if x.shape[-1] % 3 else x[..., : x.shape[-2] // 2, : x.shape[-1] // 2]]

    assert stage_rules(Fickle()) == (None,)
    assert rounding_of(None) is None


def test_an_encoder_that_refuses_everything_says_why():
    body = nn.Conv2d(3, 8, 3, stride=2, padding=1)
    with pytest.raises(ShapeError, match=r"the encoder refuses every size that was tried; 512×512: .*channel"):
        stage_rules(body, in_channels=1)
    assert try_sizes(body, 1).refused.keys() >= {64, 88}
    for asked in (stage_rules, try_sizes, lambda body, in_channels: feature_sizes(body, 9, in_channels)):
        with pytest.raises(ShapeError, match="in_channels.*1"):
            asked(body, in_channels=0)
