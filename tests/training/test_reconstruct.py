"""Operators trained without labels: on any images, better than bilinear on those that are held out."""

import json

import pytest
import torch
from PIL import Image

from segup import create_model
from segup.errors import ConfigError, DataError
from segup.training.config import RunConfig
from segup.training.operator_files import load_operator, start_operators
from segup.training.reconstruct import difference
from segup.training.start import start
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

CELLS = {"name": "cells", "classes": ["background", "foreground"], "crop_size": [64, 96], "batch_size": 2}


def run_of(folder, decoder="naf", data=CELLS, **words):
    folder.mkdir(exist_ok=True)
    values = {
        "encoder": {"name": "test_efficientnet", "pretrained": False},
        "decoder": {"upsampler": decoder},
        "data": data,
        "trainer": {"threads": 1},
        "reconstruct": {"steps": 2, **words},
    }
    start(RunConfig.of(values), folder)
    return json.loads((folder / "reconstruction.json").read_text())


@pytest.fixture
def pictures(tmp_path):
    """A folder of images alone, some of them in a folder of its own."""
    torch.manual_seed(0)
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for number in range(6):
        pixels = torch.randint(0, 255, (70, 100 + number, 3), dtype=torch.uint8).numpy()
        place = tmp_path / "pictures" / ("more" if number % 2 else "") / f"{number}.png"
        Image.fromarray(pixels).save(place)
    return {"name": "folder", "root": str(tmp_path / "pictures"), "crop_size": None, "batch_size": 2}


def test_any_folder_of_images_will_do(pictures, tmp_path):
    result = run_of(tmp_path / "run", data=pictures)
    assert result["images"] == {"train": 5, "held out": 1}
    assert result["ratio"] == pytest.approx(result["error"] / result["bilinear"])
    up = load_operator(tmp_path / "run")
    assert (up.name, up.scale, up.training) == ("naf", 2, False)
    x, image = torch.rand(1, up.in_channels, 4, 5), torch.rand(1, 3, 64, 80)
    assert up(x, image=image).shape == (1, up.in_channels, 8, 10)


UNGUIDED = [name for name in list_upsamplers() if not operator_class(name).requires - {"image"}]


@pytest.mark.parametrize("name", [name for name in UNGUIDED if name not in ("bilinear_additive", "naf")])
def test_every_operator_that_can_stand_alone_learns(name, tmp_path):
    run_of(tmp_path / "run", name)
    before = load_operator(tmp_path / "run").state_dict()
    run_of(tmp_path / "longer", name, steps=3)
    after = load_operator(tmp_path / "longer").state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_what_cannot_be_is_refused_before_anything_is_written(pictures, tmp_path):
    for decoder, message in (
        ("sapa", r"decoder=sapa is guided by the skip, and reconstruction has the map and the image alone\.\n  try: "),
        ("bilinear_additive", r"'bilinear_additive' \(scale 2\) has no parameters to train\.\n  try: decoder=naf"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_of(tmp_path / "run", decoder)
    with pytest.raises(DataError, match="crops of 70×100 are too small: this map needs 128×128 at least"):
        run_of(tmp_path / "run", data=pictures, scale=8)
    with pytest.raises(DataError, match="0 images below it, and reconstruction needs two at least"):
        run_of(tmp_path / "run", data={**pictures, "root": str(tmp_path / "run")})
    assert not list((tmp_path / "run").iterdir())
    with pytest.raises(DataError, match="no operator at .*\n  try: the folder of a run of experiment=reconstruct"):
        load_operator(tmp_path / "run")


def own_projections(model):
    """The 1×1 convolutions of its operators, whose channels are the steps' own."""
    return [name for name, _ in model.decoder.named_parameters() if ".project." in f".{name}"]


def test_its_weights_start_the_operators_of_a_model(tmp_path):
    run_of(tmp_path / "run")
    names = {"num_classes": 2, "pretrained": False, "widths": [8] * 5}
    model = create_model("test_efficientnet", upsampler="naf", final="naf", **names)
    taken = start_operators(model, tmp_path / "run")
    expected = load_operator(tmp_path / "run").state_dict()
    own = model.decoder.final.state_dict()
    assert all(torch.equal(own[key], weight) for key, weight in expected.items())
    steps = len(model.decoder.steps())
    assert (taken.fit, len(taken.left)) == (steps * len(expected), sum(1 for name in own_projections(model)))
    other = create_model("test_efficientnet", upsampler="deconv", **names)
    with pytest.raises(ConfigError, match="operator 'naf', and none of its weights fits .*\n  try: decoder=naf"):
        start_operators(other, tmp_path / "run")


def test_the_difference_is_of_squares_and_of_directions():
    wanted = torch.tensor([[[[3.0]], [[4.0]]]])
    assert difference(2 * wanted, wanted).item() == pytest.approx(1.0)
    assert difference(-wanted, wanted).item() == pytest.approx(4.0 + 2.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("decoder", "options", "words"),
    [
        ("naf", {"kernel_size": 3}, {"steps": 50, "lr": 0.01}),
        ("bilinear", {"init": "interpolate"}, {"steps": 60}),
    ],
)
def test_on_held_out_images_the_error_is_at_most_nine_tenths_of_bilinears(decoder, options, words, tmp_path):
    (tmp_path / "run").mkdir()
    values = {
        "encoder": {"name": "efficientnet_lite0"},
        "decoder": {"upsampler": decoder, "upsampler_options": options},
        "data": {**CELLS, "crop_size": [161, 193]},
        "trainer": {"threads": 1},
        "reconstruct": words,
    }
    start(RunConfig.of(values), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "reconstruction.json").read_text())["ratio"] <= 0.9
