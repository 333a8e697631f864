"""Folders as people publish them: what ``segup data`` finds in them, and the line that it prints."""

import json
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from segup.cli import data as data_command
from segup.cli.data_overrides import composed_data, parse_overrides
from segup.cli.data_words import read_data_file, with_files
from segup.cli.train import run as train
from segup.data.config import create_data
from segup.data.discover.discovery import discover, scan
from segup.data.discover.look import MOST_VALUES, Looked
from segup.data.discover.values import meaning
from segup.errors import ConfigError, DataError

COLORS = np.array([(60, 16, 152), (132, 41, 246), (226, 169, 41)], np.uint8)


def photo(path, seed=0, size=(20, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng([seed, len(path.name)]).integers(0, 256, (*size, 3), np.uint8)).save(path)


def mask(path, values=(0, 1), row=2, table=None, size=(20, 24)):
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.full(size, values[0], np.uint8)
    for place, value in enumerate(values[1:]):
        ids[row + 5 * place : row + 5 * place + 4, 3:15] = value
    Image.fromarray(ids if table is None else table[ids]).save(path)


def side_by_side(root):
    for number in range(6):
        photo(root / f"photos/IMG_{number}.jpg", number)
        mask(root / f"truth/IMG_{number}_mask.png", (0, 255))


def splits(root):
    for split in ("Training", "Validation"):
        for number in range(3):
            photo(root / split / f"input/{split[0]}{number}.png", number)
            mask(root / split / f"target/{split[0]}{number}.png", (0, 1, 2))


def tiles(root):
    for tile in range(3):
        for number in range(2):
            photo(root / f"tile {tile}/a/{number}.jpg", number)
            mask(root / f"tile {tile}/b/{number}.png", (0, 1, 2), table=COLORS)


def suffix(root):
    for number in range(4):
        photo(root / f"benign ({number}).png", number)
        mask(root / f"benign ({number})_mask.png", (0, 255))


def prefix(root):
    for number in range(4):
        photo(root / f"image_{number:03}.png", number)
        mask(root / f"mask_{number:03}.png", (0, 1))


def voc(root):
    for number in range(5):
        photo(root / f"JPEGImages/2007_{number}.jpg", number)
        if number < 4:
            mask(root / f"SegmentationClass/2007_{number}.png", (0, 3, 255))
            mask(root / f"SegmentationObject/2007_{number}.png", (0, 1, 2, 255))
    (root / "ImageSets").mkdir()
    (root / "ImageSets/train.txt").write_text("2007_0\n2007_1\n")
    (root / "ImageSets/val.txt").write_text("2007_2\n2007_3\n")


def objects(root):
    for number in range(4):
        name = f"{number}ab"
        photo(root / f"stage1/{name}/images/{name}.png", number)
        for part in range(3):
            mask(root / f"stage1/{name}/masks/{part}{number}f.png", (0, 255), row=2 + 6 * part)


def classes(root):
    for number in range(4):
        photo(root / f"Images/eye_{number}.jpg", number)
        for row, (name, short) in enumerate((("Haemorrhages", "HE"), ("Exudates", "EX"))):
            mask(root / f"GT/{name}/eye_{number}_{short}.tif", (0, 255), row=2 + 8 * row)


def one_folder_each(root):
    for number in range(4):
        photo(root / f"case{number}/image.png", number)
        mask(root / f"case{number}/label.png", (0, 1, 3))


def folders_of_splits(root):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            photo(root / f"{split}_images/{split}{number}.jpg", number)
            mask(root / f"{split}_masks/{split}{number}.png", (0, 100, 200))


def masks_beside_splits(root):
    for split in ("train", "val"):
        for number in range(3):
            photo(root / f"{split}/{number}.jpg", number)
            mask(root / f"{split}annot/{number}.png", (0, 1, 2))


def jpeg_masks(root):
    for number in range(4):
        photo(root / f"CameraRGB/{number}.png", number)
        mask(
            root / f"CameraSeg/{number}.jpg",
            (0, 1, 2),
            table=np.array([(0, 0, 0), (255, 0, 0), (0, 128, 255)], np.uint8),
        )
    (root / "class_dict.csv").write_text("name,r,g,b\nvoid,0,0,0\ncar,255,0,0\nsky,0,128,255\n")


def flat_drawings(root):
    for number in range(5):
        ids = np.zeros((20, 24), int)
        ids[3:9, 3 : 9 + number] = 1
        for folder, table in (("img", [(120, 90, 60), (200, 30, 30)]), ("lab", [0, 1])):
            (root / folder).mkdir(exist_ok=True)
            if folder == "img" or number < 4:
                Image.fromarray(np.array(table, np.uint8)[ids]).save(root / folder / f"s{number}.png")


def gif_masks(root):
    for number in range(21, 25):
        photo(root / f"training/images/{number}_training.tif", number)
        mask(root / f"training/1st_manual/{number}_manual1.gif", (0, 255))


def padded_numbers(root):
    for number in range(8, 13):
        photo(root / f"imgs/img_{number}.png", number)
        mask(root / f"masks/mask_{number:03}.png", (0, 1, 2))


def free_names(root):
    for number in range(1, 5):
        photo(root / f"Foto {number} (Feld Nord).JPG", number)
        mask(root / f"Maske-Feld-Nord-{number:02}.png", (0, 1))


def sequences(root):
    for sequence in ("01", "02"):
        for number in range(3):
            photo(root / f"{sequence}/t{number:03}.tif", number)
            mask(root / f"{sequence}_GT/SEG/man_seg{number:03}.tif", (0, 1))


def splits_in_names(root):
    for split, first, count in (("training", 21, 4), ("test", 1, 2)):
        for number in range(first, first + count):
            photo(root / f"{split}/images/{number:02}_{split}.tif", number)
            mask(root / f"{split}/manual/{number:02}_manual1.gif", (0, 255))


def unlabelled_test(root):
    for number in range(4):
        photo(root / f"set/train/images/austin{number}.tif", number)
        photo(root / f"set/test/images/tyrol{number}.tif", 9 + number)
        mask(root / f"set/train/gt/austin{number}.tif", (0, 255))


def labelme(root):
    for number in range(3):
        photo(root / f"{number}.jpg", number)
        shape = {"label": "nut", "points": [[2, 2], [9, 2], [9, 9]], "shape_type": "polygon"}
        (root / f"{number}.json").write_text(json.dumps({"shapes": [shape], "imageHeight": 20, "imageWidth": 24}))


def yolo(root):
    for split, count in (("train", 3), ("val", 2)):
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            photo(root / f"images/{split}/{number}.jpg", number)
            (root / f"labels/{split}/{number}.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.5\n")
    (root / "data.yaml").write_text("names: [crack, dent]\n")


def looked_at(root):
    return discover(root, scan(root), 100, 1, lambda what: lambda looked, count: looked)


FOUND = {
    side_by_side: ({"train": 5, "val": 1}, 2, {"masks": "truth/*_mask.png", "mask_values": {0: 0, 255: 1}}),
    splits: ({"train": 3, "val": 3}, 3, {"images": "*/input/*.png"}),
    tiles: ({"train": 5, "val": 1}, 3, {"masks": "*/b/*.png", "colors": COLORS[[0, 1, 2]].tolist()}),
    suffix: ({"train": 3, "val": 1}, 2, {"images": "*.png", "masks": "*_mask.png"}),
    prefix: ({"train": 3, "val": 1}, 2, {"images": "image*.png", "masks": "mask*.png"}),
    voc: ({"train": 2, "val": 2}, 4, {"masks": "SegmentationClass"}),
    objects: ({"train": 3, "val": 1}, 2, {"mask_kind": "instances"}),
    classes: ({"train": 3, "val": 1}, 3, {"classes": ["background", "Exudates", "Haemorrhages"]}),
    one_folder_each: ({"train": 3, "val": 1}, 4, {"images": "*/image.png", "masks": "*/label.png"}),
    folders_of_splits: ({"train": 3, "val": 2}, 3, {"mask_values": {0: 0, 100: 1, 200: 2}}),
    masks_beside_splits: ({"train": 3, "val": 3}, 3, {"images": "*/*.jpg", "masks": "*annot/*.png"}),
    jpeg_masks: ({"train": 3, "val": 1}, 3, {"classes": ["void", "sky", "car"], "mask_tolerance": 127}),
    flat_drawings: ({"train": 3, "val": 1}, 2, {"images": "img", "masks": "lab", "skip_unmatched": True}),
    gif_masks: ({"train": 3, "val": 1}, 2, {"mask_values": {0: 0, 255: 1}}),
    padded_numbers: ({"train": 4, "val": 1}, 3, {"images": "imgs/img_*.png", "masks": "masks/mask_*.png"}),
    free_names: ({"train": 3, "val": 1}, 2, {"masks": "Maske-Feld-Nord-*.png"}),
    sequences: ({"train": 5, "val": 1}, 2, {"images": "*/t*.tif", "masks": "*_GT/SEG/man_seg*.tif"}),
    splits_in_names: ({"train": 3, "val": 1, "test": 2}, 2, {"mask_values": {0: 0, 255: 1}}),
    unlabelled_test: ({"train": 3, "val": 1}, 2, {"images": "set/train/images"}),
    labelme: ({"train": 2, "val": 1}, 2, {"masks": "*.json", "classes": ["background", "nut"]}),
    yolo: ({"train": 3, "val": 2}, 3, {"classes": ["background", "crack", "dent"]}),
}  # fmt: skip


@pytest.mark.parametrize("layout", FOUND, ids=lambda layout: layout.__name__)
def test_a_layout_is_found_and_passes_all_checks_of_training(tmp_path, layout):
    layout(tmp_path)
    counts, number, options = FOUND[layout]
    (choice,) = looked_at(tmp_path)
    assert choice.meaning.unreadable is None
    assert choice.splits == counts
    assert len(choice.config["classes"]) == number
    assert {key: choice.config.get(key) for key in options} == options


SIDE_FILES = {
    "classes.txt": "2: stem\n1: leaf\n0: background",
    "labels.txt": "0 background\n2 stem\n1 leaf",
    "label_names.txt": "background\nleaf\nstem",
    "data.yaml": "names: {2: stem, 0: background, 1: leaf}",
    "classes.csv": "name,id\nstem,2\nbackground,0\nleaf,1",
    "colormap.txt": "stem 2 9 9 9\nbackground 0 0 0 0\nleaf 1 5 5 5",
}


@pytest.mark.parametrize("file", SIDE_FILES)
def test_classes_have_the_ids_that_a_file_numbers_them_by(tmp_path, file):
    splits(tmp_path)
    (tmp_path / file).write_text(SIDE_FILES[file])
    assert looked_at(tmp_path)[0].config["classes"] == ["background", "leaf", "stem"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("labels.txt", "1 leaf\n2 stem\n3 root"),
        ("labels.txt", "0 leaf\n1 stem\n1 root"),
        ("data.yaml", "names: {1: leaf, 2: stem, 3: root}"),
        ("data.yaml", "names: {false: leaf, true: stem, 2: root}"),
        ("data.yaml", "names: [yes, no, root]"),
        ("classes.csv", "leaf,1\nstem,2\nroot,3"),
        ("classes.csv", "leaf,0\nstem,1\nroot,2\nbud,2"),
    ],
)
def test_classes_that_are_numbered_otherwise_have_no_names(tmp_path, file, content):
    splits(tmp_path)
    (tmp_path / file).write_text(content)
    assert looked_at(tmp_path)[0].config["classes"] == ["class_0", "class_1", "class_2"]


def test_names_of_which_some_begin_with_a_number_are_kept_whole(tmp_path):
    splits(tmp_path)
    (tmp_path / "classes.txt").write_text("soil\n2 leaf\nstem")
    assert looked_at(tmp_path)[0].config["classes"] == ["soil", "2 leaf", "stem"]


@pytest.mark.parametrize("content", ["crack\ndent", "1 dent\n0 crack"])
def test_outlines_of_yolo_have_the_names_by_number_too(tmp_path, content):
    yolo(tmp_path)
    (tmp_path / "data.yaml").unlink()
    (tmp_path / "classes.txt").write_text(content)
    assert looked_at(tmp_path)[0].config["classes"] == ["background", "crack", "dent"]


@pytest.mark.parametrize("layout", [splits, classes, one_folder_each, masks_beside_splits, padded_numbers])
def test_folders_that_are_links_are_read_as_folders(tmp_path, layout):
    """As where a data set lies on a larger disk, or in the store of a tool that keeps versions of it."""
    (tmp_path / "disk").mkdir()
    layout(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    for entry in (tmp_path / "disk").iterdir():
        (tmp_path / "data" / entry.name).symlink_to(entry)
    plain, linked = (looked_at(tmp_path / name)[0] for name in ("disk", "data"))
    assert linked.splits == plain.splits == FOUND[layout][0]
    assert {**linked.config, "root": ""} == {**plain.config, "root": ""}


def test_a_data_set_as_it_is_published_is_named_first(tmp_path, capsys):
    for split in ("train", "test"):
        for number in range(3):
            photo(tmp_path / f"{split}/{split}{number}.png", number)
            mask(tmp_path / f"{split}annot/{split}{number}.png")
    assert data_command.run([str(tmp_path)]) == 0
    first, *_, last = capsys.readouterr().out.strip().splitlines()
    line = f"segup train data=camvid data.root={tmp_path}"
    assert first == f"the data set camvid as it is published; with its own splits and classes: {line}"
    assert last.startswith("segup train data=folder ")


def test_two_ways_to_read_a_folder_are_two_lines(tmp_path, capsys):
    for number in range(4):
        photo(tmp_path / f"images/{number}.png", number)
        for expert in "12":
            mask(tmp_path / f"expert{expert}/{number}.png")
    assert data_command.run([str(tmp_path)]) == 0
    *_, question, one, other = capsys.readouterr().out.strip().splitlines()
    assert question == "There are 2 ways to read this folder. Choose one line:"
    assert re.findall(r"expert\d", one + other) == ["expert1", "expert2"]
    assert data_command.run([str(tmp_path), "--write", str(tmp_path / "a.yaml")]) == 1
    assert not (tmp_path / "a.yaml").exists()


def test_one_pair_among_many_pictures_is_no_rule(tmp_path):
    for number, (name, other) in enumerate(zip("ab1c", "xy1z", strict=True)):
        photo(tmp_path / f"images/{name}.png", number)
        mask(tmp_path / f"masks/{other}.png")
    with pytest.raises(DataError, match="4 images, .* and 4 masks, .* no rule makes pairs of their names"):
        looked_at(tmp_path)


def test_what_is_wrong_with_a_folder_is_said(tmp_path, capsys):
    assert data_command.run([str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert data_command.run([__file__]) == 1
    assert "test_discover.py: a file, where a folder is wanted" in capsys.readouterr().err
    assert data_command.run([str(tmp_path)]) == 1
    assert "no image files" in capsys.readouterr().err
    for number in range(3):
        photo(tmp_path / f"a/{number}.jpg", number)
    with pytest.raises(DataError, match="3 pictures, and all look like images: there are no masks"):
        looked_at(tmp_path)


def test_the_report_names_what_matters(tmp_path, capsys):
    side_by_side(tmp_path)
    (tmp_path / "notes.psd").write_text("")
    photo(tmp_path / "photos/IMG_9.jpg")
    mask(tmp_path / "truth/IMG_5_mask.png", (0,))
    (tmp_path / "photos/IMG_5.jpg").write_bytes((tmp_path / "photos/IMG_1.jpg").read_bytes())
    assert data_command.run([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for text in (
        "left out: 1 image without a mask: photos/IMG_9.jpg",
        "skipped (no image files): 1 .psd",
        "images: 20×24 (height × width), 3 channels uint8",
        "nearly empty: 1 of 6 masks, such as truth/IMG_5_mask.png: one value alone",
        "note: the classes have no names here: they are called class_0, class_1, …",
        "splits: 5 train, 1 val",
    ):
        assert text in said
    assert said.strip().splitlines()[-1].startswith("segup train data=folder ")


def test_the_printed_line_and_the_written_file_train(tmp_path, monkeypatch, capsys):
    root = tmp_path / "it's my data!"
    tiles(root)
    monkeypatch.chdir(tmp_path)
    assert data_command.run([root.name, "--write", "conf/my_data.yaml"]) == 1
    assert "--write: there is no folder conf.\n  try: mkdir -p conf" in capsys.readouterr().err
    (tmp_path / "conf").mkdir()
    assert data_command.run([root.name, "--write", "conf/my_data.yaml", "--picture", "sheet.png"]) == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (3 * 228, 4 * 228)
    assert data_command.run([root.name, "--write", "conf/my_data.yaml"]) == 1
    assert "exists already.\n  try: another name, or --overwrite." in capsys.readouterr().err
    assert data_command.run([root.name, "--write", "conf/my_data.yaml", "--overwrite"]) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert yaml.safe_load((tmp_path / "conf/my_data.yaml").read_text())["root"] == "../it's my data!"
    small = ["trainer.max_steps=2", "trainer.accelerator=cpu", "encoder=segnet", "encoder.options.widths=[4,4]",
             "decoder=bilinear", "decoder.widths=[4]", "data.batch_size=2", "data.num_workers=0"]  # fmt: skip
    assert train([*shlex.split(line)[2:], *small, "run_dir=one"]) == 0
    said = (tmp_path / "one/data.txt").read_text()
    assert said.startswith("images: 5 train, 1 val; these validate: ")
    assert "an epoch: 25 steps of 2 crops" in said
    _, *rest = with_files(["data=conf/my_data.yaml", "data.val_fraction=0.5"])
    assert rest[-2:] == ["data=folder", "data.val_fraction=0.5"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("_target_: os.system", "'_target_' is no key of data: the file is data only"),
        ("augment: {_target_: os.system}", "'_target_' is no key of data"),
        ("root: ${oc.env:HOME}", "refers to something else: the file is data only"),
        ("name: mypackage.sets:Mine", "a file of data names no code"),
        ("- a", "holds no keys and values"),
        ("a=b: 1", "'a=b' is no key of data"),
    ],
)
def test_a_file_of_data_is_data_only(tmp_path, content, message):
    (tmp_path / "d.yaml").write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_data_file(tmp_path / "d.yaml")


def test_a_file_of_data_lies_anywhere(tmp_path):
    (tmp_path / "d.yaml").write_text("classes: [a, b]\nmask_values: {'#ff8000': 1, 0: 0}\nroot: pictures\n")
    words = with_files([f"data={tmp_path}/d.yaml", "seed=1"])
    assert words == ["++data.classes=[a,b]", "++data.mask_values={0xff8000:1,0:0}", f"++data.root={tmp_path}/pictures",
                     "data=folder", "seed=1"]  # fmt: skip
    composed = composed_data(parse_overrides([f"data={tmp_path}/d.yaml", "data.val_fraction=0.5"]), dict, ["a", "b"])
    assert (composed["name"], composed["root"], composed["val_fraction"]) == ("folder", f"{tmp_path}/pictures", 0.5)
    assert composed["mask_values"] == {"0xff8000": 1, 0: 0}
    assert with_files(["data=folder", "data.root=a/b"]) == ["data=folder", "data.root=a/b"]
    with pytest.raises(
        ConfigError, match=r"data=none\.yaml: there is no such file\.\n  try: segup data FOLDER --write"
    ):
        with_files(["data=none.yaml"])


def test_a_later_data_replaces_an_earlier_one_wholly(tmp_path):
    (tmp_path / "a.yaml").write_text("classes: [a, b]\nmask_values: {0: 0, 9: 1}\nimage_range: [0, 9]\n")
    (tmp_path / "b.yaml").write_text("classes: [c, d]\n")
    one, other = f"data={tmp_path}/a.yaml", f"data={tmp_path}/b.yaml"
    assert with_files([one, "seed=1", other]) == with_files(["seed=1", other])
    assert with_files([one, "data=cells", "seed=1"]) == ["data=cells", "seed=1"]
    assert with_files(["data=cells", other]) == with_files([other])
    assert with_files([one, "data.image_range=[1,2]", other])[-2:] == ["data.image_range=[1,2]", "data=folder"]
    found = composed_data(parse_overrides([one, other]), dict, ["a", "b"])
    assert (found["classes"], found["mask_values"], found["image_range"]) == (["c", "d"], None, None)


def test_text_of_a_file_that_looks_like_a_number_stays_text(tmp_path):
    (tmp_path / "d.yaml").write_text("mask_suffix: '-1'\nclasses: ['.5', '-inf', '1e3', b]\n")
    found = composed_data(parse_overrides([f"data={tmp_path}/d.yaml"]), dict, ["a", "b"])
    assert (found["mask_suffix"], found["classes"]) == ("-1", [".5", "-inf", "1e3", "b"])
    (tmp_path / "d.yaml").write_text("classes: [no, yes]\n")
    found = composed_data(parse_overrides([f"data={tmp_path}/d.yaml"]), dict, ["a", "b"])
    with pytest.raises(ConfigError, match="class 0 is False, and a name is text: it may need quotes"):
        create_data(found)


def seen(values, **options):
    return Looked("a.png", (10, 10), 1, "uint8", 0, max(values), values, len(values), **options)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0: 60, 255: 40}, {"classes": ["class_0", "class_1"], "mask_values": {0: 0, 255: 1}}),
        ({0: 60, 1: 30, 255: 10}, {"classes": ["class_0", "class_1"]}),
        ({0: 60, 2: 40}, {"classes": ["class_0", "class_1", "class_2"]}),
        (
            {0: 60, 85: 20, 170: 20},
            {"classes": ["class_0", "class_1", "class_2"], "mask_values": {0: 0, 85: 1, 170: 2}},
        ),
    ],
)
def test_values_of_masks_become_classes(values, expected):
    assert meaning([seen(values)]).options == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fault": "cut short"}, "no mask can be read"),
        ({"colors": True, "different": MOST_VALUES + 1}, f"a mask holds more than {MOST_VALUES} colours"),
        ({"values": {200: 9}}, "every mask holds 200 alone: there is nothing to tell apart"),
        ({"values": {0xFF0000: 9}, "colors": True}, "every mask holds one colour: there is nothing to tell apart"),
        ({"values": {7: 9}, "lossy": True}, "every mask holds one value: there is nothing to tell apart"),
    ],
)
def test_masks_that_tell_nothing_apart_are_unreadable(changed, said):
    assert meaning([replace(seen({0: 4, 1: 4}), **changed)]).unreadable == said


def test_numbers_of_objects_are_not_classes():
    masks = [seen(dict.fromkeys(range(count), 3)) for count in (14, 20, 31)]
    assert meaning(masks).options == {"classes": ["background", "object"], "mask_kind": "instances"}
