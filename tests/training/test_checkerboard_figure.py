import json

import pytest
import torch

from segup import create_model, load_model
from segup.training.checkerboard import checkerboard_figures
from segup.training.history import read_history
from segup.upsamplers import Deconv, checkerboard


def test_the_figure_is_logged_and_written(small_run):
    result, folder = small_run(trainer={"max_epochs": 2}, decoder={"upsampler_options": {"init": "he"}})
    logged = [float(row["val/checkerboard"]) for row in read_history(folder / "metrics.csv") if row["val/miou"]]
    assert len(logged) == 2
    assert logged[0] != logged[1]
    written = json.loads((folder / "result.json").read_text())["checkerboard"]
    assert written == result["checkerboard"]
    assert written["mean"] == pytest.approx(logged[-1], rel=1e-5)
    model = load_model(folder / "last.ckpt")
    assert written["operators"]["decoder.blocks.0.up"] == pytest.approx(checkerboard(model.decoder.blocks[0].up))
    steps = [figure for path, figure in written["operators"].items() if path != "decoder.final"]
    assert written["mean"] == pytest.approx(sum(steps) / len(steps))
    spectrum = {step["operator"]: step for step in written["spectrum"]}
    assert [step["reduction"] for step in written["spectrum"]] == [16, 8, 4, 2, 1]
    assert {path: 1 - step["energy"][0][0] for path, step in spectrum.items()} == pytest.approx(written["operators"])
    assert written["mean"] > 0.1 > 1e-6 > written["operators"]["decoder.final"]


def test_measuring_leaves_the_model_as_it_is():
    torch.manual_seed(0)
    model = create_model(encoder="resnet18", num_classes=2, pretrained=False, widths=[4, 4, 4, 4, 4])
    model(torch.rand(2, 3, 33, 35))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    corrections, draws = [up.correction for _, _, up in model.decoder.steps()], torch.get_rng_state()
    with torch.inference_mode():
        assert checkerboard_figures(model) == checkerboard_figures(model)
    assert torch.equal(torch.get_rng_state(), draws)
    assert [up.correction for _, _, up in model.decoder.steps()] == corrections
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training


class Ramp(Deconv):
    """What it makes of a constant depends on the column: there is nothing to measure."""

    def upsample(self, x, *, skip=None, indices=None):
        y = super().upsample(x)
        return y * torch.arange(y.shape[-1], dtype=y.dtype)


class DepthGuided(Deconv):
    requires = frozenset({"depth"})


@pytest.mark.parametrize("kind", [Ramp, DepthGuided])
def test_what_cannot_be_measured_has_no_figure(kind):
    model = create_model(encoder="resnet18", num_classes=2, pretrained=False, widths=[4, 4, 4, 4, 4])
    model.decoder.blocks[0].up = kind(512, 4)
    figures = checkerboard_figures(model)
    assert figures["operators"]["decoder.blocks.0.up"] is None
    others = [figures["operators"][f"decoder.blocks.{i}.up"] for i in (1, 2, 3)]
    assert figures["mean"] == pytest.approx(sum(others) / 3)
