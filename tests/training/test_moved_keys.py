"""Keys that stood in ``encoder.options``: they work, and are answered with the new place."""

import re

import pytest
import torch

from segup import create_model
from segup.errors import ConfigError
from segup.names import check_storable
from segup.training.build import checkpoint_gradients, model_names, moved_keys
from segup.training.config import RunConfig

OLD_AND_NEW = {
    "freeze": ({"freeze": True}, {"freeze": True}, "encoder.freeze=true"),
    "out_indices": ({"out_indices": [1, 3]}, {"out_indices": [1, 3]}, "encoder.out_indices=[1,3]"),
    "options.drop_path_rate": ({"options": {"drop_path_rate": 0.1}}, {"drop_path": 0.1}, "encoder.drop_path=0.1"),
}


def config(options, **keys):
    encoder = {"library": "timm", "name": "test_vit", "options": options, **keys}
    return RunConfig.of({"encoder": encoder, "decoder": {"topology": "unet", "upsampler": "deconv"}})


@pytest.mark.parametrize("place", OLD_AND_NEW)
def test_both_places_name_one_model(place):
    options, keys, word = OLD_AND_NEW[place]
    before, now = config(options), config({}, **keys)
    assert model_names(before, 3, 3) == model_names(now, 3, 3)
    assert moved_keys(before) == [f"encoder.options.{place} stands in encoder.{next(iter(keys))} now; try: {word}"]
    assert moved_keys(now) == []
    assert model_names(config(options, **keys), 3, 3) == model_names(now, 3, 3)


def test_what_is_not_set_is_not_answered():
    unset = {"freeze": False, "out_indices": None, "options": {}}
    assert moved_keys(config(unset)) == []
    assert model_names(config(unset), 3, 3)["encoder_options"] == unset


def test_two_places_that_differ_are_refused():
    with pytest.raises(
        ConfigError,
        match=r"encoder.freeze=2 and encoder.options.freeze=true contradict each other\n  try: encoder.options.freeze=",
    ):
        model_names(config({"freeze": True}, freeze=2), 3, 3)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("out_indices", [], "encoder.out_indices=[] has 0 values"),
        ("std", [0.0], "encoder.std[0]=0.0 must be a number above 0"),
        ("output_stride", 0, "encoder.options.output_stride=0 must be an int of 1 or more"),
    ],
)
def test_errors_call_an_option_as_it_is_given(key, value, said):
    names = {"encoder": "timm/resnet18", "encoder_options": {key: value}}
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}"):
        check_storable(names)


def test_the_last_map_can_be_named_from_the_end():
    names = model_names(config({}, out_indices=[-1]), 3, 3)
    check_storable(names)
    assert create_model(**names, pretrained=False).encoder.strides == (16,)


def test_blocks_that_cannot_be_computed_again_are_refused():
    model = create_model("segnet", num_classes=2, pretrained=False)
    with pytest.raises(ConfigError, match="'segnet' cannot compute its blocks again.*\n  try: encoder.checkpoint_g"):
        checkpoint_gradients(model)
    model = create_model("test_vit", num_classes=2, pretrained=False)
    image = torch.rand(2, 3, 64, 64)

    def kept():
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda one: sizes.append(one.nbytes) or one, lambda one: one):
            model.train().encoder(image)
        return sum(sizes)

    before = kept()
    checkpoint_gradients(model)
    assert kept() < before / 3
