"""The SegNet paper's rows beside those that were trained here, and what differs in the set-up."""

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from noise_floor_measured import Measured
from noise_floor_parts import Part, filled
from omegaconf import OmegaConf
from reproduce_segnet_table import ROWS, SCORES, composed, set_up

from segup.ablation.markup import pipes

_SHOWN = {"mIoU": "test_miou", "BF": "test_bf_score"}


def beside_published(part: Part, found: Mapping[tuple[str, str], Measured]) -> list[str]:
    """Return the section as Markdown.

    Args:
        part: Of SegNet's table.
        found: What was measured, by part and score.
    """
    titles = [word for name in _SHOWN for word in (f"{name}, published", f"{name}, here")]
    lines = [
        "### Beside the published rows",
        "",
        "In percent; here the mean over the seeds. The paper names no number of runs. Images were halved before: "
        "a crop of 180×240 is a whole image.",
        "",
        pipes(["variant", *titles, "what differs"]),
        f"|{'---|' * (2 + len(titles))}",
    ]
    for row in ROWS:
        cells = []
        for name, metric in _SHOWN.items():
            one = found.get((part.key, metric))
            values = one.values(row.key) if one is not None and row.key in one.scores else []
            published = row.published[1 + list(SCORES).index(name)]
            cells += [f"{published:.1f}", f"{100 * fmean(values):.1f}" if values else "–"]
        lines.append(pipes([f"{row.variant}, `{row.key}`" if row.here else row.variant, *cells, row.differs]))
    config = OmegaConf.to_container(composed(filled(part.words, {"half": Path("camvid_180x240")})), resolve=False)
    lines += ["", "What all rows have in common:", "", pipes(["", "paper", "here"]), "|---|---|---|"]
    return [*lines, *(pipes(list(line)) for line in set_up(config)), ""]
