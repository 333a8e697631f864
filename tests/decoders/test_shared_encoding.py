"""Operators of segup that are guided by the image: one encoder for all steps of a decoder, run once a forward."""

import pytest
import torch

from segup import create_model
from segup.checkpoints import load_model, save_model
from segup.decoders import create_decoder, list_decoders
from segup.decoders.contract import topology_class
from segup.errors import ConfigError
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class
from segup.upsamplers.guided import Guided

GUIDED = [name for name in list_upsamplers() if issubclass(operator_class(name), Guided)]
CHANNELS, STRIDES = (4, 6, 8), (2, 4, 8)


def calls_of(module):
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("topology", list_decoders())
@pytest.mark.parametrize("name", GUIDED)
def test_the_image_is_encoded_once_for_all_steps(topology, name, pyramid):
    last = {} if topology == "duc" else {"final": name}
    decoder = create_decoder(topology, CHANNELS, STRIDES, upsampler=name, image_channels=1, **last).eval()
    ups = [up for *_, up in decoder.steps()]
    calls = calls_of(ups[0].encoder)
    assert all(up.encoder is ups[0].encoder for up in ups)
    image = torch.rand(2, 1, 45, 34)
    y = decoder(pyramid((45, 34), STRIDES, CHANNELS, batch=2), (45, 34), image=image)
    assert (y.shape[-2:], len(calls)) == ((45, 34), 1)
    decoder(pyramid((45, 34), STRIDES, CHANNELS, batch=2), (45, 34), image=image)
    assert len(calls) == 2, "nothing is kept from one forward to the next"
    assert "image" in decoder.requires


@pytest.mark.parametrize("topology", list_decoders())
@pytest.mark.parametrize("name", GUIDED)
def test_the_skip_guides_where_a_topology_has_one(topology, name, pyramid):
    options = {"upsampler": name, "upsampler_options": {"guide": "skip"}}
    if "skip" in topology_class(topology).lacks:
        with pytest.raises(ConfigError, match=f"'{name}' requires the skip, which topology '{topology}' does not have"):
            create_decoder(topology, CHANNELS, STRIDES, **options)
        return
    decoder = create_decoder(topology, CHANNELS, STRIDES, **options).eval()
    assert "image" not in decoder.requires
    assert decoder(pyramid((45, 34), STRIDES, CHANNELS), (45, 34)).shape[-2:] == (45, 34)
    with pytest.raises(ConfigError, match=f"final='{name}' requires the skip, and the step to the image has none"):
        create_decoder(topology, CHANNELS, STRIDES, upsampler="bilinear", final=name, final_options={"guide": "skip"})


@pytest.mark.parametrize("name", GUIDED)
def test_grey_and_five_channel_images_are_saved_and_opened(name, tmp_path):
    for channels in (1, 5):
        model = create_model(
            "test_efficientnet", upsampler=name, final=name, num_classes=2, in_channels=channels, pretrained=False
        ).eval()
        assert "image_channels" not in model.spec
        save_model(model, tmp_path / f"{channels}.ckpt")
        image = torch.rand(1, channels, 45, 67)
        with torch.no_grad():
            assert torch.equal(load_model(tmp_path / f"{channels}.ckpt")(image), model(image))


def test_an_operator_put_in_a_steps_place_encodes_the_image_by_its_own_encoder(pyramid):
    from segup.upsamplers import Naf

    decoder = create_decoder("unet", CHANNELS, STRIDES, upsampler="naf", widths=[6, 6, 6]).eval()
    other = Naf(6, 6)
    calls, own = calls_of(decoder.blocks[0].up.encoder), calls_of(other.encoder)
    decoder.blocks[1].up = other
    decoder(pyramid((45, 34), STRIDES, CHANNELS), (45, 34), image=torch.rand(1, 3, 45, 34))
    assert (len(calls), len(own)) == (1, 1)
