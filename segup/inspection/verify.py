"""The last word before *proved*: the real model, run at sizes of every way and beyond every threshold that is known."""

import itertools
from collections.abc import Iterator, Sequence

from segup.inspection.proof import Question, RefusedPairs, TraceProof, image_size
from segup.inspection.real_model import MOST_PIXELS, RealModel
from segup.inspection.trace import ModelRun
from segup.inspection.traced import as_int

Pair = tuple[int, int]

MOST_SECONDS = 10.0
MOST_VALUES = 1 << 24  # of one tensor
_OPTIONAL_SECONDS = 1.0  # for the runs that need not be made
_MOST_WAYS = 12
_BEYOND = (131, 200, 257, 389, 521, 777, 1031, 1540, 2053)  # where code that the run did not see may have a threshold


class Verifier:
    """Compares what is proved with real runs, as long as these stay below 2²² pixels and ten seconds in all.

    Args:
        model: The real model.
        base: A watched run on the square from which one axis is varied.
        proofs: What is proved of height and width.
        questions: What was asked of them.
        pairs: Images that are refused for their height and width together.
    """

    def __init__(
        self,
        model: RealModel,
        base: ModelRun,
        proofs: Sequence[TraceProof],
        questions: Sequence[Question],
        pairs: Sequence[RefusedPairs] = (),
    ) -> None:
        self._model, self._base, self._proofs, self._questions = model, base, proofs, questions
        self._pairs = pairs
        self._pixels, self._seconds = model.pixels, model.seconds
        self._most = max(MOST_VALUES, 4 * base.record.most_values(base.size))

    def verified(self) -> list[TraceProof]:
        """Return what is left of the proofs."""
        reason = self._refuted() if any(proof.found for proof in self._proofs) else None
        if reason is None:
            return list(self._proofs)
        return [TraceProof(None, reasons=(*proof.reasons, reason)) for proof in self._proofs]

    def _refuted(self) -> str | None:
        """Return how a real run differs from what is proved, or what kept it from being made."""
        beside = tuple(question.beside for question in self._questions)
        for pair, seed, required in self._plan():
            if not self._affords(pair, required):
                if required:
                    return (
                        f"the trace was not compared with the model itself at {_in_words(pair)}: the runs would take "
                        f"more than {MOST_PIXELS} pixels or {MOST_SECONDS:g} s"
                    )
                continue
            run = self._model.run(pair, seed)
            shape = run.outputs.get(self._questions[0].output, ())
            found = None if run.refusal or len(shape) != 4 else (as_int(shape[-2]), as_int(shape[-1]))
            together = any(pair in refused for refused in self._pairs)
            expected = None if together else self._expected(pair)
            if found != expected and (together or not (expected is None and found and found[::-1] != beside)):
                return _difference(pair, expected, run.refusal.message if run.refusal else _in_words(found))
        return None

    def _plan(self) -> Iterator[tuple[Pair, int, bool]]:
        """Yield the sizes to run, each with the seed of its random numbers, and whether it has to be run."""
        small = [self._accepted(axis, 2) for axis in (0, 1)]
        settled = [proof.settled for proof in self._proofs]
        yield self._base.size, 1, True
        yield image_size(0, settled[0] + 2, self._last(1)), 1, True
        for height, width in itertools.product(*small):
            yield (height, width), 0, True
        for axis in (0, 1):
            beside = small[1 - axis][0]
            if self._proofs[axis].found is not None:
                for size in (settled[axis], settled[axis] + 1, settled[axis] + settled[axis] // 2 + 3):
                    yield image_size(axis, size, beside), 2, True
        for together in self._pairs:
            for pair in together.corners():
                yield pair, 0, pair == together.corners()[0]
        for axis in (0, 1):
            beside = small[1 - axis][0]
            ways = self._proofs[axis].paths
            refused = [size for way, size in ways.items() if way.out is None]
            others = [size for way, size in ways.items() if way.out is not None]
            beyond = [size for size in _BEYOND if size > settled[axis]] if ways else []
            for size in (*refused, *others[:: -(-len(others) // _MOST_WAYS) or 1], *beyond):
                yield image_size(axis, size, beside), 3, False

    def _accepted(self, axis: int, count: int) -> list[int]:
        """Return the smallest sizes that are accepted by the proof; the one that was run where there is none."""
        proof = self._proofs[axis]
        taken = (size for size in range(1, proof.settled) if (found := proof.outcome(size)) and found.out)
        return list(itertools.islice(taken, count)) or [self._base.size[axis]]

    def _last(self, axis: int) -> int:
        """Return an accepted size beyond every threshold; the one that was run where there is none."""
        proof = self._proofs[axis]
        beyond = range(proof.settled + 3, 2 * proof.settled + 4) if proof.found is not None else ()
        taken = (size for size in beyond if (found := proof.outcome(size)) and found.out)
        return next(taken, self._base.size[axis])

    def _expected(self, pair: Pair) -> Pair | None:
        """Return the output's size by the proofs; None for a refusal, or for a size that moves the other axis."""
        outs = []
        for axis, (proof, size) in enumerate(zip(self._proofs, pair, strict=True)):
            if proof.found is None:
                outs.append(self._questions[1 - axis].beside)
                continue
            outcome = proof.outcome(size)
            if outcome is None or outcome.out is None:
                return None
            outs.append(outcome.out)
        return outs[0], outs[1]

    def _affords(self, pair: Pair, required: bool) -> bool:
        """Return whether one more run stays within the limits, by what those so far took."""
        pixels, seconds = self._model.pixels - self._pixels, self._model.seconds - self._seconds
        more, limit = pair[0] * pair[1], MOST_SECONDS if required else _OPTIONAL_SECONDS
        if self._model.on_meta:
            return seconds <= limit
        return (
            pixels + more <= MOST_PIXELS
            and seconds + self._model.expected_seconds(more) <= limit
            and self._base.record.most_values(pair) <= self._most
        )


def _difference(pair: Pair, expected: Pair | None, found: str) -> str:
    by_trace = _in_words(expected)
    return f"the model itself differs from its trace: at {_in_words(pair)} it gives {found}, by the trace {by_trace}"


def _in_words(size: Pair | None) -> str:
    return "a refusal" if size is None else f"{size[0]}×{size[1]}"
