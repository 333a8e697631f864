"""The calculus is light: importing it, proving with it, and sizes of any magnitude."""

import subprocess
import sys
import time
from fractions import Fraction

from segup.shapes import Conv, ConvTranspose, Pool, Resize, inverse, ladder, prove_inversion


def fastest(call, repeats=7):
    """Return the shortest of several processor times in seconds: others may be using the machine."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def in_a_fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_takes_under_50_ms():
    code = "import time; start = time.process_time(); import segup.shapes; print(time.process_time() - start)"
    assert min(float(in_a_fresh_process(code)) for _ in range(3)) < 0.05


def test_nothing_beyond_the_standard_library_is_loaded():
    code = (
        "import sys; before = set(sys.modules); import segup.shapes as s; [getattr(s, name) for name in s.__all__]; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    assert in_a_fresh_process(code).split() == ["segup"]


def test_a_proof_of_five_stages_takes_under_10_ms():
    down, up = [Conv(3, 2, 1)] * 5, [ConvTranspose(3, 2, 1)] * 5
    for options in ({}, {"matched": True}, {"ends_only": True}):
        assert fastest(lambda options=options: prove_inversion(down, up, **options)) < 0.01
    wide = [Conv(7, 7, 3)] * 5
    assert prove_inversion(wide, [inverse(one) for one in wide], matched=True).period == 7**5
    assert fastest(lambda: prove_inversion(wide, [inverse(one) for one in wide], matched=True)) < 0.02


def test_strides_of_any_magnitude():
    huge = [Conv(10**6, 10**6)] * 3
    proof = prove_inversion(huge, [inverse(one) for one in huge])
    assert (proof.period, list(proof.residues), proof.counterexample) == (10**18, [0], 10**18 + 1)


def test_a_large_size_costs_what_a_small_one_does():
    layers = [
        Conv(7, 2, 3),
        Pool(3, 2, 1, ceil_mode=True),
        Conv(3, 2, 2, 2),
        Resize(Fraction(3, 2)),
        ConvTranspose(4, 2, 1),
    ]
    proof = prove_inversion([layers[0]] * 5, [inverse(layers[0])] * 5)

    def use(size):
        for layer in layers:
            layer.out(size)
            layer.inputs(size)
        for layer in layers[:3]:
            unread = layer.unread(size)
            len(unread)
            _ = size - 1 in unread
            layer.residue(size)
        proof.holds(size)
        proof.nearest(size)
        str(ladder(layers[:2], [inverse(layers[1]), inverse(layers[0])], size=size, matched=True))

    small, large = fastest(lambda: use(1001)), fastest(lambda: use(10**12 + 1))
    assert large < 5 * small + 0.001
    assert proof.nearest(10**12) == (10**12 - 31, 10**12 + 1)
