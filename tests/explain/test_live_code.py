"""The code that the live page gives, run: the numbers of the page, in PyTorch, and in Keras and Flax where they are.

Keras (on torch) and Flax live in environments of their own: SEGUP_KERAS_PYTHON and SEGUP_FLAX_PYTHON name their Python.
"""

import json
import os
import random
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from live_layers import KINDS, question

SCRIPTS = "\n".join(
    files("segup.explain.live").joinpath(name).read_text(encoding="utf-8") for name in ("arithmetic.js", "code.js")
)
RUNNER = """
import json, sys
import numpy
apart = []
for place, (layer, code, expected) in enumerate(json.load(open(sys.argv[1]))):
    names = {}
    try:
        exec(code, names)
        made = names["y"]
        made = numpy.asarray(made.detach() if hasattr(made, "detach") else made, dtype=float)[0]
        wanted = numpy.array(expected, dtype=float)
        if made.shape != wanted.shape or not numpy.allclose(made, wanted, rtol=1e-3, atol=1e-3):
            apart.append([layer, f"{made.shape} {wanted.shape} {made.ravel()[:6]} {wanted.ravel()[:6]}", code])
    except Exception as error:
        apart.append([layer, f"{type(error).__name__}: {error}", code])
print(json.dumps([place + 1, apart]))
"""


def codes(browser, language, count, seed):
    """Random layers that work, with the page's code and output."""
    rng = random.Random(seed)
    asked = [question(rng, KINDS[place % len(KINDS)])[0] for place in range(count)]
    plain = [
        {name: value.tolist() if torch.is_tensor(value) else value for name, value in one.items()} for one in asked
    ]
    body = f"""{SCRIPTS}
    const A = Arithmetic;
    return arguments[1].map((one) => {{
        try {{
            const bias = one.bias ? one.bias.map(() => one.bias[0]) : null;  // the page has one bias for all channels
            const layer = A.checked(A.layerOf(one.layer));
            const op = A.operation(layer, A.imageOf(one.input, layer), one.weight, bias);
            const finite = (value) => (Array.isArray(value) ? value.every(finite) : Number.isFinite(value));
            const output = A.output(op);
            return finite(output) ? [one.layer, Code.of(arguments[0], op, {{}}).code, output] : null;
        }} catch (error) {{ if (error instanceof A.Refusal) return null; throw error; }}
    }}).filter(Boolean)"""
    found = []
    for place in range(0, count, 100):
        found += browser.execute_script(body, language, plain[place : place + 100])
    return found


def ran(python, found, path, **environment):
    path.write_text(json.dumps(found), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", RUNNER, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=580,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    count, apart = json.loads(done.stdout.splitlines()[-1])
    assert not apart, f"{len(apart)} of {count}: " + "\n\n".join("\n".join(one) for one in apart[:3])
    return count


def test_the_code_for_pytorch_gives_the_page_s_numbers(browser, tmp_path):
    assert ran(sys.executable, codes(browser, "PyTorch", 140, 5), tmp_path / "codes.json") >= 80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "variable", "environment"),
    [
        ("PyTorch", "SEGUP_TORCH_PYTHON", {}),
        ("Keras 3", "SEGUP_KERAS_PYTHON", {"KERAS_BACKEND": "torch"}),
        ("Flax", "SEGUP_FLAX_PYTHON", {"JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}),
    ],
)
def test_the_code_of_more_than_200_layers_gives_the_page_s_numbers(browser, tmp_path, language, variable, environment):
    python = os.environ.get(variable, sys.executable if language == "PyTorch" else "")
    if not python:
        pytest.skip(f"{variable} names no Python with {language}")
    assert ran(python, codes(browser, language, 350, 6), tmp_path / "codes.json", **environment) >= 200
