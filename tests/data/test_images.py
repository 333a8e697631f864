import os
import re
import struct
import sys
import zlib
from threading import Timer

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from segup.data import Labels, read_image, read_mask
from segup.data.headers import read_header
from segup.data.images import as_image
from segup.errors import ConfigError, DataError

H, W = 7, 10


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


def write_tiff(path, pixels, planar=False):
    """Write (H, W, C) as an uncompressed TIFF of C bands, which Pillow cannot do."""
    height, width, bands = pixels.shape
    bits = pixels.dtype.itemsize * 8
    data = (pixels.transpose(2, 0, 1) if planar else pixels).astype(pixels.dtype.newbyteorder("<")).tobytes()
    strips = bands if planar else 1
    fields = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * bands),
        (259, 3, [1]),
        (262, 3, [1]),
        (273, 4, [8 + number * len(data) // strips for number in range(strips)]),
        (277, 3, [bands]),
        (278, 4, [height]),
        (279, 4, [len(data) // strips] * strips),
        (284, 3, [2 if planar else 1]),
        (338, 3, [0] * (bands - 1)),
        (339, 3, [1] * bands),
    ]
    start = 8 + len(data)
    end = start + 2 + 12 * len(fields) + 4
    entries, extra = b"", b""
    for tag, kind, values in fields:
        content = struct.pack(f"<{len(values)}{'H' if kind == 3 else 'I'}", *values)
        entries += struct.pack("<HHI", tag, kind, len(values))
        entries += content.ljust(4, b"\0") if len(content) <= 4 else struct.pack("<I", end + len(extra))
        extra += content if len(content) > 4 else b""
    head = struct.pack("<2sHI", b"II", 42, start)
    path.write_bytes(head + data + struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0) + extra)


def write_png16(path, pixels):
    """Write (H, W, 2) as a PNG of 16-bit grey and alpha, which neither Pillow nor OpenCV can do."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 4, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    written = [
        struct.pack(">I", len(one)) + kind + one + struct.pack(">I", zlib.crc32(kind + one))
        for kind, one in chunks.items()
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(written))


def as_hwc(image: torch.Tensor) -> np.ndarray:
    assert image.dtype == torch.float32
    return image.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_rgb_is_divided_by_255(tmp_path, rgb, suffix):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(rgb).save(path)
    np.testing.assert_allclose(as_hwc(read_image(path)), rgb / 255.0, rtol=1e-6)
    assert read_header(path).size == (H, W)


def test_jpeg_reads_as_pillow_does(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "image.jpg")
    expected = np.asarray(Image.open(tmp_path / "image.jpg")) / 255.0
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / "image.jpg")), expected, rtol=1e-6)


def test_grey_is_repeated_for_three_channels(tmp_path, rgb):
    Image.fromarray(rgb[..., 0]).save(tmp_path / "grey.png")
    image = as_hwc(read_image(tmp_path / "grey.png", in_channels=3))
    np.testing.assert_allclose(image, np.repeat(rgb[..., :1], 3, axis=2) / 255.0, rtol=1e-6)
    assert read_image(tmp_path / "grey.png", in_channels=1).shape == (1, H, W)


def test_colour_becomes_pillows_luminance_for_one_channel(tmp_path, rgb):
    Image.fromarray(rgb).save(tmp_path / "image.png")
    grey = np.asarray(Image.fromarray(rgb).convert("L")) / 255.0
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / "image.png", 1))[..., 0], grey, atol=1.01 / 255)


def test_palette_image_gives_its_colours_not_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.save(tmp_path / "palette.png")
    expected = np.array([[[10, 20, 30], [200, 100, 0]]]) / 255.0
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / "palette.png")), expected, rtol=1e-6)


def test_one_bit_image_is_black_and_white(tmp_path):
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "bits.png")
    assert read_image(tmp_path / "bits.png", 1).tolist() == [[[0.0, 1.0]]]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_grey_is_divided_by_65535(tmp_path, suffix):
    pixels = np.array([[0, 1, 256, 65535]], dtype=np.uint16)
    Image.fromarray(pixels).save(tmp_path / f"deep{suffix}")
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / f"deep{suffix}", 1))[..., 0], pixels / 65535.0, rtol=1e-6)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bit_colour_keeps_its_low_byte_and_its_order(tmp_path, suffix, channels):
    pixels = np.random.default_rng(1).integers(0, 65536, (H, W, channels), dtype=np.uint16)
    order = [2, 1, 0, 3][:channels]
    assert cv2.imwrite(str(tmp_path / f"deep{suffix}"), pixels[..., order])
    image = as_hwc(read_image(tmp_path / f"deep{suffix}", 3))
    np.testing.assert_allclose(image, pixels[..., :3] / 65535.0, rtol=1e-6)


def test_alpha_is_dropped_unless_it_is_asked_for(tmp_path, rgb):
    alpha = np.full((H, W, 1), 7, dtype=np.uint8)
    Image.fromarray(np.concatenate([rgb, alpha], axis=2)).save(tmp_path / "alpha.png")
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / "alpha.png", 3)), rgb / 255.0, rtol=1e-6)
    assert read_image(tmp_path / "alpha.png", 4)[3].unique().item() == pytest.approx(7 / 255)
    assert read_image(tmp_path / "alpha.png", 1).shape == (1, H, W)
    Image.fromarray(np.concatenate([rgb[..., :1], alpha], axis=2), mode="LA").save(tmp_path / "grey_alpha.png")
    grey = as_hwc(read_image(tmp_path / "grey_alpha.png", 3))
    np.testing.assert_allclose(grey, np.repeat(rgb[..., :1], 3, axis=2) / 255.0, rtol=1e-6)


def test_sixteen_bit_grey_with_alpha_has_two_channels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 65536, (H, W, 2), dtype=np.uint16)
    path = tmp_path / "grey_alpha.png"
    write_png16(path, pixels)
    assert (read_header(path).channels, read_header(path).dtype) == (2, np.uint16)
    for channels, expected in ((2, pixels), (1, pixels[..., :1]), (3, pixels[..., [0, 0, 0]])):
        np.testing.assert_allclose(as_hwc(read_image(path, channels)), expected / 65535, rtol=1e-6)
    write_png16(path, np.minimum(pixels, 1))
    assert np.array_equal(read_mask(path, Labels(["a", "b"])), np.minimum(pixels[..., 0], 1))


@given(orientation=st.integers(1, 8), channels=st.sampled_from([1, 3]))
def test_exif_orientation_is_followed_as_pillow_does(tmp_path_factory, orientation, channels):
    path = tmp_path_factory.mktemp("exif") / "turned.png"
    pixels = np.random.default_rng(orientation).integers(0, 256, (H, W, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels if channels == 3 else pixels[..., 0]).save(path, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path))).reshape(*read_header(path).size, channels)
    np.testing.assert_allclose(as_hwc(read_image(path, channels)), expected / 255.0, rtol=1e-6)


@pytest.mark.parametrize("shape", [(H, W), (H, W, 1), (H, W, 5)])
@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_arrays_of_any_number_of_channels(tmp_path, shape, dtype, scale):
    array = (np.random.default_rng(0).random(shape) * scale).astype(dtype)
    np.save(tmp_path / "image.npy", array)
    channels = shape[2] if len(shape) == 3 else 1
    image = as_hwc(read_image(tmp_path / "image.npy", channels))
    np.testing.assert_allclose(image, array.reshape(H, W, channels) / scale, rtol=1e-6)
    assert read_header(tmp_path / "image.npy").size == (H, W)


def test_pages_of_a_tiff_are_channels(tmp_path):
    pages = np.random.default_rng(0).integers(0, 65536, (4, H, W), dtype=np.uint16)
    first, *others = [Image.fromarray(page) for page in pages]
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    image = as_hwc(read_image(tmp_path / "pages.tif", 4))
    np.testing.assert_allclose(image, pages.transpose(1, 2, 0) / 65535.0, rtol=1e-6)
    assert read_header(tmp_path / "pages.tif").size == (H, W)


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bands", [2, 5])
def test_bands_of_a_tiff_are_channels(tmp_path, bands, dtype, planar):
    pytest.importorskip("tifffile")
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(0).integers(0, top, (H, W, bands), dtype=dtype)
    write_tiff(tmp_path / "bands.tif", pixels, planar)
    np.testing.assert_allclose(as_hwc(read_image(tmp_path / "bands.tif", bands)), pixels / float(top), rtol=1e-6)
    assert read_header(tmp_path / "bands.tif").size == (H, W)


def test_bands_without_tifffile_name_the_way_out(tmp_path, monkeypatch):
    write_tiff(tmp_path / "bands.tif", np.zeros((H, W, 5), dtype=np.uint8))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(DataError, match=r"bands\.tif: Pillow cannot read the bands of this TIFF: pip install tifffile"):
        read_image(tmp_path / "bands.tif", 5)


@pytest.mark.parametrize(
    ("found", "asked", "hint"), [(3, 2, 3), (1, 2, 1), (1, 5, 1), (3, 5, 3), (5, 3, 5), (5, 1, 5), (2, 3, 2)]
)
def test_channels_that_cannot_be_made_are_refused(tmp_path, found, asked, hint):
    np.save(tmp_path / "image.npy", np.zeros((H, W, found), dtype=np.uint8))
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "image.npy", asked)
    assert str(caught.value) == (
        f"{tmp_path / 'image.npy'}: {found} channels cannot become in_channels={asked}. The numbers must be equal, "
        f"or 1 and 3: 1 becomes 3, and 3 becomes 1.\n"
        f"  try: images of {asked} channels, or a model that is trained with data.in_channels={hint}."
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".webp"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_file_is_one_line_naming_it(tmp_path, suffix, share):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path}: not a readable image, or cut short (")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy"])
@pytest.mark.parametrize("content", [b"", b"not an image at all", b"\x93NUMPY", b"II*\0\xff\xff\xff\xff"])
def test_a_file_that_is_no_image_is_one_line_naming_it(tmp_path, suffix, content):
    path = tmp_path / f"fake{suffix}"
    path.write_bytes(content)
    for read in (read_image, read_header):
        with pytest.raises(DataError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1), (0, 1.5), (0, float("nan"))])
def test_floating_point_values_outside_0_to_1_are_refused(tmp_path, low, high):
    np.save(tmp_path / "image.npy", np.array([[low, high]], dtype=np.float32))
    with pytest.raises(DataError, match=r"image\.npy: floating-point values from .* where 0…1 is allowed"):
        read_image(tmp_path / "image.npy", 1)


def test_an_image_of_too_many_pixels_is_refused_from_its_header_with_the_way_out(tmp_path, monkeypatch, rgb):
    path = tmp_path / "image.png"
    Image.fromarray(rgb).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit is no further one
    for counts in ({"in_channels": 0}, {"max_pixels": -1}):
        with pytest.raises(ConfigError, match="must be 1 or more"):
            read_image(path, **counts)
    assert read_image(path, max_pixels=70).shape == (3, H, W)
    assert Image.MAX_IMAGE_PIXELS == 10
    path.write_bytes(path.read_bytes()[:100])  # and without decoding it
    with pytest.raises(DataError) as caught:
        read_image(path, max_pixels=69)
    assert str(caught.value) == (
        f"{path}: 7×10 is 70 pixels, more than max_pixels=69; if you trust the file: max_pixels=70"
    )


@pytest.mark.parametrize("ends", [(0, 0), (1, 0), (0, float("nan")), (0, float("inf")), (float("-inf"), 0)])
def test_a_range_that_is_none_is_refused(tmp_path, ends):
    Image.new("L", (3, 2), 7).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match=r"must be \(low, high\) with low < high"):
        read_image(tmp_path / "a.png", 1, ends)


def test_a_pipe_is_no_image_and_no_mask(tmp_path):
    pipe = tmp_path / "a.png"
    os.mkfifo(pipe)
    held = [os.open(pipe, ends | os.O_NONBLOCK) for ends in (os.O_RDONLY, os.O_WRONLY)]
    end = Timer(5, lambda: os.close(held.pop()))  # who reads the pipe all the same comes to its end then
    end.start()
    for read in (read_image, lambda path: read_mask(path, Labels(["a", "b"]))):
        with pytest.raises(DataError, match="a.png: no regular file"):
            read(pipe)
    end.cancel()
    for one in held:
        os.close(one)


def result(read, *args):
    """What was read, or the kind of error."""
    try:
        return read(*args).numpy()
    except (ConfigError, DataError) as error:
        return type(error)


NO_INTEGERS = [(-1024, 3071), (0, 1), (0, 2), (0, 300.5), (0.5, 400), (-0.5, 0.5), (0, 100_000)]


@given(st.sampled_from(NO_INTEGERS), st.lists(st.floats(-0.5, 1.5), min_size=1), st.booleans())
def test_floats_in_an_array_are_what_they_are_in_a_file_where_no_integers_have_the_range(
    tmp_path_factory, image_range, shares, as_tensor
):
    low, high = image_range
    array = (low + np.array([shares]) * (high - low)).astype(np.float32)
    path = tmp_path_factory.mktemp("image") / "a.npy"
    np.save(path, array)
    same = result(as_image, torch.from_numpy(array) if as_tensor else array, 1, image_range)
    assert np.array_equal(same, result(read_image, path, 1, image_range))


@given(st.sampled_from(["dtype", (0, 255), (0, 4095), (100, 65535)]), st.lists(st.floats(0, 1, width=32), min_size=1))
def test_floats_are_shares_where_images_of_integers_have_the_range(image_range, shares):
    array = np.array([shares], dtype=np.float32)
    assert np.array_equal(as_image(array, 1, image_range)[0], array)


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.uint8])
def test_the_order_of_bytes_says_nothing(kind):
    array = (np.arange(6).reshape(2, 3) / (5 if kind is np.float32 else 1)).astype(kind)
    swapped = array.astype(array.dtype.newbyteorder(">"))
    assert torch.equal(as_image(swapped, 1, "dtype"), as_image(array, 1, "dtype"))


OTHER_TYPES = [
    (kind, values, form)
    for kind in (np.int8, np.int16, np.uint32, np.int64, np.float64)
    for values in ((0, 3, 255), (0, 256, 4000), (7, 65535), (0, 65536, 70000), (-5, 0, 100), (2, 2))
    for form in ("array", "tensor", "picture")
    if np.array_equal(np.array(values).astype(kind), values) and (form != "picture" or kind is np.float64)
]


@pytest.mark.parametrize(("kind", "values", "form"), OTHER_TYPES)
def test_what_is_proposed_for_values_of_other_types_keeps_them(kind, values, form):
    array = np.array([values])
    image = array.astype(kind)
    if form != "array":
        image = torch.from_numpy(image) if form == "tensor" else Image.fromarray(image.astype(np.float32))
    with pytest.raises(ConfigError) as caught:
        as_image(image, 1, "dtype")
    ways = re.findall(r"image_range=(\(.*?\))|((?:\S*\()?image\S*(?:\.astype|\.to)\(\S*\))", str(caught.value))
    assert ways or (kind is np.float64 and not 0 <= min(values) <= max(values) <= 65535)
    names = {"image": image, "numpy": np, "torch": torch}
    for ends, typed in ways:
        own = eval(ends, names) if ends else None
        found = as_image(image if ends else eval(typed, names), 1, "dtype", own)[0]
        low, high = own or ((0, 255) if "uint8" in typed else (0, 65535))
        assert np.allclose(found * (high - low) + low, array, rtol=0, atol=1e-6 * high)


def test_numbers_that_are_none_and_shares_beyond_1_are_answered_for_each_form():
    for values in ([0.0, 1.25], [0.5, float("nan")]):
        array = np.array([values], dtype=np.float32)
        for image in (array, torch.from_numpy(array), Image.fromarray(array)):
            with pytest.raises(ConfigError) as caught:
                as_image(image, 1, (0, 255))
            typed = str(caught.value).rpartition("try: ")[2]
            changed = eval(typed, {"image": image, "numpy": np, "torch": torch})
            assert as_image(changed, 1, (0, 255)).flatten()[0] == values[0]
