"""TIFFs as other programs write them: colours in planes, pages of any type, copies and masks behind the image."""

import numpy as np
import pytest

from segup.data import Labels, read_image, read_mask
from segup.data.headers import read_header
from segup.errors import DataError

tifffile = pytest.importorskip("tifffile")
H, W = 7, 10
RGB = {"photometric": "rgb"}
PLANES = {**RGB, "planarconfig": "separate"}
GREY = {"photometric": "minisblack"}


def planes(channels=3, top=65535):
    return np.random.default_rng(0).integers(0, top, (channels, H, W), endpoint=True, dtype=np.uint16)


def as_hwc(path, channels):
    return read_image(path, channels).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("extra", ["unassalpha", None])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"planarconfig": "contig"}])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colours_are_the_same_however_a_tiff_stores_them(tmp_path, kind, options, extra):
    top = np.iinfo(kind).max
    pixels = planes(3 if extra is None else 4, top).astype(kind)
    how = {**PLANES, **options, **({} if extra is None else {"extrasamples": [extra]})}
    tifffile.imwrite(
        tmp_path / "a.tif", pixels if how["planarconfig"] == "separate" else pixels.transpose(1, 2, 0), **how
    )
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.channels, header.dtype) == ((H, W), len(pixels), kind)
    for channels in {3, len(pixels)}:  # a fourth is left out where three are wanted
        expected = pixels[:channels].transpose(1, 2, 0) / top
        np.testing.assert_allclose(as_hwc(tmp_path / "a.tif", channels), expected, atol=1e-6)


@pytest.mark.parametrize("how", [PLANES, {**PLANES, "compression": "zlib"}])
def test_sixteen_bit_colours_in_planes_are_classes(tmp_path, how):
    labels = Labels(["a", "b"], [(0, 0, 0), (255, 128, 0)])
    ids = np.arange(H * W).reshape(H, W) % 2
    colors = np.array([[0, 0, 0], [255, 128, 0]], np.uint16)[ids] * 257
    tifffile.imwrite(tmp_path / "a.tif", colors.transpose(2, 0, 1), **how)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", labels), ids)
    tifffile.imwrite(tmp_path / "grey.tif", np.stack([ids.astype(np.uint16)] * 3), **how)
    np.testing.assert_array_equal(read_mask(tmp_path / "grey.tif", Labels(["a", "b"])), ids)


@pytest.mark.parametrize("height", [1, H])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_pages_of_any_type_are_channels(tmp_path, kind, height):
    pages = (planes()[:, :height] / 65535).astype(kind)
    tifffile.imwrite(tmp_path / "a.tif", pages, **GREY)
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.channels) == ((height, W), 3)
    np.testing.assert_allclose(as_hwc(tmp_path / "a.tif", 3), pages.transpose(1, 2, 0), rtol=1e-3)
    with pytest.raises(
        DataError, match=r"a\.tif: 3 channels cannot become in_channels=10\. "
    ):  # nor is W a number of them
        read_image(tmp_path / "a.tif", W)


@pytest.mark.parametrize("options", [{"volumetric": True, "tile": (16, 16, 16)}, {"truncate": True}])
def test_a_volume_in_a_page_is_no_image(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", planes() / 65535, **GREY, **options)
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "a.tif", 3)
    assert str(caught.value) == (
        f"{tmp_path / 'a.tif'}: a page holds a volume, and no image is one.\n"
        f"  try: a page for each channel, or a file for each image"
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float64])
@pytest.mark.parametrize("bands", [1, 3])
def test_smaller_copies_and_masks_behind_an_image_are_no_channels(tmp_path, kind, bands):
    top = 1 if kind is np.float64 else np.iinfo(kind).max
    pixels = (planes(bands) / 65535 * top).astype(kind).transpose(1, 2, 0)
    how = {**(RGB if bands == 3 else GREY), "metadata": None}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels if bands == 3 else pixels[..., 0], **how)
        file.write(np.ones((H, W), bool), subfiletype=4, metadata=None)
        for step in (2, 4):
            file.write((pixels if bands == 3 else pixels[..., 0])[::step, ::step], subfiletype=1, **how)
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.channels, header.dtype) == ((H, W), bands, kind)
    np.testing.assert_allclose(as_hwc(tmp_path / "a.tif", bands), pixels / top, atol=1e-6)


def test_smaller_copies_behind_pages_and_masks_are_left_out(tmp_path):
    ids, pages = (np.arange(H * W).reshape(H, W) % 2).astype(np.uint8), planes(2)
    for name, own in (("mask", [ids]), ("pages", pages)):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            for page in own:
                file.write(page, metadata=None, **GREY)
            file.write(own[0][::2, ::2], subfiletype=1, metadata=None, **GREY)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.tif", Labels(["a", "b"])), ids)
    assert read_header(tmp_path / "pages.tif").channels == 2
    np.testing.assert_allclose(as_hwc(tmp_path / "pages.tif", 2), pages.transpose(1, 2, 0) / 65535, rtol=1e-6)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_fourth_band_that_is_not_said_to_be_alpha_is_not_dropped(tmp_path, kind):
    pixels = planes(4, np.iinfo(kind).max).astype(kind)  # such as near infrared
    tifffile.imwrite(tmp_path / "a.tif", pixels, **{**PLANES, "extrasamples": ["unspecified"]})
    assert as_hwc(tmp_path / "a.tif", 4).shape == (H, W, 4)
    with pytest.raises(DataError, match="4 channels cannot become in_channels=3"):
        as_hwc(tmp_path / "a.tif", 3)
