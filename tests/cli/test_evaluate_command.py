import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.classification import multiclass_jaccard_index

from segup.checkpoints import load_model, save_model
from segup.cli.evaluate import run
from segup.data.images import read_image
from segup.data.labels import Labels
from segup.data.masks import read_mask
from segup.errors import DataError
from segup.evaluation.evaluate import evaluate
from segup.metrics import create_metrics
from segup.models import create_model, predicted_labels

NAMES = ["background", "a", "b"]
SIZES = [(33, 47), (20, 64), (33, 47), (1, 9)]


def write_pairs(root: Path, sizes=SIZES, classes: int = 3, split: str = "val") -> Path:
    for kind in ("images", "masks"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    for index, size in enumerate(sizes):
        random = np.random.default_rng([index, *size])
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / split / f"{index}.png")
        ids = random.integers(0, classes, size, dtype=np.uint8)
        ids[: size[0] // 4] = 255
        Image.fromarray(ids).save(root / "masks" / split / f"{index}.png")
    return root


def data_config(root: Path | str, **changes) -> dict:
    augment = {"horizontal_flip": 0.5, "vertical_flip": 0.5}
    fixed = {"name": "folder", "root": str(root), "classes": NAMES, "ignore_index": 255, "cache": True}
    return {**fixed, "augment": augment, **changes}


def make_run(folder: Path, data: dict | None, num_classes: int = 3, names=NAMES, in_channels: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = create_model(
        "test_efficientnet", num_classes=num_classes, in_channels=in_channels, pretrained=False, widths=[8, 8, 8, 8, 8]
    )
    info = {"labels": {"names": tuple(names), "colors": (), "ignore_index": 255}, "config": {"data": data}}
    save_model(model, folder / "last.ckpt", info if data is not None else {"labels": info["labels"]})
    return folder


@pytest.fixture
def a_run(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_run(Path("run"), data_config(write_pairs(Path("data"))))


def report(file: str | Path) -> dict:
    return json.loads(Path(file).read_text())


def test_the_scores_are_those_of_the_set_each_image_at_its_own_size(a_run, capsys):
    assert run([str(a_run)]) == 0
    said = capsys.readouterr().out
    assert "written: run/evaluation-folder-val.json" in said
    written = report("run/evaluation-folder-val.json")
    assert written["images"] == 4
    assert written["classes"] == NAMES
    model, predicted, true = load_model(a_run / "last.ckpt"), [], []
    for index in range(len(SIZES)):
        with torch.no_grad():
            ids = predicted_labels(model(read_image(f"data/images/val/{index}.png")[None]))[0]
        predicted.append(ids.flatten())
        true.append(read_mask(f"data/masks/val/{index}.png", Labels(tuple(NAMES))).flatten())
    expected = multiclass_jaccard_index(
        torch.cat(predicted), torch.cat(true), num_classes=3, ignore_index=255, average="none"
    )
    assert written["scores"]["iou"] == pytest.approx(expected.tolist(), abs=1e-6)
    assert f"{expected.mean():.4f}" in said


def test_no_file_is_written_over(a_run, capsys):
    assert run([str(a_run), "--out", "own.json"]) == 0
    before = Path("own.json").read_text()
    assert run([str(a_run), "--out", "own.json"]) == 1
    assert "own.json exists already; nothing was written.\n  try: another --out" in capsys.readouterr().err
    assert Path("own.json").read_text() == before
    for expected in ("evaluation-folder-val.json", "evaluation-folder-val-2.json", "evaluation-folder-val-3.json"):
        assert run([str(a_run)]) == 0
        assert f"written: run/{expected}" in capsys.readouterr().out
        assert report(a_run / expected)["scores"] == report("own.json")["scores"]


def test_another_data_set_takes_the_models_classes(a_run):
    write_pairs(Path("other"), [(30, 31)], split="test")
    (Path("other") / "images" / "val").mkdir()
    (Path("other") / "masks" / "val").mkdir()
    assert run([str(a_run), "data=folder", "--split", "test", "data.root=other", "--tta", "--window", "24"]) == 0
    written = report("run/evaluation-folder-test.json")
    assert (written["images"], written["data"]["root"], written["classes"]) == (1, "other", NAMES)
    assert written["inference"] == {
        "window": [24, 24],
        "overlap": 0.5,
        "tta": ["horizontal", "vertical"],
        "batch_size": 1,
    }


@pytest.mark.parametrize(
    ("augment", "told"),
    [
        (
            {"horizontal_flip": 0.0, "vertical_flip": 0},
            " (data.augment.horizontal_flip=0.0, data.augment.vertical_flip=0)",
        ),
        ({"vertical_flip": "\x1b[2J"}, " (data.augment.horizontal_flip=None, data.augment.vertical_flip=\\x1b[2J)"),
        ([], ""),
    ],
)
def test_reflections_that_the_training_did_not_draw_are_refused(a_run, capsys, augment, told):
    make_run(Path("run"), data_config("data", augment=augment))
    assert run([str(a_run), "--tta"]) == 1
    said = capsys.readouterr().err
    assert f"--tta averages over the reflections that the training drew, and it knows of none{told}.\n" in said
    assert "try: leave --tta out, or in Python Inference(tta=('horizontal',))" in said


def test_a_key_of_the_stored_data_is_changed_and_the_rest_stays(a_run):
    write_pairs(Path("more data"), [(30, 31), (5, 6)])
    assert run([str(a_run), "data.root=more data", "data.mask_values={0:0,1:2,2:2,255:255}"]) == 0
    written = report("run/evaluation-folder-val.json")
    assert written["images"] == 2
    assert written["data"] == {
        **data_config("more data"),
        "mask_values": {"0": 0, "1": 2, "2": 2, "255": 255},
    }
    assert written["scores"]["class_accuracy_per_class"][1] is None  # no mask has class 1 any more


def test_one_sigmoid_channel_scores_two_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = data_config(write_pairs(Path("data"), classes=2), classes=["no", "yes"])
    assert run([str(make_run(Path("run"), data, num_classes=1, names=["no", "yes"]))]) == 0
    assert len(report("run/evaluation-folder-val.json")["scores"]["iou"]) == 2


def test_best_is_used_when_asked_for(a_run):
    make_run(Path("other"), None)
    (Path("other") / "last.ckpt").rename(a_run / "best.ckpt")
    assert run([str(a_run), "--checkpoint", "best"]) == 1  # this one has no data of its own
    assert run([str(a_run), "--checkpoint", "best", "data=folder", "data.root=data"]) == 0
    assert report("run/evaluation-folder-val.json")["checkpoint"] == "run/best.ckpt"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=camvd"], "data=camvd: unknown data option 'camvd': did you mean 'camvid'?"),
        (["data=camvid"], "data.root is not set: give data.root=..."),
        (["data=camvid", "data.rot=x"], "unknown key 'data.rot': did you mean 'root'?"),
        (["data.rot=x"], "unknown option of data set 'folder' 'rot': did you mean 'root'?"),
        (["loss=dice"], "'loss=dice' is not an override of the data: write data=<data set> or data.<key>=<value>"),
        (["data.root=a,b"], "data.root=a,b: one value at a time"),
        (["data.root={"], "data.root={: "),
        (["data.name=flder"], "unknown data set 'flder': did you mean 'folder'?"),
        (["data.root=nowhere"], "nowhere: no such folder"),
        (
            ["data.in_channels=1"],
            "data.in_channels=1, but the model of run/last.ckpt takes 3.\n  try: data.in_channels=3.",
        ),
        (["--split", "test"], "data set 'folder' has no split 'test'; it has val"),
        (["--overlap", "1"], "overlap=1.0 must be a number of 0 or more and below 1"),
        (["--batch-size", "0"], "batch_size=0 must be an int of 1 or more"),
        (["--checkpoint", "best"], "run has no best.ckpt; it has last.ckpt"),
        (
            ["data.classes=[x,y]"],
            "the model has num_classes=3 (0 background, 1 a, 2 b), the data 2 classes (0 x, 1 y): they must be",
        ),
        (["data.classes=[background,b,a]"], "the data's are 0 background, 1 b, 2 a: 'b' has another id"),
    ],
)
def test_what_cannot_be_evaluated_is_said_and_nothing_written(a_run, arguments, message, capsys):
    assert run([str(a_run), *arguments]) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert said.out == ""
    assert [path.name for path in a_run.iterdir()] == ["last.ckpt"]


def test_a_place_for_the_scores_that_cannot_be_is_refused_before_the_work(a_run, capsys, monkeypatch):
    Path("taken").write_text("mine")
    assert run([str(a_run), "--out", "taken/scores.json"]) == 1
    said = capsys.readouterr()
    assert "--out taken/scores.json: taken is a file; results need a folder.\n  try: --out sc" in said.err
    assert said.out == ""
    readable = os.access
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place) != a_run and readable(place, mode))
    assert run([str(a_run)]) == 1
    assert (
        f"the scores, beside the checkpoint: nothing may be written in {a_run}.\n  try: --out scores.json"
        in capsys.readouterr().err
    )
    assert run([str(a_run), "--out", "scores.json"]) == 0


def test_scores_that_cannot_be_written_are_shown(a_run, capsys, monkeypatch):
    def refused(*_, **__):
        raise DataError("it cannot be written")

    monkeypatch.setattr("segup.evaluation.evaluate.write_json", refused)
    assert run([str(a_run)]) == 1
    said = capsys.readouterr()
    assert "it cannot be written" in said.err
    assert "mIoU" in said.out


def test_one_metric_object_counts_one_set_at_a_time():
    model = create_model("test_efficientnet", num_classes=2, pretrained=False, widths=[8, 8, 8, 8, 8]).eval()
    image = torch.rand(3, 20, 30)
    samples = [{"image": image, "mask": torch.full((20, 30), value), "name": "a"} for value in (0, 1)]
    labels = Labels(("background", "cell"))
    metrics = create_metrics(2)
    one, other = (evaluate(model, [sample], labels, metrics=metrics)["pixel_accuracy"] for sample in samples)
    assert one == pytest.approx(1 - other)


def test_classes_may_be_called_otherwise(a_run):
    assert run([str(a_run), "data.classes=[ground,x,y]"]) == 0
    assert report("run/evaluation-folder-val.json")["classes"] == ["ground", "x", "y"]


@pytest.mark.usefixtures("a_run")
def test_a_file_is_its_own_choice_of_checkpoint(capsys):
    assert run(["run/last.ckpt", "--checkpoint", "best"]) == 1
    assert "run/last.ckpt is a checkpoint itself: 'best' chooses one in a run folder" in capsys.readouterr().err


def test_a_checkpoint_without_data_says_what_to_give(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([str(make_run(Path("run"), None))]) == 1
    assert "run/last.ckpt holds a model without its run's data: give data=..." in capsys.readouterr().err


def test_a_broken_image_stops_the_evaluation(a_run, capsys):
    Path("data/images/val/2.png").write_text("no image")
    assert run([str(a_run)]) == 1
    said = capsys.readouterr().err
    assert said == "DataError: data/images/val/2.png: not a readable image, or cut short (unknown format)\n"
    assert [path.name for path in a_run.iterdir()] == ["last.ckpt"]


def test_a_data_set_from_outside_is_imported_only_when_trusted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("outside_data.py").write_text(
        "import pathlib\n"
        "from segup.data.sets.folder import Folder\n"
        "pathlib.Path('was_run').touch()\n"
        "class Own(Folder):\n"
        "    pass\n"
    )
    # A colon in a path is no part from outside.
    data = data_config(write_pairs(Path("da:ta")), name="outside_data:Own")
    folder = make_run(Path("run"), data)
    assert run([str(folder)]) == 1
    assert "--trust outside_data" in capsys.readouterr().err
    assert not Path("was_run").exists()
    assert run([str(folder), "data=folder", "data.root='da:ta'"]) == 0
    assert not Path("was_run").exists()
    assert run([str(folder), "--trust", "outside_data"]) == 0
    assert Path("was_run").exists()
    assert report("run/evaluation-outside_data-Own-val.json")["images"] == 4


def test_images_are_read_in_the_range_of_the_training_unless_another_is_given(a_run, capsys):
    for path in Path("data/images/val").iterdir():
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
        Image.fromarray(grey.astype(np.uint16) << 4).save(path)
    content = torch.load(a_run / "last.ckpt", weights_only=True)
    content["segup"]["image_range"] = [0, 255]
    torch.save(content, a_run / "last.ckpt")
    assert run([str(a_run)]) == 1
    assert "where 0…255 is allowed; data.image_range=[0,4095] covers them" in capsys.readouterr().err
    assert run([str(a_run), "data.image_range=[0,4095]"]) == 0
    content["segup"]["image_range"] = [0, 4095]
    torch.save(content, a_run / "last.ckpt")
    assert run([str(a_run)]) == 0
    given, kept = (report(f"run/evaluation-folder-val{number}.json") for number in ("", "-2"))
    assert given["image_range"] == kept["image_range"] == [0, 4095]
    assert given["scores"] == kept["scores"]


@pytest.mark.parametrize("words", [["--overlap", "1.5"], ["--batch-size", "0"]])
def test_a_number_out_of_range_is_refused_before_the_run_is_opened(tmp_path, capsys, words):
    assert run([str(tmp_path / "no run"), *words]) == 1
    assert f"{words[0][2:].replace('-', '_')}={words[1]} must be" in capsys.readouterr().err
