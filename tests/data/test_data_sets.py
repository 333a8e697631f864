"""Each data set finds its files and reads its masks; those that are downloaded elsewhere are made tiny here."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from groups import group
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from PIL import Image
from torchvision.datasets import Cityscapes

import segup
from segup.data import Labels, create_data, create_dataset, embedded_folder, list_datasets, read_mask
from segup.data.sets import published
from segup.errors import ConfigError, DataError

CONFIGS = Path(segup.__file__).parents[1] / "configs" / "data"
NAMES = ["ade20k", "camvid", "cells", "cityscapes", "folder", "oxford_pet", "voc2012"]


def config(name, **changes):
    return group("data", name, **changes)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8), **options).save(path)


def photo(path, size=(6, 8)):
    save(path, np.full((*size, 3), 90))


def names(data, split):
    return [pair.name for pair in data.samples(split).pairs]


def test_every_data_set_is_listed_and_has_a_configuration():
    assert set(NAMES) <= set(list_datasets())
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(list_datasets())
    shared = set(config("cells"))
    for name in NAMES:
        assert config(name)["name"] == name
        assert shared <= set(config(name))


def test_a_data_set_needs_no_option_of_another(tmp_path):
    """One from outside, whose YAML names nothing but itself and its classes, is not asked for a folder."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.yaml").write_text("name: mypackage.sets:Own\nclasses: [a, b]\ntable: pairs.csv\n")
    with initialize_config_dir(str(CONFIGS.parent), version_base="1.3"):
        composed = compose("train", overrides=[f"hydra.searchpath=[file://{tmp_path}]", "data=own"])
    assert OmegaConf.missing_keys(composed) == set()
    assert "root" not in composed.data


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("cells", "folder")])
def test_configured_labels_are_valid_and_the_folder_is_asked_for(name):
    labels = Labels(*(config(name)[key] for key in ("classes", "colors", "ignore_index")))
    assert labels.num_classes == {"ade20k": 150, "camvid": 11, "cityscapes": 19, "oxford_pet": 3, "voc2012": 21}[name]
    with pytest.raises(ConfigError, match=r"data\.root is not set: give data\.root=\.\.\."):
        create_data(config(name))


def test_cells_are_ten_frames_whose_masks_are_palette_images():
    data = create_data(config("cells"))
    assert names(data, "train") == [f"frame_{time}" for time in (0, 1, 2, 4, 5, 7, 8)]
    assert names(data, "val") == [f"frame_{time}" for time in (3, 6, 9)]
    shares = np.zeros(3)
    for pair in (*data.samples("train").pairs, *data.samples("val").pairs):
        with Image.open(pair.mask) as mask:
            assert (mask.mode, mask.size) == ("P", (576, 210))
            assert mask.getpalette()[:9] == [value for color in data.labels.colors for value in color]
        shares += np.bincount(read_mask(pair.mask, data.labels).numpy().ravel(), minlength=3)
    np.testing.assert_allclose(shares / shares.sum(), [0.499, 0.433, 0.068], atol=5e-4)
    sample = data.sample("val", 0)
    assert tuple(sample["image"].shape) == (3, 210, 576)
    assert (sample["image"][0] == sample["image"][1]).all()
    assert (sample["image"][0] != sample["image"][2]).any()


def test_cells_carry_their_licence_and_description():
    folder = embedded_folder("cells")
    assert "Copyright (c) 2025, Tim Monko" in (folder / "LICENSE").read_text()
    text = (folder / "README.md").read_text()
    for said in ("ndev-sampledata", "Frames 3, 6 and 9 validate", "look alike", "prepare_cells.py"):
        assert said in text
    assert sum(path.stat().st_size for path in folder.rglob("*.*")) < 3e6
    with pytest.raises(DataError, match="the embedded data set 'cell' is missing: neither "):
        embedded_folder("cell")


def test_cells_read_as_a_folder_too():
    labels = Labels(("background", "cytoplasm", "nucleus"))
    own = create_dataset("folder", labels, root=str(embedded_folder("cells")))
    pairs = create_dataset("cells", labels).pairs("val")  # which knows its sequences, too
    assert own.pairs("val") == [replace(pair, group=None) for pair in pairs]


def test_camvid_layout(tmp_path, write_pairs):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        write_pairs(tmp_path / split, tmp_path / f"{split}annot", [(5, 7)] * count, classes=12, suffix=".jpg")
    data = create_data(config("camvid", root=str(tmp_path), crop_size=[5, 7], batch_size=2, num_workers=0))
    assert [len(data.samples(split)) for split in ("train", "val", "test")] == [3, 2, 1]
    assert data.sample("train", 0)["mask"].max() <= 11
    assert len(data.class_frequencies().pixels) == 11
    assert published(tmp_path) == ["camvid"]


@pytest.mark.skipif("SEGUP_CAMVID" not in os.environ, reason="SEGUP_CAMVID names no folder")
def test_the_real_camvid():
    data = create_data(config("camvid", root=os.environ["SEGUP_CAMVID"], num_workers=0))
    assert [len(data.samples(split)) for split in ("train", "val", "test")] == [367, 101, 233]
    assert tuple(data.sample("test", 5)["image"].shape) == (3, 360, 480)
    assert all(0 < frequency < 0.5 for frequency in data.class_frequencies().frequencies)


def test_folder_without_splits_holds_a_share_back(tmp_path, write_pairs):
    write_pairs(tmp_path / "images", tmp_path / "masks", [(4 + n, 9 - n) for n in range(5)], suffix=".bmp")
    source = create_dataset("folder", Labels(("a", "b", "c")), root=str(tmp_path), val_fraction=0.4)
    train, val = source.pairs("train"), source.pairs("val")
    assert (len(train), len(val)) == (3, 2)
    assert {pair.name for pair in (*train, *val)} == {f"img_{n}" for n in range(5)}
    assert source.splits() == ("train", "val")


@pytest.mark.parametrize("layout", ["{kind}/{split}", "{split}/{kind}"])
def test_folder_with_its_own_splits(tmp_path, write_pairs, layout):
    for split, count in (("train", 2), ("val", 1)):
        folders = [tmp_path / layout.format(kind=kind, split=split) for kind in ("images", "masks")]
        write_pairs(*folders, [(4, 5)] * count)
    source = create_dataset("folder", Labels(("a", "b", "c")), root=str(tmp_path))
    assert [len(source.pairs(split)) for split in ("train", "val")] == [2, 1]
    assert source.splits() == ("train", "val")
    with pytest.raises(DataError, match="no folder for the split 'test' beside those for train, val"):
        source.pairs("test")


def test_folder_that_is_missing(tmp_path):
    labels = Labels(("a", "b"))
    with pytest.raises(DataError, match=r"nowhere: no such folder$"):
        create_dataset("folder", labels, root=str(tmp_path / "nowhere")).pairs("train")
    with pytest.raises(DataError, match=r"images: no such folder$"):
        create_dataset("folder", labels, root=str(tmp_path)).pairs("train")


def test_voc2012_reads_its_lists_and_ignores_the_border(tmp_path):
    base = tmp_path / "VOCdevkit" / "VOC2012"
    (base / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, listed in (("train", ["2007_b", "2007_a"]), ("val", ["2007_c"])):
        (base / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(listed) + "\n")
        for name in listed:
            photo(base / "JPEGImages" / f"{name}.jpg", (1, 3))
            image = Image.fromarray(np.array([[0, 20, 255]], dtype=np.uint8), mode="P")
            image.putpalette([0, 0, 0, 128, 0, 0] * 128)
            (base / "SegmentationClass").mkdir(exist_ok=True)
            image.save(base / "SegmentationClass" / f"{name}.png")
    data = create_data(config("voc2012", root=str(tmp_path), ignore_index=-1))
    assert names(data, "train") == ["2007_b", "2007_a"]
    assert data.sample("val", 0)["mask"].tolist() == [[0, 20, -1]]
    assert published(tmp_path) == ["voc2012"]


def test_oxford_pet_trimaps_become_classes(tmp_path):
    base = tmp_path / "oxford-iiit-pet"
    for name in ("Beagle_1", "Beagle_2", "Birman_1", "Birman_2", "Birman_3", "Pug_1"):
        photo(base / "images" / f"{name}.jpg", (1, 3))
        save(base / "annotations" / "trimaps" / f"{name}.png", [[1, 2, 3]])
    (base / "annotations" / "trainval.txt").write_text(
        "".join(f"{name} 1 2 3\n" for name in ("Beagle_1", "Beagle_2", "Birman_1", "Birman_2", "Birman_3"))
    )
    (base / "annotations" / "test.txt").write_text("Pug_1 1 2 3\n")
    data = create_data(config("oxford_pet", root=str(tmp_path)))
    assert [len(data.samples(split)) for split in ("train", "val", "test")] == [4, 1, 1]
    assert not set(names(data, "train")) & set(names(data, "val"))
    assert data.sample("test", 0)["mask"].tolist() == [[1, 0, 2]]
    assert published(tmp_path) == ["oxford_pet"]
    two = create_data(config("oxford_pet", root=str(tmp_path), classes=["background", "pet"], colors=None))
    assert two.sample("test", 0)["mask"].tolist() == [[1, 0, 255]]
    with pytest.raises(ConfigError, match="the pets have 2 or 3 classes, not 4"):
        create_data(config("oxford_pet", root="x", classes=list("abcd"), colors=None))


def test_cityscapes_label_ids_become_the_benchmarks_classes(tmp_path):
    name = "aachen_000000_000019"
    known = [entry for entry in Cityscapes.classes if entry.id >= 0]
    for split in ("train", "val"):
        photo(tmp_path / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png", (1, len(known)))
        masks = tmp_path / "gtFine" / split / "aachen"
        save(masks / f"{name}_gtFine_labelIds.png", [[entry.id for entry in known]])
    data = create_data(config("cityscapes", root=str(tmp_path)))
    assert names(data, "val") == [name]
    assert published(tmp_path) == ["cityscapes"]
    assert data.sample("val", 0)["mask"].tolist() == [[entry.train_id for entry in known]]
    official = {entry.train_id: entry for entry in known if not entry.ignore_in_eval}
    assert [official[index].name for index in range(19)] == list(data.labels.names)
    assert [official[index].color for index in range(19)] == list(data.labels.colors)
    with pytest.raises(ConfigError, match="Cityscapes has 19 classes, not 2"):
        create_data(config("cityscapes", root=str(tmp_path), classes=["a", "b"], colors=None))


@pytest.mark.parametrize("name", ["voc2012", "oxford_pet"])
def test_sets_that_could_be_downloaded_say_so(tmp_path, name):
    with pytest.raises(DataError, match=r"data\.download=true fetches "):
        create_data(config(name, root=str(tmp_path))).setup("fit")


@pytest.mark.parametrize(("name", "official"), [("voc2012", "VOCSegmentation"), ("oxford_pet", "OxfordIIITPet")])
def test_sets_are_downloaded_by_torchvision_when_asked_to(tmp_path, monkeypatch, name, official):
    calls = []
    monkeypatch.setattr(f"torchvision.datasets.{official}", lambda *args, **options: calls.append((*args, options)))
    create_data(config(name, root=str(tmp_path))).prepare_data()
    assert calls == []
    create_data(config(name, root=str(tmp_path), download=True)).prepare_data()
    ((root, options),) = calls
    assert root == tmp_path
    assert options["download"] is True


def test_cityscapes_that_is_missing_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"no leftImg8bit/train and gtFine/train .*; get them from cityscapes-dataset"):
        create_data(config("cityscapes", root=str(tmp_path))).setup("fit")


def test_an_archive_that_unpacks_to_more_than_it_should_is_refused_from_its_header(tmp_path):
    with zipfile.ZipFile(tmp_path / "gtFine_trainvaltest.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gtFine/train/a.png", bytes(10**6))
    (tmp_path / "other.zip").write_bytes(b"PK\x03\x04")
    data = create_data(config("cityscapes", root=str(tmp_path)))
    with pytest.raises(DataError, match=r"other\.zip: no zip file, or cut short"):
        data.setup("fit")
    (tmp_path / "other.zip").unlink()
    with pytest.raises(DataError, match=r"gtFine_trainvaltest\.zip: \d+ bytes that unpack to 1000000, more than 100"):
        data.setup("fit")
    assert not (tmp_path / "gtFine").exists()
