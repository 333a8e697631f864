"""Folders as public sets are laid out: names beside masks, splits in names, several masks to choose from."""

import json

import numpy as np
import pytest
from PIL import Image

from segup.cli import data as data_command
from segup.data.config import create_data
from segup.data.discover.discovery import discover, scan
from segup.errors import DataError

RED_GREEN = [(0, 0, 0), (250, 50, 83), (51, 221, 255)]


def picture(path, seed=0, ids=None, table=None):
    """Write noise, or a mask of two objects of the given ids, in colours if there is a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng([seed, len(path.name)]).integers(0, 256, (20, 24, 3), np.uint8)
    if ids is not None:
        pixels = np.full((20, 24), ids[0], np.uint8)
        for place, value in enumerate(ids[1:]):
            pixels[2 + 3 * place : 4 + 3 * place, 3 : 15 + seed] = value
        pixels = pixels if table is None else np.array(table, np.uint8)[pixels]
    Image.fromarray(pixels).save(path)


def choices(root):
    return discover(root, scan(root), 100, 1, lambda what: lambda looked, count: looked)


def only(root):
    (choice,) = choices(root)
    assert choice.meaning.unreadable is None
    return choice


def test_a_map_of_labels_names_the_colours(tmp_path):
    for number in range(4):
        picture(tmp_path / f"JPEGImages/f{number}.png", number)
        picture(tmp_path / f"SegmentationClass/f{number}.png", number, (0, 1, 2), RED_GREEN)
        picture(tmp_path / f"SegmentationObject/f{number}.png", number, (0, 2, 1), RED_GREEN)
    lines = (f"{name}:{','.join(map(str, color))}::\n" for name, color in zip("abc", RED_GREEN, strict=True))
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "".join(lines))
    config = only(tmp_path).config
    assert (config["classes"], config["colors"]) == (["a", "b", "c"], [list(color) for color in RED_GREEN])


@pytest.mark.parametrize(
    ("file", "content", "ids", "table"),
    [
        ("train/_classes.csv", "Pixel Value, Class\n0, soil\n1, leaf\n2, stem\n", (0, 1, 2), {}),
        ("class_dict.csv", "name,r,g,b\nsoil,0,0,0\nleaf,9,0,0\nstem,0,9,0\n", (0, 1, 2), {}),
        ("class_dict.csv", "name,r,g,b\nleaf,255,255,255\nsoil,0,0,0\n", (0, 255), {"mask_values": {255: 0, 0: 1}}),
    ],
)
def test_a_table_names_the_values(tmp_path, file, content, ids, table):
    for number in range(4):
        picture(tmp_path / f"train/{number}.jpg", number)
        picture(tmp_path / f"train/{number}_mask.png", number, ids)
    (tmp_path / file).write_text(content)
    choice = only(tmp_path)
    assert choice.config["classes"] == (["leaf", "soil"] if table else ["soil", "leaf", "stem"])
    assert {key: choice.config.get(key) for key in table} == table
    told = "the classes are named after the rows of the table of colours"
    assert choice.meaning.told == ((told,) if "stem,0,9" in content else ())


def test_splits_that_names_begin_with_stay_apart(tmp_path):
    for split, count in (("train", 4), ("testA", 2), ("testB", 1)):
        for number in range(count):
            picture(tmp_path / f"{split}_{number}.bmp", number)
            picture(tmp_path / f"{split}_{number}_anno.bmp", number, (0, 1, 2))
    choice = only(tmp_path)
    assert choice.splits == {"train": 3, "val": 1, "test": 3}
    assert choice.config["masks"] == {"train": "train*_anno.bmp", "test": "test*_anno.bmp"}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{split}_img/{n}.jpg", "{split}_lab/{n}.bmp"),
        ("img/{split}{n}.jpg", "lab/{split}{n}.bmp"),
        ("imgs_{split}/{n}.png", "anns_{split}/{n}.png"),
    ],
)
def test_the_common_letter_of_train_and_test_belongs_to_the_split(tmp_path, image, mask):
    for split, count in (("train", 5), ("test", 3)):
        for n in range(count):
            picture(tmp_path / image.format(split=split, n=n), n)
            picture(tmp_path / mask.format(split=split, n=n), n, (0, 255))
    assert only(tmp_path).splits == {"train": 4, "val": 1, "test": 3}


def test_lists_of_splits_are_those_of_one_folder(tmp_path):
    for number in range(5):
        picture(tmp_path / f"JPEGImages/f{number}.jpg", number)
        picture(tmp_path / f"SegmentationClass/f{number}.png", number, (0, 1, 2))
    for place, splits in {
        "Main": {"train": "01", "test": "4"},
        "Other": {"val": "34"},
        "Segmentation": {"train": "012", "val": "3"},
    }.items():
        (tmp_path / "ImageSets" / place).mkdir(parents=True)
        for split, numbers in splits.items():
            (tmp_path / f"ImageSets/{place}/{split}.txt").write_text("".join(f"f{number}\n" for number in numbers))
    folder = "ImageSets/Segmentation"
    assert only(tmp_path).config["lists"] == {"train": f"{folder}/train.txt", "val": f"{folder}/val.txt"}


def test_a_second_mask_of_an_image_is_no_image(tmp_path):
    for number in range(1, 6):
        picture(tmp_path / f"benign/benign ({number}).png", number)
        picture(tmp_path / f"benign/benign ({number})_mask.png", number, (0, 255))
    picture(tmp_path / "benign/benign (2)_mask_1.png", 7, (0, 255))
    choice = only(tmp_path)
    assert choice.splits == {"train": 4, "val": 1}
    assert choice.config["skip_unmatched"]
    assert not choice.layout.lacking


def test_equal_names_in_two_splits_of_coco_are_those_of_their_split(tmp_path):
    outline = [[2, 2, 12, 2, 12, 12]]
    (tmp_path / "annotations").mkdir()
    for split, count in (("train2017", 4), ("val2017", 2)):
        for number in range(count):
            picture(tmp_path / split / f"{number}.jpg", number)
        of = [{"image_id": n, "category_id": 1, "iscrowd": 0, "segmentation": outline} for n in range(count)]
        images = [{"id": n, "file_name": f"{n}.jpg", "height": 20, "width": 24} for n in range(count)]
        content = {"images": images, "annotations": of, "categories": [{"id": 1, "name": "cat"}]}
        (tmp_path / f"annotations/instances_{split}.json").write_text(json.dumps(content))
    choice = only(tmp_path)
    assert choice.config["images"] == {"train": "train2017", "val": "val2017"}
    assert choice.splits == {"train": 4, "val": 2}


def test_folders_of_several_images_may_be_patients(tmp_path, capsys):
    for number in range(9):
        picture(tmp_path / f"p{number // 3}/{number}.png", number)
        picture(tmp_path / f"p{number // 3}/{number}_mask.png", number, (0, 255))
    assert data_command.run([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "the images lie in 3 folders" in said
    assert """'data.groups="(.*)/"'""" in said
    data = create_data({**only(tmp_path).config, "groups": "(.*)/", "num_workers": 0})
    data.setup("fit")
    assert {pair.image.parent.name for pair in data.samples("val").pairs} & {"p0", "p1", "p2"}
    assert len({pair.image.parent for pair in data.samples("val").pairs}) == 1


@pytest.mark.parametrize("most", [(2, 2, 2), (5, 2, 4)])
def test_values_that_may_number_objects_are_told(tmp_path, most):
    for number, last in enumerate(most):
        picture(tmp_path / f"images/{number}.png", number)
        picture(tmp_path / f"masks/{number}.png", number, tuple(range(last + 1)))
    told = any("data.mask_kind=instances" in sentence for sentence in only(tmp_path).meaning.told)
    assert told == (len(set(most)) > 1)


def test_masks_of_objects_are_no_alternative_to_those_of_classes(tmp_path):
    for split in ("train", "val"):
        for number in range(3):
            name = f"P{number}_{split}"
            picture(tmp_path / f"{split}/images/{name}.png", number)
            picture(tmp_path / f"{split}/Semantic_masks/{name}_instance_color.png", number, (0, 1, 2), RED_GREEN)
            picture(tmp_path / f"{split}/Instance_masks/{name}_instance_id.png", number, (0, 2, 1), RED_GREEN)
    assert only(tmp_path).config["masks"] == "*/Semantic_masks/*_instance_color.png"


def test_coloured_masks_are_no_images(tmp_path):
    for number in range(4):
        picture(tmp_path / f"image_2/{number}.png", number)
        for folder, table in (("semantic", None), ("semantic_rgb", RED_GREEN)):
            picture(tmp_path / f"{folder}/{number}.png", number, (0, 1, 2), table)
    found = choices(tmp_path)
    assert {choice.config["images"] for choice in found} == {"image_2"}
    assert {choice.config["masks"] for choice in found} == {"semantic", "semantic_rgb"}


def test_folders_that_end_alike_hold_one_kind(tmp_path):
    for number in range(6):
        case = tmp_path / f"set/IM{number}"
        picture(case / f"IM{number}_Photo_Image/IM{number}.bmp", number)
        picture(case / f"IM{number}_lesion/IM{number}_lesion.bmp", number, (0, 255))
        for part in range(number % 3):
            picture(case / f"IM{number}_roi/IM{number}_R{part}_Label3.bmp", number, (0, 255))
    choice = only(tmp_path)
    assert choice.config["masks"] == "set/IM*/IM*_lesion/*_lesion.bmp"
    assert len(choice.layout.together) == 6


def test_files_of_coco_that_differ_in_more_than_the_split_are_choices(tmp_path):
    pytest.importorskip("pycocotools.mask")
    (tmp_path / "annotations").mkdir()
    outline = {"image_id": 0, "category_id": 1, "segmentation": [[1, 1, 8, 1, 8, 9, 1, 9]]}
    for split in ("train", "val"):
        for number in range(2):
            picture(tmp_path / f"{split}2017/{split}{number}.jpg", number)
        images = [{"id": n, "file_name": f"{split}{n}.jpg", "height": 20, "width": 24} for n in range(2)]
        for what, name in (("instances", "leaf"), ("person_keypoints", "person")):
            content = {"images": images, "categories": [{"id": 1, "name": name}], "annotations": [outline]}
            (tmp_path / f"annotations/{what}_{split}2017.json").write_text(json.dumps(content))
    found = choices(tmp_path)
    assert [choice.config["classes"] for choice in found] == [["background", "leaf"], ["background", "person"]]
    assert all(choice.splits == {"train": 2, "val": 2} for choice in found)


def test_the_same_name_in_two_splits_is_told_with_the_group_that_works(tmp_path, capsys):
    for number in range(6):
        for kind in ("png", "tif"):
            picture(tmp_path / f"{kind}/Original/{number}.{kind}", number)
            picture(tmp_path / f"{kind}/Truth/{number}.{kind}", number, (0, 255))
    assert data_command.run([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert """'data.groups="([^/]+)[.][^./]+$"' keeps what belongs together in one split""" in said
    config = {**only(tmp_path).config, "groups": "([^/]+)[.][^./]+$", "num_workers": 0}
    data = create_data(config)
    data.setup("fit")
    train, val = ({pair.image.stem for pair in data.samples(split).pairs} for split in ("train", "val"))
    assert train
    assert val
    assert not train & val


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("a.xml", r"no masks that segup reads\. Outlines may be in ann/a\.xml .*\n  try: a mask file for each image"),
        ("a.jpg.json", r"Outlines may be in ann/a\.jpg\.json .* COCO, LabelMe and YOLO alone"),
        ("a.svgz", r"there are no masks\.\n  try: segup train data=folder data\.root=.* data\.images=FOLDER"),
        (None, r"volume\.tif has 12 pages: they are the channels of one image\.\n  try: a file for each page"),
    ],
)
def test_what_may_hold_the_masks_is_said(tmp_path, beside, message):
    for number in range(3):
        picture(tmp_path / f"images/{number}.png", number)
    if beside is None:
        pages = [
            Image.fromarray(np.random.default_rng(page).integers(0, 256, (20, 24), np.uint8)) for page in range(12)
        ]
        pages[0].save(tmp_path / "volume.tif", save_all=True, append_images=pages[1:])
    else:
        (tmp_path / "ann").mkdir()
        (tmp_path / "ann" / beside).write_text("{}")
    with pytest.raises(DataError, match=message):
        choices(tmp_path)


def test_images_and_masks_without_a_common_name_are_refused(tmp_path):
    picture(tmp_path / "images/first.png")
    picture(tmp_path / "masks/7.png", 0, (0, 1))
    with pytest.raises(DataError, match=r"1 image, such as images/first\.png, and 1 mask, .*: no rule makes pairs"):
        choices(tmp_path)
