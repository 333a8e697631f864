"""The GPU's page, tried out on the CPU."""

import importlib
import re
import sys
import time
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def scripts():
    """The two modules of the command; they import each other by name, as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        yield importlib.import_module("gpu_report"), importlib.import_module("gpu_parts")
        for name in ("gpu_report", "gpu_parts", "measuring", "benchmark_operators", "benchmark_training"):
            sys.modules.pop(name, None)


def soon(seconds=0.01):
    return time.monotonic() + seconds


def test_without_a_gpu_it_says_so_and_writes_nothing(scripts, capsys, monkeypatch):
    report, _ = scripts
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(report, "atomic_write", lambda *written: pytest.fail("a page was written"))
    assert report.main([]) == 1
    assert capsys.readouterr().out == (
        "no GPU: torch finds none, so nothing was measured and docs/gpu.md is as it was\n"
        "  try: python scripts/gpu_report.py --device cpu --to page.md\n"
    )


@pytest.mark.parametrize("words", [[], ["--to", "docs/../docs/gpu.md"], ["--to", str(SCRIPTS.parent / "docs/gpu.md")]])
def test_a_cpus_figures_are_not_written_to_the_gpus_page(scripts, capsys, monkeypatch, words):
    report, _ = scripts
    monkeypatch.chdir(SCRIPTS.parent)
    monkeypatch.setattr(report, "run", lambda *command: pytest.fail("a part was run"))
    assert report.main(["--device", "cpu", *words]) == 2
    assert (
        "docs/gpu.md holds a GPU's figures alone\n  try: python scripts/gpu_report.py --device cpu --to page.md"
        in capsys.readouterr().err
    )


def test_all_parts_end_within_eight_minutes(scripts):
    report, _ = scripts
    assert report.SECONDS <= 8 * 60 - 30, "thirty seconds are for starting and writing"


def test_every_part_says_what_it_had_no_time_for(scripts):
    report, _ = scripts
    load = report.LOADS["cpu"]
    for title in ("Training", "Operators", "Whole steps", "Determinism"):
        text = "\n".join(report.PARTS[title][0](CPU, soon(-1), load))
        assert "\nLeft out for time: " in text, title
        assert "| --- |" in text


def test_a_part_that_fails_reports_it_and_measures_the_rest(scripts):
    _, parts = scripts
    lines = parts.one_by_one("abc", lambda name: parts.row(name, 1 / (name != "b")), soon(60))
    assert next(lines) == "| a | 1.0 |"
    assert next(lines) == "| b | failed: ZeroDivisionError: division by zero |"
    assert next(lines) == "| c | 1.0 |"
    with pytest.raises(parts.PartError, match="failed: b"):
        next(lines)


@pytest.mark.slow
def test_training_stands_beside_float32(scripts, monkeypatch):
    _, parts = scripts
    monkeypatch.setattr(parts, "RUNS", {"float32": ("32-true", False), "again": ("32-true", False)})
    *_, first, again = parts.training(CPU, soon(60), parts.Load(2, (33, 35), 5, 1, workers=0))
    assert first.startswith("| float32 | ")
    _, _, step, rate, memory, loss, apart, miou, _ = again.split("|")
    assert step.endswith(" ms ")
    assert float(rate) > 0
    assert memory.endswith(" MiB ")
    assert float(loss) > 0
    assert float(apart) == 0.0
    assert 0 < float(miou) < 1


def test_a_command_that_hangs_or_dies_keeps_what_it_had_printed(scripts):
    report, _ = scripts
    python = [sys.executable, "-c"]
    hung = report.run([*python, "import time; print('row', flush=True); time.sleep(60)"], 2)
    assert hung == report.Outcome("row\n", "stopped after 2 s")
    died = report.run([*python, "print('row'); raise SystemExit('no more')"], 30)
    assert died == report.Outcome("row\n", "no more")
    killed = report.run([*python, "import os; os.kill(os.getpid(), 9)"], 30)
    assert killed == report.Outcome("", "exit code -9")
    assert report.run([*python, "print('row')"], 30) == report.Outcome("row\n")


def test_the_page_has_every_part_and_the_exit_code_says_whether_one_failed(scripts, tmp_path, monkeypatch):
    report, _ = scripts
    outcomes = {title: report.Outcome(f"| {title} |\n") for title in report.PARTS}
    limits = {}

    def run(command, limit):
        title = command[command.index("--part") + 1]
        limits[title] = limit
        return outcomes[title]

    monkeypatch.setattr(report, "run", run)
    to = tmp_path / "page.md"
    words = ["--device", "cpu", "--to", str(to), "--seconds", "5"]
    assert report.main(words) == 0
    assert sum(limits.values()) == pytest.approx(5)
    page = to.read_text()
    assert page.startswith("# Not measured on a GPU\n")
    where = rf".* CPU, which stands for no GPU; torch {re.escape(torch.__version__)}; .*, \d+ s at most\.\n\n"
    assert all(re.search(rf"\n## {title}\n\n{where}\| {title} \|\n", page) for title in report.PARTS)
    outcomes["Tests"] = report.Outcome("", "stopped after 1 s")
    assert report.main([*words, "--overwrite"]) == 1
    assert "s at most.\n\nNothing was measured.\n\n**Failed**: stopped after 1 s\n\n## Training" in to.read_text()


def test_a_part_is_measured_by_itself_and_the_others_stay(scripts, tmp_path, monkeypatch):
    report, _ = scripts
    texts = iter(["first", "second", "third"])
    monkeypatch.setattr(report, "run", lambda command, limit: report.Outcome(f"{next(texts)} of {limit:.0f} s"))
    to = tmp_path / "page.md"
    words = ["--device", "cpu", "--to", str(to), "--seconds", "90", "--parts"]
    assert report.main([*words, "Whole steps,Tests"]) == 0
    before = report.sections(to.read_text())
    assert list(before) == ["Tests", "Whole steps"]
    assert before["Tests"].endswith("\n\nsecond of 47 s")
    assert report.main([*words, "Tests"]) == 0
    after = report.sections(to.read_text())
    assert after["Whole steps"] == before["Whole steps"]
    assert after["Tests"].endswith("\n\nthird of 90 s")
    to.write_text("mine")
    assert report.main([*words, "Tests"]) != 0
    assert to.read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--parts", "Test"], "unknown part 'Test': did you mean 'Tests'? known: Determinism, Operators, "),
        (["--seconds", "-5"], "-5 is no time\n  try: python scripts/gpu_report.py --seconds 450"),
    ],
)
def test_wrong_words_of_the_page_are_refused(scripts, capsys, words, said):
    report, _ = scripts
    with pytest.raises(SystemExit):
        report.main(words)
    assert said in capsys.readouterr().err


def test_operators_and_losses_are_held_to_determinism(scripts, monkeypatch):
    _, parts = scripts
    monkeypatch.setattr(parts, "list_upsamplers", lambda: ["deconv", "max_unpool", "sapa"])
    lines = list(parts.determinism(CPU, soon(60), parts.Load(1, (8, 8), 1, 1)))
    assert "| sapa | yes | yes |" in lines
    assert "| loss lovasz | yes | yes |" in lines


def test_a_pass_that_is_not_deterministic_is_found(scripts, monkeypatch):
    _, parts = scripts
    monkeypatch.setattr(parts, "list_upsamplers", lambda: ["deconv"])
    monkeypatch.setattr(parts, "list_losses", list)
    monkeypatch.setattr(parts, "operator_call", lambda *names: refused)
    *_, line = parts.determinism(CPU, soon(60), parts.Load(1, (8, 8), 1, 1))
    assert line == "| deconv | no: this has no deterministic implementation | no |"


def refused():
    if torch.are_deterministic_algorithms_enabled():
        raise RuntimeError("this has no deterministic implementation, but you set 'torch.use_deterministic...'")
    return [torch.rand(3)]


def test_an_operators_step_stands_beside_those_that_took_turns(scripts, monkeypatch):
    _, parts = scripts
    monkeypatch.setattr(parts, "list_upsamplers", lambda: ["max_unpool"])
    *_, line = parts.operators(CPU, soon(60), parts.Load(1, (32, 32), 1, 1))
    name, encoder, step, ratio, theirs, memory = (cell.strip() for cell in line.strip("|").split("|"))
    assert (name, encoder, theirs) == ("max_unpool", "segnet", "")
    assert float(ratio) > 0
    assert step.endswith(")")
    assert memory.endswith(" MiB")


@pytest.mark.slow
@pytest.mark.parametrize(("title", "line"), [("Determinism", "| loss lovasz | yes | yes |"), ("Tests", "[100%]")])
def test_a_part_in_a_process_of_its_own(scripts, title, line):
    report, _ = scripts
    options = ["--part", title, "--device", "cpu", "--until", str(soon(100))]
    outcome = report.run([sys.executable, report.__file__, *options], 120)
    assert outcome.fault is None
    assert line in outcome.text
