"""Necks: the papers' parts and counts, any operator in their steps, sizes as they say, checkpoints that come back."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from segup import create_model
from segup.checkpoints import load_model, save_model
from segup.decoders import create_decoder, list_decoders
from segup.decoders.steps import Encoded
from segup.encoders import create_encoder
from segup.errors import ConfigError
from segup.necks import create_neck
from segup.training.checkerboard import checkerboard_figures, checkerboard_spectra
from segup.upsamplers import create_upsampler, list_upsamplers

PATCH_14 = {"options": {"patch_size": 14}}


def count(module):
    return sum(p.numel() for p in module.parameters())


def maps_of(neck, n=5, m=3, channels=8, number=4):
    with torch.no_grad():
        given = [torch.rand(2, channels, n, m) for _ in range(number)]
        return neck.eval()(Encoded(given, {"image": torch.rand(2, 3, n * 8, m * 8)})).maps


@pytest.fixture(scope="module")
def body():
    """One transformer with patches of 14 pixels; what is built of it takes a copy."""
    return create_encoder("test_vit", pretrained=False, **PATCH_14)


@pytest.fixture
def built(body, monkeypatch):
    from copy import deepcopy

    monkeypatch.setattr("segup.models.create_encoder", lambda *_, **__: deepcopy(body))

    def build(topology="unet", upsampler="bilinear", **names):
        names = {"num_classes": 3, "pretrained": False, "encoder_options": PATCH_14, **names}
        return create_model("test_vit", topology, upsampler, **names).eval()

    return build


@pytest.mark.parametrize(("width", "parameters"), [(192, 2_664_880), (384, 3_298_144), (768, 5_560_000)])
def test_the_simple_pyramid_has_the_papers_parameters(width, parameters):
    assert count(create_neck("simple_fpn", [width], [16])) == parameters


def test_dpt_has_the_papers_parts():
    """Counted from torch's own layers, put together as the paper does."""
    d, widths = 64, (96, 192, 384, 768)
    theirs = nn.ModuleList([nn.Conv2d(d, w, 1) for w in widths])
    theirs += [nn.ConvTranspose2d(96, 96, 4, 4), nn.ConvTranspose2d(192, 192, 2, 2), nn.Conv2d(768, 768, 3, 2, 1)]
    theirs += [nn.Conv2d(w, 256, 3, padding=1, bias=False) for w in widths]
    theirs += [nn.Conv2d(256, 256, 3, bias=False) for _ in range(14)] + [nn.BatchNorm2d(256) for _ in range(14)]
    theirs += [nn.Conv2d(256, 256, 1) for _ in range(3)]
    assert count(create_neck("dpt", [d] * 4, [16] * 4)) == count(theirs)


def test_the_simple_pyramid_computes_what_the_paper_says():
    torch.manual_seed(0)
    neck = create_neck("simple_fpn", [8], [16]).eval()
    first, second, alone = (up.conv for up in neck.ups)
    assert {(c.kernel_size, c.stride, c.padding, c.bias is None) for c in (first, second, alone)} == {
        ((2, 2), (2, 2), (0, 0), False)
    }
    x = torch.rand(2, 8, 5, 3)

    def norm(y, by):
        return nn.functional.layer_norm(y.movedim(1, -1), (y.shape[1],), by.weight, by.bias, 1e-6).movedim(-1, 1)

    middle = nn.functional.gelu(norm(first(x), neck.between[0]))
    levels = (second(middle), alone(x), x, nn.functional.max_pool2d(nn.functional.pad(x, (0, 1, 0, 1), value=-9), 2))
    with torch.no_grad():
        expected = [norm(o[2](norm(o[0](y), o[1])), o[3]) for o, y in zip(neck.outs, levels, strict=True)]
        got = neck(Encoded([x])).maps
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, expected, strict=True))


def test_the_linear_neck_with_fcn_is_the_linear_probe():
    """BatchNorm and a 1×1 convolution on the concatenated blocks, brought up by one operator."""
    torch.manual_seed(0)
    neck = create_neck("linear", [8] * 4, [14] * 4).eval()
    decoder = create_decoder("fcn", neck.channels, neck.strides, num_classes=3, upsampler="deconv").eval()
    assert count(neck) + count(decoder) == 2 * 32 + (32 * 3 + 3) + (3 * 3 + 3)
    maps = [torch.rand(1, 8, 5, 3) for _ in range(4)]
    scores = decoder.scores[0][0](nn.functional.batch_norm(torch.cat(maps, 1), torch.zeros(32), torch.ones(32)))
    expected = nn.functional.interpolate(decoder.final.conv(scores), (70, 42), mode="bilinear")
    assert torch.allclose(decoder(neck(Encoded(maps)), (70, 42)), expected, atol=1e-5)


def test_the_linear_neck_may_have_a_convolution_that_starts_as_the_identity():
    torch.manual_seed(0)
    maps = Encoded([torch.rand(2, 8, 5, 3) for _ in range(2)])
    neck, plain = create_neck("linear", [8] * 2, [14] * 2, kernel_size=3), create_neck("linear", [8] * 2, [14] * 2)
    assert torch.allclose(neck(maps).maps[0], plain(maps).maps[0], atol=1e-6)
    assert count(neck) == 2 * 16 + 9 * 16 * 16 + 16
    nn.init.normal_(neck.conv.weight)
    expected = nn.functional.conv2d(plain(maps).maps[0], neck.conv.weight, padding=1)
    assert torch.allclose(neck(maps).maps[0], expected, atol=1e-4)
    with pytest.raises(ConfigError, match="kernel_size=2 must be an odd int"):
        create_neck("linear", [8], [14], kernel_size=2)


@pytest.mark.parametrize("name", ["simple_fpn", "dpt", "linear"])
@pytest.mark.parametrize("stride", [7, 8, 14, 16])
def test_maps_have_the_sizes_channels_and_strides_that_the_neck_says(name, stride):
    neck = create_neck(name, [8] * 4, [stride] * 4, **({} if name == "linear" else {"width": 6}))
    for n, m in ((1, 1), (5, 3), (4, 2)):
        maps = maps_of(neck, n, m)
        assert [one.shape[1] for one in maps] == list(neck.channels)
        rows, columns = neck.map_sizes([n] * 4), neck.map_sizes([m] * 4)
        assert [tuple(one.shape[-2:]) for one in maps] == list(zip(rows, columns, strict=True))
        assert rows == tuple(-(-n * stride // s) for s in neck.strides)
    assert neck.cell == stride


@pytest.mark.parametrize("upsampler", list_upsamplers())
@pytest.mark.parametrize("name", ["simple_fpn", "dpt"])
def test_the_steps_up_are_any_operator_that_has_its_guides(name, upsampler):
    requires = create_upsampler(upsampler, 4, 4, skip_channels=4).requires
    if requires & ({"indices"} if name == "dpt" else {"indices", "skip"}):
        with pytest.raises(ConfigError, match=rf"neck.upsampler={upsampler} requires .*which neck '{name}' does not"):
            create_neck(name, [8] * 4, [16] * 4, upsampler=upsampler)
        return
    neck = create_neck(name, [8] * 4, [16] * 4, width=8, upsampler=upsampler)
    assert {up.name for _, _, up in neck.steps()} == {upsampler} | ({"deconv"} if name == "dpt" else set())
    maps = maps_of(neck)
    assert [tuple(one.shape[-2:]) for one in maps] == [(20, 12), (10, 6), (5, 3), (3, 2)]
    steps = neck.ladder([5] * 4)
    assert len(steps) == len(neck.steps())
    assert all(abs(step.correction) <= 1 for step in steps)


@pytest.mark.parametrize("name", ["simple_fpn", "dpt", "linear"])
@pytest.mark.parametrize("topology", list_decoders())
def test_patch_14_in_every_topology(built, name, topology):
    if (name, topology) == ("linear", "deeplabv3plus"):
        with pytest.raises(ConfigError, match="takes two maps or more"):
            built(topology, neck=name)
        return
    model = built(topology, neck=name)
    verdict = model.verdict()
    assert verdict.failure is None
    assert "takes the multiples of 14: an image is extended to the next of them, by at most 13" in str(verdict)
    for size in ((1, 1), (33, 47), (70, 28)):
        with torch.no_grad():
            assert model(torch.rand(1, 3, *size)).shape == (1, 3, *size)
    assert model.neck.strides[0] == (14 if name == "linear" else Fraction(7, 2))
    last = model.ladder(33)[-1]
    assert (last.reached, last.wanted) == (42, 42) or topology == "duc"


@pytest.mark.parametrize("final", list_upsamplers())
def test_the_step_by_seven_halves_takes_operators_that_resize(built, final):
    if final in ("nearest", "bilinear", "bicubic"):
        model = built(upsampler="deconv", neck="dpt", final=final)
        assert model.ladder(33)[-1].operator == f"{final} ×7/2"
        with torch.no_grad():
            assert model(torch.rand(1, 3, 33, 47)).shape == (1, 3, 33, 47)
    elif not create_upsampler(final, 4, 4, skip_channels=4).requires:
        with pytest.raises(ConfigError, match=r"the step to the image is one by 7/2.\n  try: decoder.final=bilinear"):
            built(upsampler="deconv", neck="dpt", final=final)


@pytest.mark.parametrize("name", ["nearest", "bilinear", "bicubic"])
def test_a_resize_by_a_fraction_is_on_the_grid_of_its_factor(name):
    up = create_upsampler(name, 4, 4, Fraction(7, 2), kernel_size=1).eval()
    x = torch.rand(1, 4, 6, 4)
    expected = nn.functional.interpolate(up.conv(x), scale_factor=3.5, mode=name, recompute_scale_factor=False)
    assert torch.allclose(up(x), expected, atol=1e-5)
    assert up(x, size=(20, 12)).shape[-2:] == (20, 12)
    with pytest.raises(ValueError, match="takes maps whose sides are multiples of 2, and this height is 5"):
        up(torch.rand(1, 4, 5, 4))
    with pytest.raises(ConfigError, match="scale=.* must be an int of 2 or more, or a fraction above 1"):
        create_upsampler(name, 4, 4, Fraction(1, 2))
    with pytest.raises(ConfigError, match="must be an int of 2 or more"):
        create_upsampler("deconv", 4, 4, Fraction(7, 2))


def test_what_auto_chose_is_stored_and_comes_back(tmp_path):
    options = {"upsampler": "pixel_shuffle"}
    model = create_model("test_vit", num_classes=3, pretrained=False, neck_options=options).eval()
    assert model.spec["neck"] == "simple_fpn"
    save_model(model, tmp_path / "vit.pt")
    again = load_model(tmp_path / "vit.pt")
    assert {up.name for _, _, up in again.neck.steps()} == {"pixel_shuffle"}
    image = torch.rand(1, 3, 50, 41)
    with torch.no_grad():
        assert torch.equal(again(image), model(image))
    assert create_model("segnet", num_classes=2, pretrained=False).spec["neck"] == "none"


def test_a_checkpoint_of_before_has_no_neck(tmp_path):
    model = create_model("segnet", num_classes=2, pretrained=False, encoder_options={"widths": [4, 6]}).eval()
    del model.spec["neck"]
    save_model(model, tmp_path / "old.pt")
    image = torch.rand(1, 3, 9, 7)
    assert torch.equal(load_model(tmp_path / "old.pt")(image), model(image))


def test_operators_of_a_neck_are_measured_too(built):
    model = built(neck="simple_fpn")
    assert {"neck.ups.0", "decoder.final"} <= set(checkerboard_figures(model)["operators"])
    assert [one["reduction"] for one in checkerboard_spectra(model)][:3] == [7, 3.5, 7]


def test_what_a_neck_does_not_take_is_refused():
    with pytest.raises(ConfigError, match="neck 'dpt' takes maps of one stride.*strides 2, 4(.|\n)*try: neck=none"):
        create_neck("dpt", [8, 16], [2, 4])
    with pytest.raises(ConfigError, match="neck 'dpt' takes 4 maps, and the encoder gives 2"):
        create_neck("dpt", [8, 8], [16, 16])
    with pytest.raises(ConfigError, match="makes a map of stride 1/2 of one of stride 2"):
        create_neck("simple_fpn", [8], [2])
    with pytest.raises(ConfigError, match="neck.width=0 must be an int of 1 or more"):
        create_neck("simple_fpn", [8], [16], width=0)
    with pytest.raises(ConfigError, match="unknown option of neck 'none' 'upsampler': known: none$"):
        create_model("segnet", num_classes=2, pretrained=False, neck_options={"upsampler": "deconv"})


@pytest.mark.parametrize(
    ("name", "setting", "operator", "way_out"),
    [
        ("simple_fpn", "upsampler", "fade", "neck=dpt, or an operator that requires nothing: bicubic"),
        ("simple_fpn", "upsampler", "max_unpool", "an operator that requires nothing: bicubic"),
        ("dpt", "upsampler", "max_unpool", "an operator that requires nothing: bicubic"),
        ("dpt", "reassembly", "fade", "an operator that requires nothing: bicubic"),
    ],
)
def test_an_operator_without_its_guide_is_refused_by_its_setting(name, setting, operator, way_out):
    with pytest.raises(ConfigError, match=f"^neck.{setting}={operator} requires .*\n  try: {way_out}"):
        create_neck(name, [8] * 4, [16] * 4, **{setting: operator})


def test_blocks_are_the_persons_where_they_are_given():
    options = {"out_indices": [1, 2, 3, 4]}
    model = create_model("test_vit", neck="dpt", num_classes=2, pretrained=False, encoder_options=options)
    assert list(model.encoder.body.out_indices) == [1, 2, 3, 4]
