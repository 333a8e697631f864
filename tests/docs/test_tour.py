"""The notebook runs from top to bottom, as Jupyter would run it, and holds no outputs."""

import ast
import json
import re
import shlex
from pathlib import Path

import pytest

import segup.cli

TOUR = json.loads((Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def run_cell(code, names):
    """Run a cell and return the value of its last expression; a line that begins with ! is a command with {values}."""
    if code.startswith("!"):
        command = re.sub(r"\{(.*?)\}", lambda value: str(eval(value[1], names)), code[1:])
        assert segup.cli._run(shlex.split(command)[1:]) == 0
        return None
    *before, last = ast.parse(code).body
    shown = isinstance(last, ast.Expr)
    exec(compile(ast.Module([*before, *([] if shown else [last])], []), "tour", "exec"), names)
    return eval(compile(ast.Expression(last.value), "tour", "eval"), names) if shown else None


def test_the_tour_runs_from_a_folder_to_an_exported_model(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra export)")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    shown = [run_cell(code, names) for code in CODE]
    miou, same = (value for value in shown if isinstance(value, float))
    assert 0 <= miou <= 1
    assert same > 0.999  # but for pixels on the edge between two classes
    assert any(getattr(value, "size", None) == (128, 96) for value in shown)
    out = capsys.readouterr().out
    assert "segup train data=folder" in out
    assert "dysample ×2" in out
    assert len(list(tmp_path.glob("outputs/train/dysample/0-*/result.json"))) == 1


def test_the_notebook_is_kept_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in TOUR["cells"] if "outputs" in cell)
