"""Is a difference real: intervals that hold together, equality within a margin, and what would decide the rest.

It knows numbers, not runs: scores of arms (decoders) on blocks (seeds).
"""

from segup.statistics.decision import METHOD, POWER, Decision, Difference, Look, decide
from segup.statistics.estimates import FEWEST, Counted, Spread, image_errors, spread
from segup.statistics.looks import decide_in_looks, looks_at
from segup.statistics.sentences import conclusion, decided_sentence, difference_text

__all__ = [
    "FEWEST",
    "METHOD",
    "POWER",
    "Counted",
    "Decision",
    "Difference",
    "Look",
    "Spread",
    "conclusion",
    "decide",
    "decide_in_looks",
    "decided_sentence",
    "difference_text",
    "image_errors",
    "looks_at",
    "spread",
]
