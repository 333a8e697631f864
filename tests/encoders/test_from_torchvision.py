"""What torchvision's builders do beside filling weights in, which a checkpoint has to give back."""

import pytest
import torch
import torchvision

from segup import create_model
from segup.checkpoints import load_model, save_model
from segup.encoders import create_encoder

_IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.fixture
def fetched(monkeypatch):
    """Give torchvision's builders weights by the model's name without a network; return those that were asked for."""
    states = {}

    def own(weights, *_, **__):
        name = type(weights).__name__.removesuffix("_Weights").lower()
        if name not in states:
            options = {"init_weights": False, "aux_logits": True}
            states[name] = torchvision.models.get_model(name, weights=None, **options).state_dict()
        return states[name]

    monkeypatch.setattr(torchvision.models.WeightsEnum, "get_state_dict", own)
    return states


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "first"),
    [("googlenet", ["conv1"]), ("inception_v3", ["Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"])],
)
def test_a_model_that_normalises_by_itself_is_the_same_with_fetched_and_with_stored_weights(
    name, first, fetched, tmp_path
):
    model = create_model(f"torchvision/{name}", num_classes=2, upsampler="bilinear").eval()
    save_model(model, tmp_path / "model.ckpt")
    image = torch.rand(1, 3, 96, 96)
    assert torch.equal(load_model(tmp_path / "model.ckpt")(image), model(image))

    network = torchvision.models.get_model(name, weights="DEFAULT").eval()
    scaled = torchvision.transforms.functional.normalize(image, **_IMAGENET)
    expected = network._transform_input(scaled)
    for layer in first:
        expected = network.get_submodule(layer)(expected)
    own, *_ = model.encoder.body(model.encoder.normalise(image)).values()
    assert torch.allclose(own, expected, rtol=1e-4, atol=1e-4)
    assert list(fetched) == [name]


@pytest.mark.parametrize("in_channels", [1, 4])
def test_a_model_that_normalises_by_itself_takes_any_number_of_channels(in_channels, fetched):
    encoder = create_encoder("torchvision/googlenet", in_channels)
    assert len(encoder(torch.rand(2, in_channels, 64, 64))) == len(encoder.channels)
    assert list(fetched) == ["googlenet"]


@pytest.mark.parametrize(
    ("name", "scale"), [("resnet18", _IMAGENET), ("efficientnet_v2_l", {"mean": [0.5] * 3, "std": [0.5] * 3})]
)
def test_images_are_normalised_as_the_weights_of_the_model_say(name, scale):
    encoder = create_encoder(f"torchvision/{name}", pretrained=False)
    for own, expected in scale.items():
        assert getattr(encoder, own).flatten().tolist() == pytest.approx(expected)
