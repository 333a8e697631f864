import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segup.data import Labels
from segup.data.headers import read_header
from segup.data.pairs import Pair, check_pairs, held_out, match_by_stem
from segup.data.samples import Samples
from segup.errors import ConfigError, DataError


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        Image.new("L", (4, 3)).save(folder / name)
    return folder


def sizes(pairs):
    return [checked.image.size for checked in check_pairs(pairs)]


def test_pairs_match_by_stem_whatever_the_extension_and_are_sorted(tmp_path):
    images = touch(tmp_path / "images", "b.jpg", "a.bmp", "c.d.png")
    masks = touch(tmp_path / "masks", "a.png", "b.tif", "c.d.png")
    (images / "notes.txt").write_text("no image")
    (images / ".hidden.png").write_text("no image")
    found = match_by_stem(images, masks)
    assert [(pair.name, pair.image.name, pair.mask.name) for pair in found] == [
        ("a", "a.bmp", "a.png"),
        ("b", "b.jpg", "b.tif"),
        ("c.d", "c.d.png", "c.d.png"),
    ]


def test_partners_that_are_missing_are_counted_and_shown(tmp_path):
    images = touch(tmp_path / "images", *(f"{name}.png" for name in "abcdef"))
    masks = touch(tmp_path / "masks", "f.png", "g.png")
    with pytest.raises(DataError) as caught:
        match_by_stem(images, masks)
    assert str(caught.value) == (
        f"5 of 6 images have no mask in {masks}: a.png, b.png, c.png, …; 1 of 2 masks have no image in {images}: g.png"
    )


def test_two_files_of_one_name_are_refused(tmp_path):
    images = touch(tmp_path / "images", "a.png", "a.jpg")
    with pytest.raises(DataError, match=r"images: 'a\.jpg' and 'a\.png' share the name 'a'"):
        match_by_stem(images, touch(tmp_path / "masks", "a.png"))


def test_missing_and_empty_folders_are_named(tmp_path):
    images = touch(tmp_path / "images", "a.png")
    with pytest.raises(DataError, match=r"masks: no such folder$"):
        match_by_stem(images, tmp_path / "masks")
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"masks: no image files \(\.png, \.jpg, "):
        match_by_stem(images, tmp_path / "masks")


def test_the_way_out_for_a_mask_of_another_size_leaves_the_file_as_it_is(tmp_path):
    for folder in ("images", "masks"):
        touch(tmp_path / folder, "a.png")
    Image.new("L", (8, 6)).save(tmp_path / "images/a.png")
    with pytest.raises(DataError) as caught:
        check_pairs(match_by_stem(tmp_path / "images", tmp_path / "masks"))
    way_out = str(caught.value).partition("try: ")[2]
    assert way_out == "copies of such masks in another folder, by Pillow's resize((8, 6), 0)"


def test_all_bad_files_are_named_at_once(tmp_path):
    images, masks = (touch(tmp_path / folder, "a.png", "b.png", "c.png") for folder in ("images", "masks"))
    for path in (bad := [images / "a.png", masks / "c.png"]):
        path.write_bytes(b"text")
    with pytest.raises(DataError) as caught:
        check_pairs(match_by_stem(images, masks))
    first, *lines, way_out = str(caught.value).splitlines()
    assert first == "2 files cannot be used:"
    assert [line.split(":")[0].strip() for line in lines] == [str(path) for path in bad]
    assert "data.skip_unmatched=true" in way_out


def test_sizes_come_from_headers_and_must_agree(tmp_path):
    images = touch(tmp_path / "images", "a.png", "b.png")
    masks = touch(tmp_path / "masks", "a.png", "b.png")
    assert sizes(match_by_stem(images, masks)) == [(3, 4), (3, 4)]
    Image.new("L", (4, 5)).save(masks / "b.png")
    with pytest.raises(DataError) as caught:
        check_pairs(match_by_stem(images, masks))
    assert str(caught.value) == (
        f"{masks / 'b.png'}: the mask is 5×4 (height × width), its image {images / 'b.png'} is 3×4; they must be equal"
    )


def test_a_photograph_that_is_noted_as_turned_fits_its_upright_mask(tmp_path):
    images, masks = touch(tmp_path / "images"), touch(tmp_path / "masks")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((3, 4, 3), dtype=np.uint8)).save(images / "a.jpg", exif=exif)
    Image.new("L", (3, 4)).save(masks / "a.png")
    assert sizes(match_by_stem(images, masks)) == [(4, 3)]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_file_that_was_cut_short_is_found_before_it_is_drawn(tmp_path, suffix, share):
    pixels = np.random.default_rng(0).integers(0, 255, (90, 70, 3), dtype=np.uint8)
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(pixels).save(file)
    content = file.read_bytes()
    check_pairs([Pair(file, None, "a")])
    file.write_bytes(content + b"appended by another program" * 400)
    check_pairs([Pair(file, None, "a")])
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"a\.{suffix}: not a readable image, or cut short"):
        check_pairs([Pair(file, None, "a")])


@given(st.sets(st.text(min_size=1, max_size=6), min_size=2, max_size=40), st.floats(0.001, 0.999))
def test_held_out_is_a_share_that_leaves_something_on_both_sides(names, fraction):
    ordered = sorted(names)
    chosen = held_out(ordered, fraction)
    assert chosen < names
    assert len(chosen) == min(max(1, round(fraction * len(names))), len(names) - 1)
    assert held_out(ordered[::-1], fraction) == chosen


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, True, "0.2"])
def test_a_share_must_lie_between_0_and_1(fraction):
    with pytest.raises(
        ConfigError, match="above 0 and below 1: the share that validates\n  try: data.val_fraction=0.2"
    ):
        held_out(["a", "b"], fraction)


def test_one_image_cannot_be_split():
    with pytest.raises(DataError, match="1 image cannot be split into training and validation images; two are needed"):
        held_out(["a"], 0.5)


def turned_pair(folder, orientation, size, mask_size, own=1):
    """An image with an EXIF orientation, and a mask with ``own``; sizes are (height, width) as stored."""
    notes = []
    for value in (orientation, own):
        exif = Image.Exif()
        exif[0x0112] = value
        notes.append(exif)
    pixels = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
    Image.fromarray(pixels).save(folder / "image.png", exif=notes[0])
    mask = np.arange(mask_size[0] * mask_size[1], dtype=np.uint8).reshape(mask_size)
    Image.fromarray(mask).save(folder / "mask.png", **({} if own == 1 else {"exif": notes[1]}))
    return Pair(folder / "image.png", folder / "mask.png", "a")


def as_samples(pair, **options):
    labels = Labels(tuple(map(str, range(60))))
    return Samples([pair], labels, 1, None, check_pairs([pair], **options))[0]


def lie_alike(sample):
    return np.array_equal(np.rint(sample["image"][0].numpy() * 255), sample["mask"].numpy())


@given(orientation=st.integers(1, 8), square=st.booleans())
def test_notes_of_image_and_mask_that_are_equal_turn_both_alike(tmp_path_factory, orientation, square):
    size = (5, 5) if square else (5, 7)
    pair = turned_pair(tmp_path_factory.mktemp("pair"), orientation, size, size, orientation)
    assert lie_alike(as_samples(pair))


@given(orientation=st.integers(2, 8), square=st.booleans())
def test_a_mask_without_a_note_is_turned_alike_or_the_pair_is_refused_with_the_reason(
    tmp_path_factory, orientation, square
):
    size = (5, 5) if square else (5, 7)
    pair = turned_pair(tmp_path_factory.mktemp("pair"), orientation, size, size)
    if orientation >= 5 and not square:  # the size tells that the mask lies on the stored pixels
        assert lie_alike(as_samples(pair))
        return
    with pytest.raises(DataError) as caught:
        as_samples(pair)
    assert str(caught.value) == (
        f"{pair.image} must be turned. Its mask {pair.mask} may lie on the turned picture or on the stored pixels, "
        f"and nothing says which: the image's EXIF orientation is {orientation}, the mask's 1.\n  try: "
        "data.mask_orientation=own (the mask lies on the turned picture, unless it has its own note), or "
        "data.mask_orientation=image (the mask lies on the stored pixels, and is turned too)."
    )
    assert lie_alike(as_samples(pair, mask_orientation="image"))
    assert as_samples(pair, mask_orientation="own")["mask"].flatten().tolist() == list(range(size[0] * size[1]))


def test_a_mask_of_neither_size_is_refused_with_the_notes(tmp_path):
    pair = turned_pair(tmp_path, 6, (5, 7), (5, 6))
    with pytest.raises(
        DataError, match=r"the mask is 5×6 .* is 7×5 \(the image's EXIF orientation is 6, the mask's 1\)"
    ):
        check_pairs([pair])


def test_a_note_behind_a_pngs_pixels_is_followed_by_size_and_pixels_alike(tmp_path):
    pair = turned_pair(tmp_path, 6, (5, 7), (5, 7))
    content = pair.image.read_bytes()
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    tail = content.index(b"IEND") - 4
    pair.image.write_bytes(content[:start] + content[end:tail] + content[start:end] + content[tail:])
    assert read_header(pair.image).size == (7, 5)
    assert lie_alike(as_samples(pair))


@pytest.mark.parametrize(("suffix", "what"), [(".png", "5×7 is 35 pixels"), (".npy", "5×7×8 is 70 pixels")])
def test_pictures_of_too_many_pixels_are_refused_from_their_headers(tmp_path, suffix, what):
    for name in ("image", "mask"):
        if suffix == ".npy":
            np.save(tmp_path / f"{name}.npy", np.zeros((5, 7, 8), dtype=np.uint8))
        else:
            Image.new("L", (7, 5)).save(tmp_path / f"{name}.png")
    pair = Pair(tmp_path / f"image{suffix}", tmp_path / f"mask{suffix}", "a")
    count = 70 if suffix == ".npy" else 35
    with pytest.raises(DataError) as caught:
        check_pairs([pair], max_pixels=count - 1)
    assert str(caught.value) == (
        f"{pair.image}: {what}, more than data.max_pixels={count - 1}; if you trust the file: data.max_pixels={count}"
    )
    check_pairs([pair], max_pixels=count)


def test_a_small_file_that_claims_a_huge_picture_is_refused_unread(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1), dtype=np.float64)) | {"shape": (10**6, 10**6)}
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(DataError, match=r"a\.npy: not a readable image, or cut short \(mmap length is greater"):
        check_pairs([Pair(tmp_path / "a.npy", None, "a")])


def test_what_is_left_out_of_a_folder_is_counted_and_named(tmp_path, caplog):
    images, masks = touch(tmp_path / "images", "a.png"), touch(tmp_path / "masks", "a.png")
    for name in ("notes.txt", "b.heic", ".hidden.png", "Thumbs.db", "c.psd", "d.mat"):
        (images / name).write_text("no image")
    (masks / "old").mkdir()
    with caplog.at_level(logging.WARNING, logger="segup"):
        match_by_stem(images, masks)
    assert [record.getMessage() for record in caplog.records] == [
        f"{images}: 6 skipped (no image files): .hidden.png, Thumbs.db, b.heic, c.psd, d.mat, …",
        f"{masks}: 1 skipped (no image files): old/",
    ]


def test_jpeg_masks_are_said_to_be_uncertain(tmp_path, caplog):
    touch(tmp_path, "a.png", "a.jpg")
    with caplog.at_level(logging.WARNING, logger="segup"):
        check_pairs([Pair(tmp_path / "a.png", tmp_path / "a.jpg", "a")] * 2)
    assert [record.getMessage() for record in caplog.records] == [
        f"2 of 2 masks are JPEG files, such as {tmp_path / 'a.jpg'}: compression changed their values, so that labels "
        "are uncertain along the borders of classes; PNG keeps them"
    ]
