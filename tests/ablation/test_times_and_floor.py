"""Times are shown when they can be compared: measured in turns, when nothing else of the study runs."""

import json
import shutil

import pytest

from segup.ablation import compare, read_run
from segup.ablation.report.content import read_report
from segup.ablation.report.texts import as_csv, as_markdown
from segup.ablation.study import read_study
from segup.ablation.times import FOLDER, floor_text, may_be_measured, read_times, spreads
from segup.cli.train import run
from segup.errors import DataError
from segup.metrics.scores import MIOU
from segup.training import cost as turns

MEMBERS = {(label, seed): 0.7 + seed / 100 for label in ("deconv", "bilinear") for seed in (0, 1)}


def test_a_study_has_no_times_until_they_are_measured(tmp_path, make_study):
    path = make_study(tmp_path, MEMBERS)
    timed = as_markdown(read_report(path), [], [])
    assert "| 505 ± 7 ms |" in timed
    assert "the decoders took turns in one process" in timed
    assert "ran, on a processor, 2 threads:" in timed
    (path / "times.json").unlink()
    report = read_report(path)
    text = as_markdown(report, [], [])
    assert " ms |" not in text
    assert "Times are not shown: they have not been measured when nothing else of the study ran." in text
    assert "_seconds" not in as_csv(report).replace("wall_seconds", "")
    assert compare([read_run(path / "deconv" / "0")]).rows[0].score("step_seconds").mean == 0.5  # a run by itself


def test_a_times_row_is_the_median_of_the_turns():
    found = spreads({"decoders": {"a": {"step_seconds": [3.0, 1.0, 1.1], "inference_seconds": [0.1, 0.1, 0.1]}}})["a"]
    assert (found["step_seconds"].mean, found["step_seconds"].count) == (1.1, 3)
    assert found["inference_seconds"].deviation == pytest.approx(0)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({**MEMBERS}, True),
        ({**MEMBERS, ("carafe", 0): ("failed", "DataError: no")}, True),
        ({**MEMBERS, ("carafe", 0): "running"}, False),
        ({**MEMBERS, ("carafe", 0): "waiting"}, False),
        ({("carafe", 0): ("failed", "DataError: no")}, False),
    ],
)
def test_they_are_measured_when_nothing_runs_or_waits(tmp_path, make_study, members, expected):
    path = make_study(tmp_path, members)
    assert not may_be_measured(read_study(path)) or not expected or len(members) == 0
    (path / "times.json").unlink()
    assert may_be_measured(read_study(path)) == expected


def test_decoders_take_turns(monkeypatch):
    order = []
    monkeypatch.setattr(turns, "_measured", lambda config: (order.append(config), (1.0, 2.0))[1])
    found = turns.measured_in_turns({"a": "A", "b": "B"}, 3)
    assert order == ["A", "B"] * 3
    assert found == {name: {"step_seconds": [1.0] * 3, "inference_seconds": [2.0] * 3} for name in "ab"}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"decoders": {"a": {"step_seconds": []}}}',
        '{"decoders": {"a": {"step_seconds": [-1]}}}',
        '{"decoders": 1}',
    ],
)
def test_times_that_are_damaged_are_refused_in_a_line(tmp_path, content):
    (tmp_path / "times.json").write_text(content)
    with pytest.raises(DataError, match=r"times.json is not what segup writes"):
        read_times(tmp_path)


@pytest.mark.parametrize(
    ("again", "said"),
    [
        (0.7, "deconv seed 0 was trained twice: its mIoU differs by 0; training repeats itself exactly."),
        (0.7012, "its mIoU differs by 0.0012; a smaller difference between decoders is none."),
    ],
)
def test_what_a_repetition_changes_is_told(tmp_path, make_study, again, said):
    path = make_study(tmp_path, MEMBERS)
    assert floor_text(read_study(path), MIOU) == ""
    second = shutil.copytree(path / "deconv" / "0", path / FOLDER / "deconv" / "0")
    result = json.loads((second / "result.json").read_text())
    result["last"]["miou"] = again
    (second / "result.json").write_text(json.dumps(result))
    assert said in floor_text(read_study(path), MIOU)
    assert said in as_markdown(read_report(path), [], [])


@pytest.mark.slow
def test_a_real_study_measures_its_times_repeats_a_run_and_is_killed_without_harm(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny = [
        "encoder=segnet", "encoder.options.widths=[2,3,4]", "encoder.options.convs=1", "decoder.widths=[2,2]",
        "data.crop_size=[33,35]", "data.batch_size=2", "data.samples_per_epoch=4", "trainer.max_epochs=1",
        "trainer.accelerator=cpu", "trainer.threads=1", "data.folds=5", "ablation.floor=true",
    ]  # fmt: skip
    asked = ["-m", "decoder=deconv,bilinear", "seed=0,1", "ablation.until=decided", "ablation.max_seeds=4", *tiny]
    assert run([*asked, "ablation.margin=0.00001"]) == 0
    out = capsys.readouterr().out
    assert "measuring times" in out
    assert "deconv seed 2 fold 2 finished" in out
    assert out.splitlines()[-2].startswith(("Nothing is decided: bilinear", "bilinear ("))
    study = read_study("ablations/train")
    times = read_times(study.path)
    assert {label: len(told["step_seconds"]) for label, told in times["decoders"].items()} == {
        "deconv": 7,
        "bilinear": 7,
    }
    assert "training repeats itself exactly" in floor_text(study, MIOU)
    assert sorted({member.name for member in study.members if member.label == "deconv"})[:2] == [
        "deconv seed 0 fold 0", "deconv seed 1 fold 1",
    ]  # fmt: skip
    before = (study.path / "report.md").read_text()
    assert run([*asked, "ablation.margin=0.00001"]) == 0
    assert (study.path / "report.md").read_text() == before
