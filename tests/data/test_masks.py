import re
import shlex
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segup.data import Labels, read_image, read_mask
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
        f"{path}: the mask holds colours that are in no class: #ff8000.\n"
        "  try: 'data.mask_values={0xff8000:CLASS}', what the colours mean; or data.colors=[...], the classes' own."
    )


def test_a_mask_of_measured_values_is_refused(tmp_path):
    path = save(tmp_path / "mask.tif", np.array([[0, 1], [0.5, 1]], dtype=np.float32))
    assert error(path, TWO) == f"{path}: the mask holds 0.5: 1 of 4 values are no whole numbers, and class ids must be"
    np.save(tmp_path / "mask.npy", np.array([[0, np.nan]], dtype=np.float32))
    assert "the mask holds nan: 1 of 2 values are no whole numbers" in error(tmp_path / "mask.npy", TWO)


def test_a_mask_of_several_pages_is_refused(tmp_path):
    page = Image.new("L", (3, 2))
    page.save(tmp_path / "mask.tif", save_all=True, append_images=[page])
    path = tmp_path / "mask.tif"
    assert error(path, TWO) == f"{path}: 2 pages; a mask has one. Save the class ids as a single image"


def test_a_truncated_mask_is_named(tmp_path):
    path = save(tmp_path / "mask.png", np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:200])
    assert error(path, TWO).startswith(f"{path}: not a readable image, or cut short (")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({0: 2}, "mask_values: 0 becomes 2, which is neither a class (0…1) nor the ignore_index 255"),
        ({1.5: 1}, "mask_values: 1.5 is neither a grey value nor a colour such as '#ff8000'"),
        (
            {"red": 1},
            "mask_values: 'red' is not a colour: write '#rrggbb', or 0xrrggbb on the command line.\n"
            "  try: 'data.mask_values={0xff8000:1}'.",
        ),
    ],
)
def test_mask_values_that_cannot_be_meant_are_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        check_values(values, TWO)
    assert str(caught.value) == message


PICTURE = [[1, 1, 0, 0]]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_a_palette_goes_by_the_given_colours_as_the_same_picture_in_rgb_does(tmp_path, suffix):
    colors = np.array(THREE.colors, dtype=np.uint8)[np.array(PICTURE)]
    rgb = save(tmp_path / "rgb.png", colors)
    palette = palette_mask(tmp_path / f"palette{suffix}", [[0, 0, 1, 1]], [THREE.colors[1], THREE.colors[0]])
    assert read_mask(rgb, THREE).tolist() == read_mask(palette, THREE).tolist() == PICTURE


@given(order=st.permutations(range(3)), transparent=st.booleans())
def test_any_order_of_a_palette_gives_the_classes_of_its_colours(tmp_path_factory, order, transparent):
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    options = {"transparency": 0} if transparent else {}
    palette_mask(path, [[0, 1, 2, 1]], [THREE.colors[place] for place in order], **options)
    assert read_mask(path, THREE).tolist() == [[order[0], order[1], order[2], order[1]]]


def test_a_border_outside_all_classes_is_ignored_where_its_index_says_so(tmp_path):
    colors = [*THREE.colors, *[(1, 1, 2)] * 252, (224, 224, 192)]
    path = palette_mask(tmp_path / "mask.png", [[0, 2, 255]], colors)
    assert read_mask(path, THREE).tolist() == [[0, 2, 255]]
    stray = palette_mask(tmp_path / "stray.png", [[0, 3, 255]], colors)
    assert "colours that are in no class: #010102.\n  try: 'data.mask_values={0x010102:CLASS}'" in error(stray, THREE)


@pytest.mark.parametrize(
    ("labels", "palette", "said"),
    [
        (
            Labels(tuple("abc")),
            [(0, 114, 178), (0, 0, 0)],
            r"index 0 is class 0 \('a'\), and its colour #0072b2 is class 1",
        ),
        (TWO, [(255, 255, 255), (0, 0, 0)], r"index 1 is class 1 \('cell'\), and its colour #000000 is class 0"),
        (
            Labels(tuple("abc")),
            [(0, 0, 0), (2, 2, 2)],
            r"index 1 is class 1 \('b'\), and its colour #020202 is class 2",
        ),
    ],
)
def test_a_palette_that_disagrees_with_its_ids_is_refused_where_no_colours_decide(tmp_path, labels, palette, said):
    path = palette_mask(tmp_path / "mask.png", [[0, 1]], palette)
    with pytest.raises(DataError, match=said) as caught:
        read_mask(path, labels)
    by_index = str(caught.value).partition("If indices decide, set ")[2]
    assert by_index.startswith("data.colors=null 'data.mask_values={0:0,1:1,")
    assert read_mask(path, *typed(by_index, labels, None)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "palette", [[(9, 9, 9)] * 256, [(1, 2, 3), (4, 5, 6), (7, 8, 9)], [(0, 0, 0), (255, 255, 255)]]
)
def test_a_palette_that_says_nothing_of_classes_leaves_its_indices(tmp_path, palette):
    ids = [[0, 1, 2][: min(3, len(palette))]]
    assert read_mask(palette_mask(tmp_path / "mask.png", ids, palette), Labels(tuple("abc"))).tolist() == ids


def typed(words, labels, values):
    """The labels and mask values after overrides of the command line."""
    read = {one.key_or_group: one.value() for one in map(OverridesParser.create().parse_override, shlex.split(words))}
    colors, ignored = read.get("data.colors", labels.colors), read.get("data.ignore_index", labels.ignore_index)
    return Labels(labels.names, colors or (), ignored), read.get("data.mask_values", values)


GREYS = Labels(tuple("abc"), ((0, 0, 0), (2, 2, 2), (1, 1, 1)))
BLACK_FIRST = Labels(tuple("abc"), ((0, 0, 0), (255, 0, 0), (0, 255, 0)))


@given(
    ids=st.lists(st.sampled_from([0, 1, 2, 255]), min_size=1),
    pad=st.integers(0, 2),
    labels=st.sampled_from([BLACK_FIRST, GREYS]),
    values=st.sampled_from([None, {0: 0, 1: 1, 2: 2, 255: 255}]),
)
def test_an_ignored_index_whose_colour_is_a_class_is_refused_with_ways_out_that_work(
    tmp_path_factory, ids, pad, labels, values
):
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    palette_mask(path, [ids], [*labels.colors, *[labels.colors[pad]] * 253])
    if 255 not in ids:
        assert read_mask(path, labels, values).tolist() == [ids]
        return
    said = error(path, labels, values)
    assert f"index 255 is the ignore_index 255, and its colour #{labels.colors[pad][0]:02x}" in said
    by_color, by_index = re.search(r"If colours decide, set (.*)\. If indices decide, set (.*)$", said).groups()
    assert read_mask(path, *typed(by_color, labels, values)).tolist() == [[pad if one == 255 else one for one in ids]]
    assert read_mask(path, *typed(by_index, labels, values)).tolist() == [ids]


def test_colours_decide_where_the_order_of_a_palette_is_not_that_of_the_ids(tmp_path):
    colors = [BLACK_FIRST.colors[place] for place in (2, 0, 1)] + [(0, 0, 0)] * 253
    path = palette_mask(tmp_path / "mask.png", [[0, 1, 2, 255]], colors)
    assert read_mask(path, BLACK_FIRST).tolist() == [[2, 0, 1, 0]]


@pytest.mark.parametrize("ids", [[0, 255], [255], [0, 1, 255]])
def test_an_ignored_index_may_have_any_colour_where_no_colours_were_given(tmp_path, ids):
    path = palette_mask(tmp_path / "mask.png", [ids], [(0, 0, 0), (1, 1, 1), *[(0, 0, 0)] * 254])
    assert read_mask(path, Labels(tuple("abc"))).tolist() == [ids]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "GIF"])
@pytest.mark.parametrize(("levels", "values"), [([0, 1, 0], None), ([0, 255, 0], {0: 0, 255: 1})])
def test_grey_masks_in_any_form_are_read_by_their_grey_values(tmp_path, mode, levels, values):
    grey = Image.fromarray(np.array([levels], dtype=np.uint8))
    path = tmp_path / ("mask.gif" if mode == "GIF" else "mask.png")
    (grey if mode == "GIF" else grey.convert(mode)).save(path)
    assert read_mask(path, TWO, values).tolist() == [[0, 1, 0]]


def test_a_gif_of_grey_values_keeps_those_that_its_writer_left_out(tmp_path):
    path = save(tmp_path / "mask.gif", np.array([[0, 2, 2]], dtype=np.uint8))  # indices 0 and 1 in the file
    assert read_mask(path, Labels(tuple("abc"))).tolist() == [[0, 2, 2]]


def test_black_and_white_colours_decide_where_grey_values_are_no_ids(tmp_path):
    shades = Labels(tuple("abc"), ((0, 0, 0), (128, 128, 128), (255, 255, 255)))
    assert read_mask(save(tmp_path / "a.png", np.array([[0, 128, 255]], dtype=np.uint8)), shades).tolist() == [
        [0, 1, 2]
    ]
    path = save(tmp_path / "b.png", np.array([[0, 255]], dtype=np.uint8))
    assert error(path, shades) == (
        f"{path}: the grey value 255 is the ignore_index 255 as a class id, and class 2 ('c') as a colour. If "
        "colours decide, set 'data.mask_values={0:0,128:1,255:2}'. If class ids decide, set "
        "'data.mask_values={0:0,1:1,2:2,255:255}'"
    )
    assert read_mask(path, shades, {0: 0, 128: 1, 255: 2}).tolist() == [[0, 2]]


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint16, np.int8, np.float64, np.int64, bool])
def test_tiffs_of_whole_numbers_are_ids_whatever_their_type(tmp_path, dtype):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "mask.tif", np.array([[0, 1, 1]], dtype=dtype))
    assert read_mask(tmp_path / "mask.tif", TWO).tolist() == [[0, 1, 1]]


def test_a_tiff_whose_zero_is_white_holds_the_ids_that_were_written(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "mask.tif", np.array([[0, 1, 255]], dtype=np.uint8), photometric="miniswhite")
    assert read_mask(tmp_path / "mask.tif", TWO).tolist() == [[0, 1, 255]]


def test_sixteen_bit_grey_with_alpha_keeps_its_low_byte(tmp_path):
    pixels = np.zeros((1, 3, 4), dtype=np.uint16)
    pixels[..., :3] = np.array([[0, 1, 300]])[..., None]
    pixels[..., 3] = 65535
    assert cv2.imwrite(str(tmp_path / "mask.png"), pixels)
    labels = Labels(tuple(f"class {number}" for number in range(301)), ignore_index=999)
    assert read_mask(tmp_path / "mask.png", labels).tolist() == [[0, 1, 300]]


SHAPE = np.zeros((24, 40), dtype=np.uint8)
SHAPE[5:20, 7:30] = 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_mask_is_read_to_the_nearest_value_within_a_tolerance(tmp_path, mode):
    path = tmp_path / "mask.jpg"
    Image.fromarray(SHAPE * 255).convert(mode).save(path, quality=80)
    found = error(path, TWO, {0: 0, 255: 1})
    assert found.endswith("compression changed them: data.mask_tolerance=127 takes the nearest known value")
    assert read_mask(path, TWO, {0: 0, 255: 1}, 127).tolist() == SHAPE.tolist()


def test_a_jpeg_mask_of_colours_is_read_to_the_nearest_colour(tmp_path):
    labels = Labels(("a", "b"), ((0, 0, 0), (250, 120, 0)))
    path = tmp_path / "mask.jpg"
    Image.fromarray(np.array(labels.colors, dtype=np.uint8)[SHAPE]).save(path, quality=95)
    assert "compression changed them: data.mask_tolerance=124 takes the nearest" in error(path, labels)
    assert read_mask(path, labels, None, 124).tolist() == SHAPE.tolist()


@pytest.mark.parametrize(("tolerance", "values"), [(20, None), (128, {0: 0, 255: 1})])
def test_a_tolerance_that_does_not_tell_two_values_apart_is_refused(tmp_path, tolerance, values):
    path = save(tmp_path / "mask.jpg", SHAPE * 255)
    with pytest.raises(DataError, match=rf"data\.mask_tolerance={tolerance} cannot tell 0 from .*: they are"):
        read_mask(path, TWO, values, tolerance)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_an_animation_is_no_mask_and_no_image(tmp_path, suffix):
    frames = [Image.new("RGB", (4, 3), color) for color in ("black", "white")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    assert "2 frames; an image or a mask has one" in error(tmp_path / f"a{suffix}", TWO)
    with pytest.raises(DataError, match="2 frames; an image or a mask has one"):
        read_image(tmp_path / f"a{suffix}")


@pytest.mark.parametrize(
    ("values", "tolerance", "said"),
    [
        ({0: 5}, None, "mask_values: 0 becomes 5, which is neither a class"),
        ({0: -1, 1: 0}, None, "mask_values: 0 becomes -1"),
        ({True: 1}, None, "values={True: 1} must be a mapping from an int or text to an int"),
        (None, -1, "mask_tolerance=-1 must be 0 or more.\n  try: data.mask_tolerance=127"),
    ],
)
def test_reading_one_mask_refuses_what_a_data_set_does(tmp_path, values, tolerance, said):
    Image.fromarray(np.array([[0, 1]], np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError) as error:
        read_mask(tmp_path / "a.png", Labels(["a", "b"]), values, tolerance)
    assert said in str(error.value)


def test_arrays_of_several_channels_and_images_for_print_are_no_masks(tmp_path):
    np.save(tmp_path / "mask.npy", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(DataError, match=r"mask\.npy: uint8 of shape \(2, 3, 3\): a mask array holds integers of"):
        read_mask(tmp_path / "mask.npy", TWO)
    Image.new("CMYK", (3, 2)).save(tmp_path / "mask.tif")
    with pytest.raises(DataError, match=r"mask\.tif: a mask is a palette, grey or RGB image; this one has .*'CMYK'"):
        read_mask(tmp_path / "mask.tif", TWO)


def test_16_bit_colours_are_8_bit_ones_or_one_channel_or_refused(tmp_path):
    path = tmp_path / "mask.png"
    colors = np.array([[THREE.colors[index] for index in row] for row in (IDS % 255)], np.uint16)
    cv2.imwrite(str(path), (257 * colors)[..., ::-1])
    assert torch.equal(read_mask(path, THREE), torch.tensor(IDS % 255))
    cv2.imwrite(str(path), np.repeat(IDS.astype(np.uint16)[..., None], 3, axis=2))
    assert torch.equal(read_mask(path, THREE), IDS_AS_READ)
    cv2.imwrite(str(path), (257 * colors + 1)[..., ::-1])
    with pytest.raises(DataError, match="16-bit colours that 8 bits cannot hold"):
        read_mask(path, THREE)
