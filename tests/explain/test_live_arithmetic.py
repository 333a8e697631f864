"""The live page's arithmetic, run in a browser, against torch and against segup.shapes."""

import random
from importlib.resources import files

import numpy as np
import pytest
import torch
from live_layers import KINDS, question

from segup.errors import ShapeError
from segup.shapes import chain_report, parse, prove_inversion, receptive_field
from segup.shapes.text.down_up import down_up

SOURCE = files("segup.explain.live").joinpath("arithmetic.js").read_text(encoding="utf-8")


def asked(browser, body, *arguments):
    """What a function body that knows Arithmetic, as A, returns in the browser."""
    return browser.execute_script(f"{SOURCE}\nconst A = Arithmetic; {body}", *arguments)


def compared(browser, count, seed):
    """Ask the page and torch about ``count`` random layers; return how many of each kind were computed, and refused."""
    rng = random.Random(seed)
    drawn = [question(rng, KINDS[place % len(KINDS)]) for place in range(count)]
    plain = [
        {name: value.tolist() if torch.is_tensor(value) else value for name, value in one.items()} for one, _ in drawn
    ]
    body = """return arguments[0].map((one) => {
        const found = A.run(one);
        const layer = found.output && A.layerOf(one.layer);
        if (found.output && layer.kind === "deconv") {
            const op = A.operation(layer, A.imageOf(one.input, layer), one.weight, one.bias);
            found.ways_of = ["scatter", "zero_insertion", "gradient", "subpixel"].map((way) => A.byWay(op, way));
        }
        for (const way of found.ways) {
            const changed = { ...one, weight: null, bias: null };
            Object.assign(changed, way.layer ? { layer: way.layer } : {}, way.input ? { input: way.input } : {});
            const retried = A.run(changed);
            if (way.say.includes("gives") && !way.say.endsWith(retried.shape.slice(1).join("×")))
                throw new Error(`${one.layer}: ${way.say} gives ${retried.shape}`);
        }
        return found;
    })"""
    counts = {kind: [0, 0] for kind in KINDS}
    for place in range(0, count, 250):
        found = asked(browser, body, plain[place : place + 250])
        for (one, answer), page in zip(drawn[place : place + 250], found, strict=True):
            kind = one["layer"].split()[0]
            try:
                theirs = answer()
                if 0 in theirs.shape:
                    raise ValueError("area leaves an empty map, which is no output here")
            except (RuntimeError, ValueError):
                assert page["refusal"], one["layer"]
                counts[kind][1] += 1
                continue
            assert page["refusal"] is None, (one["layer"], page["refusal"])
            for made in [page["output"], *page.get("ways_of", [])]:
                ours = torch.tensor(np.array(made, dtype=object).astype(float))  # None, of JSON, is −∞
                ours = torch.where(torch.isnan(ours), -torch.inf, ours)
                assert ours.shape == theirs.shape, (one["layer"], tuple(one["input"].shape))
                assert torch.allclose(ours.double(), theirs.double(), rtol=1e-6, atol=1e-6), (
                    one["layer"],
                    tuple(one["input"].shape),
                )
            counts[kind][0] += 1
    return counts


def test_random_layers_are_what_torch_makes_of_them(browser):
    counts = compared(browser, 350, 0)
    assert all(computed >= 10 for computed, _ in counts.values()), counts
    assert sum(refused for _, refused in counts.values()) >= 20, counts


@pytest.mark.slow
def test_3500_random_layers_are_what_torch_makes_of_them(browser):
    counts = compared(browser, 3500, 1)
    assert sum(computed for computed, _ in counts.values()) >= 2500, counts


SPELLINGS = (
    "conv k3 s2 p1", "conv k3x1 s2x1 p1x0", "Conv K3 S2", "conv k3 psame", "conv k3 pvalid", "conv 3", "conv3x3",
    "pool 2", "pool k3 s2 p1 ceil", "nn.Conv2d(3, 8, 3, 2, 1)", "nn.Conv2d(3, 8, kernel_size=(3, 1), padding='same')",
    "deconv k4,s2,p1", "torch.nn.ConvTranspose2d(1, 1, 4, 2, 1)", "nn.MaxPool2d(2)",
    "nn.AvgPool2d(3, 2, ceil_mode=True)", "pixel_shuffle x2", "nn.PixelShuffle(3)", "nn.Upsample(scale_factor=2)",
    "resize x3/2 nearest", "resize x0.29", "resize x2x3", "bilinear x2", "conv kernel_size=3 stride = 2",
    "conv k 3 s 2", "conv k3 -> pool k2 | deconv k2 s2", "conv k7 s2 p3; pool k3 s2 p1", "deconv k3 s2 p1 op1 d2 g4",
    "", "conv", "conv k3 k5", "conv q3", "pool k3 p2", "decov k3", "k3 s2", "conv k3 s2 psame", "deconv k3 op5",
    "resize x0", "conv k0", "conv k3x3x3", "pixel_shuffle x0", "conv k3, , pool k2", "deconv k3 psame",
    "nn.Linear(3)", "resize", "conv k3 d0", "conv k3.5", "resize x1/0", "pool k3 s2 d2 max", "pool k2 avg",
)  # fmt: skip


def test_the_language_is_that_of_segup_shapes(browser):
    body = """return arguments[0].map((text) => {
        try { return A.parse(text).map((layer) => A.wordsFor(layer).replace(/ avg$/, "")).join(", "); }
        catch (error) { if (error instanceof A.Refusal) return null; throw error; }
    })"""
    ours = []
    for text in SPELLINGS:
        try:
            ours.append(", ".join(map(str, parse(text))))
        except ShapeError:
            ours.append(None)
    for text, own, page in zip(SPELLINGS, ours, asked(browser, body, list(SPELLINGS)), strict=True):
        assert page == own, text


def chain(rng):
    down = [
        rng.choice(
            [
                f"conv k{k} s{s} p{p}",
                f"pool k{max(k, 2 * p)} s{s} p{p}{rng.choice(['', ' ceil'])}",
                f"conv k{k} p{p} d{s}",
            ]
        )
        for k, s, p in ((rng.randint(1, 5), rng.randint(1, 3), rng.randint(0, 2)) for _ in range(rng.randint(1, 3)))
    ]
    up = [
        rng.choice(
            [
                f"deconv k{k} s{s} p{p}",
                f"deconv k{k} s{s} p{p} op{s - 1}",
                "resize x2",
                "pixel_shuffle x2",
                "resize x3/2 nearest",
            ]
        )
        for k, s, p in ((rng.randint(1, 5), rng.randint(1, 3), rng.randint(0, 1)) for _ in range(rng.randint(1, 3)))
    ]
    return ", ".join(down + up)


def test_each_axis_has_its_own_proof_and_field(browser):
    text = "conv k3x5 s1x2 p1x2, deconv k3x6 s1x2 p1x2"
    body = """const layers = A.parse(arguments[0]), { down, up } = A.downUp(layers);
        return [0, 1].map((i) => [A.prove(down, up, i).always, A.receptive(layers.slice(0, 1), i).size]);"""
    layers = parse(text)
    proof = chain_report(layers).proofs[0][1]
    fields = receptive_field(layers[:1])
    assert asked(browser, body, text) == [
        [one.always, field.size] for one, field in zip(proof.axes, fields, strict=True)
    ]


def test_an_unshuffled_output_reads_one_input(browser):
    body = """const layer = A.parse('pixel_unshuffle x2')[0];
        return A.overlap(A.operation(layer, A.imageOf([[[1, 2], [3, 4], [5, 6], [7, 8]]], layer)))"""
    assert asked(browser, body) == [[1], [1]]


def test_random_chains_are_what_segup_shapes_proves_of_them(browser):
    rng = random.Random(3)
    texts = [chain(rng) for _ in range(160)]
    body = """return arguments[0].map((text) => {
        const layers = A.parse(text), { down, up } = A.downUp(layers), field = A.receptive(layers, 0);
        const sizes = [7, 24, 33].map((n) => {
            try { return A.ladder(layers, [n, n]).map((rung) => [rung.size[0], rung.out[0], rung.target[0]]); }
            catch (error) { if (error instanceof A.Refusal) return null; throw error; }
        });
        const proofs = [{}, { matched: true }, { endsOnly: true }].map((how) => {
            try { return A.prove(down, up, 0, how); }
            catch (error) { if (error instanceof A.Refusal) return error.message; throw error; }
        });
        return { stages: [down.length, up.length], field, sizes, proofs };
    })"""
    decided = 0
    for text, page in zip(texts, asked(browser, body, texts), strict=True):
        layers = parse(text)
        stages = down_up(layers)
        assert page["stages"] == [len(stages.down), len(stages.up)], text
        field = receptive_field(layers)
        assert page["field"]["size"] == field.size, text
        assert (page["field"]["stride"], page["field"]["centre"]) == pytest.approx(
            (float(field.stride), float(field.centre))
        ), text
        for size, rungs in zip((7, 24, 33), page["sizes"], strict=True):
            try:
                report = chain_report(layers, size)
            except ShapeError:
                assert rungs is None, (text, size)
                continue
            assert rungs == [[rung.size, rung.out, rung.target] for rung in report.ladder.rungs], (text, size)
        for how, found in zip(({}, {"matched": True}, {"ends_only": True}), page["proofs"], strict=True):
            if isinstance(found, str):
                continue
            proof = prove_inversion(stages.down, stages.up, **how)
            decided += 1
            assert (found["always"], found["never"], found["counterexample"]) == (
                proof.always,
                proof.never,
                proof.counterexample,
            ), (text, how)
            for n in range(proof.min_size, proof.min_size + 120):
                inside = n in found["exceptions"] or (
                    n >= found["start"] and found["period"] is not None and n % found["period"] in found["residues"]
                )
                assert inside == proof.holds(n), (text, how, n)
    assert decided >= 450
