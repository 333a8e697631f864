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
    apart["augmentation: with − without, cross_entropy"] = [
        difference for name in operators for difference in _apart(known.get((name, LOSSES[1])), plain_rows.get(name))
    ]
    return apart


def in_a_sentence(found: Mapping[tuple[str, str], Measured]) -> list[str]:
    """Return how much the loss changes and how much the operator, as lines of a list."""
    apart = changes(found)
    operators = [fmean(own) for what, own in apart.items() if what.startswith(_OPERATOR) and own]
    if not apart.get(_LOSS) or not operators:
        return []
    return [
        "- **The anchor, CamVid**, test mIoU, means of pairs of runs, not tested: "
        f"{signed(fmean(apart[_LOSS]))} by the loss (ce_dice for cross_entropy), "
        f"{ranged(sorted(operators), signed)} by the operator (for {_BASELINE})."
    ]


def whose(found: Mapping[tuple[str, str], Measured], rows: Sequence[Row]) -> list[str]:
    """Return the section as Markdown.

    Args:
        found: What was measured, by part and score.
        rows: Of the anchor.
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
    lines += ["", *_beside_smp(rows, one, found.get(("anchor_plain", _METRIC)))]
    return lines


def _beside_smp(rows: Sequence[Row], one: Measured, plain: Measured | None) -> list[str]:
    """Return the scores beside those of the run of segmentation_models_pytorch."""
    here = [f"{LOSSES[1]}: {ranged(means, _three)}" for means in [_means(one, LOSSES[1])] if means]
    here += [f"{LOSSES[1]} without augmentation: {ranged(means, _three)}" for means in [_means(plain)] if means]
    thin = [key for key in SMP if key.startswith("test_iou/")]
    shown = []
    for loss in LOSSES:
        own = [row for row in rows if row["decoder"].endswith(f"loss={loss}") and row["state"] == "finished"]
        values = [[float(row[key]) for row in own if row.get(key)] for key in thin]
        if all(values):
            shown.append(f"{loss} " + ", ".join(_three(fmean(value)) for value in values))
    names = ", ".join(key.partition("/")[2] for key in thin)
    told = (
        f"segmentation_models_pytorch's Unet with nearest reached {SMP[_METRIC]} under this schedule with "
        f"cross-entropy, in one run, and {_three(SMP['test_pixel_accuracy'])} pixel accuracy. Means of segup's "
        f"operators: {'; '.join(here) or 'not run yet'}. Thin classes ({names}): "
        f"{', '.join(_three(SMP[key]) for key in thin)} there; {'; '.join(shown) or 'not run yet'} here, the mean over "
        "the runs with that loss."
    )
    return [told, ""]


def _apart(one: Mapping[Block, float | None] | None, other: Mapping[Block, float | None] | None) -> list[float]:
    """Return the differences of two rows, seed by seed."""
    both = [(value, (other or {}).get(block)) for block, value in (one or {}).items()]
    return [value - held for value, held in both if value is not None and held is not None]


def _means(one: Measured | None, loss: str = "") -> list[float]:
    """Return the mean of each row with a loss."""
    rows = () if one is None else [row for row in one.scores if row.endswith(loss)]
    return [fmean(values) for row in rows if one is not None and (values := one.values(row))]


def signed(value: float) -> str:
    """Return a difference with its sign and three digits.

    >>> signed(-0.0124), signed(0.1)
    ('−0.012', '+0.100')
    """
    return f"{value:+.3f}".replace("-", "−")


def _three(value: float) -> str:
    return f"{value:.3f}"
