"""Before training starts, the sizes and the verdict are shown and kept."""

from io import StringIO

import pytest
from rich.console import Console
from torch import nn

from segup.decoders import create_decoder
from segup.encoders import Encoder
from segup.models import SegmentationModel
from segup.training.progress import as_text
from segup.training.run import sizes_shown


class Body(nn.Module):
    """Three maps: one stage rounds up, one down, one up."""

    def __init__(self, picky=False):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 2, 2), nn.Conv2d(4, 4, 3, 2, 1)])
        self.picky = picky

    def forward(self, image):
        if self.picky and image.shape[-2] == 45:
            raise ValueError("no 45")
        maps = []
        for stage in self.stages:
            image = stage(image)
            maps.append(image)
        return maps


def model(upsampler, picky=False):
    encoder = Encoder("body", Body(picky))
    rules = encoder.pyramid.roundings[1:]
    decoder = create_decoder(
        "unet", encoder.channels, encoder.strides, upsampler=upsampler, widths=[4] * 3, roundings=rules
    )
    return SegmentationModel(encoder, decoder, 2, {})


def test_the_file_says_the_sizes_and_the_verdict(small_run):
    _, folder = small_run(trainer={"max_epochs": 1, "max_steps": 1})
    lines = (folder / "ladder.txt").read_text().splitlines()
    assert lines[0] == "Sizes of a training crop, 33×35, in timm/test_efficientnet"
    assert sum("deconv k4 s2 p1" in line for line in lines[:-1]) == 4
    assert any("stage 1 rounds up" in line and "17×18" in line for line in lines)
    assert any("33×35" in line and "cut 1 row, 1 column" in line for line in lines)
    assert lines[-1] == (
        "Proved for every height and width: the output has the image's size; a step (deconv k4 s2 p1, bilinear ×2) "
        "cuts at most 1 row or column, and none does at the multiples of 32."
    )


@pytest.mark.parametrize("upsampler", ["deconv", "deconv_matched", "pixel_shuffle"])
def test_the_verdict_is_what_every_size_shows(upsampler):
    shown = model(upsampler)
    verdict = shown.verdict()
    assert verdict.proved
    for size in range(1, 70):
        corrections = [rung.correction for rung in shown.ladder(size)]
        least = verdict.accepted.least
        assert (not any(corrections)) == ((max(size, least) - least) % 8 in {n - least for n in verdict.exact})
        assert -verdict.cut <= min(corrections) <= max(corrections) <= verdict.repeated
    assert "stage 2 rounds down" in as_text(*sizes_shown(shown, (33, 35)))


def test_what_is_not_proved_is_not_called_so():
    assert str(model("deconv", picky=True).verdict()).startswith("Checked for ")


def test_a_small_crop_is_shown_with_its_extension():
    text = as_text(*sizes_shown(model("deconv"), (1, 9)))
    assert text.startswith(
        "Sizes of a training crop, 1×9, in body, which takes every size from 3 on: extended to 3×9\n"
    )


def test_the_terminal_shows_what_the_file_says():
    parts = sizes_shown(model("deconv"), (33, 35))
    console = Console(file=StringIO(), width=200)
    console.print(*parts, sep="\n")
    assert console.file.getvalue().split() == as_text(*parts).split()
