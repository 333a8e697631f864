"""The floors hold, and nothing heavy is loaded before it is needed."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_floors_hold():
    done = run("-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())")
    assert done.returncode == 0, done.stdout[-3000:]


@cache
def imports():
    """Who imports whom, inside of functions and for types too."""
    graph = grimp.build_graph("segup")
    return {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}


def reached_from(module):
    found, waiting = set(), [module]
    while waiting:
        new = imports()[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_no_module_imports_one_that_imports_it():
    assert [module for module in sorted(imports()) if module in reached_from(module)] == []


def test_the_calculus_does_not_import_what_prints_it():
    calculus = [m for m in imports() if m.startswith("segup.shapes.") and not m.startswith("segup.shapes.text")]
    assert len(calculus) > 10
    assert [(m, used) for m in calculus for used in imports()[m] if used.startswith("segup.shapes.text")] == []


def test_no_two_classes_have_one_name():
    homes = {}
    for file in sorted((ROOT / "segup").rglob("*.py")):
        for part in ast.parse(file.read_text()).body:
            if isinstance(part, ast.ClassDef):
                homes.setdefault(part.name, []).append(str(file.relative_to(ROOT)))
    assert len(homes) > 100
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


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
