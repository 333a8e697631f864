"""The recipes of CONTRIBUTING.md: each part is put where its recipe says, and is then one of segup's own.

The whole suite over a tree with all parts in place is marked slow; it is the gate of a newcomer.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
RECIPES = re.findall(
    r"^`([\w/]+\.(?:py|yaml))`:\n\n```\w+\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL
)
KINDS = (
    "upsamplers", "upsamplers", "decoders", "data/sets", "losses", "metrics", "encoders", "necks",
    "training/optimizers", "training/schedulers",
)  # fmt: skip
WORDS = (
    "data=side_by_side encoder=strided neck=two_maps decoder=ladder_sum decoder.upsampler=image_gate "
    "decoder.final=blurred loss=brier metric=[area_error,image_miou] optimizer=radam scheduler=warm_up"
)
"""A run with every part in it."""


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A copy of the checkout with every recipe's files in it."""
    folder = tmp_path_factory.mktemp("recipes") / "segup"
    left_out = shutil.ignore_patterns(".git", "outputs", "ablations", "__pycache__", "*.ckpt.tmp")
    shutil.copytree(ROOT, folder, ignore=left_out)
    for path, code in RECIPES:
        assert not (folder / path).exists(), f"{path} is a new file"
        (folder / path).write_text(code)
    return folder


def run(tree, *command, folder=None):
    """Run a command on the tree, and return what it printed; a failure shows it."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder or tree, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_each_kind_is_one_new_file_and_one_yaml():
    paths = [path for path, _ in RECIPES]
    assert [str(Path(path).parent) for path in paths[::2]] == [f"segup/{kind}" for kind in KINDS]
    assert all(path.startswith("configs/") for path in paths[1::2])
    assert len(paths) == 2 * len(KINDS)


def test_what_is_named_is_there():
    page = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"[`\s]((?:tests|segup|docs|\.ci)/[\w/.]*\w)", page)) - {path for path, _ in RECIPES}
    assert len(named) >= 5
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_they_keep_the_house_s_style(tree):
    run(tree, "-m", "ruff", "check", "--no-cache", ".")
    run(tree, "-m", "ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.parametrize("path", [path for path, _ in RECIPES if path.endswith(".yaml")])
def test_each_yaml_is_one_word(path, tree):
    group, word = Path(path).parts[1], Path(path).stem
    open_keys = {"side_by_side": ["data.root=images", "data.classes=[background,leaf]"]}.get(word, [])
    with initialize_config_dir(str(tree / "configs"), version_base="1.3"):
        config = compose("train", overrides=[f"{group}={word}", *open_keys])
    assert word in str(config[group])


def test_they_train(tree, tmp_path):
    """Two steps with all of them, and what is read of the run afterwards."""
    pixels = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(pixels.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / f"{name}.png")
        Image.fromarray(pixels.integers(0, 2, (40, 50), np.uint8)).save(tmp_path / f"{name}_mask.png")
    size = "data.crop_size=[33,35] data.batch_size=2 data.samples_per_epoch=4 data.num_workers=0"
    own = f"data.root={tmp_path} data.classes=[background,leaf] trainer=cpu trainer.max_steps=2 run_dir=run"
    shown = run(tree, str(tree / "train.py"), *f"{WORDS} {size} {own}".split(), folder=tmp_path)
    assert all(label in shown for label in ("mIoU", "worst area error", "area error leaf", "mIoU by image"))
    names = (tmp_path / "run" / "metrics.csv").read_text().partition("\n")[0].split(",")
    assert {"val/worst_area_error", "val/area_error", "val/image_miou"} < set(names)
    compared = run(tree, "-m", "segup.cli", "compare", "run", "--format", "csv", folder=tmp_path)
    assert {"worst_area_error", "area_error/leaf", "image_miou"} < set(compared.partition("\n")[0].split(","))


@pytest.mark.slow
def test_mypy_the_floors_and_their_examples_hold(tree):
    run(tree, "-m", "mypy", "--cache-dir", str(tree / ".mypy"))
    files = [path for path, _ in RECIPES if path.endswith(".py")]
    run(tree, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "tests/test_architecture.py", *files)


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", ["upsamplers", "decoders", "encoders", "losses", "metrics", "data", "devices", "cli", "training", "."]
)
def test_the_suite_passes_with_them(folder, tree):
    """The tests that hold for all parts, with those of the recipes among them."""
    tests = [f"tests/{folder}"] if folder != "." else sorted(str(path) for path in (tree / "tests").glob("test_*.py"))
    tests = [path for path in tests if not path.endswith("test_recipes.py")]
    run(tree, "-m", "pytest", "-n", "2", "-q", "-p", "no:cacheprovider", *tests)
