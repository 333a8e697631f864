import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segup.data.pairs import Pair, check_pairs, held_out, match_by_stem
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
    with pytest.raises(ConfigError, match=r"data\.val_fraction must lie between 0 and 1, not"):
        held_out(["a", "b"], fraction)


def test_one_image_cannot_be_split():
    with pytest.raises(DataError, match="1 image cannot be split into training and validation images; two are needed"):
        held_out(["a"], 0.5)
