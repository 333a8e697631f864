import pytest
import torch
from torch import nn

from segup import create_model
from segup.decoders import list_decoders
from segup.decoders.contract import topology_class
from segup.errors import ConfigError
from segup.streams import own_stream
from segup.upsamplers import create_upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class


def weights(upsampler, topology="unet", encoder="resnet18", **options):
    torch.manual_seed(3)
    return create_model(encoder, topology, upsampler, num_classes=4, pretrained=False, **options).state_dict()


def assert_shared_agree(first, second):
    shared = [name for name in first if name in second and first[name].shape == second[name].shape]
    assert len(shared) > 100
    assert [name for name in shared if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("upsampler", list_upsamplers())
def test_models_that_differ_in_the_operator_start_equal_in_all_other_layers(upsampler):
    encoder = "segnet" if "indices" in operator_class(upsampler).requires else "resnet18"
    first, second = weights("deconv", encoder=encoder), weights(upsampler, encoder=encoder)
    outside = {name for name in first if ".up." not in name}
    assert outside == {name for name in second if ".up." not in name}
    for name in outside:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("topology", list_decoders())
def test_in_each_topology_layers_of_one_name_and_shape_start_equal(topology):
    others = [name for name in ("pixel_shuffle", "carafe", "sapa") if _fits(name, topology)]
    first = weights("deconv", topology)
    for other in others:
        assert_shared_agree(first, weights(other, topology))


def _fits(upsampler, topology):
    return not operator_class(upsampler).requires & topology_class(topology).lacks


def test_other_widths_change_only_the_layers_whose_shape_they_change():
    assert_shared_agree(weights("deconv"), weights("bilinear", widths=[120, 64, 48, 32, 16]))


def test_two_models_after_one_seed_differ_and_the_seed_repeats_them():
    torch.manual_seed(0)
    with own_stream():
        first = nn.Conv2d(3, 4, 3)
    with own_stream():
        second = nn.Conv2d(3, 4, 3)
    assert not torch.equal(first.weight, second.weight)
    torch.manual_seed(0)
    with own_stream():
        again = nn.Conv2d(3, 4, 3)
    assert torch.equal(first.weight, again.weight)


def test_the_stream_outside_goes_on_the_same_after_a_refusal():
    torch.manual_seed(0)
    with pytest.raises(ConfigError):
        create_upsampler("carafe", 8, 4, kernel_size=4)
    after_refusal = torch.rand(3)
    torch.manual_seed(0)
    create_upsampler("carafe", 8, 4)
    assert torch.equal(torch.rand(3), after_refusal)
