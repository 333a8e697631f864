"""Time the proof for all sizes of a five-stage chain beside brute force over three of its periods, in one run.

    python scripts/benchmark_proof.py [--repeats 20]

Brute force runs the same layers on every size of three periods and compares them stage by stage. It proves nothing
about the sizes beyond; the proof does. Both are timed in turns, and the ratio of the medians is printed.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

from segup.shapes import ShapeError, parse, prove_inversion
from segup.shapes.layer import Layer

CHAINS = {
    "fixed, k3 s2 p1": ("conv k3 s2 p1, " * 5, "deconv k3 s2 p1, " * 5),
    "fixed, k4 s2 p1": ("conv k3 s2 p1, " * 5, "deconv k4 s2 p1, " * 5),
    "stem of k7 s4 p3": ("conv k7 s4 p3, " + "conv k3 s2 p1, " * 4, "deconv k3 s2 p1, " * 4 + "deconv k7 s4 p3, "),
    "stride 3": ("conv k3 s3 p1, " * 5, "deconv k3 s3 p1, " * 5),
}


def by_brute_force(down: list[Layer], up: list[Layer], sizes: range) -> list[int]:
    """Return those of ``sizes`` at which every layer up gives back what the layer that it undoes was given."""
    return [size for size in sizes if _gives_back(down, up, size)]


def _gives_back(down: list[Layer], up: list[Layer], size: int) -> bool:
    path = [size]
    try:
        for layer in down:
            path.append(layer.out(path[-1]))
        return all(layer.out(path[-1 - i]) == path[-2 - i] for i, layer in enumerate(up))
    except ShapeError:
        return False


def timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name: str, down: list[Layer], up: list[Layer], repeats: int) -> str:
    """Return one line of the table; the two have to agree on every size that was walked."""
    proof = prove_inversion(down, up)
    sizes = range(1, proof.min_size + 3 * proof.period)
    if by_brute_force(down, up, sizes) != [size for size in sizes if proof.holds(size)]:
        raise SystemExit(f"{name}: the proof and brute force disagree")
    times = [
        (timed(lambda: prove_inversion(down, up)), timed(lambda: by_brute_force(down, up, sizes)))
        for _ in range(repeats)
    ]
    ours, theirs = (median(column) * 1000 for column in zip(*times, strict=True))
    return f"{name:18}  {proof.period:6}  {len(sizes):12}  {ours:8.2f}  {theirs:14.2f}  {theirs / ours:5.1f}×"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20, help="times that each is run; the medians are compared")
    repeats = parser.parse_args().repeats
    print("five stages         period  sizes walked  proof ms  brute force ms   ratio")
    for name, (down, up) in CHAINS.items():
        print(compare(name, parse(down.rstrip(", ")), parse(up.rstrip(", ")), repeats))


if __name__ == "__main__":
    main()
