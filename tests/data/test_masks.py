import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segup.data import Labels, read_mask
from segup.data.mask_codes import check_values
from segup.errors import ConfigError, DataError

TWO = Labels(("background", "cell"))
THREE = Labels(("sky", "road", "car"), ((10, 20, 30), (200, 0, 0), (0, 0, 7)))
IDS = np.array([[0, 1, 2], [2, 255, 0]])
IDS_AS_READ = torch.tensor(IDS)


def save(path, pixels, **options):
    Image.fromarray(pixels, **options).save(path)
    return path


def grey_png(path, pixels, bits):
    """Write a grey PNG of 1, 2 or 4 bits per pixel, which Pillow only reads."""
    height, width = pixels.shape
    rows = b""
    for row in pixels:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_grey_values_are_ids(tmp_path):
    mask = read_mask(save(tmp_path / "mask.png", IDS.astype(np.uint8)), THREE)
    assert mask.dtype == torch.int64
    assert torch.equal(mask, IDS_AS_READ)


def palette_mask(path, indices, palette, **options):
    image = Image.fromarray(np.array(indices, dtype=np.uint8), mode="P")
    image.putpalette([channel for color in palette for channel in color])
    image.save(path, **options)
    return path


def test_rgb_masks_go_by_the_colours_of_the_classes(tmp_path):
    colors = np.array(THREE.colors, dtype=np.uint8)[np.array([[0, 1], [2, 0]])]
    assert read_mask(save(tmp_path / "mask.png", colors), THREE).tolist() == [[0, 1], [2, 0]]
    alpha = np.full((2, 2, 1), 8, dtype=np.uint8)
    with_alpha = save(tmp_path / "alpha.png", np.concatenate([colors, alpha], axis=2))
    assert read_mask(with_alpha, THREE).tolist() == [[0, 1], [2, 0]]


def test_alpha_of_a_grey_mask_is_dropped(tmp_path):
    pixels = np.stack([IDS, np.full_like(IDS, 9)], axis=-1).astype(np.uint8)
    assert torch.equal(read_mask(save(tmp_path / "mask.png", pixels, mode="LA"), THREE), IDS_AS_READ)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_ids(tmp_path, suffix):
    labels = Labels(tuple(f"class {number}" for number in range(400)), ignore_index=65535)
    ids = np.array([[0, 399], [65535, 256]], dtype=np.uint16)
    assert read_mask(save(tmp_path / f"mask{suffix}", ids), labels).tolist() == ids.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_png_of_few_bits_is_not_stretched(tmp_path, bits):
    ids = np.arange(2**bits).reshape(2, -1)
    labels = Labels(tuple(f"class {number}" for number in range(2**bits)))
    assert read_mask(grey_png(tmp_path / "mask.png", ids, bits), labels).tolist() == ids.tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_arrays_of_ids(tmp_path, dtype):
    np.save(tmp_path / "mask.npy", IDS.astype(dtype))
    assert torch.equal(read_mask(tmp_path / "mask.npy", THREE), IDS_AS_READ)


def test_a_negative_ignore_index_in_an_array(tmp_path):
    np.save(tmp_path / "mask.npy", np.array([[0, -1]]))
    assert read_mask(tmp_path / "mask.npy", Labels(("a", "b"), ignore_index=-1)).tolist() == [[0, -1]]


@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6))),
    table=st.dictionaries(st.integers(0, 255), st.sampled_from([0, 1, 2, 255]), min_size=1),
    deep=st.booleans(),
)
def test_mask_values_are_applied_to_every_pixel_or_refused(tmp_path_factory, pixels, table, deep):
    path = save(tmp_path_factory.mktemp("masks") / "mask.png", pixels.astype(np.uint16) if deep else pixels)
    strange = sorted(set(pixels.ravel().tolist()) - set(table))
    if strange:
        with pytest.raises(DataError, match=f"the mask holds {strange[0]}.*, which mask_values does not list"):
            read_mask(path, THREE, table)
    else:
        assert read_mask(path, THREE, table).tolist() == [[table[value] for value in row] for row in pixels.tolist()]


def test_colours_in_mask_values_come_on_top_of_the_classes(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[[10, 20, 30], [255, 255, 255]]], dtype=np.uint8))
    assert read_mask(path, THREE, {"#ffffff": 255}).tolist() == [[0, 255]]


def error(path, labels, values=None):
    with pytest.raises(DataError) as caught:
        read_mask(path, labels, values)
    return str(caught.value)


def test_a_value_that_is_no_class_is_named_with_the_file_and_the_range(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[0, 3, 9, 255]], dtype=np.uint8))
    assert error(path, THREE) == (
        f"{path}: the mask holds 3, 9, where 0…2 and the ignore_index 255 are allowed; "
        "'data.mask_values={value:id,...}' says what other values mean"
    )
    many = save(tmp_path / "many.png", np.arange(20, dtype=np.uint8)[None])
    assert "the mask holds 3, 4, 5, 6, 7 and 12 more, where" in error(many, THREE)


def test_black_and_white_masks_get_the_fitting_hint(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[0, 255]], dtype=np.uint8))
    labels = Labels(("background", "cell"), ignore_index=-1)
    assert error(path, labels) == (
        f"{path}: the mask holds 255, where 0…1 and the ignore_index -1 are allowed; "
        "if 255 means 'cell', set 'data.mask_values={0:0,255:1}'"
    )
    assert read_mask(path, labels, {0: 0, 255: 1}).tolist() == [[0, 1]]


def test_unknown_colours_are_named(tmp_path):
    path = save(tmp_path / "mask.png", np.array([[[255, 128, 0], [10, 20, 30]]], dtype=np.uint8))
    assert error(path, THREE) == (
        f"{path}: the mask holds colours that are in no class: #ff8000; give the classes' colours in data.colors, "
        "or list more in data.mask_values ('#rrggbb': id) of your YAML"
    )


def test_a_mask_of_measured_values_is_refused(tmp_path):
    path = save(tmp_path / "mask.tif", np.array([[0, 1], [0.5, 1]], dtype=np.float32))
    assert error(path, TWO) == f"{path}: the mask holds 0.5, and 1 of 4 values are no whole numbers; class ids are"
    np.save(tmp_path / "mask.npy", np.array([[0, np.nan]], dtype=np.float32))
    assert "the mask holds nan, and 1 of 2 values are no whole numbers" in error(tmp_path / "mask.npy", TWO)


def test_a_mask_of_several_pages_is_refused(tmp_path):
    page = Image.new("L", (3, 2))
    page.save(tmp_path / "mask.tif", save_all=True, append_images=[page])
    path = tmp_path / "mask.tif"
    assert error(path, TWO) == f"{path}: 2 pages, where a mask is one; save the class ids as a single image"


def test_a_truncated_mask_is_named(tmp_path):
    path = save(tmp_path / "mask.png", np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    assert error(path, TWO).startswith(f"{path}: not a readable image, or cut short (")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({0: 2}, "mask_values: 0 becomes 2, which is neither a class (0…1) nor the ignore_index 255"),
        ({1.5: 1}, "mask_values: 1.5 is neither a grey value nor a colour such as '#ff8000'"),
        ({"red": 1}, "mask_values: 'red' is not a colour: write '#rrggbb', such as '#ff8000'"),
    ],
)
def test_mask_values_that_cannot_be_meant_are_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        check_values(values, TWO)
    assert str(caught.value) == message
