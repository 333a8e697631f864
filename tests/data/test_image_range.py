"""What a pixel measured: one range for a data set, found, shown, given, kept."""

import struct
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from segup.data import create_data, read_image
from segup.data.ranges import check_range, widened
from segup.errors import ConfigError, DataError

H, W = 6, 8


def png16(path, pixels, bits=None):
    """Write a grey PNG of 16 bits, with its significant bits declared or not."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
    declared = b"" if bits is None else chunk(b"sBIT", bytes([bits]))
    content = head + declared + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def tiff12(path, pixels):
    """Write a grey TIFF whose samples are packed into 12 bits each."""
    height, width = pixels.shape
    text = "".join(f"{value:012b}" for value in pixels.ravel())
    data = int(text, 2).to_bytes(len(text) // 8, "big")
    fields = [(256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8)]
    fields += [(277, 3, 1), (278, 4, height), (279, 4, len(data))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in fields)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack("<H", len(fields)) + entries + struct.pack("<I", 0))


def png8(path, pixels):
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def npy(dtype):
    return lambda path, pixels: np.save(path, pixels.astype(dtype))


@pytest.fixture
def folder(tmp_path):
    """Write a data set of four training images and one validation image, each with the given largest value."""

    def write(writer, tops, suffix=".png", low=0):
        for number, top in enumerate(tops):
            split = "val" if number == len(tops) - 1 else "train"
            pixels = np.random.default_rng(number).integers(low, top + 1, (H, W))
            pixels[0, :2] = low, top
            for kind in ("images", "masks"):
                (tmp_path / kind / split).mkdir(parents=True, exist_ok=True)
            kind = writer[number] if isinstance(writer, list) else writer
            kind(tmp_path / "images" / split / f"{number}{suffix}", pixels)
            Image.fromarray(np.zeros((H, W), dtype=np.uint8)).save(tmp_path / "masks" / split / f"{number}.png")

        def data(**options):
            config = {"name": "folder", "root": str(tmp_path), "classes": ["a", "b"], "in_channels": 1}
            return create_data({**config, "crop_size": [H, W], "batch_size": 1, **options})

        return data

    return write


@pytest.mark.parametrize(
    ("writer", "suffix", "tops", "found", "said"),
    [
        (png8, ".png", [9, 255, 3, 4, 5], (0, 255), "8-bit"),
        (png16, ".png", [3000, 4011, 17, 4000, 4095], (0, 4095), "16-bit, from 0 to 4011 in the training images"),
        (png16, ".png", [1, 65535, 2, 3, 4], (0, 65535), "16-bit, from 0 to 65535 in the training images"),
        (png16, ".png", [1, 200, 2, 3, 4], (0, 255), "16-bit, from 0 to 200 in the training images"),
        (lambda p, x: png16(p, x, 12), ".png", [9, 900, 1, 2, 3], (0, 4095), "16-bit, 12 bits declared"),
        (lambda p, x: png16(p, x * 16, 12), ".png", [4095] * 5, (0, 65535), "16-bit, from 0 to 65520 in the training"),
        (tiff12, ".tif", [9, 900, 1, 2, 3], (0, 4095), "16-bit, 12 bits declared"),
        (npy(np.uint16), ".npy", [9, 1023, 1, 2, 3], (0, 1023), "16-bit, from 0 to 1023 in the training images"),
        (npy(np.float32), ".npy", [1, 1, 1, 1, 1], (0, 1), "floating-point, from 0 to 1 in the training images"),
        (npy(np.float64), ".npy", [9, 255, 1, 2, 3], (0, 255), "floating-point, from 0 to 255 in the training"),
    ],
)
def test_the_range_is_found_by_type_declared_bits_or_extremes(folder, writer, suffix, tops, found, said):
    data = folder(writer, tops, suffix)()
    data.setup("fit")
    assert data.image_range == found
    assert data.image_range_text.startswith(f"image values: {found[0]}…{found[1]} ({said}")
    scale = 16 if "65520" in said else 1
    assert data.sample("val", 0)["image"].max().item() == pytest.approx(tops[-1] * scale / found[1], rel=1e-6)


def test_signed_values_have_a_range_below_zero(folder):
    data = folder(npy(np.int16), [3071] * 5, ".npy", low=-1000)()
    image = data.sample("val", 0)["image"]
    assert data.image_range == (-1024, 4095)
    assert image.min().item() == pytest.approx(24 / 5119)
    assert image.max().item() == pytest.approx(4095 / 5119)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.sampled_from(["16-bit", "floating-point"]))
def test_a_widened_range_holds_what_was_seen_and_is_less_than_twice_it(low, span, kind):
    low, high = (low, low + span) if kind == "floating-point" else (int(low), int(low + span))
    least, most = widened(low, high, kind)
    assert least <= low <= high <= most
    assert least == 0 or least > 2 * low
    assert most in (1, 255) or most < 2 * high + 1


def test_the_range_is_settable_and_an_image_beyond_it_is_named(folder, tmp_path):
    data = folder(png16, [3000, 4011, 17, 4000, 4000])
    assert data(image_range=[0, 65535]).sample("val", 0)["image"].max().item() == pytest.approx(4000 / 65535)
    with pytest.raises(DataError) as caught:
        data(image_range=[0, 4000]).setup("fit")
    assert str(caught.value) == (
        f"{tmp_path / 'images/train/1.png'}: 16-bit values from 0 to 4011, where 0…4000 is allowed; "
        f"data.image_range=[0,4095] covers them "
        f"(segup predict: --image-range 0,4095; model.predict: image_range=(0,4095))"
    )
    data(image_range=[0, 4095]).setup("fit")


def test_a_validation_image_that_does_not_fit_what_was_found_is_named(folder, tmp_path):
    with pytest.raises(DataError, match=r"val/4\.png: 16-bit values from 0 to 5000, where 0…1023 is allowed; data\.im"):
        folder(png16, [9, 1000, 9, 9, 5000])().setup("fit")


def test_eight_bits_among_twelve_are_refused_not_blackened(folder):
    with pytest.raises(DataError, match=r"val/4\.png: 8-bit values in 0…255, and the range of the data set is 0…4095"):
        folder([png16] * 4 + [png8], [4000] * 4 + [255])().setup("fit")


def test_kinds_that_no_range_fits_are_refused_with_a_way_out_that_works(folder, tmp_path):
    data = folder([png16, png8, png16, png16, png8], [4000, 255, 9, 9, 255])
    with pytest.raises(DataError) as caught:
        data().setup("fit")
    assert str(caught.value).startswith(
        f"{tmp_path / 'images/train/0.png'} holds 16-bit values, {tmp_path / 'images/train/1.png'} 8-bit ones: one "
        f"range does not fit both.\n  try: data.image_range=dtype (each file by its own type"
    )
    own = data(image_range="dtype")
    own.setup("fit")
    assert own.sample("train", 0)["image"].max().item() == pytest.approx(4000 / 65535)
    assert own.sample("val", 0)["image"].max().item() == 1


def test_unit_floats_do_not_fit_a_range_of_integers(tmp_path):
    np.save(tmp_path / "a.npy", np.full((H, W), 0.5, dtype=np.float32))
    with pytest.raises(DataError, match="floating-point values in 0…1, and the range of the data set is 0…255"):
        read_image(tmp_path / "a.npy", 1, (0, 255))


def test_eight_bit_images_are_read_as_they_always_were(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    for image_range in ("dtype", (0, 255)):
        expected = torch.from_numpy(pixels).to(torch.float32) / 255
        assert torch.equal(read_image(tmp_path / "a.png", 1, image_range)[0], expected)


@pytest.mark.parametrize("value", [[0], [5, 1], [1, 1], "4095", [0, "x"], [0, float("nan")], True, 0, {}])
def test_a_range_that_cannot_be_meant_is_refused(value):
    with pytest.raises(ConfigError, match=r"data\.image_range=.* must be \[low, high\] with low < high, dtype"):
        check_range(value)
    with pytest.raises(ConfigError, match=r"^image_range=.*\n  try: image_range=\(0, 255\)$"):
        check_range(value, "image_range")


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.uint32, np.int64])
@pytest.mark.parametrize(("low", "high", "ends"), [(0, 100, "0,255"), (-100, 100, "-128,127")])
def test_types_that_do_not_say_what_is_white_are_refused_with_a_range_that_works(tmp_path, kind, low, high, ends):
    if low < np.iinfo(kind).min:
        return
    path = tmp_path / "a.npy"
    np.save(path, np.array([[low, high]], dtype=kind))
    with pytest.raises(DataError) as caught:
        read_image(path, 1)
    named = f"{8 * np.dtype(kind).itemsize}-bit{' signed' if np.dtype(kind).kind == 'i' else ''}"
    assert str(caught.value) == (
        f"{path}: {named} values from {low} to {high}, and a type of so many bits does not say what is white; "
        f"data.image_range=[{ends}] covers them (segup predict: --image-range {ends}; model.predict: "
        f"image_range=({ends}))"
    )
    first, last = map(int, ends.split(","))
    found = read_image(path, 1, (first, last)).flatten() * (last - first) + first
    assert found.tolist() == pytest.approx([low, high], abs=1e-4)


def test_a_signed_tiff_is_refused_before_training_starts(folder):
    def signed(path, pixels):
        Image.fromarray(pixels.astype(np.int32)).save(path)

    with pytest.raises(DataError, match=r"32-bit signed values from 0 to \d+, and a type of so many bits does not say"):
        folder(signed, [100] * 5, ".tif")(image_range="dtype").setup("fit")


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_luminance_is_rounded(tmp_path, kind):
    np.save(tmp_path / "a.npy", np.array([[[3, 1, 1], [0, 1, 0], [1, 2, 0]]], dtype=kind))  # 1.598, 0.587, 1.473
    assert (read_image(tmp_path / "a.npy", 1, (0, 1000)) * 1000).flatten().tolist() == pytest.approx([2, 1, 1])
