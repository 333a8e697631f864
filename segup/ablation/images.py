"""What a study shows of other images than those that it was scored on."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import numpy as np

from segup.ablation.block import Block
from segup.ablation.runs import Run
from segup.metrics.scores import MIOU, Score
from segup.statistics import FEWEST, Counted, Decision, Difference, decided_sentence, image_errors
from segup.tables import counted
from segup.training.rows import IMAGES, ImageCounts, read_image_counts


@dataclass(frozen=True)
class OnOthers:
    """What is decided of other images of their kind.

    Args:
        decision: As that of a comparison, with intervals that hold for images drawn anew, too.
        images: On how many it rests.
        clusters: How many sequences, patients or fields these are; as many as images where none are known.
        shares: By pair, which share of a difference's uncertainty (its squared error) is that of the images.
        few: Whether a pair shares too few of the images, and so is undecided.
    """

    decision: Decision
    images: int
    clusters: int
    shares: Mapping[tuple[str, str], float]
    few: bool = False

    @property
    def rests_on(self) -> str:
        """On how many images, in words."""
        groups = "" if self.clusters == self.images else f" in {counted(self.clusters, 'group')}"
        return f"{counted(self.images, 'image')}{groups}"

    def sentence(self, score: str) -> str:
        """Return what is decided of other images, in one sentence."""
        said = decided_sentence(self.decision, score)
        if said.startswith(("Nothing", "Better", "Equal")):
            said = said[0].lower() + said[1:]
        why = f" Rows that share fewer than {FEWEST} of them are left undecided." if self.few else ""
        return f"For other images of their kind, judged by these {self.rests_on}: {said}{why}"


def decide_on_others(
    groups: Mapping[str, Sequence[Run]], decision: Decision, metric: Score, decide_again: Callable[..., Decision]
) -> OnOthers | None:
    """Decide again for other images of their kind: a difference's error has a part of the seeds and one of the images.

    Args:
        groups: Finished runs by the name of their row.
        decision: What is decided on these images.
        metric: By which; pixels of each image tell mIoU alone.
        decide_again: Makes that decision again, with ``further`` errors.

    Returns:
        None where runs have no counts of each image, where these are fewer than 20 (or in fewer than 20 groups), and
        for other scores than mIoU.
    """
    runs = [run for members in groups.values() for run in members]
    of_fold = {run.block.fold: run.images or 0 for run in runs}
    if metric.name != MIOU.name or not decision.differences or sum(of_fold.values()) < FEWEST:
        return None
    counts = {name: {run.block: counts_of(run) for run in members} for name, members in groups.items()}
    every = [one for blocks in counts.values() for images in blocks.values() for one in images]
    clusters, images = {one.group for one in every}, {(one.group, one.image) for one in every}
    if len(clusters) < FEWEST or not _same_images(counts):
        return None
    classes = max(len(run.result["classes"]) for run in runs)
    counted = {
        name: {
            block: Counted([one.group for one in images], _table(images, classes)) for block, images in found.items()
        }
        for name, found in counts.items()
    }
    pairs = [(one.arm, one.other) for one in decision.differences]
    errors = image_errors(counted, pairs)
    again = decide_again(further=errors)
    shares = {}
    for now in again.differences:
        if now.half_width > 0:
            before = _at_its_look(now, again, decision)
            shares[now.arm, now.other] = 1 - (before.half_width / now.half_width) ** 2
    again = replace(again, differences=tuple(replace(one, more=None) for one in again.differences))
    return OnOthers(again, len(images), len(clusters), shares, any(map(isnan, errors.values())))


def _at_its_look(one: Difference, again: Decision, decision: Decision) -> Difference:
    """Return the same difference on these images, at the look that told of others: it has the same seeds."""
    looks = zip(again.looks, decision.looks, strict=True)
    seen = next((these.differences for others, these in looks if one in others.differences), decision.differences)
    return next(before for before in seen if (before.arm, before.other) == (one.arm, one.other))


def scores_of(
    groups: Mapping[str, Sequence[Run]],
    failed: Mapping[str, Collection[Block]],
    baseline: str | None,
    metric: Score,
) -> dict[str, dict[Any, float | None]]:
    """Return the score of each row by block, None where its run failed, for :func:`segup.statistics.decide`."""
    names = dict.fromkeys([*groups, *failed, *([] if baseline is None else [baseline])])
    return {
        name: {
            **{run.block: run.scores.get(metric.name) for run in groups.get(name, ())},
            **dict.fromkeys(failed.get(name, ())),
        }
        for name in names
    }


def counts_of(run: Run) -> list[ImageCounts]:
    """Return what was counted in each validation image of a run; nothing for one that an earlier version trained."""
    return read_image_counts(run.path / IMAGES, len(run.result["classes"]))


def image_miou(one: ImageCounts) -> float:
    """Return the mIoU of one image, over the classes that occur in its target or prediction.

    >>> image_miou(ImageCounts("a", "a", ((0, 2, 3, 3), (1, 1, 1, 2))))
    0.5
    """
    return sum(both / (predicted + true - both) for _, both, predicted, true in one.classes) / len(one.classes)


def _table(images: Iterable[ImageCounts], classes: int) -> Any:
    """Return intersections and unions ``(images, classes, 2)``."""
    found = list(images)
    table = np.zeros((len(found), classes, 2))
    for place, one in enumerate(found):
        for number, both, predicted, true in one.classes:
            table[place, number] = both, predicted + true - both
    return table


def _same_images(counts: Mapping[str, Mapping[Block, Sequence[ImageCounts]]]) -> bool:
    """Return whether all runs of a block have counts, of the same images."""
    seen: dict[Block, set[tuple[str, ...]]] = {}
    for blocks in counts.values():
        for block, images in blocks.items():
            seen.setdefault(block, set()).add(tuple(one.image for one in images))
    return all(len(names) == 1 and () not in names for names in seen.values())
