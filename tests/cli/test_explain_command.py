"""``segup explain``: what it prints, what it writes, and how it refuses."""

import json
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from segup.cli import main
from segup.cli.explain import run


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def said(capsys, *words):
    assert run([*words]) == 0
    return capsys.readouterr().out


def rows_of(out, title="y"):
    """The numbers of the table under a title."""
    lines = out.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(title)) + 3
    rows = []
    for line in lines[start:]:
        if not line[:1].isdigit() and not line.strip()[:1].isdigit():
            break
        rows.append([float(cell) for cell in line.split()[1:]])
    return rows


def test_formula_steps_table_entry_and_picture(capsys, tmp_path):
    out = said(capsys, "deconv k4 s2 p1", "--input", "4x4", "--at", "0,1")
    assert "size    (4 − 1)·2 − 2·1 + 4 = 8" in out
    assert "2. Pad by dilation·(kernel_size − 1) − padding = 1·3 − 1 = 2 on every side: 11×11." in out
    assert rows_of(out)[0] == [6, 12, 14, 12, 14, 12, 14, 7]
    assert len(rows_of(out)) == 8
    assert "y[0,1] = x[0,0]·w[1,2] + x[0,1]·w[1,0] = 1·7 + 1·5 = 12" in out.splitlines()
    assert "picture: deconv-k4-s2-p1-4x4.svg" in out
    assert "= 1·7 + 1·5 = 12" in (tmp_path / "deconv-k4-s2-p1-4x4.svg").read_text()


def test_numbers_typed_and_read_from_files(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[2, 4], [0, 1]]))
    (tmp_path / "x.json").write_text(json.dumps([[2, 4], [0, 1]]))
    (tmp_path / "x.csv").write_text("2,4\n0,1\n")
    (tmp_path / "x.txt").write_text("2 4\n0 1\n")
    for values in ("[[2,4],[0,1]]", "x.npy", "x.json", "x.csv", "x.txt"):
        out = said(
            capsys, "deconv k2 s2 p1", "--values", values, "--weights", "[[3,1],[1,5]]", "--bias", "[1]", "--no-picture"
        )
        assert rows_of(out) == [[11, 5], [1, 4]]
    assert list(tmp_path.glob("*.svg")) == []


@pytest.mark.parametrize(
    "content",
    ["\ufeff2,4\n0,1\n", "# a header\n2.0 4\n0 1e0  # the last row\n", "2;4;\n0;1;\n", "2 , 4\n0 , 1\n"],
    ids=["byte order mark", "comments", "separator at the end", "spaces around commas"],
)
def test_tables_as_other_programs_write_them(capsys, tmp_path, content):
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    out = said(capsys, "deconv k2 s2 p1", "--values", "x.csv", "--weights", "[[3,1],[1,5]]", "--no-picture")
    assert rows_of(out) == [[10, 4], [0, 3]]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("1,,2\n3,,4\n", "no table of numbers"),
        ("1,5;2,5\n3,5;4,5\n", "commas and semicolons in one line"),
        ("a,b\n1,2\n", "no table of numbers"),
        ("# nothing else\n", "no table of numbers"),
        ("1 1e999\n", "must be finite numbers"),
    ],
)
def test_tables_that_could_be_misread_are_refused(capsys, tmp_path, content, part):
    (tmp_path / "x.csv").write_text(content)
    assert run(["conv k1", "--values", "x.csv", "--no-picture"]) == 1
    assert part in capsys.readouterr().err


def test_a_mask_and_one_image_of_a_batch_are_read(capsys, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[[[True, False], [True, True]]]]))
    assert rows_of(said(capsys, "conv k1", "--values", "x.npy", "--no-picture")) == [[1, 0], [1, 1]]


def test_random_numbers_are_those_of_their_seed(capsys):
    words = ("conv k3", "--input", "5x5", "--values", "random", "--weights", "random", "--no-picture", "--seed")
    one, same, other = said(capsys, *words, "1"), said(capsys, *words, "1"), said(capsys, *words, "2")
    assert one == same != other


def test_channels_contribute_and_are_summed(capsys):
    out = said(capsys, "conv k3", "--input", "3x6x6", "--out-channels", "2", "--values", "arange", "--no-picture")
    parts = [np.array(rows_of(out, f"contribution of x[{channel}]")) for channel in range(3)]
    assert np.array_equal(sum(parts), np.array(rows_of(out, "y[0]")))
    assert len(rows_of(out, "y[1]")) == 4
    assert "summed (never averaged)" in out
    assert "weights 2·3·3·3 = 54" in out


def test_the_channel_asked_for_follows_its_contributions(capsys):
    out = said(capsys, "deconv k3 s2 g2", "--input", "4x3x3", "--channel", "1", "--no-picture")
    titles = [line for line in out.splitlines() if line.startswith(("contribution of", "y"))]
    assert titles == ["contribution of x[2] to y[1]", "contribution of x[3] to y[1]", "y[1], their sum", "y[0]"]
    assert np.array_equal(sum(np.array(rows_of(out, title)) for title in titles[:2]), np.array(rows_of(out, titles[2])))


def test_an_output_size(capsys):
    out = said(capsys, "deconv k3 s2 p1", "--input", "6x6", "--output-size", "12x12", "--no-picture")
    assert "(6 − 1)·2 − 2·1 + 3 + 1 = 12" in out
    assert len(rows_of(out)) == 12


def test_what_is_unread_and_what_one_more_changes(capsys):
    out = said(capsys, "conv k3 s2", "--input", "8x8", "--unread", "--no-picture")
    assert "unread: row 7 and column 7: 15 of 64 pixels." in out
    rows = [" ".join(line.split()) for line in out.splitlines()[-3:]]
    assert rows == [
        "as it is 8×8 3×3 row 7 and column 7: 15 of 64 pixels",
        "size + 1 9×9 4×4 none",
        "padding + 1 8×8 4×4 none",
    ]


@pytest.mark.parametrize(
    "words",
    ["pool k2 avg", "pool k3 s2 ceil", "resize x3/2 nearest", "pixel_shuffle x2", "carafe x2 k3", "conv k3 psame"],
)
def test_every_kind_of_layer_is_explained_and_drawn(capsys, tmp_path, words):
    out = said(capsys, words, "--values", "arange", "--input", "4x4x4", "--at", "1,1", "--out", "one.svg")
    assert "torch gives the same numbers." in out
    assert "y[0,1,1] = " in out
    assert (tmp_path / "one.svg").exists()


def test_all_views_and_several_files(capsys, tmp_path):
    said(capsys, "deconv k2 s2", "--input", "2x2", "--view", "all", "--out", "up.png", "--out", "up.html")
    names = {path.name for path in tmp_path.iterdir()}
    views = ("scatter", "zero_insertion", "gradient", "subpixel", "overlap")
    assert names == {"up.html", *(f"up-{view}.png" for view in views)}


def test_a_large_input_prints_its_numbers_and_names_the_largest_picture(capsys):
    assert run(["conv k3", "--input", "512x512", "--at", "0,0"]) == 0
    captured = capsys.readouterr()
    assert "⌊(512 + 2·0 − 3)/1⌋ + 1 = 510" in captured.out
    assert "1·1 + 1·2 + 1·3 + 1·4 + 1·5 + 1·6 + 1·7 + 1·8 + 1·9 = 45" in captured.out
    assert "no picture: 512×512 is too large to read" in captured.err
    assert "the largest that is readable" in captured.err
    assert run(["conv k3", "--input", "512x512", "--out", "one.svg"]) == 2
    captured = capsys.readouterr()
    assert "= 510" in captured.out
    assert captured.err.startswith("ShapeError: 512×512 is too large to read")


def proposed(capsys, *words):
    """The command that a refused picture proposes, split into words; its own standard output is dropped."""
    run([*words])
    way = re.search("try: (.*), the largest that is readable", capsys.readouterr().err)[1]
    return shlex.split(way.removesuffix(" without --output-size"))


@pytest.mark.parametrize(
    "words",
    [
        ["conv k3", "--input", "99x99"],
        ["conv k3 g2", "--input", "4x99x7", "--values", "arange"],
        ["deconv k4 s2 p1", "--input", "70x5", "--values", "random", "--view", "gradient"],
    ],
)
def test_a_smaller_input_that_is_proposed_is_drawn(capsys, words):
    kept = [word for place, word in enumerate(words) if word != "--input" and words[place - 1] != "--input"]
    assert run([*kept, *proposed(capsys, *words)]) == 0
    assert "picture: " in capsys.readouterr().out


def test_where_an_output_size_was_asked_for_the_layer_that_reaches_it_is_proposed(capsys):
    way = proposed(capsys, "deconv k3 s2 p1", "--input", "60x60", "--output-size", "120x119")
    assert way[0] == "deconv k3 s2 p1 op1x0"
    assert run(way) == 0
    assert "picture: deconv-k3-s2-p1-op1x0" in capsys.readouterr().out


def test_where_a_file_says_the_size_no_other_size_is_proposed(capsys, tmp_path):
    x = np.random.default_rng(0).random((3, 70))
    np.save(tmp_path / "x.npy", x)
    way = proposed(capsys, "conv k3", "--values", "x.npy")
    assert way[0] == "--values"
    rows, columns = int(way[4]), int(way[7])
    np.save(tmp_path / "x.npy", x[:rows, :columns])
    assert "picture: " in said(capsys, "conv k3", "--values", "x.npy")


def test_of_all_views_those_that_are_readable_are_drawn(capsys, tmp_path):
    assert run(["deconv k4 s2 p1", "--input", "14x14", "--view", "all", "--out", "up.svg"]) == 2
    captured = capsys.readouterr()
    drawn = set(re.findall(r"picture: (\S+)", captured.out))
    assert drawn == {path.name for path in tmp_path.iterdir()}
    refused = set(re.findall("of the view '([a-z_]+)'", captured.err))
    assert refused
    assert {f"up-{view}.svg" for view in refused} & drawn == set()
    assert len(refused) + len(drawn) == 5


def test_a_picture_that_nobody_named_takes_no_others_place(capsys, tmp_path):
    first, other, again, third = (
        re.search("picture: (.*)", said(capsys, "deconv k2 s2", "--input", "2x2", "--values", values))[1]
        for values in ("ones", "arange", "ones", "[[1,2],[3,5]]")
    )
    assert (first, other, again) == ("deconv-k2-s2-2x2.svg", "deconv-k2-s2-2x2-2.svg", first)
    assert third == "deconv-k2-s2-2x2-3.svg"
    assert len({(tmp_path / name).read_text() for name in (first, other, third)}) == 3


@pytest.mark.parametrize("size", ["3X4", "3×4", "1X3x4"])
def test_signs_between_height_and_width(capsys, size):
    assert "conv k1: 3×4 → 3×4" in said(capsys, "conv k1", "--input", size, "--no-picture")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["deconv k2 s2 p2", "--input", "2x2"], 2, "try: padding=1, which gives 2×2"),
        (["deconv k4 s2 p1 op2"], 2, "rule: output_padding must be less than"),
        (["conv k3", "--input", "4y4"], 2, "--input is HEIGHTxWIDTH"),
        (["conv k3", "--at", "0"], 2, "--at is ROW,COLUMN"),
        (["conv k3", "--at", "-1,0"], 2, "counted from 0, such as 0,1, not '-1,0'"),
        (["conv k3", "--at", "9,9"], 2, "has rows 0 … 1, not 9"),
        (["conv k3", "--view", "scater"], 2, "unknown view 'scater'"),
        (["conv k3", "--out", "one.bmp"], 2, "ends in .svg, .png, .gif, .html"),
        (["conv k3", "--values", "one"], 1, "did you mean 'ones'"),
        (["conv k3", "--values", "none.npy"], 1, "none.npy: No such file"),
        (["conv k3", "--values", "[[1,2],[3]]"], 1, "nested lists of numbers of equal length"),
        (["conv k3", "--weights", "[[1,2],[3,4]]"], 2, "weights has the shape 2×2, and 1×1×3×3 is needed"),
        (["pool k2", "--weights", "ones"], 2, "has no weights"),
        (["pool k2", "--out-channels", "2"], 2, "leaves no choice"),
        (["conv k3 g2", "--input", "3x4x4"], 2, "groups=2 of 'conv k3 g2' must divide in_channels=3"),
        (["conv k3, pool k2"], 2, 'try: segup explain "conv k3"; segup shapes "conv k3, pool k2"'),
    ],
)
def test_mistakes_are_answered(capsys, words, code, part):
    assert run([*words]) == code
    assert part in capsys.readouterr().err


def test_it_is_a_command_and_its_help_loads_no_torch(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["explain", "conv k3", "--no-picture"])
    assert caught.value.code == 0
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "segup.cli", "explain", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert not {"torch", "numpy", "matplotlib", "PIL"} & loaded
    assert "deconv k4 s2 p1" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["deconv k3 s2", "--input", "20000"], "1 × 20000 × 20000 numbers are more than the 16777216"),
        (["conv k3 s2", "--input", "99999999999999999999"], "1 × 1e+20 × 1e+20 numbers are more than the 16777216"),
        (["deconv k3 s99999", "--input", "512"], "are more than the 16777216"),
        (["conv k99999 p50000", "--input", "9"], "are more than the 16777216"),
        (["resize x9999", "--input", "64x64"], "are more than the 16777216"),
        (["deconv k3 s2", "--input", "0"], "such as 4x4 or 3x6x6, not '0'"),
        (["deconv k3 s2", "--out", ""], "a picture's name is empty"),
        (["deconv k3 s2", "--out", " "], "a picture's name is empty"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_too_large_or_nothing_is_refused_before_it_is_made(words, message, capsys, tmp_path):
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run(words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 4
    assert list(tmp_path.iterdir()) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17, "kilobytes"
