"""Every block of code in the README and in docs/ is run here, but for what takes minutes, which runs until it trains.

The guide's commands and what they print are run by test_convolution_arithmetic.py.
"""

import glob
import importlib.util
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from PIL import Image

import segup.cli
import segup.training.start
from segup import create_model
from segup.cli.train import run as train
from segup.training.progress import as_text
from segup.training.run import sizes_shown

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = (ROOT / "docs" / "ablation" / "report.md", ROOT / "CONTRIBUTING.md")
"""A report that a sweep wrote; recipes, which tests/test_recipes.py runs."""
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path not in ELSEWHERE
}
BLOCKS = [
    (page, language, text)
    for page, whole in PAGES.items()
    for language, text in re.findall(r"^```(\w*)\n(.*?)^```$", whole, re.MULTILINE | re.DOTALL)
]
LINES = sorted({line for _, language, text in BLOCKS if language == "bash" for line in text.splitlines()})
SLOW = ("segup check", "segup report", "segup export")  # tests/cli, ablation and export run these on less
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
GATE = (ROOT / ".ci" / "run").read_text()
RUN = "outputs/train/deconv/0-20260101-120000"


class BeginsError(Exception):
    """Training would begin."""


def of(language):
    return [(page, text) for page, other, text in BLOCKS if other == language]


def test_every_block_is_of_a_language_that_is_run():
    assert {language for _, language, _ in BLOCKS} <= {"bash", "console", "python", "text"}
    assert {page for page, _ in of("console")} <= {"docs/convolution-arithmetic.md", "docs/live.md"}
    assert sorted(page for page, _ in of("text")) == ["README.md", "docs/data.md", "docs/training.md"]  # and trees
    assert sum(text.count("```") for text in PAGES.values()) == 2 * len(BLOCKS)


@pytest.mark.parametrize("page", sorted({page for page, _ in of("python")}))
def test_the_python_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (60, 45), (200, 120, 40)).save("photo.jpg")
    for volume in ("volume.tif", "labels.tif"):
        Image.new("L", (60, 45), 1).save(volume, save_all=True, append_images=[Image.new("L", (60, 45))])
    names = {"__name__": "page"}
    for _, code in filter(lambda block: block[0] == page, of("python")):
        exec(compile(code, page, "exec"), names)


def test_the_readme_shows_the_ladder_that_a_run_prints():
    sizes = sizes_shown(create_model(num_classes=3, pretrained=False), (161, 193))
    shown = next(text for page, text in of("text") if page == "README.md")
    assert shown.split() == as_text(*sizes).split()


def test_the_configuration_tree_is_the_one_on_disk():
    tree = next(text for page, text in of("text") if page == "docs/training.md")
    configs = ROOT / "configs"
    groups = sorted({path.parent.relative_to(configs).as_posix() for path in configs.rglob("*.yaml")} - {"."})
    for group in groups:
        line = next(line for line in tree.splitlines() if line.strip().startswith(f"{group}/"))
        named = set(re.findall(r"[a-z][a-z_0-9]+", line.partition(f"{group}/")[2].partition(":")[0]))
        assert named <= {path.stem for path in (configs / group).glob("*.yaml")}, group


def test_the_animation_at_the_top_is_the_one_that_its_command_draws(tmp_path, monkeypatch):
    command = next(line for line in LINES if line.endswith("--out explain.gif"))
    monkeypatch.chdir(tmp_path)
    assert segup.cli._run(shlex.split(command)[1:]) == 0
    shown = ROOT / "docs" / "explain.gif"
    assert shown.stat().st_size < 2**20
    with Image.open(shown) as ours, Image.open("explain.gif") as drawn:
        assert (ours.size, ours.n_frames) == (drawn.size, drawn.n_frames)
        assert ours.n_frames > 5


@pytest.fixture(scope="module")
def what_the_commands_name(tmp_path_factory):
    """Runs, studies, checkpoints and images under the names that the pages give them."""
    folder = tmp_path_factory.mktemp("commands")
    spec = importlib.util.spec_from_file_location("benchmark_report", ROOT / "scripts" / "benchmark_report.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    study = benchmark.make_study(folder / "ablations" / "train", runs=3, steps=20)
    for name in ("ablation", "probe"):
        shutil.copytree(study, folder / "ablations" / name)
    shutil.copytree(study, folder / "outputs" / "train")
    (folder / "outputs" / "train" / "deconv" / "0").rename(folder / RUN)
    shutil.copy(ROOT / "tests" / "stored" / "version_0_1.ckpt", folder / RUN / "last.ckpt")
    Image.new("RGB", (70, 45)).save(folder / "image.png")
    for kind, mode in (("images", "RGB"), ("masks", "L")):
        (folder / "my_images" / kind).mkdir(parents=True)
        for number in range(4):
            picture = Image.new(mode, (70, 45))
            picture.paste(1 if mode == "L" else (90, 140, 9 * number), (9 * number, 9, 30 + 9 * number, 30))
            picture.save(folder / "my_images" / kind / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    "line", [pytest.param(line, marks=[pytest.mark.slow] if line.startswith(SLOW) else [], id=line) for line in LINES]
)
def test_a_command_of_a_page_works(line, what_the_commands_name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(shutil.copytree(what_the_commands_name, tmp_path / "here"))
    monkeypatch.setattr(segup.training.start, "start", begins)
    monkeypatch.setattr("segup.cli.study.run_study", begins)
    for part in line.split(" && "):
        words = shlex.split(part.replace(" RUN", f" {RUN}").replace("IMAGE_OR_FOLDER", "image.png"))
        words = [file for word in words for file in (sorted(glob.glob(word)) if "*" in word else [word])]
        if words[:2] == ["python", "train.py"]:
            assert trained(words[2:]) == ("shown" if {"--help", "--cfg"} & set(words) else "begins")
        elif words[0] == "segup":
            assert segup.cli._run(words[1:]) == 0, capsys.readouterr().err
        elif words[:3] == ["pip", "install", "-e"]:
            assert set(re.findall(r"\w+", words[3])) <= EXTRAS
        elif words[0] == "python":
            script = (ROOT / words[1]).read_text()
            assert [word for word in words if word.startswith("--") and f'"{word}"' not in script] == []
        else:
            assert f" {part}" in GATE  # .ci/run runs it


def begins(*_, **__):
    raise BeginsError


def trained(words):
    try:
        code = train(words)
    except BeginsError:
        return "begins"
    except SystemExit as end:  # Hydra's, after --help
        code = end.code
    return "shown" if not code else f"ends with {code}"
