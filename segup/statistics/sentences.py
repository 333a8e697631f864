"""What was decided, in plain sentences that claim nothing that was not shown."""

from collections.abc import Sequence
from math import ceil, isnan, log10

from segup.calls import annotated
from segup.statistics.decision import Decision, Difference
from segup.tables import counted

_LISTED = 8
_FINEST = 6  # digits


@annotated
def conclusion(decision: Decision, score: str = "score") -> str:
    """Return one sentence that says what was decided; after it what was not, what failed, and what would decide it.

    Args:
        decision: Of the study.
        score: What its scores are called.

    >>> from segup.statistics.decision import decide
    >>> scores = {"deconv": {0: 0.71, 1: 0.72, 2: 0.73}, "bilinear": {0: 0.61, 1: 0.621, 2: 0.63}}
    >>> print(conclusion(decide(scores, "deconv"), "mIoU"))
    bilinear (−0.100 [−0.101, −0.098]) is worse than deconv in mIoU.
    >>> print(conclusion(decide({"deconv": {0: 0.71}, "bilinear": {0: 0.61}}, "deconv"), "mIoU"))
    Nothing is decided: bilinear is undecided against deconv. One seed gives no interval: a difference may be noise.
    """
    if not decision.differences:
        return "One arm has scores: there is nothing to hold it against."
    return " ".join([decided_sentence(decision, score), *_failures(decision), *_outlook(decision, score)])


@annotated
def decided_sentence(decision: Decision, score: str = "score") -> str:
    """Return the one sentence that says what was decided of each arm; the first of :func:`conclusion`.

    Args:
        decision: Of a study with two arms or more.
        score: What its scores are called.

    >>> from segup.statistics.decision import decide
    >>> print(decided_sentence(decide({"deconv": {0: 0.71}, "bilinear": {0: 0.61}}, "deconv")))
    Nothing is decided: bilinear is undecided against deconv.
    """
    tell = _against_a_baseline if decision.baseline is not None else _in_pairs
    decided, rest = tell(decision, score)
    said = "; ".join(decided) if decided else "Nothing is decided"
    if rest:
        said += f"{'; ' if decided else ': '}{rest}"
    return f"{said}."


@annotated
def difference_text(value: Difference, margin: float) -> str:
    """Return the mean with its interval, in the sign that headings and figures have; the mean alone without one.

    >>> from math import nan
    >>> difference_text(Difference("a", "b", -0.0123, 0.004, "worse", 3, 0, 0, 0.006, 5), 0.005)
    '−0.012 [−0.016, −0.008]'
    >>> difference_text(Difference("a", "b", nan, nan, "undecided", 0, 3, 0, nan, None), 0.005)
    '–'

    An end near 0 has the digits that tell on which side of 0 it is.

    >>> difference_text(Difference("a", "b", 0.0014, 0.0015, "undecided", 3, 0, 0, 0.002, 5), 0.005)
    '+0.0014 [−0.0001, +0.0029]'
    """
    if isnan(value.mean):
        return "–"
    ends = [] if isnan(value.half_width) else [value.mean - value.half_width, value.mean + value.half_width]
    digits = max([_digits(margin), *(_digits(abs(end)) for end in ends if round(end, _FINEST))])

    def text(number: float) -> str:
        return f"{round(number, digits) + 0.0:+.{digits}f}".replace("-", "−")  # + 0.0: a zero has no minus

    return f"{text(value.mean)} [{', '.join(map(text, ends))}]" if ends else text(value.mean)


def _against_a_baseline(decision: Decision, score: str) -> tuple[list[str], str]:
    baseline, decided = decision.baseline, []
    for verdict, end in (
        ("better", f"better than {baseline} in {score}"),
        ("worse", f"worse than {baseline} in {score}"),
        ("equal", f"equal to {baseline} within {decision.margin:g}"),
    ):
        found = [one for one in decision.differences if one.verdict == verdict]
        named = [f"{one.arm} ({difference_text(one, decision.margin)})" for one in found]
        decided += [f"{_listed(named)} {_are(named)} {end}"] if named else []
    left = [one.arm for one in decision.differences if one.verdict == "undecided"]
    return decided, f"{_listed(left)} {_are(left)} undecided against {baseline}" if left else ""


def _in_pairs(decision: Decision, score: str) -> tuple[list[str], str]:
    better, equal = [], []
    for one in decision.differences:
        text = difference_text(one, decision.margin)
        if one.verdict in ("better", "worse"):
            first, second = (one.arm, one.other) if one.verdict == "better" else (one.other, one.arm)
            better.append(f"{first} than {second} ({one.arm} {text})")
        elif one.verdict == "equal":
            equal.append(f"{one.arm} and {one.other} ({text})")
    decided = [f"better in {score}: {_listed(better)}"] if better else []
    decided += [f"equal within {decision.margin:g}: {_listed(equal)}"] if equal else []
    if decided:
        decided[0] = decided[0][0].upper() + decided[0][1:]
    left, pairs = sum(one.verdict == "undecided" for one in decision.differences), len(decision.differences)
    return decided, f"{left} of {counted(pairs, 'pair')} {'is' if left == 1 else 'are'} undecided" if (left) else ""


def _failures(decision: Decision) -> list[str]:
    failed: dict[str, int] = {}
    for one in decision.differences:
        failed |= {one.arm: one.failures, one.other: one.other_failures}
    told = [f"{arm} failed in {count} of {decision.blocks} seeds" for arm, count in failed.items() if count]
    said = [f"{_listed(told)}."] if told else []
    if any(map(_kept_open, decision.differences)):
        said.append("What failed where the other did not is never better or equal, however many seeds are added.")
    return said


def _kept_open(one: Difference) -> bool:
    """Return whether failures alone keep a difference undecided: its interval excludes 0, and no seed would help."""
    return one.verdict == "undecided" and abs(one.mean) > one.half_width


def _outlook(decision: Decision, score: str) -> list[str]:
    """Return what the study could have seen of what is undecided, and what it would take."""
    left = [one for one in decision.differences if one.verdict == "undecided"]
    known = [one for one in left if not isnan(one.half_width) and not _kept_open(one)]
    if not known:
        if any(map(_kept_open, left)) or not left:
            return []
        pairs = max(one.pairs for one in left)
        if pairs == 1:
            return ["One seed gives no interval: a difference may be noise."]
        if pairs > 1:
            return ["Seeds come in rounds, and no look has been taken yet at what is undecided."]
        return ["No seed has a score of both: no difference is known."]
    seeds = sorted({one.pairs for one in known})
    counted = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    seen = max(one.detectable for one in known)
    more = [one.more for one in known if one.more is not None]
    size = f"{seen:.{_digits(seen)}f}"
    said = f"Of studies with {counted} seeds, four in five would see a difference in {score} of {size}"
    if decision.margin and len(more) == len(known) and max(more) > 0:
        said += f"; with about {two_digits(max(more))} more, of {decision.margin:g}"
    return [f"{said}."]


def _digits(size: float) -> int:
    return max(3, ceil(-log10(size))) if size > 0 else 3


def _listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them, the first few of many.

    >>> _listed(["a", "b", "c"]), _listed([str(n) for n in range(20)])
    ('a, b and c', '0, 1, 2, 3, 4, 5, 6, 7 and 12 more')
    """
    first, rest = list(names[:_LISTED]), len(names) - _LISTED
    if rest > 0:
        first.append(f"{rest} more")
    return f"{', '.join(first[:-1])} and {first[-1]}" if len(first) > 1 else first[0]


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def two_digits(number: int) -> int:
    """Return a number rounded up to two digits, as an estimate is told.

    >>> two_digits(47), two_digits(9901), two_digits(114)
    (47, 10000, 120)
    """
    step = 10 ** max(0, len(str(number)) - 2)
    return -(-number // step) * step
