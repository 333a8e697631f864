"""Every command that a refusal proposes is typed, and gives an answer."""

import random
import re
import shlex

import pytest

from segup.cli.shapes import split_words
from segup.cli.typed import read_size
from segup.errors import ShapeError
from segup.shapes import Chain, Conv, ConvTranspose, chain_report, find_convs, find_transposed, parse, reaching
from segup.shapes.search import smallest_padding

COMMAND = re.compile(r'segup shapes ("[^"]+" [0-9x]+(?: --output-size [0-9x]+| --matched)?)')


def figure(rng, low, high):
    first = rng.randint(low, high)
    return f"{first}x{rng.randint(low, high)}" if rng.random() < 0.2 else str(first)


def layer(rng, up):
    if up:
        forms = (
            lambda: f"deconv k{figure(rng, 1, 9)} s{figure(rng, 1, 5)} p{figure(rng, 0, 3)}",
            lambda: f"deconv k{rng.randint(2, 16)} s{rng.randint(2, 9)} p{rng.randint(0, 5)} op{rng.randint(0, 1)}",
            lambda: f"resize x{rng.randint(1, 3)}",
        )
    else:
        forms = (
            lambda: f"conv k{figure(rng, 1, 9)} s{figure(rng, 1, 4)} p{figure(rng, 0, 3)}",
            lambda: f"pool k{figure(rng, 2, 4)}",
            lambda: f"resize x1/{rng.randint(1, 4)} nearest",
        )
    return rng.choice(forms)()


def asked(rng):
    """Random layers, a size, and what is asked of them."""
    downs = rng.choice((0, 0, 1, 2))
    ups = rng.randint(1, 2) if not downs else rng.choice((0, downs))
    words = ", ".join([layer(rng, False) for _ in range(downs)] + [layer(rng, True) for _ in range(ups)])
    command = [words, figure(rng, 1, 70)]
    if rng.random() < 0.7:
        command += ["--output-size", figure(rng, 1, 600)] if rng.random() < 0.6 or not downs else ["--matched"]
    return command


def report(command):
    words, *rest = command
    layers, size = Chain(parse(words)), read_size([rest[0]])
    end = read_size([rest[2]]) if len(rest) == 3 else None
    if isinstance(size, int) and layers.axes[0] != layers.axes[1]:
        size = (size, size)
    return chain_report(layers, size, matched=len(rest) > 1, out=end)


@pytest.mark.parametrize(("seed", "count"), [(13, 60), pytest.param(14, 1000, marks=pytest.mark.slow)])
def test_what_is_proposed_gives_an_answer(seed, count):
    rng, refusals, proposals = random.Random(seed), 0, 0
    while refusals < count:
        command = asked(rng)
        try:
            report(command)
            continue
        except ShapeError as error:
            refusals += 1
            found = COMMAND.findall(str(error))
        assert found, command
        for proposed in found:
            proposals += 1
            report(shlex.split(proposed))
    assert proposals > refusals


@pytest.mark.parametrize(
    ("words", "size", "out", "layer"),
    [
        ("deconv k16 s8 p4", 62, 489, "deconv k16 s8 p8 op1"),
        ("deconv k4 s2 p1", 17, 33, "deconv k3 s2 p1"),
        ("deconv k2 s2", 10, 22, "deconv k3 s2 op1"),
        ("deconv k8 s4 p2", 20, 77, "deconv k8 s4 p4 op1"),
        ("deconv k3 s3", 9, 100, "deconv k12 s11"),
        ("deconv k5 s1", 50, 20, "deconv k31 p30"),
    ],
)
def test_a_layer_that_reaches_the_size_is_found(words, size, out, layer):
    with pytest.raises(ShapeError) as caught:
        chain_report(parse(words), size, matched=True, out=out)
    found = [shlex.split(command)[0] for command in COMMAND.findall(str(caught.value))]
    reached = [parse(one)[0] for one in found if out in parse(one)[0].reachable(size)]
    assert parse(layer)[0] in reached or reached
    assert parse(layer)[0] in [*reaching(size, out, parse(words)[0]), *reaching(size, out)]


def test_a_search_finds_large_strides_by_itself():
    assert ConvTranspose(16, 8, 8, 1) in find_transposed(62, 489)
    assert Conv(16, 16) in find_convs(512, 32)
    for size in (1, 3, 62, 500):
        for out in (1, 2, 61, 489, 5000):
            assert all(up.out(size) == out for up in reaching(size, out))
            assert reaching(size, out)
            assert reaching((size, 7), (out, 9))[0].out((size, 7)) == (out, 9)


@pytest.mark.parametrize("size", range(1, 30))
def test_a_size_proposed_for_a_residue_of_nothing_has_one(size):
    for kernel in range(1, 6):
        try:
            smallest_padding(size, kernel, 2, exact=True)
        except ShapeError as error:
            for other in re.findall(r"\d+", str(error).partition("try: ")[2]):
                assert smallest_padding(int(other), kernel, 2, exact=True) >= 0


def test_what_a_layer_proposes_for_a_pair_is_taken():
    rng = random.Random(3)
    for _ in range(300):
        one = parse(layer(rng, rng.random() < 0.3))[0]
        sizes = (rng.randint(1, 9), rng.randint(1, 9))
        try:
            one.out(sizes)
        except ShapeError as error:
            high, wide = map(int, re.search(r"try: a size of at least (\d+)×(\d+)\.", str(error)).groups())
            assert min(one.out((high, wide))) >= 1


def test_parameters_that_are_proposed_are_taken():
    for text in ("pool k2 p1x5", "pool k2x3 p5x7", "deconv k3 s2x3 op2x4"):
        with pytest.raises(ShapeError) as caught:
            parse(text)
        assert parse(str(caught.value).partition("try: ")[2])
    assert split_words(["deconv k3", "9"]) == ("deconv k3", 9)
