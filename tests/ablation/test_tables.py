import csv
import io

import pytest

from segup.ablation import compare, read_run
from segup.ablation.tables import COSTS, code, csv_text, latex, markdown, score_columns
from segup.cli.compare import run as compare_command


@pytest.fixture
def folders(write_run):
    return [
        *(write_run("deconv", seed, 0.75 + seed / 100) for seed in (0, 1)),
        *(write_run("pixel_shuffle", seed, 0.71 + seed / 100) for seed in (0, 1)),
    ]


@pytest.fixture
def comparison(folders):
    return compare([read_run(folder) for folder in folders])


def test_markdown_marks_the_best_of_each_column_where_rows_differ_and_says_what_it_is(comparison):
    lines = markdown(comparison, [*score_columns(comparison)[:2], *COSTS[:2]]).splitlines()
    assert lines[:4] == [
        "| decoder | mIoU | best (optimistic) | checkerboard | parameters | mIoU − deconv |",
        "|---|---|---|---|---|---|",
        "| `deconv` | **0.755 ± 0.007** | 0.765 ± 0.007 | 0.10 | 4.00 M | baseline |",
        "| `pixel_shuffle` | 0.715 ± 0.007 | 0.725 ± 0.007 | 0.10 | 4.00 M | −0.040 ± 0.000 * |",
    ]
    assert "last checkpoint" in lines[5]


def test_csv_has_one_line_for_each_run_with_plain_numbers(comparison, folders):
    rows = list(csv.DictReader(io.StringIO(csv_text(comparison, [*score_columns(comparison), *COSTS]))))
    assert [(row["decoder"], row["seed"], row["run"]) for row in rows] == [
        ("deconv", "0", str(folders[0])),
        ("deconv", "1", str(folders[1])),
        ("pixel_shuffle", "0", str(folders[2])),
        ("pixel_shuffle", "1", str(folders[3])),
    ]
    assert [float(row["miou"]) for row in rows] == [0.75, 0.76, 0.71, 0.72]
    assert {row["peak_memory_bytes"] for row in rows} == {str(2**30)}


def test_latex_is_a_table_with_its_signs_escaped(comparison):
    lines = latex(comparison, score_columns(comparison)[:1]).splitlines()
    assert lines == [
        "\\begin{tabular}{lrr}",
        "\\toprule",
        "decoder & mIoU & mIoU $-$ deconv \\\\",
        "\\midrule",
        "deconv & \\textbf{0.755 $\\pm$ 0.007} & baseline \\\\",
        "pixel\\_shuffle & 0.715 $\\pm$ 0.007 & $-$0.040 $\\pm$ 0.000 $^*$ \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]


def test_what_reads_the_same_as_the_best_is_bold_too(write_run):
    runs = [write_run(name, 0, miou) for name, miou in (("deconv", 0.7501), ("bilinear", 0.7499), ("nearest", 0.7))]
    lines = markdown(found := compare([read_run(run) for run in runs]), score_columns(found)[:1]).splitlines()
    assert [line.split(" | ")[1] for line in lines[2:5]] == ["**0.750**", "**0.750**", "0.700"]


def test_one_decoder_is_not_the_best_of_anything(write_run):
    alone = compare([read_run(write_run("deconv"))])
    assert "**" not in markdown(alone, score_columns(alone))


def test_the_command_prints_tables_or_a_format(folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [str(folder) for folder in folders]
    assert compare_command(names) == 0
    shown = capsys.readouterr().out
    assert "0.755 ± 0.007" in shown
    assert "pixel_shuffle" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert compare_command([*names, "--format", "csv", "--columns", "parameters,miou"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "decoder,seed,parameters,miou,run"
    assert compare_command([*names, "--format", "csv", "--columns", "mioy"]) == 1
    assert "unknown column 'mioy': did you mean 'miou'" in capsys.readouterr().err


def test_the_command_refuses_what_has_not_finished(tmp_path, capsys):
    assert compare_command([str(tmp_path)]) == 1
    assert "has no result.json" in capsys.readouterr().err


def test_the_command_sends_what_lies_beside_a_study_s_runs_to_the_study(tmp_path, folders, capsys):
    (tmp_path / "study.yaml").touch()
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "crops.png").touch()
    for path in (tmp_path / "figures", tmp_path / "figures" / "crops.png"):
        assert compare_command([str(folders[0]), str(path)]) == 1
        said = f"{path} is no run folder, it belongs to the study {tmp_path}.\n  try: {tmp_path}"
        assert said in capsys.readouterr().err


def test_a_name_with_a_backtick_stays_one_code_span():
    assert code("a`b``c") == "``` a`b``c ```"
