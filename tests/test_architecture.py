"""The floors hold, and nothing heavy is loaded before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_floors_hold():
    done = run("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import segup, segup.shapes, segup.errors, segup.registry", ["torch", "numpy", "hydra", "lightning"]),
        (
            "import segup.decoders, segup.upsamplers",
            ["hydra", "omegaconf", "lightning", "albumentations", "timm", "torchvision", "torchmetrics"],
        ),
        ("import segup.models", ["hydra", "lightning", "albumentations", "torchmetrics"]),
        ("import segup.explain, segup.cli.explain", ["torch", "numpy", "matplotlib", "PIL"]),
        ("import segup.cli, segup.cli.train", ["torch", "lightning", "albumentations", "matplotlib"]),
    ],
)
def test_importing_loads_nothing_that_is_not_needed(statement, absent):
    done = run("-c", f"{statement}\nimport sys\nprint([name for name in {absent} if name in sys.modules])")
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    "arguments", [["train.py", "--help"], ["train.py", "--cfg", "job"], ["-m", "segup.cli", "--help"]]
)
def test_questions_are_answered_without_torch(arguments):
    """What makes them fast is asserted, not the clock: torch alone takes seconds to import."""
    done = run("-X", "importtime", *arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not {"torch", "lightning", "albumentations", "matplotlib", "timm"} & loaded
    assert done.stdout
