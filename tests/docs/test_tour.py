"""The notebook runs from top to bottom, as Jupyter would run it, and holds no outputs."""

import ast
import json
import shlex
from pathlib import Path

import segup.cli

TOUR = json.loads((Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def run_cell(code, names):
    """Run a cell and return the value of its last expression; a line that begins with ! is a command."""
    if code.startswith("!"):
        assert segup.cli._run(shlex.split(code[1:])[1:]) == 0
        return None
    *before, last = ast.parse(code).body
    shown = isinstance(last, ast.Expr)
    exec(compile(ast.Module([*before, *([] if shown else [last])], []), "tour", "exec"), names)
    return eval(compile(ast.Expression(last.value), "tour", "eval"), names) if shown else None


def test_the_tour_runs_from_a_folder_to_masks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    shown = [run_cell(code, names) for code in CODE]
    assert any(isinstance(value, float) and 0 <= value <= 1 for value in shown)
    assert shown[-1].size == (128, 96)
    out = capsys.readouterr().out
    assert "segup train data=folder" in out
    assert "dysample ×2" in out
    assert len(list(tmp_path.glob("outputs/train/dysample/0-*/result.json"))) == 1


def test_the_notebook_is_kept_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in TOUR["cells"] if "outputs" in cell)
