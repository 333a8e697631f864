"""Rewriting whole models: a copy that computes the same, and a report of what changed."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import resnet18
from torchvision.models.feature_extraction import create_feature_extractor

from segup import create_model
from segup.decoders import create_decoder
from segup.errors import ConfigError, ShapeError
from segup.surgery import rewrite
from segup.surgery.forms import BilinearDeconv2d, SubPixelConv2d, ZeroInsertionConv2d
from segup.upsamplers import Upsampler, create_upsampler

TARGETS = ("deconv", "subpixel", "zero_insertion")


def randomised(model):
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.double().eval()


def even_bias(conv, cell):
    conv.bias.data = conv.bias.data[::cell].repeat_interleave(cell)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize(
    ("name", "options", "forms"),
    [
        ("deconv", {}, {"subpixel", "zero_insertion"}),
        ("deconv", {"kernel_size": 7}, {"subpixel", "zero_insertion"}),
        ("deconv_matched", {"rounding": "up"}, {"subpixel", "zero_insertion"}),
        ("deconv_matched", {"rounding": "down"}, {"subpixel", "zero_insertion"}),
        ("pixel_shuffle", {}, {"deconv", "zero_insertion"}),
        ("nearest", {}, {"deconv", "subpixel", "zero_insertion"}),
        ("nearest", {"conv_first": True}, set()),
        ("bilinear", {}, {"deconv"}),
        ("bilinear", {"conv_first": True}, {"deconv"}),
        ("bicubic", {}, set()),
        ("carafe", {}, set()),
    ],
)
def test_operators_keep_their_sizes_values_and_words(name, options, forms, scale):
    up = randomised(create_upsampler(name, 4, 3, scale, **options))
    if name == "pixel_shuffle":
        even_bias(up.conv, scale**2)
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    for to in TARGETS:
        twin, report = rewrite(up, to=to)
        assert isinstance(twin, Upsampler)
        assert (len(report.changed), len(report.left)) == ((1, 0) if to in forms else (0, 1))
        assert (twin.label(), twin.describe(), twin.training) == (up.label(), up.describe(), False)
        assert type(twin.arithmetic) is type(up.arithmetic)
        for size in (None, up.span(5)[:1] + up.span(6)[1:], (5 * scale, up.span(6)[0])):
            assert torch.allclose(twin(x, size), up(x, size), rtol=0, atol=1e-11)
            assert twin.correction == up.correction
        wrong = (up.span(5)[1] + 1, 6 * scale)
        with pytest.raises(ShapeError) as old:
            up(x, wrong)
        with pytest.raises(ShapeError) as new:
            twin(x, wrong)
        assert str(new.value) == str(old.value)


@pytest.mark.parametrize(
    ("upsampler", "to", "form", "count"),
    [
        ("deconv", "subpixel", SubPixelConv2d, 2),
        ("deconv_matched", "zero_insertion", ZeroInsertionConv2d, 2),
        ("pixel_shuffle", "deconv", nn.ConvTranspose2d, 2),
        ("bilinear", "deconv", BilinearDeconv2d, 3),  # the step to the image is one, too
    ],
)
def test_a_whole_decoder_computes_the_same(upsampler, to, form, count):
    decoder = create_decoder("unet", channels=[3, 4, 5], strides=[2, 4, 8], upsampler=upsampler, widths=[4, 4, 4])
    decoder = decoder.double().eval()
    twin, report = rewrite(decoder, to=to)
    assert sum(isinstance(m, form) for m in twin.modules()) == count
    assert len(report.changed) == count + (upsampler == "pixel_shuffle")
    for h, w in ((33, 47), (16, 9)):
        features = [
            torch.randn(1, c, -(-h // s), -(-w // s), dtype=torch.float64)
            for c, s in zip(decoder.channels, decoder.strides, strict=True)
        ]
        assert torch.allclose(twin(features, (h, w)), decoder(features, (h, w)), rtol=0, atol=1e-11)


def test_a_whole_model_computes_the_same_and_is_untouched():
    model = create_model(encoder="resnet18", num_classes=3, pretrained=False, widths=[4, 4, 4, 4, 4]).eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    twin, report = rewrite(model)
    assert [change.path for change in report.changed] == [f"decoder.blocks.{i}.up" for i in range(4)]
    assert [left.path for left in report.left] == ["decoder.final"]
    x = torch.rand(1, 3, 65, 34)
    assert torch.allclose(twin(x), model(x), atol=1e-4)
    assert twin.ladder(65) == model.ladder(65)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


class Foreign(nn.Module):
    """Somebody else's model: pairs in Sequentials, a call with output_size, a lone shuffle, a function."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(4, 4, 3, 2, 1)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(4, 16, 3, padding=1, bias=False), nn.PixelShuffle(2), nn.ReLU()),
                nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 5, padding=2), nn.BatchNorm2d(4)),
            ]
        )
        self.smooth = nn.UpsamplingBilinear2d(scale_factor=2)
        self.shuffle = nn.PixelShuffle(2)
        self.resize = nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 4, 1))

    def forward(self, x):
        y = self.up(x, output_size=(2 * x.shape[-2], 2 * x.shape[-1]))
        for stage in self.stages:
            y = stage(y)
        return F.interpolate(self.shuffle(self.resize(self.smooth(y))), scale_factor=0.5)


@pytest.mark.parametrize(
    ("to", "changed", "left"),
    [
        ("subpixel", {"up", "stages.1.0"}, {"stages.0.0", "smooth", "shuffle", "resize.0"}),
        ("deconv", {"stages.0.0", "stages.1.0", "resize.0"}, {"up", "smooth", "shuffle"}),
        ("zero_insertion", {"up", "stages.0.0", "stages.1.0"}, {"smooth", "shuffle", "resize.0"}),
    ],
)
def test_foreign_models_too(to, changed, left):
    model = randomised(Foreign())
    twin, report = rewrite(model, to=to)
    assert {change.path for change in report.changed} == changed
    assert {kept.path for kept in report.left} == left
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    assert torch.allclose(twin(x), model(x), rtol=0, atol=1e-9)
    assert len(twin.stages[0]) == 3  # indices stay
    again, second = rewrite(twin, to=to)
    assert not second.changed
    assert torch.equal(again(x), twin(x))


def test_the_report_says_what_changed_and_why_not():
    _, report = rewrite(Foreign(), to="deconv", example=torch.zeros(1, 4, 5, 6))
    assert str(report).splitlines() == [
        "to deconv: 3 rewritten, 3 left",
        "  stages.0.0: Conv2d(4, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False) + "
        "PixelShuffle(upscale_factor=2) → ConvTranspose2d(4, 4, kernel_size=(6, 6), stride=(2, 2), padding=(2, 2), "
        "bias=False)",
        "  stages.1.0: Upsample(scale_factor=2.0, mode='nearest') + Conv2d(4, 4, kernel_size=(5, 5), stride=(1, 1), "
        "padding=(2, 2)) → ConvTranspose2d(4, 4, kernel_size=(6, 6), stride=(2, 2), padding=(2, 2))",
        "  resize.0: Upsample(scale_factor=2.0, mode='bilinear') → BilinearDeconv2d(scale=(2, 2))",
        "  up: ConvTranspose2d(4, 4, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1)) left: it is in the form "
        "'deconv' already",
        "  smooth: UpsamplingBilinear2d(scale_factor=2.0, mode='bilinear') left: "
        "UpsamplingBilinear2d(scale_factor=2.0, mode='bilinear') has align_corners=True: its step depends on the "
        "input's size, so no fixed kernel equals it",
        "  shuffle: PixelShuffle(upscale_factor=2) left: no Conv2d stands directly before it in a Sequential",
    ]
    nothing = "to subpixel: no upsampling layer found; functions that a forward calls are not seen"
    assert str(rewrite(nn.ReLU()).report) == nothing


def test_a_module_can_be_rewritten_by_itself_and_from_form_to_form():
    up = randomised(nn.ConvTranspose2d(3, 2, 5, 3, 1, 2))
    x = torch.randn(1, 3, 4, 5, dtype=torch.float64)
    module = up
    for to in ("subpixel", "zero_insertion", "deconv"):
        module, report = rewrite(module, to=to)
        assert [change.path for change in report.changed] == [""]
        assert torch.allclose(module(x), up(x), rtol=0, atol=1e-11)
    assert str(module) == str(up)


def test_operators_go_from_form_to_form_and_back():
    up = randomised(create_upsampler("deconv", 3, 2, kernel_size=5))
    subpixel = rewrite(up, to="subpixel").model
    back, report = rewrite(subpixel, to="deconv")
    assert len(report.changed) == 1
    assert str(back.body) == str(up.conv)
    assert torch.equal(back.body.weight, up.conv.weight)
    assert back.label() == up.label()
    assert rewrite(subpixel, to="subpixel").report.left[0].line == "it is in the form 'subpixel' already"


def test_what_is_shared_stays_shared_or_is_left():
    up = nn.ConvTranspose2d(2, 2, 2, 2)
    twin, report = rewrite(nn.Sequential(up, nn.ReLU(), up))
    assert twin[0] is twin[2]
    assert len(report.changed) == 1

    tied = nn.Sequential(nn.ConvTranspose2d(2, 2, 2, 2), nn.ConvTranspose2d(2, 2, 2, 2))
    tied[1].weight = tied[0].weight
    twin, report = rewrite(tied)
    assert not report.changed
    assert {left.line for left in report.left} == {"the weights of this ConvTranspose2d are used in another place too"}

    conv = nn.Conv2d(2, 8, 3, padding=1, bias=False)
    _, report = rewrite(nn.ModuleList([nn.Sequential(conv, nn.PixelShuffle(2)), conv]), to="deconv")
    assert [left.line for left in report.left] == ["the weights of this Conv2d are used in another place too"]

    stage = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.PixelShuffle(2))
    twin, report = rewrite(nn.Sequential(stage, stage), to="deconv")
    assert twin[0] is twin[1]
    assert len(report.changed) == 1


def test_only_neighbours_of_a_plain_sequential_are_a_pair():
    class Residual(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + F.interpolate(x, scale_factor=2)

    for module in (
        Residual(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.PixelShuffle(2)),
        nn.Sequential(nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.ReLU(), nn.PixelShuffle(2)),
        nn.ModuleList([nn.Conv2d(2, 8, 3, padding=1, bias=False), nn.PixelShuffle(2)]),
    ):
        _, report = rewrite(module, to="deconv")
        assert not report.changed
        assert [left.line for left in report.left] == ["no Conv2d stands directly before it in a Sequential"]


def test_an_operator_that_computes_something_else_is_left():
    class Louder(type(create_upsampler("deconv", 2, 2))):
        def upsample(self, x, *, skip=None, indices=None):
            return 2 * super().upsample(x)

    twin, report = rewrite(nn.ModuleList([Louder(2, 2)]))
    assert isinstance(twin[0], Louder)
    assert "is not known as a run of layers with fixed weights" in report.left[0].line


def test_a_bias_that_differs_within_a_cell_is_left_with_the_reason():
    up = create_upsampler("pixel_shuffle", 2, 2)
    assert len(rewrite(up, to="deconv").report.changed) == 1  # zero at the start
    nn.init.normal_(up.conv.bias)
    assert "the bias differs by up to" in rewrite(up, to="deconv").report.left[0].line


def test_the_copy_can_be_copied_stored_and_trained():
    up = create_upsampler("deconv", 2, 2)
    twin = rewrite(up).model
    assert {name for name, _ in twin.named_parameters()} == {"body.conv.weight", "body.conv.bias"}
    file = io.BytesIO()
    torch.save(twin, file)
    file.seek(0)
    x = torch.randn(1, 2, 4, 4)
    for module in (copy.deepcopy(twin), torch.load(file, weights_only=False)):
        assert torch.equal(module(x, (7, 8)), twin(x, (7, 8)))
    twin(x).sum().backward()
    assert all(p.grad is not None for p in twin.parameters())
    assert all(p.grad is None for p in up.parameters())


@pytest.mark.parametrize(("name", "to"), [("deconv_matched", "subpixel"), ("bilinear", "deconv")])
def test_a_rewritten_operator_compiles_and_exports_with_any_size(name, to):
    torch.manual_seed(0)
    up = create_upsampler(name, 3, 2).eval()
    twin = rewrite(up, to=to).model

    class ToSkip(nn.Module):
        def __init__(self):
            super().__init__()
            self.up = twin

        def forward(self, x, skip):
            return self.up(x, skip.shape[-2:])

    torch.compiler.reset()
    compiled = torch.compile(twin, backend="eager", dynamic=True, fullgraph=True)
    low, high = (dict.fromkeys((2, 3), torch.export.Dim.AUTO) for _ in range(2))
    example = (torch.zeros(1, 3, 6, 7), torch.zeros(1, 1, 11, 13))
    exported = torch.export.export(ToSkip(), example, dynamic_shapes={"x": low, "skip": high}).module()
    for (h, w), size in (((6, 7), (11, 13)), ((5, 4), (9, 8)), ((8, 3), (16, 5))):
        x = torch.randn(1, 3, h, w)
        expected = up(x, size)
        assert torch.allclose(compiled(x, size), expected, atol=1e-5)
        assert torch.allclose(exported(x, torch.zeros(1, 1, *size)), expected, atol=1e-5)


def test_an_unknown_target_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="unknown rewrite to 'subpixle': did you mean 'subpixel'?"):
        rewrite(nn.ReLU(), to="subpixle")
    with pytest.raises(ConfigError, match=r"rewrite: model='deconv' must be Module"):
        rewrite("deconv")


@pytest.mark.parametrize("norm", [torch.nn.utils.weight_norm, torch.nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_weights_that_a_hook_computes_are_copied_and_left(norm):
    net = nn.Sequential(norm(nn.ConvTranspose2d(2, 2, 3, 2, 1)), nn.ConvTranspose2d(2, 2, 2, 2)).eval()
    x = torch.randn(1, 2, 4, 5)
    expected = net(x)
    twin, report = rewrite(net)
    assert [change.path for change in report.changed] == ["1"]
    assert report.left[0].line == "ConvTranspose2d has hooks, which a rewrite would lose. try: remove them first."
    assert torch.allclose(twin(x), expected, atol=1e-5)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(net(x), expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:FutureWarning")
def test_layers_without_values_or_of_other_maps_or_in_fixed_code_are_left_with_the_reason():
    with torch.device("meta"):
        shuffle = nn.Sequential(nn.Conv2d(2, 8, 3), nn.PixelShuffle(2))
    volume = nn.Sequential(nn.Upsample(scale_factor=(2, 2, 2)), nn.Conv2d(2, 2, 3))
    traced = torch.jit.trace(nn.ConvTranspose2d(2, 2, 2, 2), torch.rand(1, 2, 3, 3))
    _, report = rewrite(nn.ModuleList([shuffle, volume, traced]), to="deconv")
    assert {left.path: left.line for left in report.left} == {
        "0.0": "Conv2d is on the meta device: its weights have no values. try: load them first.",
        "1.0": "Upsample(scale_factor=(2.0, 2.0, 2.0), mode='nearest') has 3 factors: its maps do not have two axes",
        "2": "TorchScript has fixed its code: rewrite first",
    }


def test_the_copy_is_in_the_same_mode():
    """Also of torchvision's feature extractors, which exchange their graphs and come out of a copy in training mode."""
    body = create_feature_extractor(resnet18(), {"relu": "half", "layer1": "quarter"})
    net = nn.ModuleDict({"body": body, "up": nn.ConvTranspose2d(64, 2, 2, 2)}).eval()
    net["up"].train()
    twin = rewrite(net).model
    assert {name.partition(".")[0] for name, module in twin.named_modules() if module.training} == {"up"}
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(twin["body"](x)["quarter"], net["body"](x)["quarter"])


class Apart(nn.Module):
    """Runs the layers of a Sequential itself, with something between."""

    def __init__(self, between, *layers):
        super().__init__()
        self.between, self.up = between, nn.Sequential(*layers)

    def forward(self, x):
        return self.up[1](self.between(self.up[0](x)))


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1)),
        (nn.Conv2d(8, 32, 3, padding=1), nn.PixelShuffle(2)),
    ],
    ids=["resize", "shuffle"],
)
def test_neighbours_that_the_model_runs_one_by_one_are_no_pair(layers):
    net, x = Apart(nn.Sigmoid(), *layers), torch.randn(1, 8, 5, 6)
    twin, report = rewrite(net, "deconv", example=x)
    assert torch.equal(twin(x), net(x))
    assert [left.reason for left in report.left] == [
        "its Sequential is not run as a whole: what lies between the two may be used elsewhere"
    ]
    inside = nn.Sequential(nn.Conv2d(3, 8, 1), net)
    assert not rewrite(inside, "deconv").report.changed  # seen with an image, too


def test_where_the_example_does_not_fit_the_report_says_so():
    net = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1))
    report = rewrite(net, "deconv").report
    assert len(report.changed) == 1
    assert report.note in str(report)
    assert report.note.startswith("The model did not run on the example (RuntimeError: ")
    assert not rewrite(net, "deconv", example=torch.zeros(1, 8, 4, 4)).report.note
