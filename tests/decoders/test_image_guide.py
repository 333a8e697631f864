"""An operator that asks for the image gets it, in every topology, and touches nothing but its own file."""

import re

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from segup import create_model
from segup.decoders import UNetBlock, create_decoder, list_decoders, swap_upsamplers
from segup.errors import ConfigError, ShapeError
from segup.shapes import Resize
from segup.upsamplers import Upsampler
from segup.upsamplers.diagnostics import checkerboard

GUIDED = """
import torch.nn.functional as F
from torch import nn

from segup.shapes import Resize
from segup.upsamplers import Upsampler


class Guided(Upsampler):
    requires = frozenset({"image"})
    arithmetic = property(lambda self: Resize(self.scale))
    seen = []

    def __init__(self, in_channels, out_channels, scale=2, **options):
        super().__init__(in_channels, out_channels, scale, **options)
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def upsample(self, x, *, image):
        self.seen.append(image)
        y = F.interpolate(self.conv(x), scale_factor=self.scale)
        return y + F.interpolate(image, y.shape[-2:]).mean(1, keepdim=True)
"""
NAME = "guidedpackage.guided:Guided"


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outside")
    (folder / "guidedpackage").mkdir()
    (folder / "guidedpackage" / "__init__.py").touch()
    (folder / "guidedpackage" / "guided.py").write_text(GUIDED)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(folder)
        yield


@pytest.fixture
def seen():
    from guidedpackage.guided import Guided

    Guided.seen.clear()
    return Guided.seen


WORDS = [{"upsampler": NAME}, {"upsampler": "bilinear", "final": NAME}]
EVERYWHERE = [(t, words) for t in list_decoders() for words in WORDS if t != "duc" or "final" not in words]


@pytest.mark.parametrize(("topology", "words"), EVERYWHERE)
def test_it_stands_in_every_topology_and_gets_the_image_that_the_encoder_sees(topology, words, seen):
    torch.manual_seed(0)
    model = create_model("test_efficientnet", topology, num_classes=3, pretrained=False, **words).eval()
    image = torch.rand(2, 3, 45, 67)
    with torch.no_grad():
        logits = model(image)
        assert logits.shape == (2, 3, 45, 67)
        expected = model.encoder.normalise(model.encoder.extend(image))
        assert seen
        assert all(torch.equal(one, expected) for one in seen)
        assert not torch.equal(model(image.flip(-1)).flip(-1), logits)
    assert model.decoder.requires == {"image"}


@pytest.mark.parametrize("topology", list_decoders())
def test_a_decoder_takes_it_as_a_keyword_and_names_it_where_it_is_missing(topology):
    decoder = create_decoder(topology, [4, 8], [2, 4], upsampler=NAME).eval()
    maps, size = [torch.randn(1, 4, 17, 12), torch.randn(1, 8, 9, 6)], (33, 23)
    assert decoder(maps, size, image=torch.rand(1, 3, *size)).shape == (1, decoder.out_channels, *size)
    for given, got in (
        ({}, "and got none.\n  try: up(x, size, image=image); in a decoder, decoder("),
        ({"image": torch.rand(3, *size)}, "not (3, 33, 23).\n  try: image.unsqueeze(0)"),
    ):
        said = f"takes the image, (1, C, H, W), {got}"
        with pytest.raises(ShapeError, match=re.escape(said)):
            decoder(maps, size, **given)


def test_a_guide_that_no_operator_takes_is_refused():
    decoder = create_decoder("unet", [4, 8], [2, 4], upsampler="bilinear").eval()
    maps = [torch.randn(1, 4, 17, 12), torch.randn(1, 8, 9, 6)]
    with pytest.raises(ConfigError, match="unknown guide of a decoder 'imgae': did you mean 'image'"):
        decoder(maps, (33, 23), imgae=torch.rand(1, 3, 33, 23))


def test_an_operator_and_a_block_take_it_too():
    from guidedpackage.guided import Guided

    up, x, image = Guided(4, 2), torch.randn(1, 4, 5, 6), torch.rand(1, 3, 40, 48)
    assert up(x, (9, 12), image=image, skip=None).shape == (1, 2, 9, 12)
    assert checkerboard(up) == 0
    block = UNetBlock(4, 3, 2, NAME)
    assert block(x, torch.randn(1, 3, 9, 12), image=image).shape == (1, 2, 9, 12)
    with pytest.raises(ConfigError, match=re.escape("guide of 'Guided' (scale 2) 'imgae': did you mean 'image'")):
        up(x, (9, 12), imgae=image)


def test_swapping_it_into_another_model_is_refused():
    with pytest.raises(ConfigError, match="requires the image, which a module in another model's place is not given"):
        swap_upsamplers(nn.Sequential(nn.ConvTranspose2d(4, 2, 2, 2)), NAME)


def test_a_guide_of_its_own_goes_from_whoever_has_it_to_the_operator_that_wants_it():
    class Depth(Upsampler):
        requires = frozenset({"depth"})
        arithmetic = property(lambda self: Resize(self.scale))

        def upsample(self, x, *, depth):
            return F.interpolate(x, scale_factor=self.scale)[:, : self.out_channels] * depth.mean()

    up = Depth(4, 2)
    assert up(torch.ones(1, 4, 3, 3), depth=torch.full((1, 1, 2, 2), 3.0)).unique().tolist() == [3.0]
    with pytest.raises(ShapeError, match="takes depth, "):
        up(torch.ones(1, 4, 3, 3))


def test_a_model_with_it_is_exported_at_any_size():
    model = create_model("test_efficientnet", upsampler=NAME, num_classes=2, pretrained=False, widths=[8] * 5).eval()
    height, width = (torch.export.Dim(axis, min=64, max=512) for axis in ("height", "width"))
    example = torch.rand(1, 3, 96, 128)
    program = torch.export.export(model, (example,), dynamic_shapes=({2: height, 3: width},), strict=False)
    image = torch.rand(1, 3, 101, 77)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), model(image), atol=1e-5)
