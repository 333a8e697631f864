import pytest
from groups import group
from rich.console import Console

from segup.training.config import RunConfig
from segup.training.run import train


def tiny_run(folder, pictures=False, **changes):
    """Train three epochs of four steps at an odd crop in ``folder``; keys are overridden by group.

    The encoder is timm's smallest with all five strides: at these sizes the default one takes most of the time. The
    pictures are drawn on request alone: they take about as long as the training.
    """
    values = {
        "encoder": {"name": "test_efficientnet", "pretrained": False},
        "decoder": {**group("decoder", "deconv"), "widths": [8, 8, 8, 8, 8], "convs": 1},
        "data": {**group("data", "cells"), "crop_size": [33, 35], "batch_size": 2, "samples_per_epoch": 8},
        "loss": group("loss", "ce_dice"),
        "optimizer": group("optimizer", "adamw"),
        "scheduler": group("scheduler", "one_cycle"),
        "trainer": {"accelerator": "cpu", "max_epochs": 3, "threads": 1},
    }
    for key, change in changes.items():
        anew = not isinstance(change, dict) or key == "scheduler"
        values[key] = change if anew else {**values.get(key, {}), **change}
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patched:
        if not pictures:
            patched.setattr("segup.training.run.log_results", lambda *arguments: None)
        for name in () if pictures else ("save_curves", "save_predictions"):
            patched.setattr(f"segup.training.run.{name}", lambda *arguments: arguments[-1].touch())
        return train(RunConfig.of(values), folder, Console(quiet=True)), folder


@pytest.fixture(scope="session")
def run_in():
    """:func:`tiny_run` itself."""
    return tiny_run


@pytest.fixture
def small_run(tmp_path):
    """Run :func:`tiny_run` in a folder of the test's own."""
    return lambda folder="run", **changes: tiny_run(tmp_path / folder, **changes)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The result and the folder of one :func:`tiny_run` that nothing stopped."""
    return tiny_run(tmp_path_factory.mktemp("whole") / "run")
