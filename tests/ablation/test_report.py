"""The report of a study: what it tells, in every form, whatever state the study is in."""

import csv
import importlib.util
import io
import json
import multiprocessing
import re
import shutil
import subprocess
import time
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from segup.ablation.report import write_report
from segup.ablation.report.content import Figure, read_report
from segup.ablation.report.gallery import draw
from segup.ablation.report.page import as_html
from segup.ablation.report.texts import as_csv, as_latex, as_markdown
from segup.cli.report_study import run as report_command
from segup.errors import ConfigError, DataError

MEMBERS = {
    ("deconv", 0): 0.75,
    ("bilinear", 0): 0.70,
    ("carafe", 0): ("failed", "DataError: frame_3.png cannot be read"),
    ("deconv", 1): 0.76,
    ("bilinear", 1): 0.712,
    ("carafe", 1): "waiting",
    ("nearest", 0): "interrupted",
    ("nearest", 1): "running",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory, make_study):
    path = make_study(tmp_path_factory.mktemp("study"), MEMBERS)
    assert write_report(path) == path / "report.html"
    return path


def table(text, heading):
    """The cells of the Markdown table whose first heading is given."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = [line for line in lines[start:] if line][: next(
        (i for i, line in enumerate(lines[start:]) if not line.startswith("|")), len(lines))]  # fmt: skip
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if not row.startswith("|---")]


def test_all_files_are_there_and_whole(study):
    assert {path.name for path in study.iterdir() if path.is_file()} == {
        "study.yaml", "times.json", "report.html", "report.md", "report.csv", "report.tex", ".report.json",
        ".report.lock",
    }  # fmt: skip
    names = {path.name for path in (study / "figures").iterdir()}
    expected = ("differences", "accuracy_cost", "learning_curves", "band_iou", "class_iou", "checkerboard_spectrum")
    assert names == {f"{name}.{kind}" for name in expected for kind in ("png", "svg")}
    for path in (study / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_markdown_has_the_table_the_failure_and_what_was_run(study):
    text = (study / "report.md").read_text()
    header, deconv, bilinear = table(text, "decoder")
    assert header == [
        "decoder", "mIoU", "best (optimistic)", "pixel accuracy", "Boundary IoU", "BF score", "IoU background",
        "IoU cell", "checkerboard", "parameters", "MACs", "step", "latency", "peak memory", "mIoU − deconv",
    ]  # fmt: skip
    assert deconv[:2] == ["`deconv`", "0.755 ± 0.007"]
    assert deconv[8] == "0.30"
    assert deconv[11:] == ["505 ± 7 ms", "50.5 ± 0.7 ms", "1.00 GiB", "baseline"]
    assert bilinear[8] == "0.00"
    assert "carafe failed in 1 of 2 seeds" in text
    assert bilinear[-1].startswith("−0.049 [−")
    assert "4 of 8 runs finished, 1 running, 1 interrupted, 1 failed, 1 waiting" in text
    assert ["`carafe`", "0", "failed", "DataError: frame_3.png cannot be read"] in table(
        text[text.index("## Unfinished") :], "decoder"
    )
    assert ["`deconv`", "0.7500", "0.7600"] in table(text, "mIoU")
    for told in ("train.py -m decoder=deconv,bilinear seed=0,1", "torch 2.15.0", "a processor", "0123456789abcdef"):
        assert told in text
    assert "`decoder.upsampler=bilinear`" in text
    assert "decoder.topology" not in text.partition("What differs")[2]
    for name in re.findall(r"\]\((figures/[^)]+)\)", text):
        assert (study / name).is_file()


def test_csv_has_a_line_for_every_run_with_plain_numbers(study):
    rows = list(csv.DictReader(io.StringIO((study / "report.csv").read_text())))
    assert [(row["decoder"], int(row["seed"])) for row in rows] == list(MEMBERS)
    first, failed = rows[0], rows[2]
    assert float(first["miou"]) == 0.75
    assert float(first["band_iou/20"]) == pytest.approx(0.75 * (1 - 0.3 / 20))
    assert float(first["inference_seconds"]) == pytest.approx(0.0505)  # the median of the turns in times.json
    assert (first["state"], first["run"]) == ("finished", "deconv/0")
    assert (failed["state"], failed["miou"], failed["cause"]) == (
        "failed", "", "DataError: frame_3.png cannot be read",
    )  # fmt: skip


def test_latex_is_balanced_and_every_line_of_a_table_has_its_columns(tmp_path, make_study):
    def strange(label, seed, result):
        result["classes"] = ["a_b & c%", "#1 {x}^2~\\"]

    path = make_study(tmp_path, {("deconv,decoder.convs=1", 0): 0.7, ("bilinear", 0): 0.8}, change=strange)
    text = as_latex(read_report(path))
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert re.findall(r"\\begin{(\w+)}", body) == [
        "table",
        *["tabular"] * 2,
        "table",
        "tabular",
        "table",
        *["tabular"] * 2,
    ]
    assert body.count("\\begin{") == body.count("\\end{")
    plain = re.sub(r"\\[\\&%$#_{}]", "", body)  # escaped signs mean nothing
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert not re.search(r"(?<!\\)[#%~]", plain)
    assert r"a\_b \& c\%" in body
    for columns, rows in re.findall(r"\\begin{tabular}{(\w+)}(.*?)\\end{tabular}", body, re.DOTALL):
        lines = [line for line in rows.splitlines() if line.endswith("\\\\")]
        assert len(lines) == 3
        for line in lines:
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1


@pytest.mark.parametrize("classes", [1, 3, 4, 5, 11, 19])
def test_latex_has_every_column_once_and_none_beyond_the_page(tmp_path, make_study, classes):
    def many(label, seed, result):
        result["classes"] = [f"c{place}" for place in range(classes)]
        result["last"]["iou"] = result["best"]["iou"] = [0.5] * classes

    text = as_latex(read_report(make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6}, change=many)))
    heads = [line.removesuffix(" \\\\").split(" & ") for line in text.splitlines() if line.startswith("decoder &")]
    assert max(map(len, heads)) <= 5
    assert [title for head in heads for title in head[1:]] == [
        "mIoU", "best (optimistic)", "pixel accuracy", "Boundary IoU", "BF score", "mIoU $-$ deconv",
        *(f"IoU c{place}" for place in range(classes)),
        "checkerboard", "parameters", "MACs", "step", "latency", "peak memory",
    ]  # fmt: skip
    assert "$-$0.100" in text


@pytest.fixture
def strangely_named(tmp_path, make_study):
    """A study whose classes are called by what LaTeX reads as commands, and its report in LaTeX."""
    members = {(label, seed): 0.7 + seed / 50 for label in ("deconv_matched", "pixel_shuffle") for seed in range(3)}

    def strange(label, seed, result):
        result["classes"] = ["a_b & c%", "#1 {x}^2~\\ é <|>"]

    path = make_study(tmp_path, members, change=strange)
    return path, as_latex(read_report(path))


def test_every_line_of_a_latex_table_has_its_columns_and_few_of_them(strangely_named):
    _, text = strangely_named
    tables = re.findall(r"\\begin\{tabular\}\{(.*?)\}(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(tables) >= 3
    for columns, body in tables:
        assert set(columns) <= {"l", "r"}
        assert len(columns) <= 5
        lines = [line for line in body.splitlines() if line.endswith("\\\\")]
        assert len(lines) == 3  # the names, and a line for each decoder
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1 for line in lines)
    assert r"a\_b \& c\%" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX is installed")
def test_latex_sets_it_inside_the_page(strangely_named):
    path, text = strangely_named
    (path / "report.tex").write_text(text)
    (path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{report.tex}\\end{document}"
    )
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(command, cwd=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.sources, self.tags, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "srcset", "href", "data", "action")]

    def handle_data(self, data):
        self.text += data


def test_the_page_needs_nothing_from_outside(study):
    page = Page((study / "report.html").read_text())
    assert page.tags.count("svg") == 6
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "@import" not in page.text
    assert "url(" not in page.text


def test_names_are_text_on_the_page_and_nothing_else(tmp_path, make_study):
    def strange(label, seed, result):
        result["classes"] = ['<img src="x">', "a|b"]

    members = {("deconv", 0): 0.7, ("<b>", 0): 0.6, ("x", 0): ("failed", "<script>alert(1)</script> | $x")}
    report = read_report(make_study(tmp_path, members, change=strange, command="train.py '<i>'"))
    page = Page(as_html(report, [], ["<u>"]))
    assert not {"img", "b", "i", "u"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "alert(1)" in page.text
    text = as_markdown(report, [], [])
    assert {len(row) for row in table(text.replace("\\|", ""), "decoder")} == {15}


def test_nothing_is_written_when_anything_fails(study, monkeypatch):
    before = contents(study)

    def fails(*_):
        raise RuntimeError("the page")

    monkeypatch.setattr("segup.ablation.report.write.draw", lambda report: [])
    monkeypatch.setattr("segup.ablation.report.write.as_html", fails)
    with pytest.raises(RuntimeError, match="the page"):
        write_report(study)
    assert contents(study) == before


def test_a_study_without_a_finished_run_says_so(tmp_path, make_study):
    path = make_study(tmp_path, {("deconv", 0): ("failed", "ConfigError: no\n  try: this"), ("deconv", 1): "waiting"})
    write_report(path)
    text = (path / "report.md").read_text()
    assert "There is nothing to compare yet. 0 of 2 runs finished, 1 failed, 1 waiting." in text
    assert "| `deconv` | 0 | failed | ConfigError: no try: this |" in text
    assert not (path / "figures").exists()
    assert "ConfigError: no" in (path / "report.html").read_text()
    assert "tabular" not in (path / "report.tex").read_text()


def test_results_of_an_earlier_version_are_told_as_far_as_they_go(tmp_path, make_study):
    def older(label, seed, result):
        del result["inference_seconds"], result["checkerboard"]["spectrum"]
        del result["last"]["band_widths"], result["last"]["band_iou"]

    path = make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6}, change=older)
    (path / "times.json").unlink()
    write_report(path)
    header, *_ = table((path / "report.md").read_text(), "decoder")
    assert "latency" not in header
    assert {figure.stem for figure in (path / "figures").glob("*.png")} == {
        "accuracy_cost", "learning_curves", "class_iou", "differences",
    }  # fmt: skip


def contents(path):
    files = [file for file in path.rglob("*") if file.is_file() and file.name != ".report.lock"]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_two_processes_may_write_the_report_of_one_study_at_once(tmp_path, make_study, monkeypatch):
    study = make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6})
    monkeypatch.setattr("segup.ablation.report.write.draw", lambda report: time.sleep(0.2) or [])
    forked = multiprocessing.get_context("fork")
    both = [forked.Process(target=write_report, args=(study,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]


def test_a_figure_of_an_earlier_report_does_not_stay_and_what_is_the_persons_does(tmp_path, make_study):
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6})
    write_report(path)
    mine = {f"figures/{name}": name.encode() for name in ("mine.png", "mine.svg", "notes.txt", "later.png")}
    for name, content in mine.items():
        (path / name).write_bytes(content)
    drawn = {file.name for file in (path / "figures").iterdir()} - {Path(name).name for name in mine}
    assert "learning_curves.png" in drawn
    (path / "figures" / "class_iou.png").write_bytes(b"drawn by hand since")
    for label in ("deconv", "bilinear"):
        (path / label / "0" / "status.json").unlink()  # nothing has finished: there is nothing to draw
    write_report(path)
    left = {**mine, "figures/class_iou.png": b"drawn by hand since"}
    found = {name: content for name, content in contents(path).items() if name.startswith("figures/")}
    assert {name: content for name, content in found.items() if "learning_curves" not in name} == left


@pytest.mark.parametrize("name", ["report.html", "report.md", "report.csv", "report.tex", "figures/class_iou.png"])
def test_a_report_takes_the_place_of_a_report_alone(tmp_path, make_study, capsys, monkeypatch, name):
    """What the person put there, or changed since, stays: with the way out, and the old report whole."""
    monkeypatch.setattr(
        "segup.ablation.report.write.draw", lambda report: [Figure("class_iou", "t", "c", b"p", b"<svg></svg>", 1, 1)]
    )
    path = make_study(tmp_path, {("deconv", 0): "waiting"})
    for is_new in (True, False):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_bytes(b"mine")
        before = contents(path)
        assert report_command([str(path)]) == 1
        said = capsys.readouterr().err
        assert f"{name} exists already; nothing was written.\n  try: segup report {path} --overwrite" in said
        assert contents(path) == before, is_new
        assert report_command([str(path), "--overwrite"]) == 0
        assert contents(path)[name] != b"mine"
        assert report_command([str(path)]) == 0


def test_a_report_of_an_earlier_version_is_replaced(tmp_path, make_study):
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6})
    write_report(path)
    (path / ".report.json").unlink()
    (path / "figures" / "mine.png").write_bytes(b"mine")
    write_report(path)
    assert (path / "figures" / "mine.png").read_bytes() == b"mine"


def test_a_damaged_list_of_what_was_written_removes_nothing_elsewhere(tmp_path, make_study):
    path = make_study(tmp_path, {("deconv", 0): "waiting"})
    write_report(path)
    (tmp_path / "precious.png").write_bytes(b"x")
    digest = sha256(b"x").hexdigest()
    for name in ("../precious.png", "figures/../../precious.png", str(tmp_path / "precious.png")):
        (path / ".report.json").write_text(json.dumps({name: [digest]}))
        write_report(path, overwrite=True)
    assert (tmp_path / "precious.png").read_bytes() == b"x"
    (path / ".report.json").write_text("[1, 2")
    with pytest.raises(DataError, match=r"\.report\.json is not what segup writes"):
        write_report(path)


def test_one_seed_says_that_no_spread_is_known(tmp_path, make_study):
    report = read_report(make_study(tmp_path, {("deconv", 0): 0.7, ("bilinear", 0): 0.6}))
    assert "One seed gives no interval: a difference may be noise." in report.verdict
    assert "one seed alone, so no spread is known: deconv, bilinear" in as_markdown(report, [], [])
    assert "One seed gives no interval" in (page := as_html(report, [], []))
    assert "one seed alone, so no spread is known" in page
    assert "1 seed<" in page


def test_what_is_decided_is_said_first_and_what_is_not_after_it(tmp_path, make_study):
    scores = {
        ("deconv", 0): 0.70, ("deconv", 1): 0.72, ("deconv", 2): 0.71,
        ("far", 0): 0.60, ("far", 1): 0.6201, ("far", 2): 0.6099,
        ("near", 0): 0.71, ("near", 1): 0.70, ("near", 2): 0.72,
    }  # fmt: skip
    report = read_report(make_study(tmp_path, scores))
    assert report.verdict == (
        "far (−0.100 [−0.133, −0.067]) is worse than deconv in mIoU; near is undecided against deconv. Of studies "
        "with 3 seeds, four in five would see a difference in mIoU of 0.057; with about 120 more, of "
        "0.005. 9 of 9 runs finished."
    )
    other = read_report(report.study.path, "near")
    assert other.comparison.baseline == "near"
    with pytest.raises(ConfigError, match="unknown baseline 'fa': did you mean 'far'"):
        read_report(report.study.path, "fa")


def test_a_baseline_that_has_not_finished_leaves_the_scores(tmp_path, make_study):
    report = read_report(make_study(tmp_path, {("deconv", 0): "waiting", ("bilinear", 0): 0.6, ("carafe", 0): 0.7}))
    assert "the baseline deconv has no finished run: no difference to it is known" in report.warnings
    assert [row.versus for row in report.comparison.rows] == [None, None]
    assert "mIoU − deconv" in as_markdown(report, [], [])


def test_matched_widths_and_starts_are_told(tmp_path, make_study):
    chosen = {
        "deconv": {"widths": [64, 32], "budget": 1_234_567, "difference": 0.0, "start": "interpolate"},
        "carafe": {"widths": [70, 36], "budget": 1_240_000, "difference": 0.0044, "start": "it cannot: no weights"},
    }
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("carafe", 0): 0.7}, match="params", decoders=chosen)
    for text in (as_markdown(read_report(path), [], []), as_html(read_report(path), [], [])):
        assert "widths [70, 36], params 1,240,000, +0.44% to the baseline" in text
        assert "it cannot: no weights" in text
        assert "could not be matched" not in text


def test_a_cause_is_read_as_it_was_written(tmp_path, make_study):
    cause = "TypeError: <class 'int'> | none\n  try: another"
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("carafe", 0): ("failed", cause)})
    assert "| failed | TypeError: \\<class 'int'> \\| none try: another |" in as_markdown(read_report(path), [], [])


def test_budgets_that_are_not_equal_are_told_beside_the_scores(tmp_path, make_study):
    chosen = {
        "deconv": {"widths": [8], "budget": 1000, "difference": 0.0},
        "carafe": {"widths": [1], "budget": 12_600, "difference": 11.6},
        "nearest": {"widths": [9], "budget": 970, "difference": -0.03},
    }
    path = make_study(tmp_path, {("deconv", 0): 0.7, ("carafe", 0): 0.7}, match="macs", decoders=chosen)
    report = read_report(path)
    told = "MACs could not be matched to within 2%: carafe +1160.0%, nearest −3.0%"
    assert report.warnings[-1] == told
    assert told in as_markdown(report, [], []).partition("## Seed by seed")[0]


def test_two_reports_of_one_study_are_the_same_files(study):
    before = {path: path.read_bytes() for path in study.rglob("*") if path.is_file()}
    write_report(study)
    assert {path: path.read_bytes() for path in study.rglob("*") if path.is_file()} == before


def test_the_command_writes_it_and_refuses_what_is_no_study(tmp_path, make_study, capsys):
    path = make_study(tmp_path, {("deconv", 0): "waiting"})
    assert report_command([str(path)]) == 0
    assert capsys.readouterr().out == f"report: {path}/report.html\n"
    assert report_command([str(path), "--baseline", "deconw"]) == 1
    assert "unknown baseline 'deconw': did you mean 'deconv'?" in capsys.readouterr().err
    assert report_command([str(tmp_path)]) == 1
    assert "has no study.yaml" in capsys.readouterr().err
    with pytest.raises(DataError, match="no study folder at"):
        write_report(tmp_path / "nowhere")


def test_many_rows_are_all_in_the_table_and_the_best_in_the_figures(tmp_path, make_study):
    from segup.ablation.report.content import SHOWN, shown_rows

    path = make_study(tmp_path, {(f"op{place}", 0): 0.3 + place / 100 for place in range(30)})
    report = read_report(path)
    assert [row.name for row in shown_rows(report.comparison)] == [
        "op0",
        *(f"op{n}" for n in range(30 - SHOWN + 1, 30)),
    ]
    assert len(table(as_markdown(report, [], []), "decoder")) == 31


def test_the_benchmark_makes_a_study_that_can_be_read(tmp_path):
    file = Path(__file__).resolve().parents[2] / "scripts" / "benchmark_report.py"
    spec = importlib.util.spec_from_file_location("benchmark_report", file)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    report = read_report(benchmark.make_study(tmp_path / "generated", runs=26, steps=30))
    assert report.progress == "26 of 26 runs finished"
    assert len(report.comparison.rows) == 12
    assert len(as_csv(report).splitlines()) == 27
    assert json.loads((tmp_path / "generated/deconv/0/result.json").read_text())["last"]["band_widths"][-1] == 20


def scored_on(images):
    def change(label, seed, result):
        result["last"] |= {"images": images, "boundary_pixels": [11, 12], "bf_pixels": [4.123, 4.123]}

    return change


def test_images_and_distances_are_told_and_few_images_speak_for_themselves_alone(tmp_path, make_study):
    for images, few in ((19, True), (20, False)):
        scores = {(label, seed): 0.7 + seed / 50 for label in ("deconv", "bilinear") for seed in (0, 1)}
        report = read_report(make_study(tmp_path / str(images), scores, change=scored_on(images)))
        for text in (as_markdown(report, [], []), as_html(report, [], []), as_latex(report)):
            assert f"last checkpoint on {images} images, mean" in text
            assert ("fewer than 20 say nothing of others of their kind" in text) == few
            assert "Boundary IoU counts a band of 11 to 12 pixels along boundaries." in text
            assert "The BF score lets boundaries be 4.12 pixels apart." in text


@pytest.mark.parametrize(("level", "said"), [(0.9999, ("99.99%", "0.007%")), (0.975, ("97.5%", "1.75%"))])
def test_a_level_is_never_rounded_to_certainty(tmp_path, make_study, level, said):
    study = make_study(tmp_path, {(name, seed): 0.7 + seed / 100 for name in ("deconv", "bilinear") for seed in (0, 1)})
    report = read_report(study, level=level)
    drawn = draw(report)
    for text in (as_markdown(report, drawn, []), as_latex(report).replace("\\%", "%"), as_html(report, drawn, [])):
        assert f"with {said[0]} probability" in text
        assert f"each at {said[1]}" in text
        assert not re.search(r"\b(100|0)% ?(probability|,)", text)


def test_nothing_on_the_page_is_bold_but_what_is_decided_to_be_better(tmp_path, make_study):
    means = {"deconv": 0.7, "bilinear": 0.6, "carafe": 0.8, "nearest": 0.701}
    members = {(name, seed): mean + seed / 100 for name, mean in means.items() for seed in range(4)}
    report = read_report(make_study(tmp_path, members))
    assert [one.verdict for one in report.comparison.decision.differences] == ["worse", "better", "equal"]
    assert re.findall("<strong>(.*?)</strong>", as_html(report, [], [])) == ["0.815"]


def test_captions_are_read_alone(tmp_path, make_study):
    """Each says data, encoder and seeds; the scores' has what was decided, and what scores and intervals come from."""
    scores = {(label, seed): 0.7 + seed / 50 for label in ("deconv", "bilinear") for seed in (0, 1)}
    report = read_report(make_study(tmp_path, scores))
    said = "Data cells, encoder resnet18, topology unet, seeds 0, 1."
    captions = [line for line in as_latex(report).splitlines() if line.startswith("\\caption")]
    assert len(captions) == 3
    assert all(caption.endswith(f"{said}}}") for caption in captions)
    assert "is equal to deconv within 0.005" in captions[0]
    assert "Šidák" in captions[0]
    figure = Figure("class_iou", "t", "What it shows.", b"p", b"<svg></svg>", 1, 1, "what is seen")
    text = as_markdown(report, [figure], [])
    assert f"![what is seen](figures/class_iou.png)\n\nWhat it shows. {said}\n" in text
    assert 'aria-label="what is seen"' in as_html(report, [figure], [])


def test_the_differences_are_drawn_with_their_intervals_and_verdicts(tmp_path, make_study):
    from segup.ablation.report.forest import MOST, drawn_differences, forest

    starts = {"deconv": 0.7, "far": 0.5, "same": 0.7, "near": 0.704}
    wobble = {"deconv": (0, 0, 0), "far": (0, 0.001, 0), "same": (0, 0, 0), "near": (0.002, -0.002, 0)}
    scores = {(label, seed): start + wobble[label][seed] for label, start in starts.items() for seed in range(3)}
    report = read_report(make_study(tmp_path, scores))
    drawn = drawn_differences(report.comparison)
    assert [(one.arm, one.verdict) for one in drawn] == [
        ("far", "worse"), ("same", "equal"), ("near", "undecided"),
    ]  # fmt: skip
    axes = forest(report.comparison, drawn).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["far", "same", "near"]
    for one, bars, told in zip(drawn, axes.containers, axes.texts, strict=True):
        ends = bars[2][0].get_segments()[0][:, 0]
        assert ends == pytest.approx([one.mean - one.half_width, one.mean + one.half_width])
        assert told.get_text().endswith(f"]  {one.verdict}, P {one.improvement:.2f}")
    later = [replace(one, mean=one.mean + 0.001, half_width=0.02) for one in drawn]  # decided at another look
    others = SimpleNamespace(decision=replace(report.comparison.decision, differences=tuple(later)))
    axes = forest(replace(report.comparison, on_others=others), drawn).axes[0]
    for wider, bars in zip(later, axes.containers[1::2], strict=True):
        assert bars[2][0].get_segments()[0][:, 0] == pytest.approx([wider.mean - 0.02, wider.mean + 0.02])
    many = {(f"op{place}", 0): 0.3 + place / 100 for place in range(30)}
    many = read_report(make_study(tmp_path / "many", many)).comparison
    assert len(drawn_differences(many)) == MOST
    assert "op29" in {one.arm for one in drawn_differences(many)}
