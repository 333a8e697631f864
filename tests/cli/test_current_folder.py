"""What lies in the current folder is not imported, however segup is started, unless a person names it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segup.checkpoints import save_model
from segup.models import create_model

ROOT = Path(__file__).resolve().parents[2]
TRAPS = (
    "wandb", "apex", "tabulate", "numpy", "torch", "yaml", "pandas", "sitecustomize", "hydra_plugins", "rich", "PIL",
    "timm", "lightning", "tensorboard", "mlflow", "comet_ml", "neptune", "triton", "jax", "tensorflow", "tifffile",
    "segmentation_models_pytorch", "matplotlib", "cv2", "scipy", "omegaconf", "hydra", "albumentations", "IPython",
)  # fmt: skip
WATCHER = '''
import os, sys

class Watcher:
    """Notes each module that is looked for while the current folder is on the path."""

    def find_spec(self, name, path=None, target=None):
        on_path = {os.path.realpath(entry) for entry in sys.path}
        if path is None and os.path.realpath(os.environ["TRAPPED"]) in on_path:
            with open(os.environ["NOTED"], "a") as file:
                file.write(name + "\\n")

sys.meta_path.insert(0, Watcher())
'''
TINY = [
    "encoder=segnet",
    "encoder.options.widths=[2,3]",
    "encoder.options.convs=1",
    "decoder.widths=[2]",
    "decoder.convs=1",
    "data.samples_per_epoch=2",
    "data.batch_size=2",
    "data.crop_size=[17,19]",
    "trainer=cpu",
    "trainer.max_epochs=1",
]


@pytest.fixture
def start(tmp_path):
    """A function that starts a command in a folder full of traps, and asserts that none was looked at."""
    watcher, folder, noted, sprung = (tmp_path / name for name in ("watcher", "folder", "noted", "sprung"))
    watcher.mkdir(), folder.mkdir()
    (watcher / "sitecustomize.py").write_text(WATCHER)
    for name in TRAPS:
        (folder / f"{name}.py").write_text(f"open({str(sprung)!r}, 'a').write({name!r})\nraise SystemExit('sprung')\n")
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(folder / "image.png")
    save_model(
        create_model("segnet", num_classes=3, pretrained=False, widths=[2], encoder_options={"widths": [2, 3]}),
        folder / "good.ckpt",
    )
    path = os.pathsep.join([str(watcher), str(ROOT)])
    env = {**os.environ, "PYTHONPATH": path, "TRAPPED": str(folder), "NOTED": str(noted), "OMP_NUM_THREADS": "1"}

    def run(*command, allowed=()):
        done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        assert not sprung.exists(), sprung.read_text()
        seen = set(noted.read_text().split()) if noted.exists() else set()
        assert seen <= set(allowed), seen
        return folder, done

    return run


SEGUP = """
import sys
sys.path.pop(0)  # as the console script begins
import shlex
from segup.cli import main
for words in sys.argv[1].split("; "):
    try:
        main(shlex.split(words))
    except SystemExit as ended:
        if ended.code != EXPECTED:
            raise
"""
TRAIN = f"train {' '.join(TINY)}"


def segup(*commands, code=0):
    return "-c", SEGUP.replace("EXPECTED", str(code)), "; ".join(commands)


def test_no_command_in_a_folder_of_traps_springs_one(start):
    start(
        *segup(
            "predict good.ckpt image.png --out out", "check segnet", "shapes 'conv k3' 417",
            "explain 'deconv k4 s2' --input 4x4 --out a.svg",
        )
    )  # fmt: skip


@pytest.mark.slow
def test_training_and_what_reads_its_runs_spring_none(start):
    folder, _ = start(str(ROOT / "train.py"), *TINY, "run_dir=run")
    start(*segup("compare run", "evaluate run"))
    (folder / "run" / "result.json").unlink()
    start(*segup("train ckpt_path=run/last.ckpt"))
    start(*segup(f"train -m {' '.join(TINY)} decoder=deconv,bilinear", "report ablations/train"))
    start(*segup(f"{TRAIN} run_dir=two trainer.devices=2 trainer.strategy=ddp data.samples_per_epoch=4"))


@pytest.mark.slow
def test_python_m_leaves_the_current_folder_before_a_library_is_imported(start):
    early = {"segup", *sys.stdlib_module_names}
    start("-m", "segup.cli", "predict", "good.ckpt", "image.png", "--out", "out", allowed=early)


def test_a_part_of_the_current_folder_is_found_by_its_name_alone(start):
    folder, _ = start(*segup("shapes 'conv k3' 9"))
    (folder / "mine.py").write_text("from torch import nn\ndef build():\n    return nn.Conv2d(3, 1, 3, padding=1)\n")
    start(*segup("check mine:build"), allowed={"mine"})
