"""Is a difference real: intervals that hold together, equality within a margin, and what would decide the rest.

It knows numbers, not runs: scores of arms (decoders) on blocks (seeds).
"""

from segup.statistics.decision import METHOD, POWER, Decision, Difference, decide
from segup.statistics.sentences import conclusion, difference_text
from segup.statistics.spread import Spread, spread

__all__ = ["METHOD", "POWER", "Decision", "Difference", "Spread", "conclusion", "decide", "difference_text", "spread"]
