"""Which part of the anchor's differences is the loss, the operator, the augmentation, and the rest."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from noise_floor_measured import Measured, Row
from noise_floor_published import ranged

from segup.ablation.block import Block
from segup.ablation.markup import pipes

SMP = {"test_miou": 0.534, "test_pixel_accuracy": 0.890, "test_iou/pole": 0.031, "test_iou/bicyclist": 0.000,
       "test_iou/pedestrian": 0.321}  # fmt: skip
"""segmentation_models_pytorch's Unet with nearest, under this schedule with cross-entropy, in one run."""
LOSSES = ("ce_dice", "cross_entropy")
_METRIC, _BASELINE = "test_miou", "deconv"
_LOSS, _OPERATOR = "loss: ce_dice − cross_entropy", "operator: "
_AUGMENTATION = "augmentation: with − without, cross_entropy"


def changes(found: Mapping[tuple[str, str], Measured]) -> dict[str, list[float]]:
    """Return the differences in test mIoU of two runs that share the seed and all but one thing, by that thing.

    Args:
        found: What was measured, by part and score.
    """
    one, plain = found.get(("anchor", _METRIC)), found.get(("anchor_plain", _METRIC))
    if one is None:
        return {}
    known = {tuple(row.split(",loss=")): own for row, own in one.scores.items()}
    operators = list(dict.fromkeys(name for name, _ in known))
    apart = {_LOSS: [difference for name in operators
                     for difference in _apart(*(known.get((name, loss)) for loss in LOSSES))]}  # fmt: skip
    for name in operators:
        if name != _BASELINE:
            both = [(known.get((name, loss)), known.get((_BASELINE, loss))) for loss in LOSSES]
            apart[f"{_OPERATOR}{name} − {_BASELINE}"] = [difference for two in both for difference in _apart(*two)]
    plain_rows = {} if plain is None else plain.scores
    apart[_AUGMENTATION] = [
        difference for name in operators for difference in _apart(known.get((name, LOSSES[1])), plain_rows.get(name))
    ]
    return apart


def in_a_sentence(found: Mapping[tuple[str, str], Measured]) -> list[str]:
    """Return how much the loss changes, how much augmentation and how much the operator, as lines of a list."""
    apart = changes(found)
    operators = [fmean(own) for what, own in apart.items() if what.startswith(_OPERATOR) and own]
    if not apart.get(_LOSS) or not operators:
        return []
    augmented = apart[_AUGMENTATION]
    return [
        "- **The anchor, CamVid**, test mIoU, means of pairs of runs, not tested: "
        f"{signed(fmean(apart[_LOSS]))} by the loss (ce_dice for cross_entropy), "
        + (f"{signed(fmean(augmented))} by augmentation (with cross_entropy), " if augmented else "")
        + f"{ranged(sorted(operators), signed)} by the operator (for {_BASELINE})."
    ]


def whose(found: Mapping[tuple[str, str], Measured], rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the section as Markdown.

    Args:
        found: What was measured, by part and score.
        rows: By part.
    """
    one = found.get(("anchor", _METRIC))
    if one is None:
        return []
    lines = [
        "### Loss, operator, augmentation",
        "",
        "Differences of two runs in test mIoU that share the seed and all but the one thing: the mean over the pairs, "
        "the smallest and the largest. Described and not tested.",
        "",
        pipes(["what differs", "pairs of runs", "mean", "range"]),
        "|---|---|---|---|",
    ]
    for what, apart in changes(found).items():
        told = [signed(fmean(apart)), ranged(sorted(apart), signed)] if apart else ["not run yet", ""]
        lines.append(pipes([what, str(len(apart)), *told]))
    lines += ["", *_beside_smp(rows)]
    return lines


def _beside_smp(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return the scores of each set-up beside those of the run of segmentation_models_pytorch, as a table."""
    names = [key.partition("/")[2] or key.removeprefix("test_").replace("_", " ") for key in SMP]
    lines = [
        "segmentation_models_pytorch's Unet with nearest, under this schedule with cross-entropy, in one run whose "
        "augmentation is not told; beside it the means over all runs of a set-up here, whatever their operator and "
        "seed. From `pole` on: the IoU of a class on the test images.",
        "",
        pipes(["set-up", "runs", *(name.replace("miou", "test mIoU") for name in names)]),
        f"|{'---|' * (2 + len(SMP))}",
        pipes(["segmentation_models_pytorch", "1", *map(_three, SMP.values())]),
    ]
    for what, part, end in (
        (f"{LOSSES[1]}, without augmentation", "anchor_plain", ""),
        *((f"{loss}, with augmentation", "anchor", f",loss={loss}") for loss in reversed(LOSSES)),
    ):
        own = [row for row in rows.get(part, ()) if row["decoder"].endswith(end) and row.get(_METRIC)]
        if own:
            means = [fmean(float(row[key]) for row in own) for key in SMP]
            lines.append(pipes([what, str(len(own)), *map(_three, means)]))
    return [*lines, ""]


def _apart(one: Mapping[Block, float | None] | None, other: Mapping[Block, float | None] | None) -> list[float]:
    """Return the differences of two rows, seed by seed."""
    both = [(value, (other or {}).get(block)) for block, value in (one or {}).items()]
    return [value - held for value, held in both if value is not None and held is not None]


def signed(value: float) -> str:
    """Return a difference with its sign and three digits.

    >>> signed(-0.0124), signed(0.1)
    ('−0.012', '+0.100')
    """
    return f"{value:+.3f}".replace("-", "−")


def _three(value: float) -> str:
    return f"{value:.3f}"
