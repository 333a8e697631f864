"""A training crop that the encoder does not take whole is refused before anything starts, with the number."""

import numpy as np
import pytest
from groups import group
from PIL import Image

from segup.errors import ShapeError
from segup.training.before import check_parts
from segup.training.config import RunConfig

TIED = {"name": "timm/convit_tiny", "pretrained": False, "options": {"img_size": 128}}
SHORT = {"name": "timm/test_vit", "pretrained": False, "max_tokens": 10}
PLAIN = {"topology": "plain", "upsampler": "bilinear", "widths": None, "convs": None, "upsampler_options": None}


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (
            TIED,
            r"takes images of up to 128×128, not 129×47: .*\n  try: data.crop_size=\[128,47\], or .*img_size=144",
        ),
        (SHORT, r"makes 28 tokens .* 129×47, .*max_tokens is 10.\n  try: data.crop_size=\[48,48\]"),
    ],
)
def test_a_crop_that_does_not_fit_is_refused_before_the_start(tmp_path, small_run, encoder, said):
    data = {**group("data", "cells"), "crop_size": [129, 47]}
    with pytest.raises(ShapeError, match=said):
        check_parts(
            RunConfig.of(
                {
                    "encoder": encoder,
                    "decoder": PLAIN,
                    "data": data,
                    "loss": group("loss", "ce_dice"),
                    "optimizer": group("optimizer", "adamw"),
                    "scheduler": group("scheduler", "one_cycle"),
                }
            )
        )
    with pytest.raises(ShapeError, match=said):
        small_run(encoder=encoder, decoder=PLAIN, data={"crop_size": [129, 47]})
    assert not list((tmp_path / "run").iterdir())


@pytest.fixture
def images(tmp_path):
    """A folder of images that neither encoder takes whole, and few windows cover."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, shape, values in (("images", (140, 150, 3), 256), ("masks", (140, 150), 3)):
            (tmp_path / kind / split).mkdir(parents=True)
            for number in range(2):
                pixels = random.integers(0, values, shape, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / kind / split / f"{number}.png")
    return {"name": "folder", "root": str(tmp_path), "classes": list("abc"), "colors": None}


@pytest.mark.parametrize("encoder", [TIED, SHORT])
def test_a_crop_that_fits_trains_and_larger_images_are_validated(small_run, images, encoder):
    result, _ = small_run(
        encoder=encoder,
        decoder=PLAIN,
        data={**images, "crop_size": [33, 47]},
        trainer={"max_epochs": 1, "max_steps": 1},
    )
    assert 0 <= result["last"]["miou"] <= 1
