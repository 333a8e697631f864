"""What a refusal proposes is typed as it stands, and works; and the formula comes in symbols first."""

import random
import re

import pytest
import torch

from segup.cli import explain as command
from segup.errors import ShapeError
from segup.explain import explain
from segup.explain.advice import built
from segup.explain.language import read_words

PARAMETERS = r"((?:\w+=(?:\d+|\(\d+, \d+\))(?:, )?)*)"
GIVES = r"which gives (\d+)×(\d+)"


def figure(rng, low, high):
    first = rng.randint(low, high)
    return f"{first}x{rng.randint(low, high)}" if rng.random() < 0.25 else str(first)


def wrong(rng):
    """Random words, many of which break a rule, a size, and what to reach."""
    dilation = f"d{figure(rng, 1, 3)}"
    kind, far = rng.choice(["deconv"] * 4 + ["conv"] * 2 + ["pool"] * 2 + ["resize"]), rng.choice((1, 1, 1, 1, 1, 100))
    words = {
        "deconv": f"k{figure(rng, 1, 7)} s{figure(rng, 1, 5)} p{figure(rng, 0, 5 * far)} {dilation} "
        f"op{figure(rng, 0, 4)}",
        "conv": f"k{figure(rng, 1, 9 * far)} s{figure(rng, 1, 3)} {dilation} {rng.choice(('psame', 'p1', ''))}",
        "pool": f"k{figure(rng, 1, 6 * far)} p{rng.randint(0, 5)} s{rng.randint(1, 3)} {rng.choice(('ceil', ''))}",
        "resize": f"x{rng.choice(('1/2', '1/5', '0.3', '1/200'))}",
    }[kind]
    size = (rng.randint(1, 12), rng.randint(1, 12)) if rng.random() < 0.5 else (rng.randint(1, 70),) * 2
    reach = None
    if kind == "deconv" and rng.random() < 0.5:
        reach = (rng.randint(1, 300),) * 2 if rng.random() < 0.7 else (rng.randint(1, 300), rng.randint(1, 300))
    return f"{kind} {words}", size, reach


def tried(words, size, reach, way):
    """Build the layer with what is proposed and return its size and the one that was promised."""
    read = read_words(words)
    asked = re.fullmatch(r"output_size (\d+)×(\d+)", way)
    if asked:
        reach = (int(asked[1]), int(asked[2]))
        return built(read.kind, read.given, size, reach).out(size), reach
    larger = re.fullmatch(rf"{PARAMETERS}an input of (\d+)×(\d+), {GIVES}", way)
    if larger:
        size, promised = (int(larger[2]), int(larger[3])), (int(larger[4]), int(larger[5]))
        return built(read.kind, {**read.given, **eval(f"dict({larger[1]})")}, size, reach).out(size), promised
    other = re.fullmatch(rf"{PARAMETERS}(?:{GIVES}.*)?", way)
    given = {**read.given, **eval(f"dict({other[1]})")}
    out = built(read.kind, given, size, reach).out(size)
    return out, (int(other[2]), int(other[3])) if other[2] else out


def test_what_is_proposed_works():
    rng, refusals = random.Random(13), 0
    while refusals < 400:
        words, size, reach = wrong(rng)
        try:
            built(read_words(words).kind, read_words(words).given, size, reach)
            continue
        except ShapeError as error:
            refusals += 1
            ways = str(error).partition("try: ")[2].removesuffix(".").split("; or ")
        assert ways != [""]
        for way in ways:
            out, promised = tried(words, size, reach, way)
            assert out == promised, (words, size, reach, way)
            if reach and not way.startswith("output_size"):
                assert out == reach


def test_a_stride_that_reaches_the_size_is_found():
    with pytest.raises(ShapeError, match=r"output_size 496×496; or kernel_size=15, padding=7, which gives 489×489"):
        explain("deconv k16 s8 p4", torch.ones(62, 62), (489, 489))
    with pytest.raises(ShapeError, match="kernel_size=16, padding=8, which|padding=8, output_padding=1|padding=8, "):
        explain("deconv k16 s8 p4", torch.ones(62, 62), (489, 489))


@pytest.mark.parametrize(
    ("words", "symbols", "figures"),
    [
        ("deconv k4 s2 p1", "(n − 1)·stride − 2·padding + e + output_padding", "(4 − 1)·2 − 2·1 + 4 = 8"),
        ("conv k3 s2", "⌊(n + 2·padding − e)/stride⌋ + 1", "⌊(4 + 2·0 − 3)/2⌋ + 1 = 1"),
        ("conv k4 psame", "⌊(n + before + after − e)/stride⌋ + 1", "⌊(4 + 1 + 2 − 4)/1⌋ + 1 = 4"),
        ("pool k3 s2 ceil", "⌈(n + 2·padding − e)/stride⌉ + 1", "⌈(4 + 2·0 − 3)/2⌉ + 1 = 2"),
        ("resize x3/2", "⌊n·factor⌋", "⌊4·3/2⌋ = 6"),
        ("resize x2", "n·factor", "4·2 = 8"),
        ("pixel_shuffle x2", "n·factor", "4·2 = 8"),
        ("carafe x2", "n·factor", "4·2 = 8"),
    ],
)
def test_the_formula_comes_in_symbols_and_then_in_figures(words, symbols, figures, capsys, tmp_path):
    assert command.run([words, "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    channels = 4 if words.startswith("pixel") else 1
    for said in (capsys.readouterr().out, str(explain(words, torch.ones(channels, 4, 4))), page):
        assert 0 <= said.index(symbols) < said.index(figures)


@pytest.mark.parametrize(
    ("words", "symbols"),
    [
        ("deconv k3 s2 p5", "(n − 1)·stride − 2·padding + e + output_padding = (4 − 1)·2 − 2·5 + 3 = -1"),
        ("deconv k3 s2 op2", "(n − 1)·stride − 2·padding + e + output_padding = (4 − 1)·2 − 2·0 + 3 + 2 = 11"),
        ("conv k9", "⌊(n + 2·padding − e)/stride⌋ + 1 = ⌊(4 + 2·0 − 9)/1⌋ + 1 = -4"),
        ("pool k2 p2", "⌊(n + 2·padding − e)/stride⌋ + 1 = ⌊(4 + 2·2 − 2)/2⌋ + 1 = 4"),
    ],
)
def test_refusals_have_the_symbols_too(words, symbols):
    with pytest.raises(ShapeError) as caught:
        explain(words, torch.ones(4, 4))
    assert symbols in str(caught.value)
    assert "e = dilation·(kernel_size − 1) + 1 = " in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        "conv k4,s2,p1",
        "ConvTranspose2d(1,1,4,2,1)",
        "nn.Conv2d(1, 1, 3, padding=same)",
        "nn.AvgPool2d(2)",
        "conv K3 S2",
    ],
)
def test_other_spellings_are_explained(words):
    assert explain(words, torch.ones(6, 6)).output.numel() > 0
