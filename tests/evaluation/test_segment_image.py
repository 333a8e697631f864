import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segup.errors import ConfigError
from segup.evaluation.segment import Inference, flip_averaged, segment, segment_stored
from segup.models import SegmentationModel, create_model, predicted_labels

BOTH = ("horizontal", "vertical")
FLIPS = {("horizontal",): [(-1,)], ("vertical",): [(-2,)], BOTH: [(-1,), (-2,), (-2, -1)]}


def model_of(num_classes: int, **options) -> SegmentationModel:
    torch.manual_seed(0)
    return create_model(
        "test_efficientnet", num_classes=num_classes, pretrained=False, widths=[8, 8, 8, 8, 8], **options
    ).eval()


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    return model_of(5)


def random_image(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(2))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70))
def test_a_whole_image_gives_the_models_own_labels(model, height, width):
    image = random_image(3, height, width)
    with torch.no_grad():
        expected = predicted_labels(model(image[None]))[0]
    found = segment(model, image)
    assert found.dtype == torch.uint8
    assert torch.equal(found.long(), expected)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 50), st.sampled_from([(), *FLIPS]))
def test_windows_and_reflections_keep_the_size(model, height, width, window, tta):
    how = Inference(window=(window, 40), overlap=0.1, tta=tta, batch_size=3)
    assert segment(model, random_image(3, height, width), how).shape == (height, width)


@pytest.mark.parametrize("tta", FLIPS)
def test_the_average_over_reflections_turns_with_the_image_to_the_last_bit(model, tta):
    predict = flip_averaged(lambda images: model(images).detach().softmax(1), tta)
    image = random_image(1, 3, 45, 67)
    plain = model(image).softmax(1)
    found = predict(image)
    for axes in FLIPS[tta]:
        assert torch.equal(predict(image.flip(axes)), found.flip(axes))
        assert not torch.allclose(model(image.flip(axes)).softmax(1), plain.flip(axes), atol=1e-3)


@pytest.mark.parametrize("tta", FLIPS)
def test_the_average_is_of_probabilities(model, tta):
    image = random_image(3, 45, 67)
    with torch.no_grad():
        each = [model(image[None]).softmax(1)]
        each += [model(image[None].flip(axes)).softmax(1).flip(axes) for axes in FLIPS[tta]]
    expected = torch.stack(each).mean(0)[0].argmax(0)
    assert torch.equal(segment(model, image, Inference(tta=tta)).long(), expected)


def test_one_sigmoid_channel_is_a_class_where_it_exceeds_one_half():
    model, image = model_of(1), random_image(3, 33, 47)
    with torch.no_grad():
        logits = model(image[None]).flatten().sort().values
        widest = 500 + logits[500:1000].diff().argmax()  # no logit is so near to 0 that rounding decides
        model.head.bias -= logits[widest : widest + 2].mean()
        expected = predicted_labels(model(image[None]))[0]
    assert 0 < expected.float().mean() < 1
    assert torch.equal(segment(model, image).long(), expected)
    assert torch.equal(segment(model, image, Inference(window=(64, 64))).long(), expected)


def test_more_than_256_classes_have_ids_beyond_uint8():
    model = model_of(300)
    with torch.no_grad():
        model.head.bias[299] += 1e4
    for how in (Inference(), Inference(window=(32, 32))):
        assert segment(model, random_image(3, 40, 41), how).unique().tolist() == [299]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_computes_in_its_own_precision(dtype):
    model = model_of(3).to(dtype)
    image = torch.randint(0, 256, (3, 33, 35), dtype=torch.uint8)
    with torch.no_grad():
        expected = model((image[None].float() / 255).to(dtype)).float().argmax(1)[0]
    assert torch.equal(segment_stored(model, image).long(), expected)
    assert torch.equal(segment(model, image / 255).long(), expected)
    assert segment(model, image / 255, Inference(window=(32, 32), tta=("horizontal",))).shape == (33, 35)


def test_a_norm_that_is_frozen_by_hand_stays_frozen(model):
    model.train()
    frozen = [layer.eval() for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    modes = [layer.training for layer in model.modules()]
    segment(model, random_image(3, 33, 35))
    assert frozen
    assert [layer.training for layer in model.modules()] == modes


def test_the_models_mode_and_statistics_stay(model):
    model.train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    found = segment(model, random_image(3, 33, 35))
    assert model.training
    assert model.encoder.training
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
    model.eval()
    assert torch.equal(found, segment(model, random_image(3, 33, 35)))


def test_another_number_of_channels_is_refused(model):
    with pytest.raises(ConfigError, match=r"the image has shape \(1, 8, 8\); this model takes \(C, H, W\) with C = 3"):
        segment(model, torch.rand(1, 8, 8))


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="window=-1 must be an int of 1 or more"):
        Inference(window=(4, -1))
    with pytest.raises(ConfigError, match=r"overlap=-0\.5 must be a number of 0 or more"):
        Inference(overlap=-0.5)
    with pytest.raises(ConfigError, match="batch_size=0 must be an int of 1 or more"):
        Inference(batch_size=0)


def test_unknown_reflections_are_refused():
    with pytest.raises(ConfigError, match="unknown reflection 'vertcal': did you mean 'vertical'"):
        Inference(tta=("vertcal",))
    with pytest.raises(ConfigError, match="names a reflection twice"):
        Inference(tta=("vertical", "vertical"))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.bool])
def test_an_image_of_integers_is_refused_with_the_way_out(dtype):
    model = create_model("test_efficientnet", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8]).eval()
    image = torch.ones(1, 3, 33, 35, dtype=dtype)
    for refusing in (model, model.encoder, lambda image: segment(model, image[0])):
        with pytest.raises(ConfigError) as caught:
            refusing(image)
        assert str(caught.value) == (
            f"encoder '{model.encoder.name}' takes floats in 0 … 1, not {dtype}\n"
            "  try: image.float() / 255 for 8-bit values, / 65535 for 16-bit ones; segup.data.read_image does it."
        )
    assert model(image.float() / 255).shape == (1, 2, 33, 35)


@pytest.mark.parametrize(("weights", "image"), [(torch.float32, torch.float64), (torch.float16, torch.float32)])
def test_an_image_wider_than_the_weights_is_refused_with_the_way_out(weights, image):
    model = create_model("test_efficientnet", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8]).eval()
    model.to(weights)
    x = torch.rand(1, 3, 33, 35, dtype=image)
    with pytest.raises(
        ConfigError, match=rf"has weights of {weights}, and the image is {image}\n  try: image.to\({weights}\)$"
    ):
        model(x)
    assert model(x.to(weights)).dtype == weights
    with torch.autocast("cpu", torch.bfloat16):
        assert model.float()(x.float()).shape == (1, 2, 33, 35)
        with pytest.raises(ConfigError, match="the image is torch.float64\n  try: image.to"):  # which autocast leaves
            model(x.double())


@pytest.mark.parametrize("scale", [255, -3, float("nan")])
def test_values_far_outside_0_to_1_are_refused_with_the_way_out(scale):
    model = create_model("test_efficientnet", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8])
    image = torch.linspace(0, 1, 3 * 33 * 35).reshape(3, 33, 35)
    with pytest.raises(ConfigError, match="this model takes 0 … 1 and normalises them itself.\n  try: image / 255 for"):
        segment(model, image * scale)
    segment(model, image * 1.2 - 0.1)
