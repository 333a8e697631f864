"""``segup shapes``: what it prints, what programs read, and how it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from segup.cli import main
from segup.cli.shapes import run

STEM = "conv k7 s2 p3, pool k3 s2 p1, deconv k2 s2, deconv k2 s2"


def said(capsys, *words):
    assert run([*words]) == 0
    return capsys.readouterr().out


def test_a_chain_is_shown_stage_by_stage_with_its_verdicts(capsys):
    lines = said(capsys, STEM, "417").splitlines()
    assert [" ".join(line.split()) for line in lines[2:7]] == [
        "down 1 conv k7 s2 p3 417 209 0 0",
        "down 2 pool k3 s2 p1 209 105 0 0",
        "",
        "up 2 deconv k2 s2 105 210 209",
        "up 1 deconv k2 s2 209 418 417",
    ]
    assert "up 2, deconv k2 s2: cuts 1 to fit 209." in lines
    assert "As written, with nothing cut or repeated, 417 becomes 420." in lines
    start = lines.index("~ As written")
    assert lines[start + 1 : start + 4] == [
        "  Every stage gets back its size exactly for n mod 4 in {0}, from 1 on.",
        "  Fails first at 1: down 1 → 1 → 1, and up stage 2 brings 1 to 2, not to 1.",
        "  Not for 417; the nearest sizes for which it holds: 416 and 420.",
    ]
    assert "✓ The inverse layers, each given the size to reach: deconv k3 s2 p1, deconv k7 s2 p3" in lines
    assert sum(line.startswith("Why this is proved: ") for line in lines) == 1


def test_columns_that_say_nothing_are_left_out(capsys):
    assert said(capsys, "conv k3 s2 p1", "417").splitlines()[0].split() == ["layer", "in", "out", "residue", "unread"]
    assert said(capsys, "deconv k2 s2", "9").splitlines()[0].split() == ["layer", "in", "out"]


@pytest.mark.parametrize("size", [["360x487"], ["360×487"], ["360", "487"]])
def test_height_and_width_may_differ(capsys, size):
    out = said(capsys, "conv k3 s2 p1, deconv k4 s2 p1", *size)
    assert "360×487" in out
    assert "width: cuts 1 to fit 487." in out


def test_one_number_is_height_and_width(capsys):
    assert "9×9" in said(capsys, "conv k3x1", "9")


def test_the_quotes_may_be_left_out(capsys):
    assert said(capsys, "conv", "k3", "s2", "p1,", "pool", "k2", "417") == said(capsys, "conv k3 s2 p1, pool k2", "417")


def test_without_a_size_the_rules_are_said(capsys):
    out = said(capsys, "conv k3 s2 p1")
    rule = "A conv brings n to ⌊(n + 2·padding − e)/stride⌋ + 1 with e = dilation·(kernel_size − 1) + 1."
    assert out.startswith(f"Accepts every size from 1 on.\n{rule}\nout(n) = ⌊(n + 1)/2⌋, so out(n + 2) = out(n) + 1.\n")
    assert "✓ The inverse layers, each given the size to reach: deconv k3 s2 p1" in out


def test_transposed_convolutions_can_be_given_their_sizes(capsys):
    chain = "conv k3 s2 p1, conv k3 s2 p1, deconv k3 s2 p1, deconv k3 s2 p1"
    out = said(capsys, chain, "416", "--matched")
    assert "up 1, deconv k3 s2 p1: output_padding 1." in out
    assert "fitted to" not in out
    assert "output_padding 1." in said(capsys, "deconv k3 s2 p1", "209", "--output-size", "418")
    assert " 420" in said(capsys, "deconv k3 s2 p1, deconv k3 s2 p1", "105", "--output-size=420")


def test_a_size_of_a_trillion_is_a_size(capsys):
    assert "900000000000 unread (1, 2, 3, …, 999999999999)" in said(capsys, "conv k1 s10", "1000000000000")


def test_what_nothing_can_be_proved_about_is_said_with_the_reason(capsys):
    assert "No verdict for all sizes: nothing can be proved about a resize by the float 0.3" in said(
        capsys, "conv k3, resize x0.3", "50"
    )


def test_programs_read_json(capsys):
    plain = json.loads(said(capsys, STEM, "417", "--json"))
    assert plain["layers"] == STEM
    assert (plain["size"], plain["out"], plain["end"], plain["period"]) == (417, 420, 417, [4, 4])
    assert [(rung["in"], rung["out"], rung["correction"]) for rung in plain["rungs"]] == [
        (417, 209, 0),
        (209, 105, 0),
        (105, 210, -1),
        (209, 418, -1),
    ]
    proof = plain["proofs"][0]
    assert (proof["about"], proof["always"], proof["holds"], proof["nearest"]) == (
        "as written",
        False,
        False,
        [416, 420],
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["conv k3 s2 q1", "9"],
            "ShapeError: layer 1, 'conv k3 s2 q1': unknown parameter 'q1'; conv takes k, s, p, d, g",
        ),
        (["pol k3", "9"], "ShapeError: layer 1, 'pol k3': unknown kind of layer 'pol': did you mean 'pool'?"),
        (["conv k7", "4"], "ShapeError: 'conv k7' does not accept size 4: it would give ⌊(4 + 2·0 − 7)/1⌋ + 1 = -2"),
        (["conv k7", "0"], "ShapeError: size must be an int of at least 1, not 0."),
        (["conv k7", "-3"], "ShapeError: size must be an int of at least 1, not -3."),
        (
            ["conv k7", "9.5"],
            "ShapeError: a size is one whole number or HEIGHTxWIDTH, such as 417 or 360x480, not '9.5'.",
        ),
        (["conv k3", "9", "8", "7"], "not '9 8 7'."),
        (["9"], "there are no words here"),
        (["conv k3", "--matched"], "ShapeError: --matched and --output-size need the input's size"),
        (["conv k3", "9", "--output-size", "7"], "ShapeError: out=7 is a size for the way up to reach"),
        (
            ["deconv k3 s2 p1", "9", "--output-size", "20"],
            "ShapeError: up stage 1: 'deconv k3 s2 p1' brings 9 to 17 … 18, not to 20. try: "
            'segup shapes "deconv k3 s2 op1" 9 --output-size 20; or segup shapes "deconv k4 s2" 9 --output-size 20; or '
            'segup shapes "deconv k3 s2 p1" 9 --output-size 18\n',
        ),
        ([""], "ShapeError: layer 1, '': there are no words here"),
    ],
)
def test_a_wrong_command_is_answered_in_one_line(capsys, words, message):
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_the_command_is_one_of_segups(capsys):
    with pytest.raises(SystemExit) as left:
        main(["shapes", "conv k3 s2 p1", "9"])
    assert left.value.code == 0
    assert "conv k3 s2 p1" in capsys.readouterr().out
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert "segup shapes" in capsys.readouterr().out


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_it_loads_no_torch_and_prints_in_any_encoding(encoding):
    code = (
        "import atexit, os, sys; atexit.register(lambda: 'torch' in sys.modules and os._exit(3));"
        "from segup.cli import main; main(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "shapes", STEM, "417"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"417" in done.stdout


@pytest.mark.parametrize(
    ("chain", "size"),
    [
        ("conv k7 s2 p3, pool k3 s2 p1, deconv k4 s2 p1, deconv k4 s2 p1", (1080, 1921)),
        ("conv k7x5 s2x3 p3x1 d2, pool k3 s2 p1 ceil, deconv k2x3 s2 op1, deconv k4 s2 p1 d3", (1417, 2333)),
    ],
)
def test_eighty_columns_hold_the_table(chain, size):
    code = (
        "import sys; from rich.console import Console; from segup.cli.shapes import _report, _table, _parser\n"
        "console = Console(width=80, force_terminal=False)\n"
        "options = _parser().parse_args(['x'])\n"
        "console.print(_table(_report(sys.argv[1], eval(sys.argv[2]), options)))"
    )
    done = subprocess.run([sys.executable, "-c", code, chain, str(size)], capture_output=True, text=True, check=True)
    assert "…" not in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert f"{size[0]}×{size[1]}" in done.stdout


@pytest.mark.parametrize("words", [["-m", "segup.cli", "shapes", STEM, "417", "--json"], ["train.py", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_fault(words):
    command = [sys.executable, *words]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE
