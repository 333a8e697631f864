"""A newcomer's metric, one file that nothing in segup knows of, is wherever segup's own scores are."""

import csv
import io
import sys

import pytest

from segup.ablation import compare, read_run
from segup.ablation.tables import csv_text, latex, markdown, score_columns
from segup.cli.compare import run as compare_command
from segup.cli.evaluate import run as evaluate_command
from segup.errors import ConfigError
from segup.training.history import read_history
from segup.training.resume import resumed_config

MODULE = "somebodys_scores"
NAME = f"{MODULE}:Errors"
EXAMPLE = '''
import torch
from torchmetrics import Metric

from segup.metrics import Score


class Errors(Metric):
    """Wrong pixels of an image, and how many of each class's are found."""

    scores = (
        Score("wrong", "wrong pixels", "of an image, in the mean", better="lower"),
        Score("recall", "recall", "share of a class's pixels that is found", per_class=True, share=True),
    )

    def __init__(self, num_classes, ignore_index=255, weight=1.0):
        super().__init__()
        self.num_classes, self.ignore_index, self.weight = num_classes, ignore_index, weight
        self.add_state("counts", torch.zeros(3, num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, prediction, target):
        self.counts[2, 0] += 1 if target.ndim == 2 else len(target)
        for c in range(self.num_classes):
            self.counts[0, c] += ((target == c) & (prediction == c)).sum()
            self.counts[1, c] += (target == c).sum()

    def compute(self):
        found, there, images = self.counts
        return {"wrong": self.weight * (there - found).sum() / images[0], "recall": found / there}
'''


@pytest.fixture(autouse=True)
def _a_module_outside(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("outside")
    (folder / f"{MODULE}.py").write_text(EXAMPLE)
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop(MODULE, None)


@pytest.fixture
def scored(small_run):
    metric = {"mine": {"name": NAME, "weight": 2.0}}
    _, folder = small_run(metric=metric, trainer={"max_epochs": 1}, pictures=True)
    sys.modules.pop(MODULE)  # what reads the run's folder has never heard of it
    return folder


def test_it_is_in_the_run_and_its_tables_without_the_module(scored, capsys):
    run, rows = read_run(scored), read_history(scored / "metrics.csv")
    assert run.scores["wrong"] > 1
    assert 0 <= run.scores["recall/nucleus"] <= 1
    logged = [row for row in rows if row["val/wrong"]]
    assert float(logged[-1]["val/wrong"]) == pytest.approx(run.scores["wrong"], rel=1e-5)
    recalls = run.result["last"]["recall"]
    assert float(logged[-1]["val/recall"]) == pytest.approx(sum(recalls) / len(recalls), rel=1e-5)
    comparison = compare([run])
    columns = {column.key: column for column in score_columns(comparison)}
    assert (columns["wrong"].title, columns["wrong"].better) == ("wrong pixels", -1)
    assert columns["recall/nucleus"].title == "recall nucleus"
    assert "wrong pixels | " in markdown(comparison, list(columns.values()))
    assert "recall nucleus" in latex(comparison, list(columns.values()))
    row = next(csv.DictReader(io.StringIO(csv_text(comparison, list(columns.values())))))
    assert float(row["wrong"]) == run.scores["wrong"]
    assert compare_command([str(scored)]) == 0
    shown = capsys.readouterr().out
    assert "Recall by class" in shown
    assert "wrong pixels" in shown
    assert MODULE not in sys.modules


def test_it_is_in_an_evaluation_once_it_is_trusted(scored, capsys):
    assert evaluate_command([str(scored)]) == 1
    assert f"--trust {MODULE}" in capsys.readouterr().err
    assert MODULE not in sys.modules
    assert evaluate_command([str(scored), "--trust", MODULE]) == 0
    shown = capsys.readouterr().out
    for label in ("wrong pixels", "recall nucleus", "Boundary IoU", "IoU nucleus"):
        assert label in shown
    with pytest.raises(ConfigError, match=f"--trust {MODULE}"):
        resumed_config(scored / "last.ckpt", {})


def test_an_older_run_is_scored_with_it_where_it_is_asked_for(small_run, capsys):
    _, folder = small_run(trainer={"max_epochs": 1, "max_steps": 1})
    assert evaluate_command([str(folder), "--metric", NAME]) == 0
    assert "wrong pixels" in capsys.readouterr().out
    assert evaluate_command([str(folder), "--metric", "segmentatio"]) == 1
    assert "did you mean 'segmentation'" in capsys.readouterr().err
