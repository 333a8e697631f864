"""Operators trained without labels: on any images, better than bilinear on those that are held out."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segup import create_model
from segup.data import create_data
from segup.encoders import create_encoder
from segup.errors import ConfigError, DataError
from segup.training.config import EncoderConfig, RunConfig
from segup.training.operator_files import load_operator, start_operators
from segup.training.reconstruct import built_encoder, difference
from segup.training.reconstruct_images import WholeCells, below, images
from segup.training.run_folder import run_folder
from segup.training.start import start
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

CELLS = {"name": "cells", "classes": ["background", "foreground"], "crop_size": [64, 96], "batch_size": 2}


def run_of(folder, decoder="naf", data=CELLS, options=None, beside=None, **words):
    folder.mkdir(exist_ok=True)
    values = {
        "encoder": {"name": "test_efficientnet", "pretrained": False},
        "decoder": {"upsampler": decoder, "upsampler_options": options},
        "data": data,
        "trainer": {"threads": 1},
        "reconstruct": {"steps": 2, **words},
        **(beside or {}),
    }
    with run_folder(RunConfig.of({**values, "run_dir": str(folder)})) as folder:
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


def test_the_same_command_does_not_replace_what_was_trained(pictures, tmp_path):
    run_of(tmp_path / "run", data=pictures)
    before = {file: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    with pytest.raises(ConfigError, match="exists already; nothing in it was touched"):
        run_of(tmp_path / "run", data=pictures)
    assert {file: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


UNGUIDED = [name for name in list_upsamplers() if not operator_class(name).requires - {"image"}]


@pytest.mark.parametrize("name", [name for name in UNGUIDED if name not in ("bilinear_additive", "naf")])
def test_every_operator_that_can_stand_alone_learns(name, tmp_path):
    run_of(tmp_path / "run", name)
    before = load_operator(tmp_path / "run").state_dict()
    run_of(tmp_path / "longer", name, steps=3)
    after = load_operator(tmp_path / "longer").state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_what_cannot_be_is_refused_before_anything_is_written(pictures, tmp_path):
    for decoder, options, message in (
        (
            "sapa",
            {},
            r"decoder=sapa is guided by the skip, and reconstruction has the map and the image alone\.\n  try: ",
        ),
        ("bilinear_additive", {}, r"'bilinear_additive' \(scale 2\) has no parameters to train\.\n  try: decoder=naf"),
        ("bilinear", {"kernel_size": None}, r"'bilinear' \(scale 2\) has no parameters to train\."),
    ):
        with pytest.raises(ConfigError, match=message):
            run_of(tmp_path / "run", decoder, options=options)
    message = (
        r"0.png: 70×100 is too small: the map of stride 8 needs 128×128 at least, where .* 8 times smaller\n  try: "
    )
    with pytest.raises(DataError, match=f"{message}a map of stride 4 .*, or leave this image out"):
        run_of(tmp_path / "run", data=pictures, scale=8)
    with pytest.raises(DataError, match=r"data.crop_size: 30×100 is too small: .*\n  try: .*data.crop_size=null"):
        run_of(tmp_path / "run", data={**pictures, "crop_size": [30, 100]})
    with pytest.raises(DataError, match="images below it: 0, and reconstruction needs two at least\n  try: data.root="):
        run_of(tmp_path / "run", data={**pictures, "root": str(tmp_path / "run")})
    with pytest.raises(ConfigError, match=r"decoder.upsampler is not set, .*\n  try: decoder=naf"):
        run_of(tmp_path / "run", None)
    with pytest.raises(ConfigError, match="ckpt_path: .* is not continued\n  try: init_from=RUN"):
        run_of(tmp_path / "run", beside={"ckpt_path": "last.ckpt"})
    assert not list((tmp_path / "run").iterdir())
    with pytest.raises(DataError, match="no operator at .*\n  try: the folder of a run of experiment=reconstruct"):
        load_operator(tmp_path / "run")


def test_an_image_that_is_held_out_is_as_large_as_the_others(pictures, tmp_path):
    file = below(Path(pictures["root"]))[1][0]
    Image.new("RGB", (90, 20)).save(file)
    with pytest.raises(DataError, match=f"{file.name}: 20×90 is too small"):
        run_of(tmp_path / "run", data=pictures)
    assert not list((tmp_path / "run").iterdir())


def test_images_have_the_range_that_a_training_finds_or_is_given(tmp_path):
    (tmp_path / "pictures").mkdir()
    for number in range(3):
        Image.fromarray(np.full((64, 64), 4000 + number, np.uint16)).save(tmp_path / "pictures" / f"{number}.png")
    options = {"name": "folder", "root": str(tmp_path / "pictures"), "classes": ["a", "b"]}
    cells = WholeCells(create_encoder("test_efficientnet", pretrained=False), 8, 2)
    for given, top in ({}, 4095), ({"image_range": [0, 8000]}, 8000), ({"image_range": "dtype"}, 65535):
        train, held = images({**options, **given}, 0, cells)
        assert [float(image.max()) * top for image in (*train, *held)] == pytest.approx([4000, 4001, 4002])


@pytest.mark.parametrize("kind", ["cells", "folder"])
def test_the_images_of_the_fold_that_validates_are_held_out(kind, tmp_path):
    options = {**CELLS, "classes": ["background", "cytoplasm", "nucleus"], "folds": 2}
    if kind == "folder":
        for place, split in (("images", "train"), ("images", "val"), ("masks", "train"), ("masks", "val")):
            (tmp_path / place / split).mkdir(parents=True)
            for number in range(3):
                Image.new("L", (64, 64), 10 * number + len(split) if place == "images" else 1).save(
                    tmp_path / place / split / f"{split}{number}.png"
                )
        options = {**options, "name": "folder", "root": str(tmp_path)}
    cells = WholeCells(create_encoder("test_efficientnet", pretrained=False), 8, 2)
    for fold in range(2):
        data = create_data({**options, "fold": fold})
        for found, split in zip(images({**options, "fold": fold}, 0, cells), ("train", "val"), strict=True):
            expected = [data.sample(split, number)["image"] for number in range(len(data.samples(split)))]
            assert len(found) == len(expected)
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", ["convnext_atto", "dla34", "timm/test_vit"])
def test_neither_image_is_extended(name):
    """Maps of extended images would not lie on each other: of dla34 that of 80×80 pixels is one of 96×96."""
    encoder = create_encoder(name, pretrained=False)
    cells = WholeCells(encoder, encoder.strides[0], 2)
    sizes = [cells.whole(size) for size in range(cells.least, 200)]
    assert sizes == sorted(sizes)
    assert all(encoder.accepted_size((one, one)) == (one, one) for size in sizes for one in (size, size // 2))
    assert all(size % (2 * encoder.strides[0]) == 0 < size for size in sizes)


def test_the_encoder_is_that_of_the_configuration(tmp_path):
    stored = create_encoder("test_efficientnet", pretrained=False)
    torch.save(stored.body.state_dict(), tmp_path / "weights.pth")
    config = EncoderConfig("test_efficientnet", weights=str(tmp_path / "weights.pth"), mean=[0.1, 0.2, 0.3])
    encoder = built_encoder(config, 3)
    assert all(torch.equal(tensor, stored.body.state_dict()[key]) for key, tensor in encoder.body.state_dict().items())
    assert encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


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


def test_an_operator_from_outside_opens_where_its_module_is_trusted(tmp_path, monkeypatch):
    for module, kind in (("own_ups", "Naf"), ("other_ups", "Bilinear")):
        lines = f"from segup.upsamplers import {kind}\nclass Mine({kind}):\n    pass\n"
        (tmp_path / f"{module}.py").write_text(lines)
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    run_of(tmp_path / "run", "own_ups:Mine")
    with pytest.raises(ConfigError, match=r"has a part from outside segup, 'own_ups:Mine'.*\n.*trust=\['own_ups'\]"):
        load_operator(tmp_path / "run")
    for trust in (["own_ups"], "own_ups"):
        assert type(load_operator(tmp_path / "run", trust=trust)).__module__ == "own_ups"
    names = {"num_classes": 2, "pretrained": False, "widths": [8] * 5}
    model = create_model("test_efficientnet", upsampler="own_ups:Mine", **names)
    assert start_operators(model, tmp_path / "run", ["own_ups"]).fit
    other = create_model("test_efficientnet", upsampler="other_ups:Mine", **names)  # of the same name
    with pytest.raises(ConfigError, match="none of its weights fits"):
        start_operators(other, tmp_path / "run", ["own_ups"])


def test_a_run_starts_from_another_ones_operator(tmp_path):
    run_of(tmp_path / "first", "deconv")
    known = load_operator(tmp_path / "first").state_dict()
    run_of(tmp_path / "next", "deconv", beside={"init_from": str(tmp_path / "first"), "seed": 1}, lr=1e-9)
    assert all(
        torch.allclose(load_operator(tmp_path / "next").state_dict()[key], known[key], atol=1e-6) for key in known
    )
    with pytest.raises(ConfigError, match="operator 'deconv', and none of its weights fits"):
        run_of(tmp_path / "other", "naf", beside={"init_from": str(tmp_path / "first")})


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
