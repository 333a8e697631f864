"""Deciding while a study grows: it is looked at after so many seeds, and what is decided at a look stays so."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import ceil, isfinite, nan
from typing import Annotated, Any

from segup.calls import annotated
from segup.conform import Within
from segup.errors import ConfigError
from segup.statistics.decision import Better, Decision, Difference, Level, Look, Margin, Scores, decide
from segup.statistics.estimates import seed_of

FIRST = 3
"""Seeds of the first look at least: with two, an interval is too wide to decide anything."""
_GROWTH = 1.35
_SPENT = 0.75
"""The share of the allowed error that several looks spend. The rest is kept for skewed noise, by simulation."""
Most = Annotated[int, Within(2, 500)]


@annotated
def looks_at(first: Annotated[int, Within(1, 500)], most: Most) -> tuple[int, ...]:
    """Return after how many seeds a study is looked at: after those it begins with, then about a third more each time.

    Args:
        first: Seeds that it begins with; at least 3 are looked at.
        most: Seeds at the last look.

    >>> looks_at(3, 40), looks_at(5, 5), looks_at(1, 4)
    ((3, 5, 7, 10, 14, 19, 26, 36, 40), (5,), (3, 4))
    """
    found = [min(max(first, FIRST), most)]
    while found[-1] < most:
        found.append(min(most, max(found[-1] + 1, ceil(found[-1] * _GROWTH))))
    return tuple(found)


def levels_of(looks: Sequence[int], level: float) -> tuple[float, ...]:
    """Return the level of each look: the probability of an error that is allowed is spent in proportion to the seeds.

    A look may spend what its seeds add to the share of all seeds (a linear spending function; Lan and DeMets,
    Biometrika 1983). It spends it whatever the other looks show (Bonferroni), so all intervals at all looks hold
    together with probability ``level`` (repeated confidence intervals; Jennison and Turnbull, J. R. Stat. Soc. B 1989),
    whoever stops and whyever. Several looks spend three quarters: skewed noise strays further where less is allowed.

    >>> [round(level, 4) for level in levels_of((3, 5, 10), 0.95)], levels_of((5,), 0.95)
    ([0.9888, 0.9925, 0.9812], (0.95,))
    """
    before, spent = (0, *looks[:-1]), 1.0 if len(looks) == 1 else _SPENT
    return tuple(1 - (1 - level) * spent * (now - was) / looks[-1] for was, now in zip(before, looks, strict=True))


@annotated
def decide_in_looks(
    scores: Mapping[str, Scores],
    baseline: str | None = None,
    *,
    looks: Sequence[int],
    blocks: Sequence[Any] | None = None,
    taken: int | None = None,
    margin: Margin = 0.005,
    level: Level = 0.95,
    better: Better = "higher",
    further: Mapping[tuple[str, str], float] | None = None,
) -> Decision:
    """Decide as :func:`segup.statistics.decide` at each look; the first verdict on a pair stands.

    A look is at the first so many seeds, and at the arms that were run on all of them. It is taken when these are the
    baseline and every arm that is undecided and has not failed. So the decision follows from the scores alone, not from
    when they came.

    Args:
        scores, baseline, margin, level, better, further: As there.
        looks: After how many seeds, rising; see :func:`looks_at`.
        blocks: Of the scores, in their order; that of the scores by default.
        taken: How many looks were taken, where another question decided what was run.

    Returns:
        Each difference as it was at the look that decided it, or at the last one; with the ``looks``.

    Raises:
        ConfigError: No such baseline, or looks that do not rise.

    >>> scores = {"deconv": {n: 0.7 + n % 3 / 1000 for n in range(5)}, "bilinear": {n: 0.6 for n in range(3)}}
    >>> scores["carafe"] = {n: 0.7 + n % 2 / 1000 for n in range(5)}
    >>> found = decide_in_looks(scores, "deconv", looks=(3, 5, 10))
    >>> [(one.arm, one.pairs, one.verdict) for one in found.differences], len(found.looks)
    ([('bilinear', 3, 'worse'), ('carafe', 5, 'equal')], 2)
    """
    if list(looks) != sorted(set(looks)) or not looks or looks[0] < 2:
        raise ConfigError(f"looks={list(looks)} must rise from 2 or more.\n  try: looks={list(looks_at(3, 40))}")
    order = list(dict.fromkeys(block for of in scores.values() for block in of) if blocks is None else blocks)
    seeds = list(dict.fromkeys(map(seed_of, order)))
    found: dict[tuple[str, str], Difference] = {}
    path = []
    options: dict[str, Any] = {"margin": margin, "better": better, "further": further}
    for count, at in list(zip(looks, levels_of(looks, level), strict=True))[:taken]:
        first = [block for block in order if seed_of(block) in seeds[:count]]
        here = {arm: {block: of[block] for block in first} for arm, of in scores.items() if all(b in of for b in first)}
        if len(seeds) < count or len(here) < 2 or (baseline is not None and baseline not in here):
            break
        if taken is None and any(arm not in here for arm in _awaited(scores, baseline, found.values())):
            break
        differences = decide(here, baseline, level=at, **options).differences
        path.append(Look(count, at, differences))
        for one in differences:
            if (before := found.get((one.arm, one.other))) is None or before.verdict == "undecided":
                found[one.arm, one.other] = one
    whole = decide(scores, baseline, level=level, **options)  # names the pairs, and what has not been looked at
    nothing: dict[str, Any] = {"half_width": nan, "detectable": nan, "more": None, "improvement": nan}
    unseen = [replace(one, verdict="undecided", **nothing) for one in whole.differences]
    told = [found.get((one.arm, one.other), one) for one in unseen]
    return Decision(tuple(told), baseline, whole.blocks, margin, level, better, looks=tuple(path))


def _awaited(scores: Mapping[str, Scores], baseline: str | None, found: Iterable[Difference]) -> set[str]:
    """Return the arms that a look waits for: those of which something is undecided, but for those that failed."""
    seen = list(found)
    if not seen:
        wanted = set(scores)
    else:
        wanted = {arm for one in seen if one.verdict == "undecided" for arm in (one.arm, one.other)}
        wanted |= set(scores) - {arm for one in seen for arm in (one.arm, one.other)}
    whole = {arm for arm, of in scores.items() if all(score is not None and isfinite(score) for score in of.values())}
    return {arm for arm in wanted if arm == baseline or arm in whole}
