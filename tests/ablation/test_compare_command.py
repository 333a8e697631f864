"""``segup compare`` on runs and on whole studies."""

import csv
import io

import pytest

from segup.ablation.markup import plain
from segup.ablation.report.content import read_report
from segup.ablation.report.texts import as_markdown
from segup.cli.compare import run as compare_command


def rows(text):
    return [(row["decoder"], row["seed"]) for row in csv.DictReader(io.StringIO(text))]


def test_a_study_stands_for_its_finished_runs(tmp_path, make_study, capsys):
    members = {
        ("bilinear", 1): 0.6, ("deconv", 1): 0.7, ("deconv", 0): 0.72, ("bilinear", 0): 0.61,
        ("carafe", 0): ("failed", "DataError: no image"), ("carafe", 1): "waiting",
    }  # fmt: skip
    study = make_study(tmp_path, members, baseline="deconv")
    assert compare_command([str(study), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert rows(out) == [("bilinear", "0"), ("bilinear", "1"), ("deconv", "0"), ("deconv", "1")]
    assert err == f"{study}: left out, not finished: carafe seed 0 (failed), carafe seed 1 (waiting)\n"

    assert compare_command([str(study), "--format", "markdown"]) == 0
    assert "mIoU − deconv |" in capsys.readouterr().out
    assert compare_command([str(study), "--format", "markdown", "--baseline", "bilinear"]) == 0
    assert "mIoU − bilinear |" in capsys.readouterr().out
    assert compare_command([str(study), "--baseline", "bilinaer"]) == 1
    assert "unknown baseline 'bilinaer': did you mean 'bilinear'?" in capsys.readouterr().err


def test_rows_of_a_study_are_called_as_in_its_report(tmp_path, make_study, capsys):
    """A sweep over the rate too: its decoders are the same, and still rows of their own."""
    members = {("deconv,optimizer.lr=1", 0): 0.7, ("deconv,data.classes=[a,b]", 0): 0.6}
    study = make_study(tmp_path, members)
    assert compare_command([str(study), "--format", "csv"]) == 0
    assert rows(capsys.readouterr().out) == [(label, "0") for label, _ in members]
    assert compare_command([str(study)]) == 0
    assert "[a,b]" in "".join(capsys.readouterr().out.split())


def test_studies_and_runs_together(tmp_path, make_study, write_run, capsys):
    study = make_study(tmp_path / "one", {("deconv", 0): 0.7, ("bilinear", 0): 0.6})
    other = make_study(tmp_path / "two", {("carafe", 0): 0.65, ("carafe", 1): "running"})
    run = write_run("nearest", 0, 0.5)
    assert compare_command([str(study), str(run), str(other), "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert rows(out) == [("deconv", "0"), ("bilinear", "0"), ("nearest", "0"), ("carafe", "0")]
    assert "left out, not finished: carafe seed 1" in err
    assert compare_command([str(study), str(study / "deconv/0")]) == 1
    assert "are one decoder with one seed, 0: name one of them" in capsys.readouterr().err


def test_a_study_without_a_finished_run_says_how_it_goes_on(tmp_path, make_study, capsys):
    study = make_study(tmp_path, {("deconv", 0): ("failed", "DataError: no image"), ("deconv", 1): "waiting"})
    assert compare_command([str(study)]) == 1
    assert capsys.readouterr().err == (
        f"DataError: the study {study} has no finished run: deconv seed 0 (failed), deconv seed 1 (waiting).\n"
        "  try: train.py -m decoder=deconv,bilinear seed=0,1 (the same command continues it)\n"
    )


def test_a_folder_above_runs_says_so(tmp_path, make_study, capsys):
    study = make_study(tmp_path, {("deconv", 0): 0.7})
    assert compare_command([str(study / "deconv")]) == 1
    err = capsys.readouterr().err
    assert f"{study}/deconv has no result.json: it is no run folder, but holds some.\n  try: {study}/deconv/*" in err


@pytest.mark.parametrize("options", [[], ["--baseline", "all"], ["--margin", "0.1"], ["--metric", "boundary_iou"]])
@pytest.mark.parametrize("looks", [None, [3, 5]])
def test_it_comes_to_the_decision_of_the_report(tmp_path, make_study, capsys, options, looks):
    members = {
        (label, seed): 0.7 + shift + (seed * 7 % 5) / 1000
        for label, shift in (("deconv", 0), ("bilinear", -0.05), ("carafe", 0.001))
        for seed in range(5)
    }
    members |= {("nearest", seed): 0.71 for seed in range(4)} | {("nearest", 4): ("failed", "DataError: no")}
    more = {} if looks is None else {"until": "decided", "looks": looks}
    study = make_study(tmp_path, members, metric="miou", margin=0.02, **more)
    typed = dict(zip([word.strip("-") for word in options[::2]], options[1::2], strict=True))
    if "margin" in typed:
        typed["margin"] = float(typed["margin"])
    report = read_report(study, typed.pop("baseline", None), **typed)
    assert compare_command([str(study), "--format", "markdown", *options]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == plain(report.comparison.conclusion)
    both = (said, as_markdown(report, [], []).splitlines())
    rows = [[line.split("|")[-2] for line in text if line.startswith("| `")] for text in both]
    assert rows[0] == rows[1][: len(rows[0])]
    assert bool(report.comparison.decision.looks) == (looks is not None)


def test_runs_of_a_study_in_rounds_are_decided_in_its_looks_and_with_others_a_line_says_they_are_not(
    tmp_path, make_study, write_run, capsys
):
    """After four seeds one look would call this real; the study's looks, at three and at five, do not."""
    apart = (0, 0.02, 0.04, 0.021)
    members = {("bilinear", seed): 0.7 + seed / 1000 for seed in range(4)}
    members |= {("deconv", seed): 0.76 + apart[seed] for seed in range(4)}
    once = make_study(tmp_path / "once", members)
    study = make_study(tmp_path / "rounds", members, until="decided", looks=[3, 5, 10])

    def said(*arguments, form="markdown"):
        assert compare_command([*map(str, arguments), "--format", form]) == 0
        return capsys.readouterr()

    runs = [study / label / str(seed) for label, seed in members]
    assert said(*runs).out.splitlines()[0] == said(study).out.splitlines()[0]
    assert "Nothing is decided" in said(*runs).out
    assert "is better than bilinear" in said(once).out
    other = write_run("nearest", 0, 0.5)
    line = (
        "decided as if looked at once, but seeds came in rounds: a difference is called real too often; the decision "
        f"of the rounds: segup compare {study}"
    )
    for form in ("csv", "latex"):
        assert line in said(study, other, form=form).err
    assert "".join(line.split()) in "".join(said(*runs, other, form="table").out.split())
    assert line not in said(once, other, form="csv").err
    later = said(*[study / label / str(seed) for label, seed in members if seed]).out
    assert line in later  # no look of the study has these seeds alone
    assert "is better than bilinear" in later
    (study / "study.yaml").write_text("a: [")
    told = f"whether seeds came in rounds is not known: {study / 'study.yaml'} cannot be read"
    assert told in said(*runs, form="csv").err
