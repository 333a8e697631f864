"""Commands that are printed with a person's path or name in them can be pasted, whatever that holds."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from segup.ablation.report.write import _check as check_report
from segup.ablation.runs import read_run
from segup.cli import data as data_command
from segup.cli.data_words import as_command
from segup.cli.live import page_paths
from segup.data.discover.discovery import discover, scan
from segup.data.drawn.coco import _classes as classes_of_coco
from segup.data.labels import Labels
from segup.data.layout.matching import two_masks
from segup.data.layout.patterns import Found
from segup.errors import SegupError
from segup.evaluation.runs import export_run
from segup.explain.drawing.files import ending
from segup.training.checkpoints import RunCheckpoints
from segup.training.config import EncoderConfig, RunConfig
from segup.training.run_folder import run_folder

NAMES = ("my run", "é", "a,b", "it's", '"so" $x `y`', "it's my run, é", "Wow!", "10")


def words(text):
    """Return what bash makes of a line."""
    line = f"printf '%s\\0' {text}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


def value(word):
    return OverridesParser.create().parse_override(word).value()


def proposed(act, before="try: ", after=None):
    with pytest.raises(SegupError) as caught:
        act()
    text = str(caught.value).split(before)[1]
    return words(text if after is None else text.split(after)[0])


@pytest.fixture(params=NAMES)
def named(request, tmp_path, monkeypatch):
    """A folder of this name."""
    monkeypatch.chdir(tmp_path)
    Path(request.param).mkdir()
    return Path(request.param)


def test_how_a_run_goes_on(named):
    last = named / "last.ckpt"
    (said,) = words(RunCheckpoints(named)._how_to_continue().removeprefix("to continue: "))
    assert value(said) == str(last)
    (named / "config.yaml").write_text("{}")
    assert [value(word) for word in proposed(lambda: read_run(named))] == [str(last)]
    last.write_text("")

    def begin():
        with run_folder(RunConfig(EncoderConfig("segnet"), run_dir=str(named))):
            pass

    assert [value(word) for word in proposed(begin, "run_dir, or ", " to continue it.")] == [str(last)]


def test_a_folder_of_runs(named):
    for run in ("0", "1"):
        (named / run).mkdir()
        (named / run / "result.json").write_text("{}")
    assert proposed(lambda: read_run(named)) == [f"{named}/0", f"{named}/1"]


def test_what_is_written_elsewhere(named):
    (named / "report.html").write_text("")
    command = proposed(lambda: check_report(named, {}, ["report.html"], False), after="; or")
    assert command == ["segup", "report", str(named), "--overwrite"]
    (named / "model.onnx").write_text("")
    command = proposed(lambda: export_run(named / "model.onnx", named / "new.onnx"), after=", a run")
    assert command == ["segup", "export", "RUN", "--out", str(named / "new.onnx")]
    assert proposed(lambda: page_paths([str(named / "a.svg")]), after=".\n") == [f"{named / 'a.html'}."]
    assert proposed(lambda: ending(named / "a.jpg")) == [f"{named / 'a.svg'}."]


def test_folders_of_data(named, capsys):
    assert data_command.run([".", "--write", str(named / "new" / "a.yaml")]) == 1
    assert words(capsys.readouterr().err.split("try: ")[1]) == ["mkdir", "-p", str(named / "new")]
    *command, data, root = words(as_command({"name": "folder", "root": str(named)}))
    assert (command, data, value(root)) == (["segup", "train"], "data=folder", str(named))
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(named / f"{number}.png")
    command = proposed(lambda: discover(named, scan(named), 9, 1, lambda what: lambda looked, count: looked))
    assert (command[:3], value(command[3])) == (["segup", "train", "data=folder"], str(named))


def test_names_of_classes_and_of_folders_of_masks(named):
    masks = [Found(named / f"7_{one}.png", ("7",)) for one in "ab"]
    (mask,) = words(str(two_masks(Found(Path("7.png"), ("7",)), masks)).split("such as ")[1].split("; or ")[0])
    assert value(mask) == f"{named}/*.png"
    categories = [{"id": 0, "name": str(named)}]
    (classes,) = proposed(lambda: classes_of_coco(categories, Labels(("background", "leaf")), Path("a.json")))
    assert value(classes) == ["background", str(named)]
