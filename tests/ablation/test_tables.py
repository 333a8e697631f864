import csv
import io
import math
from dataclasses import replace

import pytest

from segup.ablation import compare, read_run
from segup.ablation.markup import code
from segup.ablation.tables import COSTS, csv_text, latex, markdown, notes, score_columns
from segup.cli.compare import run as compare_command
from segup.statistics.decision import Look, equal_at
from segup.tables import percent


@pytest.fixture
def folders(write_run):
    return [
        *(write_run("deconv", seed, 0.75 + seed / 100) for seed in (0, 1)),
        *(write_run("pixel_shuffle", seed, 0.71 + seed / 100) for seed in (0, 1)),
    ]


@pytest.fixture
def comparison(folders):
    return compare([read_run(folder) for folder in folders])


def test_markdown_has_the_difference_with_its_verdict_and_says_what_it_is(comparison):
    lines = markdown(comparison, [*score_columns(comparison)[:2], *COSTS[:2]]).splitlines()
    assert lines[:4] == [
        "| decoder | mIoU | best (optimistic) | checkerboard | parameters | mIoU − deconv |",
        "|---|---|---|---|---|---|",
        "| `deconv` | **0.755 ± 0.007** | 0.765 ± 0.007 | 0.10 | 4.00 M | baseline |",
        "| `pixel_shuffle` | 0.715 ± 0.007 | 0.725 ± 0.007 | 0.10 | 4.00 M | −0.040 [−0.040, −0.040], worse |",
    ]
    assert "last checkpoint" in lines[5]
    assert "hold together with 95% probability" in lines[5]
    assert "within ±0.005" in lines[5]


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
        "pixel\\_shuffle & 0.715 $\\pm$ 0.007 & $-$0.040 [$-$0.040, $-$0.040], worse \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]


def test_no_cell_is_bold_that_is_not_decided(write_run):
    """Every pattern of three rows that are apart or not: bold is who is decided to be better, in its mIoU alone."""
    noise = {"deconv": (0.001, -0.001, 0.0005), "bilinear": (-0.002, 0.001, 0.001), "nearest": (0.002, 0.0, -0.002)}
    for starts, bold, bold_of_all in (
        ((0.7, 0.7, 0.7), [], []),
        ((0.9, 0.7, 0.5), ["deconv"], ["deconv"]),
        ((0.7, 0.9, 0.9), ["bilinear", "nearest"], []),
        ((0.7, 0.702, 0.9), ["nearest"], ["nearest"]),
    ):
        runs = [
            read_run(write_run(name, seed, start + noise[name][seed]))
            for name, start in zip(noise, starts, strict=True)
            for seed in range(3)
        ]
        for baseline, marked in ((None, bold), ("all", bold_of_all)):
            found = compare(runs, baseline)
            text = markdown(found, [*score_columns(found), *COSTS])
            lines = [line for line in text.splitlines() if line.startswith("| `")]
            assert [line.split("`")[1] for line in lines if "**" in line] == marked
            assert all(line.split(" | ")[1].startswith("**") for line in lines if "**" in line)
            assert text.count("**") == 2 * len(marked)


def test_one_decoder_is_not_the_best_of_anything(write_run):
    alone = compare([read_run(write_run("deconv"))])
    assert "**" not in markdown(alone, score_columns(alone))


def test_the_command_prints_tables_or_a_format(folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    names = [str(folder) for folder in folders]
    assert compare_command(names) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("pixel_shuffle (−0.040 [−0.040, −0.040]) is worse than deconv in mIoU.")
    assert "0.755 ± 0.007" in shown
    assert "pixel_shuffle" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert compare_command([*names, "--format", "csv", "--columns", "parameters,miou"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "decoder,seed,parameters,miou,run"
    assert compare_command([*names, "--format", "csv", "--columns", "mioy"]) == 1
    assert "unknown column 'mioy': did you mean 'miou'" in capsys.readouterr().err


def test_the_command_takes_metric_margin_level_and_all_pairs(folders, capsys):
    names = [str(folder) for folder in folders]
    assert compare_command([*names, "--margin", "0.1", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("pixel_shuffle (−0.040 [−0.040, −0.040]) is equal to deconv within 0.1.")
    assert compare_command([*names, "--metric", "bf_score", "--level", "0.9", "--format", "latex"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("% pixel_shuffle (+0.000 [+0.000, +0.000]) is equal to deconv within 0.005.")
    assert "BF score $-$ deconv" in out
    for form in ("table", "markdown", "latex"):
        assert compare_command([*names, "--baseline", "all", "--format", form]) == 0
        out = capsys.readouterr().out
        assert "pixel" in out
        assert "worse" in out
        assert "deconv than pixel_shuffle (pixel_shuffle −0.040 [−0.040, −0.040])" in " ".join(out.split())
    for words, said in (
        (["--margin", "-1"], "ConfigError: --margin=-1.0 must be a number of 0 or more"),
        (["--level", "1.5"], "ConfigError: --level=1.5 must be a number of 0.5 or more and at most 0.9999"),
        (["--metric", "mioy"], "ConfigError: unknown metric 'mioy': did you mean 'miou'"),
        (["--baseline", "decnov"], "ConfigError: unknown baseline 'decnov': did you mean 'deconv'"),
    ):
        assert compare_command([*names, *words]) == 1
        assert said in capsys.readouterr().err


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


def test_the_deviation_is_over_seeds_and_not_over_the_folds_of_one(write_run):
    def folded(seeds, folds):
        return compare(
            [
                read_run(write_run(name, seed, start + 0.05 * fold + 0.01 * seed, data__folds=3, data__fold=fold))
                for name, start in (("deconv", 0.7), ("bilinear", 0.6))
                for seed in seeds
                for fold in folds(seed)
            ]
        )

    alone = folded([0], lambda _: range(3))
    assert alone.rows[0].score("miou").mean == pytest.approx(0.75)
    assert math.isnan(alone.rows[0].score("miou").deviation)
    assert "one seed alone, so no spread is known: deconv, bilinear" in alone.warnings
    both = folded([0, 1], lambda _: range(3)).rows[0].score("miou")
    assert (both.mean, both.deviation) == pytest.approx((0.755, 0.01 / math.sqrt(2)))
    own = folded([0, 1], lambda seed: [seed])
    assert own.rows[0].score("miou").deviation == pytest.approx(0.06 / math.sqrt(2))
    assert "mean ± one standard deviation over seeds and the folds that they validate on. A" in notes(own)
    assert "mean ± one standard deviation over seeds. A" in notes(alone)


def test_the_level_of_equality_is_that_of_the_looks(comparison):
    assert "two one-sided tests, each at 3.5%, put the" in notes(comparison)
    looks = tuple(Look(blocks, level, ()) for blocks, level in ((3, 0.9972), (5, 0.9906)))
    in_rounds = replace(comparison, decision=replace(comparison.decision, looks=looks))
    low, high = (percent(float(f"{equal_at(look.level):.3g}")) for look in looks)
    assert f"two one-sided tests, each at {low} to {high} by the look, put the" in notes(in_rounds)
