"""Masks are checked before they cost anything: a sample at once, all of them while the first epoch runs."""

import threading
import time

import numpy as np
import pytest
from PIL import Image

from segup.data import create_data, mask_checks
from segup.errors import DataError


@pytest.fixture
def folder(tmp_path, write_pairs):
    """Thirty training and thirty validation pairs, more than a sample of each."""
    for split in ("train", "val"):
        write_pairs(tmp_path / "images" / split, tmp_path / "masks" / split, [(5, 6)] * 30)
    return tmp_path


def spoil(path, *values):
    Image.fromarray(np.resize(np.array(values, dtype=np.uint8), (5, 6))).save(path)
    return path


def data_of(root, **options):
    config = {"name": "folder", "root": str(root), "classes": list("abc"), "crop_size": [3, 3], "batch_size": 2}
    return create_data({**config, **options})


def test_all_masks_of_both_splits_are_checked_and_each_wrong_value_is_named_with_its_file(folder):
    data = data_of(folder)
    data.setup("fit")
    one, other = spoil(folder / "masks/train/img_7.png", 7, 9), spoil(folder / "masks/val/img_11.png", 4)
    check = data.mask_check()
    check.start()
    with pytest.raises(DataError) as caught:
        check.wait()
    allowed = "where 0…2 and the ignore_index 255 are allowed; 'data.mask_values={value:id,...}' says what other values"
    assert str(caught.value) == (
        f"2 files cannot be used:\n  {one}: the mask holds 7, 9, {allowed} mean\n"
        f"  {other}: the mask holds 4, {allowed} mean"
    )


def test_a_sample_is_checked_at_setup(folder):
    for split in ("train", "val"):
        for path in (folder / "masks" / split).iterdir():
            spoil(path, 7)
    with pytest.raises(DataError, match=r"^16 files cannot be used:\n(?s:.*)\n  and 6 more$"):
        data_of(folder).setup("fit")


def test_a_check_of_several_processes_is_shared(folder):
    data = data_of(folder)
    data.setup("fit")
    spoil(folder / "masks/train/img_0.png", 7)
    found = []
    for rank in range(3):
        check = data.mask_check()
        check.start(rank, 3)
        try:
            check.wait()
        except DataError as error:
            found.append((rank, str(error)))
    assert [rank for rank, _ in found] == [0]


def test_a_check_that_is_closed_ends_after_its_file(folder, monkeypatch):
    data = data_of(folder)
    data.setup("fit")
    read, begun = mask_checks.mask_pixels, threading.Event()
    seen = []

    def slowly(path):
        seen.append(path)
        begun.set()
        time.sleep(0.02)
        return read(path)

    monkeypatch.setattr(mask_checks, "mask_pixels", slowly)
    check = data.mask_check()
    check.start()
    begun.wait()
    check.close()
    assert len(seen) < 60
    assert not any(thread.name == "masks" for thread in threading.enumerate())


def test_a_defect_in_the_thread_is_not_lost(folder, monkeypatch):
    data = data_of(folder)
    data.setup("fit")
    monkeypatch.setattr(mask_checks, "mask_pixels", lambda path: 1 / 0)
    check = data.mask_check()
    check.start()
    with pytest.raises(ZeroDivisionError):
        check.wait()


def palette_mask(path, ids, palette):
    image = Image.fromarray(np.resize(np.array(ids, dtype=np.uint8), (5, 6)), mode="P")
    image.putpalette([channel for color in palette for channel in color])
    image.save(path)
    return path


def test_palettes_that_give_an_index_different_colours_in_different_files_are_refused(folder):
    reds = [(1, 0, 0), (200, 0, 0), (0, 200, 0)]
    for split in ("train", "val"):
        for path in (folder / "masks" / split).iterdir():
            palette_mask(path, [0, 1, 2], reds)
    data_of(folder).setup("fit")
    other = palette_mask(folder / "masks/val/img_9.png", [0, 1, 2], [reds[0], reds[2], reds[1]])
    with pytest.raises(DataError) as caught:
        data_of(folder).setup("fit")
    assert str(caught.value) == (
        f"{other}: the colours and the class ids of its palette disagree: index 1 is #00c800, and #c80000 in "
        f"{folder / 'masks/val/img_0.png'}. If colours decide, give those of the classes in data.colors. If indices "
        "decide, set data.colors=null 'data.mask_values={0:0,1:1,2:2,255:255}'"
    )
    data_of(folder, mask_values={0: 0, 1: 1, 2: 2}).setup("fit")
    named = data_of(folder, colors=[list(color) for color in reds])
    named.setup("fit")
    assert named.sample("val", 29)["mask"].flatten().tolist() == [0, 2, 1] * 10
