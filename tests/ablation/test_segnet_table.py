"""The SegNet paper's comparison: its table, and the way to it on data of a few pixels."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from segup.ablation.study import read_study
from segup.cli.sweep import run_values
from segup.training.build import build_model
from segup.training.config import RunConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    """The script; it imports others by name, as scripts do, and so do the processes that score its runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "scripts"))
        yield importlib.import_module("reproduce_segnet_table")
        for name in ("reproduce_segnet_table", "scored"):
            sys.modules.pop(name, None)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write_camvid(root, count=3, size=(37, 50)):
    """Halves of two classes whose colours tell them apart, and unlabelled pixels, in SegNet's layout."""
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        (root / split).mkdir(parents=True)
        (root / f"{split}annot").mkdir()
        for number in range(count):
            mask = np.full(size, 3, dtype=np.uint8)
            mask[:, : int(rng.integers(10, 40))] = 5
            mask[0] = 11
            image = np.where(mask[..., None] == 5, 200, 40) + rng.integers(0, 30, (*size, 3))
            Image.fromarray(image.astype(np.uint8)).save(root / split / f"{number}.png")
            Image.fromarray(mask).save(root / f"{split}annot" / f"{number}.png")
    return root


def cells(text, variant):
    """Return the published and the measured line of a variant."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    place = next(place for place, line in enumerate(lines) if line[0] == variant)
    return lines[place][1:], lines[place + 1][1:]


@pytest.fixture
def study_of(script, make_study, tmp_path):
    """A function that writes a study of runs with the given test scores, or in the given state."""

    def write(members, *overrides):
        composed = OmegaConf.to_container(script.composed(overrides), resolve=False)
        states = {key: 0.5 if isinstance(told, list) else told for key, told in members.items()}
        study = make_study(tmp_path, states, config=composed)
        for (label, seed), told in members.items():
            if isinstance(told, list):
                names = ("pixel_accuracy", "class_accuracy", "miou", "bf_score")
                report = {"scores": dict(zip(names, told, strict=True))}
                (study / label / str(seed) / script.TEST).write_text(json.dumps(report))
        return study

    return write


def test_the_published_figures_stand_there_before_anything_is_trained(script, capsys):
    assert script.run(["--show"]) == 0
    text = capsys.readouterr().out
    published = {
        "bilinear": "0.625 77.9 61.1 43.3 20.83",
        "SegNet-Basic (unpool)": "1.425 82.7 62.0 47.7 35.78",
        "SegNet-EncoderAddition": "1.425 83.4 63.6 48.5 35.92",
        "SegNet-SingleChannel": "0.625 81.2 60.7 46.1 31.62",
        "FCN-Basic (deconv)": "0.650 81.7 62.4 47.3 38.11",
        "FCN-NoDimReduction": "1.625 84.1 63.4 50.1 37.37",
    }
    for variant, figures in published.items():
        above, below = cells(text, variant)
        assert above == ["published", *figures.split()]
        assert below[0].endswith("not trained yet") == (variant != "SegNet-SingleChannel")
        assert below[1:] == ["–"] * 5
    assert "SegNet (arXiv 1511.00561), Table 1" in text
    assert "- SegNet-SingleChannel: no counterpart: " in text
    assert "| optimizer | SGD, rate 0.1, momentum 0.9 | sgd, rate 0.1, momentum 0.9, weight decay 0.0005" in text
    assert list(Path().iterdir()) == []


def test_what_is_measured_stands_below_what_is_published(script, study_of):
    study = study_of(
        {
            ("segnet_basic", 0): [0.8, 0.6, 0.4, 0.3], ("segnet_basic", 1): [0.82, 0.62, 0.44, 0.3],
            ("fcn_basic", 0): [0.812, 0.6, 0.5, 0.25], ("fcn_basic", 1): "running",
            ("bilinear", 0): 0.5, ("fcn_no_dim_reduction", 0): ("failed", "DataError: no\n  image"),
            ("segnet_encoder_addition", 0): "waiting",
        },
        "trainer.max_epochs=7", "data.crop_size=[88,120]", "encoder.options.widths=[8,8,16,16,32]",
    )  # fmt: skip
    text = script.page(study, {})
    assert cells(text, "SegNet-Basic (unpool)")[1] == [
        "plain × max_unpool, 2 seeds", "4.012", "81.0 ± 1.4", "61.0 ± 1.4", "42.0 ± 2.8", "30.0",
    ]  # fmt: skip
    assert cells(text, "FCN-Basic (deconv)")[1] == [
        "fcn × deconv, 1 seed; seed 1 running", "4.009", "81.2", "60.0", "50.0", "25.0",
    ]  # fmt: skip
    states = {
        "bilinear": "plain × bilinear: seed 0 trained, not scored yet",
        "FCN-NoDimReduction": "unet × deconv: seed 0 failed: DataError: no image",
        "SegNet-EncoderAddition": "linknet × max_unpool: seed 0 waiting",
    }
    for variant, state in states.items():
        assert cells(text, variant)[1] == [state, *["–"] * 5]
    assert "crops of 88×120 |" in text
    assert "constant, 7 epochs |" in text
    assert "to 8, 8, 16, 16, 32 channels, 4 poolings" in text


@pytest.mark.parametrize(
    "key", ["bilinear", "segnet_basic", "segnet_encoder_addition", "fcn_basic", "fcn_no_dim_reduction"]
)
def test_every_row_is_the_model_that_it_says(script, key):
    row = next(row for row in script.ROWS if row.key == key)
    widths = "decoder.widths=[6,5,4,3]" if row.widths else "decoder.widths=null"
    config = script.composed([*row.overrides, widths, "encoder.options.widths=[3,4,5,6,7]", "data.root=x"])
    model = build_model(RunConfig.of(run_values(config)), 11, 3).eval()
    topology, upsampler = row.here.split(" × ")
    assert (model.decoder.name, {up.name for _, _, up in model.decoder.steps()}) == (topology, {upsampler})
    assert len(model.decoder.steps()) == 4
    assert model(torch.rand(1, 3, 45, 61)).shape == (1, 11, 45, 61)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rows", "fcn_basics"], "--rows fcn_basics: unknown row 'fcn_basics': did you mean 'fcn_basic'?"),
        (["--rows", "segnet_single_channel"], "unknown row 'segnet_single_channel'"),
        (["--seeds", "0,x"], "--seeds 0,x must be whole numbers"),
        ([], "data.root is not set: give data.root=..."),
        (["data.rot=x"], "unknown key 'data.rot': did you mean 'root'?"),
        (["data.root=nowhere"], "nowhere has no test images"),
    ],
)
def test_what_cannot_be_begun_is_refused_before_anything_is_written(script, capsys, words, message):
    assert script.run(words) == 1
    assert message in capsys.readouterr().err
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_it_trains_row_after_row_keeps_what_there_is_and_shows_it(script, capsys):
    """Two classes that their colour tells apart: an epoch or two learn something, and the test images show it."""
    root = write_camvid(Path("camvid"))
    words = [
        f"data.root={root}", "encoder.options.widths=[4,4,4,4,4]", "encoder.options.convs=1", "data.crop_size=[32,48]",
        "data.batch_size=3", "data.num_workers=0", "trainer.accelerator=cpu", "trainer.threads=1",
        "trainer.val_every_n_epochs=2", "data.samples_per_epoch=12", "--epochs", "2",
    ]  # fmt: skip
    assert script.run([*words, "--rows", "segnet_basic"]) == 0
    first = capsys.readouterr().out
    assert "study ablations/segnet_camvid: 1 run\n" in first
    assert "segnet_basic seed 0: scored on the test images" in first
    measured = cells(first, "SegNet-Basic (unpool)")[1]
    assert measured[0] == "plain × max_unpool, 1 seed"
    assert float(measured[2]) > 0
    study = Path("ablations/segnet_camvid")
    before = {file: file.stat().st_mtime_ns for file in (study / "segnet_basic/0").iterdir()}
    report = json.loads((study / "segnet_basic/0" / script.TEST).read_text())
    assert (report["split"], report["images"]) == ("test", 3)
    assert report["checkpoint"].endswith("best.ckpt")

    assert script.run([*words, "--rows", "segnet_basic,fcn_basic"]) == 0
    second = capsys.readouterr().out
    assert "2 runs, 1 finished before" in second
    assert "segnet_basic seed 0: scored" not in second
    assert {file: file.stat().st_mtime_ns for file in (study / "segnet_basic/0").iterdir()} == before
    assert cells(second, "SegNet-Basic (unpool)")[1] == measured
    assert cells(second, "FCN-Basic (deconv)")[1][0] == "fcn × deconv, 1 seed"
    assert (study / "report.html").is_file()
    assert [member.label for member in read_study(study).members] == ["segnet_basic", "fcn_basic"]

    assert script.run(["--show"]) == 0
    shown = capsys.readouterr().out
    assert second.endswith(shown)
    assert (study / "segnet_table.md").read_text() == shown
    (study / "segnet_table.md").write_text(f"{shown}\nmy notes\n")
    assert script.run(["--show"]) == 1
    refused = capsys.readouterr()
    assert "segnet_table.md exists already; nothing was written.\n  try: the same with --overwrite" in refused.err
    assert not refused.out
    assert "my notes" in (study / "segnet_table.md").read_text()
    (study / script.WRITTEN).rename(study / "kept")  # of an earlier version, which kept no digest
    (study / "segnet_table.md").write_text("mine\n")
    assert script.run(["--show"]) == 1
    assert script.run(["--show", "--overwrite"]) == 0
    assert (study / "segnet_table.md").read_text() == shown
    capsys.readouterr()

    assert script.run([*words[:-1], "3", "--rows", "fcn_basic"]) == 1
    assert "trainer.max_epochs was 2 and is now 3" in capsys.readouterr().err
