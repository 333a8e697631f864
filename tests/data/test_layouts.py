"""Each layout that people publish data in, as a small example: which image goes with which mask, in which split."""

import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segup.data import Labels, create_data, create_dataset
from segup.data.found import found_text
from segup.data.layout.patterns import Pattern, inside
from segup.data.mask_codes import MaskCode
from segup.data.masks import decode_mask
from segup.errors import ConfigError, DataError

LABELS = Labels(("background", "leaf", "stem"))


def tree(root, *files, size=(8, 9)):
    """Write a picture for each path; those of masks hold class 1 in their first row."""
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros(size, np.uint8)
        pixels[0] = 1
        Image.fromarray(pixels).save(path)


def text(root, file, content):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(content if isinstance(content, str) else json.dumps(content))


def found(root, split, labels=LABELS, **options):
    """Return image and mask of each pair, relative to the root."""
    pairs = create_dataset("folder", labels, root=str(root), **options).pairs(split)
    return {pair.image.relative_to(root).as_posix(): str(pair.mask).replace(f"{root}/", "") for pair in pairs}


def drawn(root, split, labels=LABELS, **options):
    """Return the class ids of each mask, by the name of its pair."""
    pairs = create_dataset("folder", labels, root=str(root), **options).pairs(split)
    return {pair.name: decode_mask(pair.mask, MaskCode(labels)) for pair in pairs}


@pytest.mark.parametrize("split", ["Training", "TRAIN", "train"])
@pytest.mark.parametrize("inside_splits", [True, False])
def test_folders_of_splits_have_several_names(tmp_path, split, inside_splits):
    for folder in (split, "Valid", "testing"):
        for kind in ("pictures", "annotations"):
            tree(tmp_path, f"{folder}/{kind}/a.png" if inside_splits else f"{kind}/{folder}/a.png")
    source = create_dataset("folder", LABELS, root=str(tmp_path), images="pictures", masks="annotations")
    assert source.splits() == ("train", "val", "test")
    assert [folder in str(source.pairs(name)[0].mask) for name, folder in
            (("train", split), ("val", "Valid"), ("test", "testing"))] == [True] * 3  # fmt: skip


def test_a_training_split_lends_what_validates(tmp_path):
    tree(tmp_path, *(f"train/{kind}/{name}.png" for kind in ("images", "masks") for name in "abcde"))
    tree(tmp_path, *(f"test/{kind}/f.png" for kind in ("images", "masks")))
    assert len(found(tmp_path, "train")) == 4
    assert len(found(tmp_path, "val")) == 1
    assert list(found(tmp_path, "test")) == ["test/images/f.png"]


def test_tiles_pair_within_their_folder(tmp_path):
    names = [f"tile_{tile}/{kind}/{name}" for tile in "12" for kind, name in
             (("rgb", "a.jpg"), ("gt", "a.png"), ("rgb", "b.jpg"), ("gt", "b.png"))]  # fmt: skip
    tree(tmp_path, *names)
    expected = {f"tile_{tile}/rgb/{name}.jpg": f"tile_{tile}/gt/{name}.png" for tile in "12" for name in "ab"}
    options = {"images": "*/rgb/*", "masks": "*/gt/*"}
    assert found(tmp_path, "train", **options) | found(tmp_path, "val", **options) == expected
    options = {"images": "**/rgb/*.jpg", "masks": "**/gt/*.png"}
    assert found(tmp_path, "train", **options) | found(tmp_path, "val", **options) == expected
    tree(tmp_path, "images/x/1.png", "images/y/1.png", "masks/x/1.png", "masks/y/1.png")
    assert len(found(tmp_path, "train") | found(tmp_path, "val")) == 2


def test_numbers_are_the_same_with_zeros_before_them_and_without(tmp_path):
    tree(tmp_path, *(f"images/img_{number}.png" for number in (7, 10, 100)))
    tree(tmp_path, *(f"masks/mask_{number:03}.png" for number in (7, 10, 100)))
    options = {"images": "images/img_*.png", "masks": "masks/mask_*.png", "val_fraction": 0.3}
    pairs = found(tmp_path, "train", **options) | found(tmp_path, "val", **options)
    assert pairs == {f"images/img_{n}.png": f"masks/mask_{n:03}.png" for n in (7, 10, 100)}
    tree(tmp_path, "images/img_007.png")  # two images of one number: then names are what they are
    with pytest.raises(DataError, match=r"2 of 4 images have no mask in .*: img_10.png, img_7.png"):
        found(tmp_path, "train", **options)


def test_one_picture_and_one_mask_in_each_folder(tmp_path):
    tree(tmp_path, *(f"{place}/{name}.png" for place in "abc" for name in ("image", "mask")))
    options = {"images": "*/image.png", "masks": "*/mask.png"}
    pairs = found(tmp_path, "train", **options) | found(tmp_path, "val", **options)
    assert pairs == {f"{place}/image.png": f"{place}/mask.png" for place in "abc"}


def test_a_suffix_tells_masks_from_images(tmp_path):
    tree(tmp_path, *(f"{name}{end}" for name in "abc" for end in (".jpg", "_mask.gif")))
    pairs = found(tmp_path, "train", mask_suffix="_mask") | found(tmp_path, "val", mask_suffix="_mask")
    assert pairs == {f"{name}.jpg": f"{name}_mask.gif" for name in "abc"}
    with pytest.raises(DataError, match=r"no file whose name ends in data\.mask_suffix=_gt"):
        found(tmp_path, "train", mask_suffix="_gt")
    with pytest.raises(DataError, match=r"are the same files\.\n  try: data\.mask_suffix=_mask"):
        found(tmp_path, "train", images=".", masks=".")


def test_a_folder_for_each_split(tmp_path):
    tree(tmp_path, *(f"{split}{kind}/{split}_1.png" for split in ("train", "val") for kind in ("", "_labels")))
    options = {"images": {"train": "train", "valid": "val"}, "masks": {"train": "train_labels", "valid": "val_labels"}}
    assert found(tmp_path, "train", **options) == {"train/train_1.png": "train_labels/train_1.png"}
    assert found(tmp_path, "val", **options) == {"val/val_1.png": "val_labels/val_1.png"}


def test_lists_choose_as_in_pascal_voc(tmp_path):
    tree(tmp_path, *(f"JPEGImages/{name}.jpg" for name in "abcd"), *(f"SegmentationClass/{name}.png" for name in "abc"))
    text(tmp_path, "ImageSets/Segmentation/train.txt", "b\na 1\n\n")
    text(tmp_path, "ImageSets/Segmentation/val.txt", "JPEGImages/c.jpg SegmentationClass/c.png\n")
    lists = {split: f"ImageSets/Segmentation/{split}.txt" for split in ("train", "val")}
    options = {"images": "JPEGImages", "masks": "SegmentationClass", "lists": lists}
    assert list(found(tmp_path, "train", **options)) == ["JPEGImages/b.jpg", "JPEGImages/a.jpg"]
    assert found(tmp_path, "val", **options) == {"JPEGImages/c.jpg": "SegmentationClass/c.png"}
    for content, message in (
        ("d", "1 of 1 images have no mask"),
        ("e", "line 1: 'e' is no image"),
        ("a\na", "listed twice"),
        ("", "the list is empty"),
    ):
        text(tmp_path, "ImageSets/Segmentation/val.txt", content)
        with pytest.raises(DataError, match=message):
            found(tmp_path, "val", **options)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "~/x", "a/../../x", "..\\x", "C:/x", "a\0"])
def test_paths_that_leave_the_root_are_refused(tmp_path, path):
    root = tmp_path / "data"
    tree(root, "images/a.png", "images/b.png", "masks/a.png", "masks/b.png")
    with pytest.raises(ConfigError, match="leads out of"):
        inside(root, path, "data.masks")
    if "\0" in path:
        return
    for options in ({"images": path}, {"masks": path}, {"lists": {"train": path}}):
        with pytest.raises(ConfigError, match=r"stay in it\.\n  try: a data\.root that holds all files\."):
            found(root, "train", **options)
    text(root, "train.txt", path)
    with pytest.raises(ConfigError, match="leads out of"):
        found(root, "train", lists={"train": "train.txt"})


def test_a_group_is_never_in_two_splits(tmp_path):
    names = [f"p{patient}_{number}.png" for patient in range(6) for number in range(3)]
    tree(tmp_path, *(f"{kind}/{name}" for kind in ("images", "masks") for name in names))
    splits = [
        {name.split("/")[1].split("_")[0] for name in found(tmp_path, split, groups=r"(p\d)_", val_fraction=0.34)}
        for split in ("train", "val")
    ]
    assert not splits[0] & splits[1]
    assert (len(splits[0]), len(splits[1])) == (4, 2)
    with pytest.raises(DataError, match="finds nothing in 'images/p0_0.png'"):
        found(tmp_path, "train", groups="q")
    with pytest.raises(ConfigError, match="is no regular expression"):
        found(tmp_path, "train", groups="(")
    for split, name in (("train", "p1_0"), ("val", "p1_1")):
        tree(tmp_path / "fixed", f"images/{split}/{name}.png", f"masks/{split}/{name}.png")
    with pytest.raises(DataError, match=r"group 'p1' \(data\.groups\) is in two splits"):
        found(tmp_path / "fixed", "train", groups=r"(p\d)_")


def test_two_masks_of_an_image_are_refused_with_the_way_out(tmp_path):
    tree(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/b.png", "masks/a.tif")
    with pytest.raises(DataError, match=r"a\.png has 2 masks: .*\n  try: a narrower data\.masks=.* data\.mask_kind=in"):
        found(tmp_path, "train")
    assert len(found(tmp_path, "train", masks="masks/*.png")) == 1


def test_what_has_no_partner_may_be_left_out(tmp_path, caplog):
    tree(tmp_path, *(f"images/{name}.png" for name in "abcd"), *(f"masks/{name}.png" for name in "abe"))
    with pytest.raises(
        DataError, match=r"2 of 4 images have no mask in .*; 1 of 3 masks .*\n  try: data\.skip_unmatched"
    ):
        found(tmp_path, "train")
    with caplog.at_level(logging.WARNING, logger="segup"):
        pairs = found(tmp_path, "train", skip_unmatched=True) | found(tmp_path, "val", skip_unmatched=True)
    assert sorted(pairs) == ["images/a.png", "images/b.png"]
    assert "2 images without mask left out (data.skip_unmatched): c.png, d.png" in caplog.text


@pytest.mark.parametrize("layout", ["folders", "numbers", "one folder each"])
def test_one_mask_for_each_object(tmp_path, layout):
    labels = Labels(("background", "nucleus"))
    for number in "123":
        for part in (0, 1):
            image, mask, options = {
                "folders": (
                    f"{number}/images/{number}.png",
                    f"{number}/masks/x{part}.png",
                    ("*/images/*", "*/masks/*"),
                ),
                "numbers": (f"im/{number}.png", f"gt/{number}_{part}.png", ("im", "gt")),
                "one folder each": (f"im/{number}.png", f"gt/{number}/{part}.png", ("im", "gt/*/*")),
            }[layout]
            tree(tmp_path, image, mask)
            pixels = np.zeros((8, 9), np.uint8)
            pixels[part, 3] = 255
            Image.fromarray(pixels).save(tmp_path / mask)
    options = {"images": options[0], "masks": options[1], "mask_kind": "instances"}
    masks = drawn(tmp_path, "train", labels, **options) | drawn(tmp_path, "val", labels, **options)
    assert len(masks) == 3
    for mask in masks.values():
        assert np.argwhere(mask).tolist() == [[0, 3], [1, 3]]
        assert mask.max() == 1
    with pytest.raises(ConfigError, match=r"there are 3 classes.*\n  try: data\.classes=\[background,object\]"):
        drawn(tmp_path, "train", **options)


@pytest.mark.parametrize("pattern", ["masks/{}/{}.png", "masks/{1}_{0}.png"])
def test_one_mask_for_each_class(tmp_path, pattern):
    for name in "ab":
        tree(tmp_path, f"images/{name}.png")
        for row, word in enumerate(("leaf", "Stem")):
            tree(tmp_path, file := pattern.format(word, name))
            pixels = np.zeros((8, 9), np.uint8)
            pixels[row : row + 2, 0] = 255
            Image.fromarray(pixels).save(tmp_path / file)
    masks = {"masks/{}/{}.png": "masks/*/*", "masks/{1}_{0}.png": "masks"}[pattern]
    options = {"masks": masks, "mask_kind": "classes"}
    for mask in (drawn(tmp_path, "train", **options) | drawn(tmp_path, "val", **options)).values():
        assert mask[:4, 0].tolist() == [1, 2, 2, 0]
        assert mask[:, 1:].max() == 0
    tree(tmp_path, masks.replace("*/*", "bud/a.png") if "*" in masks else "masks/a_bud.png")
    with pytest.raises(DataError, match=r"neither a folder in place of a wildcard nor the end of the name is one"):
        drawn(tmp_path, "train", **options)


def test_coco_polygons_and_run_lengths(tmp_path):
    coco = pytest.importorskip("pycocotools.mask")
    stem = np.zeros((8, 9), np.uint8, order="F")
    stem[5:7, 2:4] = 1
    packed = coco.encode(stem)
    content = {
        "images": [{"id": id_, "file_name": f"{name}.jpg", "height": 8, "width": 9} for id_, name in enumerate("ab")],
        "categories": [{"id": 7, "name": "Leaf"}, {"id": 9, "name": "stem"}],
        "annotations": [
            {"image_id": 0, "category_id": 7, "segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]},
            {"image_id": 0, "category_id": 9, "segmentation": {"size": [8, 9], "counts": packed["counts"].decode()}},
            {"image_id": 0, "category_id": 9, "segmentation": {"size": [8, 9], "counts": [70, 2]}},
        ],
    }  # fmt: skip
    tree(tmp_path, "images/a.jpg", "images/b.jpg")
    text(tmp_path, "annotations.json", content)
    masks = drawn(tmp_path, "train", masks="annotations.json") | drawn(tmp_path, "val", masks="annotations.json")
    assert masks["b"].max() == 0
    expected = np.zeros((8, 9), int)
    expected[1:3, 1:4], expected[5:7, 2:4], expected[6:, 8] = 1, 2, 2
    np.testing.assert_array_equal(masks["a"], expected)
    with pytest.raises(
        ConfigError, match=r"category 'stem' is none of .*\n  try: 'data\.classes=\[backg.*,Leaf,stem\]'"
    ):
        drawn(tmp_path, "train", Labels(("background", "leaf")), masks="annotations.json")
    content["images"][0]["file_name"] = "../a.jpg"
    text(tmp_path, "annotations.json", content)
    with pytest.raises(ConfigError, match="leads out of"):
        drawn(tmp_path, "train", masks="annotations.json")


def test_labelme_shapes(tmp_path):
    shapes = [
        {"label": "leaf", "points": [[1, 1], [3, 1], [3, 2], [1, 2]], "shape_type": "polygon"},
        {"label": "stem", "points": [[5, 5], [6, 7]], "shape_type": "rectangle"},
    ]
    for name in "ab":
        tree(tmp_path, f"{name}.jpg")
        text(tmp_path, f"{name}.json", {"shapes": shapes, "imageHeight": 8, "imageWidth": 9})
    options = {"images": "*.jpg", "masks": "*.json"}
    expected = np.zeros((8, 9), int)
    expected[1:3, 1:4], expected[5:8, 5:7] = 1, 2
    masks = drawn(tmp_path, "train", **options) | drawn(tmp_path, "val", **options)
    assert sorted(masks) == ["a", "b"]
    np.testing.assert_array_equal(masks["a"], expected)
    with pytest.raises(DataError, match=r"called 'stem', which is none of data\.classes \(background, leaf\)"):
        for _ in drawn(tmp_path, "train", Labels(("background", "leaf")), **options):
            pass


def test_yolo_lines(tmp_path):
    for name in "ab":
        tree(tmp_path, f"images/train/{name}.jpg", size=(8, 16))
        text(tmp_path, f"labels/train/{name}.txt", "1 0.125 0.25 0.5 0.25 0.5 0.5 0.125 0.5\n")
    options = {"masks": "labels", "mask_kind": "yolo"}
    masks = drawn(tmp_path, "train", **options) | drawn(tmp_path, "val", **options)
    assert len(masks) == 2
    assert masks["a"].max() == 2
    assert masks["a"][2:4, 2:8].min() == 2
    assert (masks["a"] > 0).sum() <= 3 * 7
    with pytest.raises(
        DataError, match=r"line 1: class 1 is class 2 here, after the background, and data\.classes has 2"
    ):
        drawn(tmp_path, "train", Labels(("background", "leaf")), **options)
    text(tmp_path, "labels/train/a.txt", "0 0.5 0.5 0.1 0.1")
    text(tmp_path, "labels/train/b.txt", "0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="line 1: a line is a class and three corners or more"):
        drawn(tmp_path, "train", **options)


def test_pages_of_a_mask_are_refused(tmp_path):
    tree(tmp_path, *(f"images/{name}.tif" for name in "ab"))
    page = Image.fromarray(np.zeros((8, 9), np.uint8))
    for name in "ab":
        (tmp_path / "masks").mkdir(exist_ok=True)
        page.save(tmp_path / f"masks/{name}.tif", save_all=True, append_images=[page])
    with pytest.raises(DataError, match="2 pages; a mask has one"):
        drawn(tmp_path, "train")


def test_few_images_make_enough_steps_and_a_run_that_goes_on_keeps_its_number(tmp_path):
    tree(tmp_path, *(f"{kind}/{name}.png" for kind in ("images", "masks") for name in "abcde"))
    config = {"name": "folder", "root": str(tmp_path), "classes": ["background", "leaf"], "crop_size": [4, 4]}
    data = create_data({**config, "batch_size": 60})
    assert len(data.train_dataloader()) == 25
    assert found_text(data)[-1] == "an epoch: 25 steps of 60 crops, 1500 crops of 4 images"
    data.keep_least(0, 120)  # of a run of earlier versions
    assert len(data.train_dataloader()) == 2
    few = create_data({**config, "batch_size": 7, "samples_per_epoch": 30})
    assert found_text(few)[-1] == (
        "an epoch: 4 steps of 7 crops, 28 crops of 4 images; 2 of 30 are left out, since batches are full"
    )
    assert found_text(few, weights=[1, 2.5])[1].endswith("background 87.5 % (weight 1), leaf 12.5 % (weight 2.5)")


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/*?[]\0.", exclude_categories=("Cs", "Cc")), min_size=1
)


@given(st.lists(NAMES, max_size=3), NAMES, NAMES, NAMES)
def test_wildcards_stand_for_what_was_put_there(folders, name, before, after):
    path = "/".join([*folders, f"{before}{name}{after}.png"])
    key, split = Pattern(f"**/{before}*{after}.*").key(path)
    kept = [folder for folder in folders if folder.lower() not in
            {"train", "training", "val", "valid", "validation", "test", "testing"}]  # fmt: skip
    assert key == (*kept, name)
    assert (split is None) == (len(kept) == len(folders))
