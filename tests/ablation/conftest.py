import copy
import json

import pytest

CONFIG = {
    "encoder": {"name": "resnet18", "options": {}},
    "decoder": {"topology": "unet", "upsampler": "deconv", "widths": None, "upsampler_options": {"kernel_size": None}},
    "data": {"name": "cells", "crop_size": [161, 193]},
    "loss": {"name": "ce_dice"},
    "optimizer": {"name": "adamw", "lr": 2e-3},
    "scheduler": {"name": "one_cycle"},
    "trainer": {"max_epochs": 15},
    "name": "train",
    "seed": 0,
    "run_dir": None,
    "ckpt_path": None,
    "trust": [],
}


def scores(miou):
    return {"miou": miou, "pixel_accuracy": 0.8, "boundary_iou": 0.6, "bf_score": 0.7, "iou": [miou, miou]}


@pytest.fixture
def write_run(tmp_path):
    """A function that writes a finished run's folder and returns it."""

    def write(upsampler="deconv", seed=0, miou=0.75, *, environment=None, **settings):
        config = copy.deepcopy(CONFIG)
        config["decoder"]["upsampler"], config["seed"] = upsampler, seed
        for key, value in settings.items():
            *groups, last = key.split("__")
            place = config
            for group in groups:
                place = place[group]
            place[last] = value
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        result = {
            "name": "train",
            "seed": seed,
            "classes": ["background", "cell"],
            "last": scores(miou),
            "best": scores(miou + 0.01),
            "checkerboard": {"mean": 0.1, "operators": {}},
            "parameters": {"total": 4_000_000},
            "macs": {"total": 900_000_000},
            "step_seconds": 0.5,
            "peak_memory_bytes": 2**30,
            "environment": {"threads": 2, "gpu": None, "packages": {"torch": "2.15.0"}, **(environment or {})},
            "config": config,
        }
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return write
