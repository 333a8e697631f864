"""What the noise floor says in a few sentences: how much is decided, and how much of what is published is larger."""

import math
from collections import Counter
from collections.abc import Mapping

from noise_floor_anchor import in_a_sentence
from noise_floor_measured import Measured
from noise_floor_published import TABLES, percent

from segup.ablation.markup import code
from segup.statistics import Decision, difference_text
from segup.tables import counted

_SAID = {"better": "better", "worse": "worse", "equal": "equal within {margin:g}", "undecided": "undecided"}


def in_short(found: Mapping[tuple[str, str], Measured], second: Mapping[tuple[str, str], Measured]) -> list[str]:
    """Return the section as Markdown; nothing where no part has a difference.

    Args:
        found: What was measured, by part and score.
        second: The same against the second baseline of those that have one.
    """
    lines = [
        _sentence(one, second.get(place))
        for place, one in found.items()
        if one.metric in one.part.metrics
        and f"test_{one.metric}" not in one.part.metrics
        and one.decision is not None
        and one.decision.differences
    ]
    lines += in_a_sentence(found)
    known = [(table, noise) for table in TABLES if (noise := table.noise(found)) is not None]
    if known:
        pairs = [(pair, *noise) for table, noise in known for pair in table.pairs]
        unpaired = [pair > other for pair, _, other in pairs if other is not None]
        lines.append(
            f"- **Published**: {sum(pair > noise for pair, noise, _ in pairs)} of {counted(len(pairs), 'difference')} "
            "between two rows of a table are larger than what seeds alone do in the part that is nearest; where the "
            f"two runs do not share a seed, {sum(unpaired)} of {len(unpaired)}."
        )
    about = (
        "How many operators are decided to be better, worse or equal; on test images where a part has them. *Noise*: "
        "train two operators once, with the same seed, and score them on the same images: in 95 of 100 cases their "
        "difference is off their mean difference by less than this."
    )
    return ["## In short", "", about, "", *lines, ""] if lines else []


def _sentence(one: Measured, second: Measured | None) -> str:
    told = [_told(held.decision) for held in (one, second) if held is not None and held.decision is not None]
    noise = (
        "" if math.isnan(one.noise())
        else f" Noise: {percent(one.noise())} percentage points."
    )  # fmt: skip
    return f"- **{one.part.title}**, {one.score.label}: {'; '.join(told)}.{noise}"


def _told(decision: Decision) -> str:
    counts = Counter[str](difference.verdict for difference in decision.differences)
    told = ", ".join(f"{counts[verdict]} {words}" for verdict, words in _SAID.items() if counts[verdict])
    first = max(decision.differences, key=lambda difference: difference.mean)
    highest = f", highest {code(first.arm)} ({difference_text(first, decision.margin)})"
    return (
        f"against {code(str(decision.baseline))} {told.format(margin=decision.margin)}"
        f"{highest if first.verdict == 'better' else ''}"
    )
