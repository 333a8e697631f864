"""What a report says of a module, against what the module does: real runs on the CPU are the reference."""

import copy
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from segup.errors import ConfigError
from segup.inspection import check_sizes
from segup.inspection.report import AxisReport, SizeReport

from .assembly import RandomModule

SQUARES = (64, 96, 128, 224, 256)
EARLIER = ((), ((64, 64),), ((64, 64), (7, 7)), ((7, 7),), (), ((200, 200),))
"""What a module whose runs vary is run on before each of its real runs at one size."""
MOST_PIXELS = 2**18
MOST_QUADRATIC = 2**12


@dataclass(frozen=True)
class Fault:
    """One statement of a report that the module contradicts.

    Args:
        kind: "raised", "false proved", "false fails", "false holds", "nothing accepted" or "wrong minimum".
        module: The module's name.
        size: The input's (height, width); None where it is about no size.
        words: What was said, and what is.
    """

    kind: str
    module: str
    size: tuple[int, int] | None
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.module} at {self.size}: {self.words}"


class Real:
    """The module's own runs; where they vary, each under other random numbers and after other earlier runs."""

    def __init__(self, module: RandomModule) -> None:
        self._module, self._varies = copy.deepcopy(module), module.varies
        self._most = MOST_QUADRATIC if module.quadratic else MOST_PIXELS
        self._known: dict[tuple[int, int], set[tuple[int, int] | None]] = {}

    def fits(self, size: tuple[int, int]) -> bool:
        """Return whether a run on this size takes little time and memory."""
        return size[0] * size[1] <= self._most

    def __call__(self, size: tuple[int, int]) -> set[tuple[int, int] | None]:
        """Return the sizes that come out, None for a refusal: one, unless the module's runs vary."""
        if size not in self._known:
            self._known[size] = {self._run(size, seed) for seed in range(len(EARLIER) if self._varies else 1)}
        return self._known[size]

    def _run(self, size: tuple[int, int], seed: int) -> tuple[int, int] | None:
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        if not self._varies:
            return _result(self._module, size)
        module = copy.deepcopy(self._module)
        for earlier in EARLIER[seed]:
            _result(module, earlier)
        return _result(module, size)


def _result(module: RandomModule, size: tuple[int, int]) -> tuple[int, int] | None:
    """Return the size that comes out of a plain run, or None for a refusal."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            out = module(torch.rand(1, 3, *size))
    except Exception:  # a module refuses a size with whatever its layers raise
        return None
    found = out["out"] if isinstance(out, dict) else out
    return (found.shape[-2], found.shape[-1])


def judge(module: RandomModule, dense: bool = False) -> list[Fault]:
    """Check a module's sizes and return what the report says wrongly.

    Args:
        module: The module; it is left as it is.
        dense: Compare all of 1 ... 130 on either axis, and not some of them.
    """
    real = Real(module)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = check_sizes(copy.deepcopy(module), sizes=_asked(module, dense))
    except ConfigError as error:
        if module.reads_values:  # a documented refusal
            return []
        return [_raised(module, error)] if _works(real) else []
    except Exception as error:
        return [_raised(module, error)] if _works(real) else []
    if report.other is None:
        return list(_nowhere(report, real, module, dense))
    find = _contradicted if report.proved else _misreported
    faults = find(report, real, module, dense)
    return [fault for fault in faults if not (module.by_values and fault.kind == "false holds")]


def _asked(module: RandomModule, dense: bool) -> range | None:
    """Return the sizes to ask for: two of three reports are about few, which are quick to make, and no threshold."""
    return None if dense or random.Random(module.name).random() < 1 / 3 else range(1, 34)


def _raised(module: RandomModule, error: Exception) -> Fault:
    return Fault("raised", module.name, None, " ".join(f"{type(error).__name__}: {error}".split())[:300])


def _works(real: Real) -> bool:
    return any(None not in real((n, n)) for n in SQUARES if real.fits((n, n)))


def _sizes(module: RandomModule, dense: bool) -> list[int]:
    rng = random.Random(module.name)
    few = [*range(1, 9), 16, 31, 32, 33, 64, 65, 128, *rng.sample(range(9, 131), 9)]
    chosen = {*(range(1, 131) if dense else few), *module.thresholds, 257, 500, 640, 1001, rng.randint(131, 1200)}
    return sorted(chosen)


def _pair(axis: int, size: int, other: int) -> tuple[int, int]:
    return (size, other) if axis == 0 else (other, size)


def _contradicted(report: SizeReport, real: Real, module: RandomModule, dense: bool) -> Iterator[Fault]:
    """Compare a proof, which is about every pair of sizes."""
    sizes, rng = _sizes(module, dense), random.Random(module.name)
    pairs = []
    for axis in (0, 1):
        beside = _beside(report.axes[1 - axis], report.other)
        pairs += [_pair(axis, n, beside) for n in sizes]
        around = {*module.thresholds, *(rng.sample(sizes, 4)), 1, 2, 64, 100}
        pairs += [_pair(axis, n, report.other) for n in sorted(around)]
    pairs += [(rng.choice(sizes), rng.choice(sizes)) for _ in range(6)] + [(n, n) for n in (1, 2, 7, 64, 101)]
    for size in dict.fromkeys(pairs):
        if not real.fits(size):
            continue
        outs, said = real(size), report.holds(size)
        if said and outs != {size}:
            yield Fault("false proved", module.name, size, f"holds is proved, {_shown(outs)} is real")
        elif report.always and not said:
            yield Fault("false proved", module.name, size, "always, and not at this size")
        elif not said and size in outs:
            yield Fault("false proved", module.name, size, f"failing is proved, {_shown(outs)} is real")
    yield from _minimum(report, real, module)


def _beside(axis: AxisReport, other: int | None) -> int | None:
    """Return a small size that holds on an axis, so that the other one can be looked at by itself."""
    return next((n for n in range(5, 65) if axis.holds(n)), other)


def _minimum(report: SizeReport, real: Real, module: RandomModule) -> Iterator[Fault]:
    for axis, found in enumerate(report.axes):
        least = found.min_size
        if least is None or module.varies or not found.holds(least) or not real.fits(_pair(axis, least, report.other)):
            continue
        below = _pair(axis, least - 1, report.other)
        if None in real(_pair(axis, least, report.other)):
            yield Fault("wrong minimum", module.name, _pair(axis, least, report.other), "the least size is refused")
        elif least > 1 and any(out is not None and out[1 - axis] == below[1 - axis] for out in real(below)):
            yield Fault("wrong minimum", module.name, below, "a size below the least is taken")


def _misreported(report: SizeReport, real: Real, module: RandomModule, dense: bool) -> Iterator[Fault]:
    """Compare what was run, which is about the sizes run of each axis beside the other one."""
    base = real((report.other, report.other))
    if module.varies or not real.fits((report.other, report.other)):
        if report.failures and all(real(_at(report, f)) == {_at(report, f)} for f in report.failures[:20]):
            yield from _false_failures(report, real, module)
        return
    (still,) = base
    if still is None:
        yield Fault("false holds", module.name, (report.other,) * 2, "the base is accepted, and refused in truth")
        return
    wanted = set(_sizes(module, dense))
    for axis, found in enumerate(report.axes):
        failed = {failure.size: failure for failure in found.failures}
        chosen = [n for n in found.sizes if (n in wanted or n in failed) and real.fits(_pair(axis, n, report.other))]
        for n in chosen if dense else chosen[:: max(1, len(chosen) // 24)]:
            size = _pair(axis, n, report.other)
            (out,) = real(size)
            holds = out is not None and out[axis] == n and out[1 - axis] == still[1 - axis]
            if n in failed and holds:
                yield Fault("false fails", module.name, size, str(failed[n]))
            elif n not in failed and not holds:
                yield Fault("false holds", module.name, size, f"said to hold, {_shown({out})} is real")
            elif n in found.accepted and out is None:
                yield Fault("false holds", module.name, size, "said to be accepted, and refused in truth")


def _at(report: SizeReport, failure) -> tuple[int, int]:
    return _pair(("height", "width").index(failure.axis), failure.size, report.other or failure.size)


def _false_failures(report: SizeReport, real: Real, module: RandomModule) -> Iterator[Fault]:
    for failure in report.failures[:20]:
        yield Fault("false fails", module.name, _at(report, failure), str(failure))


def _nowhere(report: SizeReport, real: Real, module: RandomModule, dense: bool) -> Iterator[Fault]:
    """Compare the report about a module that is said to take no square."""
    for n in SQUARES:
        if real.fits((n, n)) and None not in real((n, n)):
            words = str(report.first_failure) if report.failures else str(report)
            yield Fault("nothing accepted", module.name, (n, n), words)
            return
    for failure in report.failures[:: 1 if dense else 12]:
        size = (failure.size, failure.size)
        if real.fits(size) and real(size) == {size}:
            yield Fault("false fails", module.name, size, str(failure))


def _shown(outs: set[tuple[int, int] | None]) -> str:
    return " or ".join("a refusal" if out is None else f"{out[0]}×{out[1]}" for out in sorted(outs, key=str))
