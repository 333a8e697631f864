"""The documented operator, added from outside the package: one file, named by its module, with the whole contract."""

import re
import sys
from pathlib import Path

import pytest
import torch
from groups import group
from torch import nn

from segup import create_model, load_model
from segup.checkpoints import save_model
from segup.decoders import create_decoder, list_decoders, swap_upsamplers
from segup.errors import ConfigError, ShapeError
from segup.upsamplers.contract import upsamplers

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operators.md").read_text()
EXAMPLE = next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "@register_upsampler" in code)
MODULE = "somebodys_blocks"
NAME = f"{MODULE}:NearestConv"


@pytest.fixture(autouse=True)
def _a_module_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(upsamplers, "_parts", dict(upsamplers._parts))
    (tmp_path / f"{MODULE}.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(str(tmp_path))
    upsamplers._parts.pop("nearest_conv", None)  # the pages' own test enters it too
    yield
    sys.modules.pop(MODULE, None)


def test_it_is_complete_in_under_30_lines():
    assert len(EXAMPLE.splitlines()) < 30


def test_the_copied_yaml_holds_no_option_that_it_does_not_take():
    copied = re.search(r"copy `(\w+)\.yaml`", PAGE.partition("## Add a decoder")[2]).group(1)
    options = group("decoder", copied)
    topology = options.pop("topology")
    given = {key: value for key, value in options.items() if value is not None}
    assert create_decoder(topology, [4, 6], [2, 4], **{**given, "upsampler": NAME}).blocks[0].up.name == "nearest_conv"


@pytest.mark.parametrize("topology", list_decoders())
def test_every_topology_takes_it(topology):
    decoder = create_decoder(topology, [4, 6], [2, 6], upsampler=NAME).eval()
    maps = [torch.randn(1, 4, 16, 12), torch.randn(1, 6, 6, 4)]
    with torch.no_grad():
        assert decoder(maps, (31, 23)).shape == (1, decoder.out_channels, 31, 23)
    assert "nearest_conv" in upsamplers  # imported, it is one word like the others
    assert decoder.ladder([16, 6], 31)[-1].correction == (-1 if topology != "duc" else -5)


def test_it_is_refused_as_the_others_are():
    decoder = create_decoder("unet", [4, 6], [2, 4], upsampler=NAME, fit="strict", final="nearest")
    with pytest.raises(ShapeError, match=r"'nearest_conv' \(scale 2\) brings height 6 to 12, not to 11 "):
        decoder([torch.zeros(1, 4, 11, 8), torch.zeros(1, 6, 6, 4)], (22, 16))
    with pytest.raises(ConfigError, match=f"unknown option of upsampler '{NAME}' 'kernel'"):
        create_decoder("unet", [4, 6], [2, 4], upsampler=NAME, upsampler_options={"kernel": 3})


def test_it_goes_into_models_and_checkpoints(tmp_path):
    model = create_model("segnet", "fpn", NAME, num_classes=2, pretrained=False, encoder_options={"widths": [4, 6, 8]})
    image = torch.rand(1, 3, 13, 18)
    save_model(model, tmp_path / "m.ckpt")
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "m.ckpt", trust=[MODULE])(image), model.eval()(image))
    theirs = nn.Sequential(nn.ConvTranspose2d(3, 2, 3, 3))
    assert swap_upsamplers(theirs, NAME).swapped[0].now == "nearest_conv ×3"
