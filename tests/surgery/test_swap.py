import contextlib
import copy

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from segup.decoders import create_decoder, swap_upsamplers
from segup.errors import ConfigError
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import Upsampler, operator_class

UNGUIDED = [name for name in list_upsamplers() if not operator_class(name).requires]


def same_shapes(before, after, channels=8, sizes=((5, 7), (8, 6), (2, 3))):
    for h, w in sizes:
        x = torch.rand(2, channels, h, w)
        assert after(x).shape == before(x).shape


@pytest.mark.parametrize("upsampler", UNGUIDED)
@pytest.mark.parametrize(
    "part",
    [
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=(3, 3), mode="bilinear", align_corners=True),
        nn.UpsamplingBilinear2d(scale_factor=4),
        nn.UpsamplingNearest2d(scale_factor=2.0),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1),
        nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1, groups=4, bias=False),
        nn.ConvTranspose2d(8, 4, (2, 3), stride=2),
        nn.ConvTranspose2d(8, 4, 2, stride=3, dilation=2, padding=(0, 1)),
        nn.Sequential(nn.Conv2d(8, 36, 3, padding=1), nn.PixelShuffle(3)),
        nn.Sequential(nn.Conv2d(8, 16, 5, padding="same", dilation=2), nn.PixelShuffle(2), nn.ReLU()),
    ],
    ids=lambda part: str(part).replace("\n", "")[:60],
)
def test_shapes_stay(part, upsampler):
    model = nn.Sequential(copy.deepcopy(part))
    report = swap_upsamplers(model, upsampler, example=torch.rand(1, 8, 6, 6))
    assert (len(report.swapped), report.kept) == (1, ())
    assert isinstance(model.get_submodule(report.swapped[0].path).up, Upsampler)
    assert sum(isinstance(m, Upsampler) for m in model.modules()) == 1
    assert not any(isinstance(m, nn.PixelShuffle) for m in model[0].children())
    same_shapes(nn.Sequential(part), model)


def test_an_output_size_is_handed_on():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1)

        def forward(self, x, size):
            return self.up(x, output_size=size)

    for upsampler in ("deconv", "deconv_matched"):
        model = Own()
        swap_upsamplers(model, upsampler)
        for size in ((9, 9), (10, 9), (9, 10)):
            assert model(torch.rand(1, 8, 5, 5), size).shape[-2:] == size
        assert model(torch.rand(1, 8, 5, 5), (1, 4, 10, 10)).shape == (1, 4, 10, 10)


def test_segmentation_models_pytorch():
    model = smp.Linknet("resnet18", encoder_weights=None, classes=3).eval()
    report = swap_upsamplers(model, "dysample")
    assert [swap.path for swap in report.swapped] == [f"decoder.blocks.{i}.block.1.0" for i in range(5)]
    assert [(swap.in_channels, swap.out_channels, swap.scale) for swap in report.swapped][:2] == [
        (128, 128, 2),
        (64, 64, 2),
    ]
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in model.modules())
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_what_a_model_calls_is_reported():
    model = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=3).eval()
    report = swap_upsamplers(model, "carafe")
    assert [(swap.path, swap.in_channels, swap.scale) for swap in report.swapped] == [
        ("decoder.up", 256, 4),
        ("segmentation_head.1", 3, 4),
    ]
    assert [(kept.path, kept.what, kept.reason) for kept in report.kept] == [
        ("decoder.aspp.0.convs.4", "F.interpolate", "a function call, not a module")
    ]
    lines = str(report).splitlines()
    assert lines[0] == "2 swapped for 'carafe', 1 kept"
    assert lines[2].startswith("decoder.up           Upsample(scale_factor=4.0, mode='bilinear')")
    assert lines[2].endswith("carafe ×4, 256 → 256")
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)


def test_torchvision():
    model = torchvision.models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)
    report = swap_upsamplers(model, "bilinear")
    assert not report.swapped
    assert {kept.what for kept in report.kept} == {"F.interpolate"}

    from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor

    predictor = MaskRCNNPredictor(16, 8, 3)
    report = swap_upsamplers(predictor, "deconv_matched", example=torch.rand(1, 16, 14, 14))
    assert [(swap.path, swap.in_channels, swap.out_channels) for swap in report.swapped] == [("conv5_mask", 16, 8)]
    assert predictor(torch.rand(2, 16, 14, 14)).shape == (2, 3, 28, 28)


class Cropping(nn.ConvTranspose2d):
    def forward(self, x):
        return super().forward(x)[..., 1:, 1:]


class Residual(nn.Sequential):
    def forward(self, x):
        return self[1](self[0](x) + x.repeat(1, 4, 1, 1))


class Stubborn(nn.Module):
    """One of each that cannot be replaced."""

    def __init__(self):
        super().__init__()
        self.fixed = nn.Upsample(size=(9, 9))
        self.broken = nn.Upsample(scale_factor=1.5)
        self.uneven = nn.ConvTranspose2d(3, 3, 2, stride=(2, 1))
        self.still = nn.ConvTranspose2d(3, 3, 3, padding=1)
        self.far = nn.ConvTranspose2d(3, 3, 9, stride=2)
        self.volume = nn.ConvTranspose3d(3, 3, 2, stride=2)
        self.lone = nn.PixelShuffle(2)
        self.pooled = nn.MaxUnpool2d(2)
        self.cropping = Cropping(3, 3, 2, stride=2)
        self.residual = Residual(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2))
        self.shrinking = nn.Sequential(nn.Conv2d(3, 12, 3), nn.PixelShuffle(2))
        self.shared = nn.Upsample(scale_factor=2)
        self.unused = nn.Upsample(scale_factor=2)

    def forward(self, x):
        pooled, indices = nn.functional.max_pool2d(x, 2, return_indices=True)
        return self.shared(self.shared(self.pooled(pooled, indices))[:, :2])


def test_what_cannot_be_replaced_stays_with_the_reason():
    model = Stubborn()
    before = dict(model.named_modules())
    report = swap_upsamplers(model, "bilinear")
    assert report.swapped == ()
    assert {kept.path: kept.reason for kept in report.kept} == {
        "fixed": "its size is fixed, (9, 9): no factor follows for other inputs",
        "broken": "its factor is 1.5: an operator has one int of 2 or more for both axes",
        "uneven": "its stride is (2, 1): an operator has one scale for both axes",
        "still": "its stride is 1: it does not upsample",
        "far": "it brings h to 2·h + 7; an operator corrects at most 1",
        "volume": "its maps do not have two axes",
        "lone": "no convolution stands right before it in a Sequential: the two are replaced together",
        "pooled": "it undoes a pooling, whose indices an operator in its place would have to take: max_unpool does",
        "cropping": "it has a forward of its own, and may do something else than its class in torch",
        "residual.1": "no convolution stands right before it in a Sequential: the two are replaced together",
        "shrinking.1": "the convolution before it changes the size",
        "shared": "it serves maps of 2 and 3 channels: an operator has one number of them",
        "unused": "its channels are unknown: the example misses it; try: example=...",
    }
    assert dict(model.named_modules()) == before


def test_a_module_that_is_watched_stays_until_it_is_not():
    model = nn.Sequential(
        nn.Upsample(scale_factor=2), nn.utils.weight_norm(nn.ConvTranspose2d(3, 3, 2, stride=2)), nn.Conv2d(3, 12, 1),
        nn.PixelShuffle(2),
    )  # fmt: skip
    handles = [model[0].register_forward_hook(lambda *_: None), model[2].register_forward_pre_hook(lambda *_: None)]
    report = swap_upsamplers(model, "bilinear", example=torch.rand(1, 3, 4, 5))
    assert [swap.path for swap in report.swapped] == ["1"]
    assert {kept.reason for kept in report.kept} == {"it has hooks, which would be lost: remove them first"}
    for handle in handles:
        handle.remove()
    report = swap_upsamplers(model, "nearest", example=torch.rand(1, 3, 4, 5))
    assert [swap.path for swap in report.swapped] == ["0", "1", "2"]
    assert model(torch.rand(1, 3, 4, 5)).shape == (1, 3, 32, 40)


def test_the_model_itself_and_its_own_operators_stay():
    report = swap_upsamplers(nn.ConvTranspose2d(3, 3, 2, stride=2), "bilinear")
    assert report.kept[0].reason == "it is the model itself: wrap it in nn.Sequential, which can hold another"
    decoder = create_decoder("unet", [3, 3], [1, 2], upsampler="deconv", widths=[4])
    report = swap_upsamplers(decoder, "carafe")
    assert [kept.reason for kept in report.kept] == [
        "segup's own operator: build the decoder with another upsampler than 'deconv'"
    ]


def test_a_model_that_does_not_run_is_swapped_where_no_run_is_needed():
    model = nn.Sequential(nn.Conv2d(5, 8, 1), nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Upsample(scale_factor=2))
    report = swap_upsamplers(model, "bilinear")
    assert [swap.path for swap in report.swapped] == ["1"]
    assert report.kept[0].reason.startswith(
        "its channels are unknown: the model did not run on the example (RuntimeErr"
    )
    assert report.note.startswith("The model did not run on the example (RuntimeError: ")
    assert [swap.path for swap in swap_upsamplers(model, "bilinear", example=torch.rand(1, 5, 4, 4)).swapped] == [
        "1",
        "2",
    ]


def test_a_module_in_two_places_stays_one():
    up = nn.ConvTranspose2d(4, 4, 2, stride=2)
    model = nn.ModuleDict({"a": nn.Sequential(up), "b": nn.Sequential(up)})
    report = swap_upsamplers(model, "deconv")
    assert [swap.path for swap in report.swapped] == ["a.0", "b.0"]
    assert model["a"][0] is model["b"][0]


def test_a_convolution_under_two_shuffles_becomes_two_operators():
    conv = nn.Conv2d(3, 16, 3, padding=1)
    model = nn.Sequential(nn.Sequential(conv, nn.PixelShuffle(4)), nn.Conv2d(1, 3, 1), nn.Sequential(conv))
    model[2].append(nn.PixelShuffle(2))
    swap_upsamplers(model, "deconv")
    assert model(torch.rand(1, 3, 5, 4)).shape == (1, 4, 40, 32)


def test_modules_may_be_called_by_name():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.up, self.conv = nn.Upsample(scale_factor=2), nn.ConvTranspose2d(3, 3, 2, stride=2)

        def forward(self, x):
            return self.conv(input=self.up(input=x), output_size=(4 * x.shape[2], 4 * x.shape[3]))

    model = Named()
    assert [swap.path for swap in swap_upsamplers(model, "bilinear").swapped] == ["up", "conv"]
    assert model(torch.rand(1, 3, 5, 4)).shape == (1, 3, 20, 16)


def test_what_a_model_catches_is_left_again():
    class Catching(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrong = nn.ConvTranspose2d(5, 3, 2, stride=2)

        def forward(self, x):
            with contextlib.suppress(RuntimeError):
                self.wrong(x)
            return nn.functional.interpolate(x, scale_factor=2)

    report = swap_upsamplers(Catching(), "bilinear")
    assert [(kept.path, kept.what) for kept in report.kept] == [("(the model)", "F.interpolate")]


@pytest.mark.parametrize("upsampler", ["bilinear", "deconv"])
def test_what_strict_operators_do_not_reach_is_refused(upsampler):
    far, exact = nn.ConvTranspose2d(3, 3, 3, stride=2, padding=1), nn.ConvTranspose2d(3, 3, 2, stride=2)
    message = r"with these options brings h to 2·h, and the module .* to 2·h - 1.\n  try: fit='correct'"
    with pytest.raises(ConfigError, match=message):
        swap_upsamplers(nn.Sequential(far), upsampler, fit="strict")
    model = nn.Sequential(far, exact)
    report = swap_upsamplers(model, upsampler, fit="strict")
    assert ([swap.path for swap in report.swapped], [kept.path for kept in report.kept]) == (["1"], ["0"])
    assert model(torch.rand(1, 3, 5, 4)).shape == (1, 3, 18, 14)


def test_a_swap_can_be_swapped_again():
    model = nn.Sequential(nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1))
    before = nn.Sequential(nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1))
    swap_upsamplers(model, "carafe")
    report = swap_upsamplers(model, "pixel_shuffle", kernel_size=1)
    assert [(swap.was, swap.now) for swap in report.swapped] == [("carafe ×2, 1×1", "pixel_shuffle ×2")]
    assert model[0].up.conv.kernel_size == (1, 1)
    same_shapes(before, model)
    report = swap_upsamplers(model, "bilinear", example=torch.rand(1, 8, 4, 4))
    assert report.kept == ()  # the shuffle that the operator calls is its own


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_compiled_models_are_seen_and_fixed_ones_named():
    model = torch.compile(
        nn.Sequential(nn.Sequential(nn.Upsample(scale_factor=2)), nn.Conv2d(3, 3, 1)), backend="eager"
    )
    assert [swap.path for swap in swap_upsamplers(model, "bilinear").swapped] == ["_orig_mod.0.0"]
    traced = torch.jit.trace(nn.ConvTranspose2d(3, 3, 2, stride=2), torch.rand(1, 3, 4, 4))
    report = swap_upsamplers(nn.Sequential(traced), "bilinear")
    assert [(kept.path, kept.reason) for kept in report.kept] == [("0", "TorchScript has fixed its code: swap first")]


def test_what_is_no_module_is_refused():
    with pytest.raises(ConfigError, match="swap_upsamplers takes a torch.nn.Module, not str"):
        swap_upsamplers("unet", "deconv")


def test_what_is_not_replaced_is_left_as_it_was():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Dropout(0.5), nn.ConvTranspose2d(8, 4, 2, stride=2)
    ).double()
    model[1].eval()
    before = {name: t.clone() for name, t in model.state_dict().items() if not name.startswith("3.")}
    swap_upsamplers(model, "deconv")
    after = model.state_dict()
    assert all(torch.equal(t, after[name]) for name, t in before.items())
    assert [m.training for m in model] == [True, False, True, True]
    assert model[3].up.conv.weight.dtype == torch.float64
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize(
    ("upsampler", "options", "message"),
    [
        ("decov", {}, "unknown upsampler 'decov': did you mean 'deconv'"),
        (
            "sapa",
            {},
            "upsampler 'sapa' requires the skip, which a module in another model's place is not given",
        ),
        ("max_unpool", {}, "upsampler 'max_unpool' requires the encoder's pooling indices, which a module"),
        ("deconv", {"kernel": 2}, "unknown option of upsampler 'deconv' 'kernel': did you mean 'kernel_size'"),
        ("deconv", {"scale": 2}, "scale=2 cannot be given: it follows from each module"),
        ("bilinear", {"kernel_size": 2}, "kernel_size=2 must be an odd int"),
    ],
)
def test_what_no_module_can_become_is_an_error_and_changes_nothing(upsampler, options, message):
    model = nn.Sequential(nn.ConvTranspose2d(8, 4, 2, stride=2))
    up = model[0]
    with pytest.raises(ConfigError, match=message):
        swap_upsamplers(model, upsampler, **options)
    assert model[0] is up


def test_an_operator_that_refuses_one_module_takes_the_others():
    model = nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.ConvTranspose2d(6, 4, 2, stride=2))
    report = swap_upsamplers(model, "dysample", groups=4)
    assert [swap.path for swap in report.swapped] == ["0"]
    assert report.kept[0].path == "1"
    assert "groups=4" in report.kept[0].reason


def test_looking_leaves_a_feature_extractor_in_its_mode():
    class Dropping(nn.Module):
        def forward(self, x):
            return nn.functional.dropout(x, training=self.training)

    body = create_feature_extractor(Dropping(), {"dropout": "out"}).train()
    before = body.code
    assert swap_upsamplers(body, "deconv").note == ""
    assert (body.training, body.code) == (True, before)


def test_a_convolution_and_a_shuffle_that_the_model_runs_one_by_one_stay():
    class Apart(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))

        def forward(self, x):
            return self.up[1](self.up[0](x).relu())

    report = swap_upsamplers(Apart(), "bilinear")
    assert not report.swapped
    assert [kept.reason for kept in report.kept] == [
        "its Sequential is not run as a whole: what lies between the two may be used elsewhere"
    ]


class Asked(nn.Module):
    """Asks a layer for sizes, for its channels and its stride, and may take one map without N."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1)

    def forward(self, x):
        y = self.up(self.down(x), output_size=x.shape[-2:])
        return y.reshape(*x.shape[:-3], self.up.out_channels, self.up.stride[0], -1)


@pytest.mark.parametrize("operators", [("deconv_matched",), ("bilinear", "deconv_matched"), ("pixel_shuffle",)])
@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 3, 10, 10), (3, 10, 8)])
def test_what_a_model_asks_of_its_layer_is_answered(shape, operators):
    model, x = Asked(), torch.rand(shape)
    before = model(x).shape
    for operator in operators:
        assert len(swap_upsamplers(model, operator).swapped) == 1
    assert model(x).shape == before
