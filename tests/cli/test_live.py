"""``--live`` and ``--link``: a page that computes, and the address of a question."""

import pytest

from segup.cli.explain import run
from segup.cli.shapes import run as run_shapes


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "link"),
    [
        (["deconv k4 s2 p1", "--at", "0,1"], "#v1:l=deconv+k4+s2+p1&i=1x4x4&at=0,1"),
        (["conv k3 s2 p1", "--input", "3x8x8", "--out-channels", "2"], "#v1:l=conv+k3+s2+p1&i=3x8x8&o=2"),
        (["deconv k3 s2 p1", "--input", "6", "--output-size", "12"], "#v1:l=deconv+k3+s2+p1+to+12x12&i=1x6x6"),
        (["conv k2", "--values", "[[1,2],[3,4.5]]", "--weights", "ones"], "#v1:l=conv+k2&i=1x2x2&x=1,2;3,4.5&w=ones"),
        (["conv k3 p1:2 reflect", "--base", "https://x.org/"], "https://x.org/#v1:l=conv+k3+p1%3A2+reflect&i=1x4x4"),
        (["conv k3 s2, deconv k4 s2 p1", "--input", "9"], "#v1:l=conv+k3+s2%2C+deconv+k4+s2+p1&i=1x9x9"),
        (["pixel_shuffle x2"], "#v1:l=pixel_shuffle+x2&i=4x4x4"),
        (["conv k3 g4", "--channel", "3"], "#v1:l=conv+k3+g4&i=4x4x4&c=3"),
        ([], "#v1:l=deconv+k4+s2+p1&i=1x4x4"),
    ],
)
def test_a_link_is_printed(capsys, arguments, link):
    assert run(["--link", *arguments]) == 0
    assert capsys.readouterr().out == f"{link}\n"


def test_a_page_is_written_beside_others_and_holds_the_explanation_in_words(capsys, tmp_path):
    assert run(["--live", "conv k3 s2 p1", "--input", "8x8"]) == 0
    assert capsys.readouterr().out == "page: conv-k3-s2-p1-live.html\n"
    page = (tmp_path / "conv-k3-s2-p1-live.html").read_text(encoding="utf-8")
    assert len(page.encode()) < 300_000
    assert "⌊(8 + 2·1 − 3)/2⌋ + 1 = 4" in page
    assert '"#v1:l=conv+k3+s2+p1&i=1x8x8"' in page
    assert run(["--live", "conv k3 s2 p1"]) == 0
    assert capsys.readouterr().out == "page: conv-k3-s2-p1-live-2.html\n"
    assert run(["--live", "--out", "conv-k3-s2-p1-live.html"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(["--live", "--out", "a.png"]) == 2
    assert "a live page's name ends in .html, not 'a.png'" in capsys.readouterr().err


def test_a_size_that_cannot_be_is_said_and_shown_on_the_page(capsys, tmp_path):
    assert run(["--live", "deconv k2 s2 p2", "--input", "2x2"]) == 0
    said = capsys.readouterr()
    assert "note: 'deconv k2 s2 p2' leaves nothing of 2×2." in said.err
    assert "leaves nothing of 2×2" in (tmp_path / "deconv-k2-s2-p2-live.html").read_text(encoding="utf-8")
    assert run(["--live", "decov k2"]) == 2
    assert "did you mean 'deconv'?" in capsys.readouterr().err


def test_shapes_opens_the_chain(capsys, tmp_path):
    assert run_shapes(["conv k3 s2 p1, deconv k3 s2 p1", "417", "--live", "--matched"]) == 0
    assert capsys.readouterr().out == "page: conv-k3-s2-p1--deconv-k3-s2-p1-live.html\n"
    page = (tmp_path / "conv-k3-s2-p1--deconv-k3-s2-p1-live.html").read_text(encoding="utf-8")
    assert '"#v1:l=conv+k3+s2+p1%2C+deconv+k3+s2+p1&i=1x417x417&m=1"' in page
    assert "deconv k3 s2 p1" in page


def test_a_large_table_fits_80_columns_with_its_size_said(capsys):
    assert run(["conv k3", "--input", "40x40", "--values", "arange", "--no-picture"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if "…" in line and line.strip()[:1].isdigit()]
    assert table
    assert max(map(len, table)) <= 80
