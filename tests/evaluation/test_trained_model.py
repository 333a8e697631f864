"""segup.load: whatever an image is given as, its mask is that of the file."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

import segup
from segup.checkpoints import save_model
from segup.data import Labels
from segup.errors import ConfigError, DataError
from segup.evaluation.runs import open_run
from segup.evaluation.segment import segment
from segup.models import create_model

LABELS = Labels(("soil", "leaf", "stem"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    options = {"pretrained": False, "widths": [8] * 4}
    for name, channels, image_range in (
        ("last", 3, (0, 255)), ("best", 3, "dtype"), ("grey", 1, (0, 4095)), ("bands", 5, (0, 2)), ("old", 3, None)
    ):  # fmt: skip
        model = create_model("segnet", num_classes=3, in_channels=channels, **options)
        with torch.no_grad():
            model.head.weight.normal_()
        info = (
            {"labels": asdict(LABELS)}
            if image_range is None
            else {"labels": asdict(LABELS), "image_range": image_range}
        )
        save_model(model, place / f"{name}.ckpt", info)
    return place


def image(*shape, high=256, kind=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape).astype(kind)


@pytest.mark.parametrize("which", ["last", "best"])
def test_every_form_of_an_image_gives_the_mask_of_its_file(folder, tmp_path, which):
    model, pixels = segup.load(folder, checkpoint=which), image(37, 53, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = segment(model.model, torch.from_numpy(pixels).permute(2, 0, 1) / 255).numpy()
    assert len(np.unique(expected)) > 1
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    forms = [
        str(tmp_path / "a.png"), tmp_path / "a.png", pixels, Image.open(tmp_path / "a.png"), tensor,
        (tensor / 255).requires_grad_(), pixels / 255, (pixels / np.float32(255)), np.asfortranarray(pixels),
        Image.fromarray(np.dstack([pixels, image(37, 53, seed=1)])),
    ]  # fmt: skip
    if which == "last":
        forms += [pixels.astype(np.int64), tensor.int(), pixels.astype(np.uint16)]
    for form in forms:
        found = model.predict(form)
        assert found.dtype == np.uint8
        assert found.shape == (37, 53)
        assert np.array_equal(found, expected), type(form)
    assert np.array_equal(model.predict(pixels.astype(np.float64), image_range=(0, 255)), expected)
    for several in ([pixels, tmp_path / "a.png"], (tensor, pixels), np.stack([pixels] * 2), torch.stack([tensor] * 2)):
        found = model.predict(several)
        assert isinstance(found, list)
        assert [np.array_equal(one, expected) for one in found] == [True, True]
    assert model.predict([]) == []


def test_grey_palettes_and_other_ranges_are_read_as_those_of_files(folder, tmp_path):
    colors, grey = segup.load(folder / "last.ckpt"), segup.load(folder / "grey.ckpt")
    one, deep = image(20, 31), image(20, 31, high=4096, kind=np.uint16)
    same = [one, one[..., None], torch.from_numpy(one), Image.fromarray(one), np.repeat(one[..., None], 3, 2)]
    masks = [colors.predict(form) for form in same]
    assert all(np.array_equal(masks[0], mask) for mask in masks)
    palette = Image.fromarray(image(20, 31, 3)).quantize(8)
    assert np.array_equal(colors.predict(palette), colors.predict(np.asarray(palette.convert("RGB"))))
    np.save(tmp_path / "deep.npy", deep)
    expected = grey.predict(tmp_path / "deep.npy")
    for form in (deep, deep.astype(np.int32), deep / 4095, torch.from_numpy(deep.astype(np.float32) / 4095)[None]):
        assert np.array_equal(grey.predict(form), expected)
    assert np.array_equal(grey.predict(deep.astype(float), image_range=[0, 4095]), expected)
    bands, floats = segup.load(folder / "bands.ckpt"), image(20, 31, 5, high=100) / 50
    unit = torch.from_numpy(floats / 2).permute(2, 0, 1).float()
    assert np.array_equal(bands.predict(floats), segment(bands.model, unit).numpy())
    assert segup.load(folder / "old.ckpt").image_range == "dtype"


NAN = np.full((9, 9, 3), np.nan)


@pytest.mark.parametrize(
    ("which", "given", "message"),
    [
        ("last", image(9, 9, 3).astype(float), r"float values from \d+ to 255; .*\n  try: image.astype\('uint8'\) for"),
        ("last", np.full((9, 9, 3), 1.2), r"from 1.2 to 1.2; floats are 0…1.\n  try: image.clip\(0, 1\)"),
        ("last", np.full((9, 9, 3), -2.1), "training's images had 0…255.\n  try: the image before it was normalised"),
        ("last", NAN, r"try: numpy.nan_to_num\(image\)"),
        ("last", torch.full((3, 9, 9), 300), "64-bit signed values from 300 to 300, where 0…255 is allowed"),
        ("best", image(9, 9, 3).astype(np.int64), r"int64 values, and a type .*\n  try: image.astype\('uint8'\)"),
        ("grey", image(9, 9), r"8-bit values in 0…255, and .* model.predict: image_range=\(0,255\)"),
        ("grey", image(9, 9).astype(float), r"floats are 0…1.\n  try: image_range=\(0, 4095\)"),
        ("bands", np.full((9, 9, 5), 3.0), r"where 0…2 is allowed; .* model.predict: image_range=\(0,255\)"),
        ("last", image(3, 9, 9), r"has 9 channels, and .* 3: arrays .*\n  try: image.transpose\(1, 2, 0\)"),
        ("last", torch.zeros(9, 9, 3), r"9 channels, and .* tensors are \(C, H, W\).\n  try: image.permute\(2, 0, 1\)"),
        ("last", torch.zeros(4, 9, 9), r"has 4 channels, and the model takes 3.\n  try: image\[:3\]"),
        ("last", image(9, 9, 4), r"has 4 channels, and the model takes 3.\n  try: image\[..., :3\]"),
        ("bands", image(9, 9, 3), "3 channels cannot become in_channels=5"),
        ("last", image(9), r"an image of shape \(9,\) must be \(H, W\) or \(H, W, C\)"),
        ("last", image(0, 9, 3), r"shape \(0, 9, 3\) must be"),
        ("last", np.array([["a"]]), "of <U1 is no image"),
        ("last", torch.zeros(3, 9, 9, dtype=torch.complex64), "of torch.complex64 is no image"),
        ("last", None, "None is no image: give a path, an array"),
        ("last", [[0, 1]], r"\[0, 1\] is no image"),
        ("last", 3.0, "3.0 is no image"),
    ],
)  # fmt: skip
def test_what_is_no_image_for_the_model_is_refused_with_a_way_out(folder, which, given, message):
    with pytest.raises((ConfigError, DataError), match=message):
        segup.load(folder / f"{which}.ckpt").predict(given)


def test_files_that_are_not_there_and_odd_options_are_refused(folder, tmp_path):
    model = segup.load(folder)
    for path, message in ((tmp_path / "no.png", "no.png"), (tmp_path, str(tmp_path)), ("", r"\.: ")):
        with pytest.raises(DataError, match=message):
            model.predict(path)
    for option in (
        {"window": 0},
        {"window": "x"},
        {"overlap": 1.0},
        {"tta": "yes"},
        {"image_range": (3, 3)},
        {"tta": True},
    ):
        with pytest.raises(ConfigError):
            model.predict(image(9, 9, 3), **option)
    assert model.predict(image(70, 50, 3), window=32, batch_size=4).shape == (70, 50)


def test_load_takes_what_a_run_left_and_says_what_it_does_not(folder, tmp_path):
    assert segup.load(folder).classes == LABELS.names
    assert segup.load(str(folder / "best.ckpt")).path == folder / "best.ckpt"
    assert repr(segup.load(folder)) == f"TrainedModel('{folder / 'last.ckpt'}', classes=['soil', 'leaf', 'stem'])"
    assert not segup.load(folder).model.training
    assert isinstance(segup.load_model(folder / "last.ckpt"), torch.nn.Module)
    for wrong in (None, 3, "", open_run(folder).model, b"x", [folder]):
        with pytest.raises(ConfigError, match="(?s)load: source=.* must be a run, a run folder, a checkpoint or"):
            segup.load(wrong)
    with pytest.raises(DataError, match=r"has no last.ckpt"):
        segup.load(tmp_path)
