"""A class, decoder or study may be called anything: every output shows the name as text."""

import html
import json
import re
from html.parser import HTMLParser

import pytest
import yaml
from matplotlib.text import Text
from rich.console import Console

from segup.ablation.markup import tex
from segup.ablation.member import Status
from segup.ablation.report import gallery
from segup.ablation.report.content import read_report
from segup.ablation.report.gallery import draw
from segup.ablation.report.page import as_html
from segup.ablation.report.texts import as_csv, as_latex, as_markdown
from segup.ablation.watch import Sight
from segup.cli import compare as compare_command
from segup.cli.study_view import study_table
from segup.data.labels import Labels
from segup.stored import visible
from segup.training.pictures import draw_predictions
from segup.training.progress import as_text, score_table

NAMES = [
    r"$\foo$", "$x$", "<script>alert(1)</script>", "two\nlines", "a`b", "``", "[bold]", "[/bold]", "[red]x[/red]",
    "\x1b[31mred", "\x1b]0;title\x07", "\u202eevil", "\u2066x\u2069", "a|b", "a_b_", "_hidden", "__x__", "*x*", "\\",
    "a\\", "%", "&amp;", "{", "}", "#", "~", "^", "\\input{/etc/passwd}", ":smile:", "![x](http://x)", "[a]: http://x",
    "\r", "\u2028", "\x00", "nucléus 核", "-0.5", "'", '"', "{{x}}", "${body}", "=1+1", "<!--", "]]>", "a--b", "\x85",
]  # fmt: skip


@pytest.fixture
def study(make_study, tmp_path, request):
    """A study whose classes, decoders and name are called so."""
    name = getattr(request, "param", NAMES)
    labels = [f"deconv,{part.replace('/', '%2F')}" for part in name if "\0" not in part]

    def change(label, seed, result):
        result["classes"] = name
        for key in ("iou",):
            result["last"][key] = [0.5] * len(name)

    members = {(label, 0): 0.7 + 0.001 * place for place, label in enumerate(labels)}
    made = make_study(tmp_path, members, change=change, command="train.py ```\n<b>\x1b[31m")
    return made.rename(made.with_name("a study $\\x$ <b>\n`[bold]"))


class Words(HTMLParser):
    """Collects a page's tags and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text.append(data)


def check_controls(text, keep="\n"):
    hidden = {letter for letter in text if letter not in keep and visible(letter) != letter}
    assert not hidden, hidden


def test_every_file_of_a_report_shows_the_names(study):
    report = read_report(study)
    page = as_html(report, [], ())
    words = Words()
    words.feed(page)
    shown = "".join(words.text)
    assert not words.tags & {"b", "img", "iframe"}
    assert page.count("<script") == 1
    for name in NAMES:
        assert visible(name) in shown, name
    for text in (page, as_markdown(report, [], ()), as_csv(report), as_latex(report)):
        check_controls(text)


def rendered(text):
    """Return a line of Markdown as a reader sees it: escapes, code spans and entities taken away."""
    text = re.sub(r"(?<!\\)(`+) ?(.+?) ?(?<!`)\1(?!`)", lambda found: found.group(2).replace("\\", "\\\\"), text)
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", lambda found: html.escape(found.group(1)), text))


def test_markdown_has_one_row_for_each_decoder_and_one_column_for_each_class(study):
    lines = as_markdown(read_report(study), [], ()).splitlines()
    header = next(line for line in lines if line.startswith("| decoder |"))
    columns = re.split(r"(?<!\\)\|", header)[1:-1]
    assert len(columns) == 1 + 5 + len(NAMES) + 6 + 1
    for name, column in zip(NAMES, columns[6:], strict=False):
        assert rendered(column).strip() == f"IoU {visible(name)}".strip(), column
    rows = [line for line in lines if line.startswith("| `")]
    assert all(len(re.split(r"(?<!\\)\|", row)) in (len(columns) + 2, 4) for row in rows)
    fence = next(line for line in lines if line.endswith("text") and set(line) == set("`text"))
    assert len(fence) > len("```text")


def test_latex_holds_no_command_of_a_name(study):
    whole = as_latex(read_report(study))
    text = "\n".join(line for line in whole.splitlines() if not line.startswith("%"))
    known = {
        "begin", "end", "centering", "footnotesize", "setlength", "tabcolsep", "medskip", "toprule", "midrule",
        "caption", "bottomrule", "label", "textbf", "textbackslash", "textasciitilde", "textasciicircum", "pm", "times",
        "textasciigrave", "textquotesingle", "textquotedbl", "usepackage",
    }  # fmt: skip
    assert set(re.findall(r"\\([a-zA-Z]+)", text)) <= known
    assert tex("a--b") == "a-{}-b"
    depth = 0
    for found in re.finditer(r"(?<!\\)(?:\\\\)*([{}])", text):
        depth += 1 if found.group(1) == "{" else -1
        assert depth >= 0
    assert depth == 0
    for line in text.splitlines():
        assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0, line


def texts_of(figure):
    figure.draw_without_rendering()
    return figure.findobj(Text)


@pytest.mark.parametrize("study", [NAMES[:9], NAMES[9:18], NAMES[18:27], NAMES[27:]], indirect=True)
def test_figures_draw_the_names_as_they_are(study, monkeypatch):
    texts = []
    monkeypatch.setattr(gallery, "_saved", lambda name, title, figure, *_, **__: texts.extend(texts_of(figure)))
    draw(read_report(study))
    for text in texts:
        assert not text.get_parse_math()
        assert "mathdefault" not in text.get_text()
        check_controls(text.get_text(), keep="")
    told = {text.get_text() for text in texts}
    classes = json.loads(next(study.glob("*/0/result.json")).read_text())["classes"]
    assert {visible(name) for name in classes} <= told


def test_a_runs_own_pictures_and_tables_show_them_too(capsys):
    import numpy as np

    labels = Labels(tuple(NAMES))
    mask = np.zeros((4, 5), int)
    figure = draw_predictions([("a$\\x$\n.png", np.zeros((3, 4, 5)), mask, mask)], labels)
    told = {text.get_text() for text in texts_of(figure)}
    assert {visible(name) for name in NAMES} <= told
    scores = dict.fromkeys(["miou", "pixel_accuracy", "class_accuracy", "dice", "boundary_iou", "bf_score"], 0.5)
    table = as_text(score_table("Scores of [bold]", {"val": {**scores, "iou": [0.5] * len(NAMES)}}, NAMES))
    for name in NAMES:
        assert f"IoU {visible(name)}" in table
    assert "Scores of [bold]" in table
    check_controls(table)


def test_the_terminal_shows_them_and_obeys_none(study, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "4000")
    for form in ("table", "markdown", "csv", "latex"):
        assert compare_command.run([str(study), "--format", form]) == 0
        said = capsys.readouterr()
        check_controls(said.out + said.err)
        if form == "table":
            assert all(f"IoU {visible(name)}" in said.out for name in NAMES)
    sights = [Sight(f"deconv,{name}", 0, Status("finished"), miou=0.5) for name in NAMES]
    console = Console(width=300)
    console.print(study_table(sights, height=400))
    out = capsys.readouterr().out
    check_controls(out)
    assert all(visible(name).split()[0] in out for name in NAMES if visible(name).strip())


def test_an_error_that_repeats_a_name_shows_it(study, capsys):
    settings = yaml.safe_load((study / "study.yaml").read_text())
    (study / "study.yaml").write_text(yaml.safe_dump({**settings, "members": [["\x1b[31m/..", 0]]}))
    assert compare_command.run([str(study)]) == 1
    check_controls(capsys.readouterr().err)
