"""What the rows of a part show in one score: what is decided, and what seeds alone do."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, median, quantiles, stdev

from noise_floor_parts import Part
from scipy.special import stdtrit

from segup.ablation.block import Block
from segup.metrics.scores import OWN_SCORES, Score
from segup.statistics import Decision, decide, decide_in_looks
from segup.upsamplers import list_upsamplers
from segup.upsamplers.contract import operator_class

ENOUGH = 3
"""Differences of a row from which a standard deviation is taken; that of two is too rough to hold anything against."""
RANGED = 5
"""Seeds from which noise has a range; that of fewer is too wide to say anything."""
LEAST = 30
"""Differences from which noise is named: a quantile of fewer says little."""

Row = Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """A part's runs, and what they show in one score.

    Args:
        part: The part.
        metric: The column.
        score: What it is.
        scores: By row, the score of each seed and fold; None where the run failed.
        decision: What is decided; None where there is nothing to hold the others against.
    """

    part: Part
    metric: str
    score: Score
    scores: Mapping[str, Mapping[Block, float | None]]
    decision: Decision | None

    def values(self, row: str) -> list[float]:
        """Return the scores of a row that are known."""
        return [value for value in self.scores[row].values() if value is not None]

    @property
    def deviations(self) -> list[float]:
        """The standard deviation over the seeds of each row that has enough."""
        return [stdev(values) for row in self.scores if len(values := self.values(row)) >= ENOUGH]

    def paired_differences(self, guided: bool = False, without: Block | None = None) -> list[list[float]]:
        """Return the differences of each two rows, of runs with the same seed and fold, where there are enough.

        Args:
            guided: Of those alone of which one is guided.
            without: Runs that are left out.
        """
        found = []
        for one, other in self._pairs(guided):
            both = ((value, other.get(block)) for block, value in one.items() if block != without)
            apart = [value - held for value, held in both if held is not None]
            found += [apart] if len(apart) >= ENOUGH else []
        return found

    @property
    def folds(self) -> bool:
        """Whether seeds validate on different images."""
        return any(block.fold is not None for own in self.scores.values() for block in own)

    @property
    def paired(self) -> float:
        """The standard deviation of such a difference: the median over the pairs of rows."""
        return median(map(stdev, known)) if (known := self.paired_differences()) else math.nan

    def noise(self, guided: bool = False, without: Block | None = None) -> float:
        """Return how far 95 in 100 of these differences lie from the mean of their two rows; NaN of too few."""
        return _quantile(value for apart in self.paired_differences(guided, without) for value in _around(apart))

    def unpaired_noise(self, guided: bool = False) -> float:
        """Return the same of two runs with different seeds, and with folds on different images."""
        found: list[float] = []
        for rows in self._pairs(guided):
            if min(map(len, rows)) < ENOUGH:
                continue
            one, other = (dict(zip(row, _around(list(row.values())), strict=True)) for row in rows)
            found += [one[a] - other[b] for a in one for b in other if _apart(a, b)]
        return _quantile(found)

    def noise_range(self, guided: bool = False) -> tuple[float, float] | None:
        """Return between what the noise lies with 95 % probability; None of too few seeds.

        The jackknife of its logarithm, one seed left out at a time, with Student's quantile: Efron and Tibshirani, An
        Introduction to the Bootstrap, chapter 11. A bootstrap of seeds draws some twice, so its noise is too small.
        """
        blocks = sorted({block for own in self.scores.values() for block in own}, key=lambda block: block.order)
        own = self.noise(guided)
        if len(blocks) < RANGED or not own > 0:
            return None
        logs = [math.log(one) for block in blocks if (one := self.noise(guided, block)) > 0]
        if len(logs) < RANGED:
            return None
        error = stdev(logs) * (len(logs) - 1) / math.sqrt(len(logs))
        width = float(stdtrit(len(logs) - 1, 0.975)) * error
        return own * math.exp(-width), own * math.exp(width)

    def alike(self, row: str) -> str:
        """Return in how many of its pairs with the baseline a row is on the side of most."""
        own, held = self.scores[row], self.scores.get(self.part.baseline, {})
        both = [(value, held.get(block)) for block, value in own.items()]
        signs = [value > other for value, other in both if value is not None and other is not None and value != other]
        return f"{max(sum(signs), len(signs) - sum(signs))} of {len(signs)}" if signs else "–"

    def _pairs(self, guided: bool) -> Iterator[tuple[Mapping[Block, float], Mapping[Block, float]]]:
        known = {row: {block: value for block, value in own.items() if value is not None}
                 for row, own in self.scores.items()}  # fmt: skip
        for one, other in combinations(known, 2):
            if not guided or is_guided(one) or is_guided(other):
                yield known[one], known[other]

    @property
    def seen(self) -> list[float]:
        """The smallest differences that four in five such studies would see, one for each comparison."""
        known = () if self.decision is None else self.decision.differences
        return [one.detectable for one in known if not math.isnan(one.detectable)]


def is_guided(row: str) -> bool:
    """Return whether a row's operator is one of segup's that read the image or the skip.

    >>> is_guided("naf"), is_guided("fade,loss=ce_dice"), is_guided("bilinear_alone")
    (True, True, False)
    """
    operator = row.partition(",")[0]
    return operator in list_upsamplers() and bool(operator_class(operator).requires)


def _around(values: Sequence[float]) -> list[float]:
    """Return values less their mean, as far apart as their standard deviation says: the mean is an estimate."""
    return [(value - fmean(values)) * math.sqrt(len(values) / (len(values) - 1)) for value in values]


def _apart(one: Block, other: Block) -> bool:
    """Return whether two runs share neither the seed nor the fold."""
    return one.seed != other.seed and (one.fold is None or one.fold != other.fold)


def _quantile(values: Iterable[float]) -> float:
    known = [abs(value) for value in values]
    return quantiles(known, n=20, method="inclusive")[-1] if len(known) >= LEAST else math.nan


def read_rows(file: Path) -> list[dict[str, str]]:
    """Return the rows of a part's file; none where it is not there."""
    return list(csv.DictReader(file.open(newline=""))) if file.exists() else []


def measured(part: Part, rows: Sequence[Row], metric: str) -> Measured | None:
    """Return what a part's rows show in a score; None where no run has it."""
    scores: dict[str, dict[Block, float | None]] = {}
    for row in rows:
        if row["state"] == "failed":
            scores.setdefault(row["decoder"], {})[_block(row)] = None
        elif row.get(metric):
            scores.setdefault(row["decoder"], {})[_block(row)] = float(row[metric])
    if not any(value is not None for own in scores.values() for value in own.values()):
        return None
    order = sorted({block for own in scores.values() for block in own}, key=lambda block: block.order)
    looks = sorted({int(look) for row in rows for look in (row.get("looks") or "").split()} | set(part.looks))
    decision = None
    if part.baseline in scores and len(scores) > 1:
        if looks:
            decision = decide_in_looks(scores, part.baseline, looks=looks, blocks=order)
        else:
            decision = decide(scores, part.baseline)
    return Measured(part, metric, score_of(metric), scores, decision)


def _block(row: Row) -> Block:
    return Block(int(row["seed"]), int(row["fold"]) if row.get("fold") else None)


def score_of(metric: str) -> Score:
    """Return the score of a column, those of the test images by their own name."""
    name = metric.removeprefix("test_")
    own = next(score for score in OWN_SCORES if score.name == name)
    return Score(metric, f"test {own.label}", own.about, share=True) if metric != name else own
