import copy
import json

import pytest
import yaml

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

    def write(upsampler="deconv", seed=0, miou=0.75, *, environment=None, step=225, found=None, **settings):
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
            "last": {**scores(miou), "step": step},
            "best": scores(None if miou is None else miou + 0.01),
            "checkerboard": {"mean": 0.1, "operators": {}},
            "parameters": {"total": 4_000_000},
            "macs": {"total": 900_000_000},
            "step_seconds": 0.5,
            "peak_memory_bytes": 2**30,
            "environment": {"threads": 2, "gpu": None, "packages": {"torch": "2.15.0"}, **(environment or {})},
            "config": config,
            **(found or {}),
        }
        (folder / "result.json").write_text(json.dumps(result))
        return folder

    return write


WIDTHS = [1, 2, 3, 5, 8, 12, 20]


@pytest.fixture(scope="session")
def make_study():
    """A function that writes a study below a folder: ``{(label, seed): mIoU, or a state, or (state, cause)}``."""

    def make(folder, members, *, change=None, **settings):
        study = folder / "mine"
        for (label, seed), told in members.items():
            run = study / label / str(seed)
            run.mkdir(parents=True)
            state, cause = (
                ("finished", None) if isinstance(told, float) else told if isinstance(told, tuple) else (told, None)
            )
            begun = {"attempt": 1, "seconds": 60.0, "started": 1.0, "ended": 61.0} if state != "waiting" else {}
            (run / "status.json").write_text(json.dumps({"state": state, "cause": cause, **begun}))
            if state == "finished":
                result = full_result(label, seed, told)
                if change is not None:
                    change(label, seed, result)
                (run / "result.json").write_text(json.dumps(result))
            if state in ("finished", "running", "interrupted"):
                (run / "metrics.csv").write_text(history(told if state == "finished" else 0.4))
        finished = {
            label: [s for one, s in members if one == label and isinstance(members[one, s], float)]
            for label, _ in members
        }
        timed = {
            label: {
                "step_seconds": [0.5 + s / 100 for s in seeds],
                "inference_seconds": [0.05 + s / 1000 for s in seeds],
            }
            for label, seeds in finished.items()
            if seeds
        }
        place = {"processor": "a processor", "threads": 2, "gpu": None, "torch": "2.15.0"}
        (study / "times.json").write_text(json.dumps({**place, "decoders": timed}))
        first = next(iter(members))[0]
        content = {
            "command": "train.py -m decoder=deconv,bilinear seed=0,1", "baseline": first, "match": "none",
            "start": None, "config": {"data": {"name": "cells"}}, "decoders": {},
            "members": [list(member) for member in members], **settings,
        }  # fmt: skip
        (study / "study.yaml").write_text(yaml.safe_dump(content))
        return study

    return make


def full_result(label, seed, miou):
    config = copy.deepcopy(CONFIG)
    config["decoder"]["upsampler"], config["seed"] = label.partition(",")[0], seed
    uneven = 0.1 if label == "deconv" else 0.0
    energy = [[1 - 3 * uneven, uneven], [uneven, uneven]]
    last = {
        **scores(miou), "band_widths": WIDTHS, "band_iou": [miou * (1 - 0.3 / width) for width in WIDTHS],
    }  # fmt: skip
    return {
        "name": "mine", "seed": seed, "classes": ["background", "cell"], "last": last, "best": scores(miou + 0.01),
        "checkerboard": {
            "mean": 3 * uneven, "operators": {},
            "spectrum": [{"operator": f"up{r}", "reduction": r, "energy": energy} for r in (4, 2, 1)],
        },
        "parameters": {"total": 4_000_000 + 1000 * len(label)}, "macs": {"size": [161, 193], "total": 900_000_000},
        "step_seconds": 0.5 + seed / 100, "inference_seconds": 0.05 + seed / 1000, "peak_memory_bytes": 2**30,
        "wall_seconds": 60.0,
        "environment": {
            "python": "3.11.7", "packages": {"segup": "0.1.0", "torch": "2.15.0"}, "processor": "a processor",
            "threads": 2, "gpu": None, "git_commit": "0123456789abcdef", "command": "train.py",
        },
        "config": config,
    }  # fmt: skip


def history(miou):
    lines = ["step,epoch,lr,train/loss,val/miou,val/checkerboard"]
    for step in range(1, 31):
        validated = f"{miou * step / 30},0.1" if step % 10 == 0 else ","
        lines.append(f"{step},{step // 10},0.001,{2 - step / 30},{validated}")
    return "\n".join(lines) + "\n"
