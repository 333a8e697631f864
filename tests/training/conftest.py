from pathlib import Path

import pytest
import yaml
from rich.console import Console

from segup.training.config import RunConfig
from segup.training.run import train

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def group(name, option):
    return yaml.safe_load((CONFIGS / name / f"{option}.yaml").read_text())


@pytest.fixture
def small_run(tmp_path):
    """Run a tiny training: three epochs of four steps at an odd crop; keys are overridden by group."""

    def run(folder="run", **changes):
        values = {
            "encoder": {"name": "efficientnet_lite0", "pretrained": False},
            "decoder": {**group("decoder", "deconv"), "widths": [8, 8, 8, 8, 8], "convs": 1},
            "data": {**group("data", "cells"), "crop_size": [33, 35], "batch_size": 2, "samples_per_epoch": 8},
            "loss": group("loss", "ce_dice"),
            "optimizer": group("optimizer", "adamw"),
            "scheduler": group("scheduler", "one_cycle"),
            "trainer": {"accelerator": "cpu", "max_epochs": 3, "threads": 1},
        }
        for key, change in changes.items():
            values[key] = {**values[key], **change} if isinstance(change, dict) else change
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        return train(RunConfig.of(values), path, Console(quiet=True)), path

    return run
