"""A run is shown as HTML in a notebook, and as text elsewhere."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from PIL import Image

from segup.ablation.shown import as_html, as_text, show


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "curves.png")
    (tmp_path / "ladder.txt").write_text("deconv <k4>\n")
    return tmp_path


def test_text_and_html_hold_what_is_there(folder):
    text = as_text(folder, "Run 'a'", {"miou": 0.5, "iou/<b>": None})
    assert text == f"Run 'a'\ndeconv <k4>\nmiou     0.5000\niou/<b>  –\n{folder / 'curves.png'}"
    html = as_html(folder, "Run <a>", {"miou": 0.5, "iou/<b>": None})
    assert html.count("<img") == 1
    assert "Run &lt;a&gt;" in html
    assert "iou/&lt;b&gt;" in html
    assert "deconv &lt;k4&gt;" in html


@pytest.mark.parametrize("shell", [None, SimpleNamespace(), SimpleNamespace(kernel=object())])
def test_only_a_notebook_gets_html(monkeypatch, capsys, shell):
    displayed = []
    notebook, display = ModuleType("IPython"), ModuleType("IPython.display")
    notebook.get_ipython = lambda: shell
    display.HTML, display.display = str, displayed.append
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    show("text", "<p>html</p>")
    in_notebook = hasattr(shell, "kernel")
    assert displayed == (["<p>html</p>"] if in_notebook else [])
    assert capsys.readouterr().out == ("" if in_notebook else "text\n")
