"""What is wrong with the data ends a run before it costs an epoch, and what was trained outlives its pictures."""

import json
import threading

import numpy as np
import pytest
from PIL import Image

from segup.checkpoints import read_checkpoint
from segup.data import Labels
from segup.errors import DataError
from segup.evaluation.runs import open_run
from segup.training.module import SegmentationModule
from segup.training.pictures import colored


@pytest.fixture
def folder(tmp_path):
    """Forty training and forty validation pairs of 12 bits in 16."""
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / "data" / kind / split).mkdir(parents=True)
        for number in range(40):
            random = np.random.default_rng(number)
            name = f"{split}/{number:02}.png"
            Image.fromarray(random.integers(0, 4096, (36, 36), dtype=np.uint16)).save(tmp_path / "data/images" / name)
            Image.fromarray(random.integers(0, 3, (36, 36), dtype=np.uint8)).save(tmp_path / "data/masks" / name)
    return tmp_path / "data"


def of(folder, **options):
    return {"name": "folder", "root": str(folder), "classes": list("abc"), "colors": None, **options}


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_wrong_mask_outside_the_sample_ends_the_run_before_it_validates(small_run, folder, monkeypatch, split):
    monkeypatch.setattr(SegmentationModule, "on_validation_epoch_start", lambda self: pytest.fail("it validated"))
    Image.new("L", (36, 36), 9).save(folder / "masks" / split / "11.png")
    with pytest.raises(DataError, match=rf"^{folder}/masks/{split}/11\.png: the mask holds 9, where 0…2"):
        small_run(data=of(folder))
    assert not any(thread.name == "masks" for thread in threading.enumerate())


def test_the_range_of_the_images_is_kept_by_checkpoint_and_result(small_run, folder):
    result, run = small_run(data=of(folder), trainer={"max_epochs": 1})
    assert result["image_range"] == json.loads((run / "result.json").read_text())["image_range"] == [0, 4095]
    assert read_checkpoint(run / "last.ckpt")["segup"]["image_range"] == [0, 4095]
    assert open_run(run, device="cpu").image_range == (0, 4095)


def test_what_was_trained_is_written_before_anything_is_drawn(small_run, tmp_path, monkeypatch):
    def crash(**_):
        raise MemoryError("the picture")

    monkeypatch.setattr("segup.training.pictures.Figure", crash)
    with pytest.raises(MemoryError, match="the picture"):
        small_run(pictures=True, trainer={"max_epochs": 1})
    assert json.loads((tmp_path / "run/result.json").read_text())["last"]["step"] == 4


@pytest.mark.parametrize("classes", [2, 255, 256, 300])
def test_ids_of_any_number_of_classes_are_coloured(classes):
    labels = Labels(tuple(f"class {number}" for number in range(classes)), ignore_index=-1)
    picture = colored(np.array([[0, classes - 1, -1, classes, 65535]]), labels)
    assert picture.tolist() == [[list(labels.colors[0]), list(labels.colors[-1]), *[[255, 255, 255]] * 3]]


def test_a_run_of_256_classes_ends_with_its_pictures(small_run, folder):
    classes = 256
    names = [f"class {number}" for number in range(classes)]
    for split in ("train", "val"):
        for path in sorted((folder / "masks" / split).iterdir())[8:]:
            path.unlink()
            (folder / "images" / split / path.name).unlink()
        ids = np.array([[0, classes - 1, -1]]).repeat(36, axis=0).repeat(12, axis=1)
        for path in (folder / "masks" / split).iterdir():
            path.unlink()
            np.save(path.with_suffix(".npy"), ids)
    data = of(folder, classes=names, ignore_index=-1)
    result, run = small_run(pictures=True, data=data, trainer={"max_epochs": 1})
    assert len(result["last"]["iou"]) == classes
    assert (run / "predictions.png").exists()
