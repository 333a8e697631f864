"""Images that an encoder does not take whole: windows in evaluation, a refusal with the number in training."""

import pytest
import torch
from torch.testing import assert_close

from segup import create_model
from segup.encoders import create_encoder
from segup.errors import ConfigError, ShapeError
from segup.evaluation.segment import Inference, segment
from segup.names import check_storable


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    options = {"max_tokens": 17}
    return create_model("test_vit", "plain", num_classes=3, pretrained=False, encoder_options=options).eval()


def test_a_large_image_goes_through_in_windows(model):
    image = torch.rand(2, 3, 70, 133)
    assert model.encoder.window((64, 64)) is None
    assert model.encoder.window((70, 133)) == (64, 64)
    with torch.inference_mode():
        logits = model(image)
        assert logits.shape == (2, 3, 70, 133)
        windowed = segment(model, image[0], Inference(window=(64, 64)))
    assert torch.equal(logits[0].argmax(0), windowed.long())
    assert_close(logits.exp().sum(1), torch.ones(2, 70, 133))  # they are logarithms of averaged probabilities
    assert torch.equal(segment(model, image[0]), windowed)


def test_one_channel_goes_through_in_windows():
    model = create_model(
        "test_vit", "plain", num_classes=1, pretrained=False, encoder_options={"max_tokens": 17}
    ).eval()
    image = torch.rand(3, 70, 133)
    assert torch.equal(segment(model, image), segment(model, image, Inference(window=(64, 64))))


def test_a_thin_image_goes_through_whole(model):
    assert model.encoder.window((16, 256)) is None
    assert model.encoder.window((16, 257)) == (64, 64)


def test_training_refuses_it_with_the_number(model):
    model.train()
    try:
        with pytest.raises(ShapeError) as refusal:
            model(torch.rand(2, 3, 65, 64))
    finally:
        model.eval()
    assert str(refusal.value) == (
        "encoder 'timm/test_vit' makes 21 tokens of an image of 65×64, which attend to each other; encoder.max_tokens "
        "is 17.\n  try: data.crop_size=[64,64], or encoder.max_tokens=21"
    )


def test_the_default_fits_in_2_gib():
    encoder = create_encoder("test_vit", pretrained=False)
    (attention,) = {block.attn.num_heads for block in encoder.body.model.blocks}
    tokens = encoder.max_tokens
    assert 2 * 4 * attention * tokens**2 <= 2**31 < 2 * 4 * attention * (tokens + 1) ** 2


@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm/xcit_nano_12_p8_224"])
def test_an_encoder_without_such_attention_has_no_limit(name):
    assert create_encoder(name, pretrained=False).max_tokens is None
    with pytest.raises(ConfigError, match="max_tokens=99 limits nothing.\n  try: encoder.max_tokens=null"):
        create_encoder(name, pretrained=False, max_tokens=99)


def test_a_limit_below_one_token_is_refused():
    with pytest.raises(ConfigError, match=r"max_tokens=1 is below 2.*\n  try: encoder.max_tokens=null"):
        create_encoder("test_vit", pretrained=False, max_tokens=1)
    with pytest.raises(ConfigError, match="max_tokens=0"):
        create_encoder("test_vit", pretrained=False, max_tokens=0)


def test_a_checkpoint_may_hold_it():
    check_storable({"encoder": "timm/test_vit", "encoder_options": {"max_tokens": 17, "freeze": True}})
    with pytest.raises(ConfigError, match="max_tokens"):
        check_storable({"encoder": "timm/test_vit", "encoder_options": {"max_tokens": -1}})


def test_an_encoder_of_one_size_takes_larger_images_in_windows():
    model = create_model(
        "convit_tiny", "plain", num_classes=3, pretrained=False, encoder_options={"img_size": 64}
    ).eval()
    image = torch.rand(1, 3, 70, 50)
    with torch.inference_mode():
        assert model(image).shape == (1, 3, 70, 50)
    assert "a larger one goes through in windows" in str(model.verdict())
    model.train()
    with pytest.raises(
        ShapeError,
        match=r"takes images of up to 64×64, not 70×50.*\n  try: .*=\[64,50\], or encoder.options.img_size=80",
    ):
        model(image)
