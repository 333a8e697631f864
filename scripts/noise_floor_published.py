"""Published tables of upsampling operators, and which of their differences are larger than what seeds alone do."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from noise_floor_measured import Measured, score_of
from noise_floor_parts import PARTS

from segup.ablation.markup import pipes
from segup.ablation.report.style import INK, new_figure, png, styled

Found = Mapping[tuple[str, str], Measured]
"""What was measured, by part and score."""


@dataclass(frozen=True)
class Table:
    """One published table; its figures are of one run each as far as its paper says.

    Args:
        what: Set-up and data.
        source: Where it stands.
        score: As the paper calls it.
        baseline: The row that the others are held against.
        columns: By data set, the score in percent of each row.
        part: The part of the noise floor that is nearest to it.
        metric: The column of that part.
        guided: Whether its operators are guided, for the most part: it is held against the noise of such pairs.
    """

    what: str
    source: str
    score: str
    baseline: str
    columns: Mapping[str, Mapping[str, float]]
    part: str
    metric: str = "miou"
    guided: bool = False

    def noise(self, found: Found) -> tuple[float, float | None] | None:
        """Return the noise in the part that is nearest, in percent: with one seed, and without; None: not known.

        Where seeds validate on different folds, two seeds are of different images, too, which published runs are not.
        """
        near = found.get((self.part, self.metric))
        if near is None or math.isnan(noise := 100 * near.noise(self.guided)):
            return None
        unpaired = 100 * near.unpaired_noise(self.guided)
        return noise, None if near.folds or math.isnan(unpaired) else unpaired

    def larger(self, noise: float) -> str:
        """Return how many of the differences are larger."""
        return f"{sum(pair > noise for pair in self.pairs)} of {len(self.pairs)}"

    @property
    def name(self) -> str:
        """The words for a figure: which of its things are compared, where it is not whole operators, and the paper."""
        paper = self.source.removeprefix("the tables of ").partition(" (")[0]
        return self.what.partition(",")[0] if paper in self.what else paper

    @property
    def pairs(self) -> list[float]:
        """The sizes of all differences between two rows of one column, in percent."""
        return [
            round(abs(one - two), 2)
            for column in self.columns.values()
            for one, two in itertools.combinations(column.values(), 2)
        ]


_PROBED = ("bilinear", "FeatUp-JBU", "LoftUp", "JAFAR", "AnyUp", "UPLiFT")
_GUIDED = "the tables of FADE (arXiv 2207.10392) and SAPA (arXiv 2209.12866)"
_SEGNET = (
    "bilinear",
    "SegNet-Basic",
    "SegNet-EncoderAddition",
    "SegNet-SingleChannel",
    "FCN-Basic",
    "FCN-NoDimReduction",
)


def _rows(names: tuple[str, ...], *values: float) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


TABLES = (
    Table(
        "SegFormer-B1, trained end to end", _GUIDED, "mIoU",
        "bilinear",
        {"ADE20K": {"bilinear": 42.11, "deconv": 40.71, "pixel shuffle": 41.50, "CARAFE": 42.82, "IndexNet": 41.50,
                    "A2U": 41.45, "FADE": 43.06, "SAPA-B": 43.20}},
        "decoders_cells",
    ),
    Table(
        "SegFormer-B1, trained end to end", _GUIDED, "boundary IoU", "bilinear",
        {"ADE20K": {"bilinear": 28.16, "deconv": 25.94, "pixel shuffle": 26.58, "CARAFE": 29.84, "IndexNet": 28.27,
                    "A2U": 27.31, "FADE": 31.68, "SAPA-B": 30.96}},
        "decoders_cells", "boundary_iou",
    ),
    Table(
        "SegFormer-B1, trained end to end", "FreqFusion (TPAMI 2024)", "mIoU", "DySample-S+",
        {"ADE20K": {"DySample-S+": 43.3, "FreqFusion": 44.5}}, "decoders_cells", guided=True,
    ),
    Table(
        "linear head on frozen DINOv2-S/14 at 448²", "UPLiFT (arXiv 2601.17950)", "mIoU", "bilinear",
        {"COCO-Stuff": _rows(_PROBED, 59.41, 61.77, 62.19, 61.71, 62.08, 62.55),
         "VOC": _rows(_PROBED, 81.62, 83.52, 84.63, 84.38, 84.33, 85.21),
         "ADE20K": _rows(_PROBED, 40.43, 42.07, 42.16, 41.96, 42.25, 42.97),
         "Cityscapes": _rows(_PROBED, 59.71, 60.50, 62.09, 61.89, 61.33, 65.38)},
        "probe_camvid", "test_miou", guided=True,
    ),
    Table(
        "what is upsampled, linear head on frozen features", "Upsample-Anything", "mIoU", "features, bilinear",
        {"COCO-Stuff": {"features, bilinear": 60.43, "class probabilities": 63.40},
         "VOC": {"features, bilinear": 81.27, "class probabilities": 84.57},
         "ADE20K": {"features, bilinear": 41.48, "class probabilities": 44.29}},
        "probe_camvid", "test_miou", guided=True,
    ),
    Table(
        "keys of NAF, linear head on frozen features", "NAF (arXiv 2511.18452)", "mIoU", "average pool",
        {"Cityscapes": {"average pool": 60.41, "max pool": 59.93, "bilinear keys": 59.66}},
        "probe_camvid", "test_miou", guided=True,
    ),
    Table(
        "positions of NAF, linear head on frozen features", "NAF (arXiv 2511.18452)", "mIoU", "rotary",
        {"Cityscapes": {"rotary": 60.41, "Gaussian": 58.19, "none": 57.07}}, "probe_camvid", "test_miou", guided=True,
    ),
    Table(
        "AnyUp's ablation, linear head on frozen features", "AnyUp (arXiv 2510.12764)", "mIoU", "global",
        {"COCO-Stuff": {"global": 61.82, "feature-agnostic": 61.95, "windowed": 62.01, "crops and consistency": 62.16}},
        "probe_camvid", "test_miou", guided=True,
    ),
    Table(
        "decoders on CamVid", "SegNet (arXiv 1511.00561), Table 1", "mIoU", "bilinear",
        {"CamVid test": _rows(_SEGNET, 43.3, 47.7, 48.5, 46.1, 47.3, 50.1)}, "segnet", "test_miou",
    ),
    Table(
        "decoders on CamVid", "SegNet (arXiv 1511.00561), Table 1", "BF", "bilinear",
        {"CamVid test": _rows(_SEGNET, 20.83, 35.78, 35.92, 31.62, 38.11, 37.37)}, "segnet", "test_bf_score",
    ),
)  # fmt: skip

BETWEEN_PAPERS = (
    ("AnyUp, Cityscapes", 61.33, 60.62),
    ("JAFAR, ADE20K", 41.96, 40.49),
    ("FeatUp, ADE20K", 42.33, 38.82),
    ("bilinear, COCO-Stuff", 59.41, 60.43),
    ("bilinear, ADE20K", 40.43, 41.48),
    ("bilinear, VOC", 81.62, 81.27),
)
"""One method under nominally the same protocol in two papers."""

_FIGURE = "Each published difference between two operators, and the noise here"


def published(found: Found) -> list[str]:
    """Return the section that holds published differences against what seeds alone do here, as Markdown.

    Args:
        found: What was measured, by part and score.
    """
    lines = [
        "## Published differences beside it",
        "",
        "Each table is held against the noise of the part that is nearest to it, on test images where it has them, and "
        "of pairs with a guided operator where the table is of such. Both kinds of noise are given: of two runs with "
        "one seed, and of two with different seeds, since published runs are not known to share one (not where seeds "
        "validate on different folds, and so on different images). The table's own "
        "noise may be another: its data, encoder, schedule and operators are. A difference that is smaller than the "
        "noise is not wrong; one run does not show it. In brackets: with the noise of other seeds; what lies "
        "between is *unclear*.",
        "",
        pipes(["published", "data", "differences", "nearest part", "noise", "larger", "noise, seeds differ", "larger"]),
        "|---|---|---|---|---|---|---|---|",
    ]
    details: list[str] = []
    for table in TABLES:
        noise = table.noise(found)
        known = ["too few runs" if (table.part, table.metric) in found else "not run", "", "", ""]
        if noise is not None:
            one = found[table.part, table.metric]
            low, high = (100 * end for end in one.noise_range(table.guided) or (noise[0] / 100,) * 2)
            fewest, most = (sum(pair > end for pair in table.pairs) for end in (high, low))
            larger = table.larger(noise[0]) + (f" ({fewest} to {most})" if low < high else "")
            known = [with_range(one, table.guided), larger, "–", ""]
            if noise[1] is not None:
                known[2:] = [f"{noise[1]:.2f}", table.larger(noise[1])]
            details += _against_its_baseline(table, (low, high), noise[1])
        near = f"{PARTS[table.part].title}, {score_of(table.metric).label}"
        differences = ranged(table.pairs, lambda one: f"{one:.2f}")
        what = f"{table.what}, {table.score}; {table.source}"
        lines.append(pipes([what, ", ".join(table.columns), differences, near, *known]))
    lines += ["", *_in_another_part(found)]
    apart = "; ".join(f"{what}: {one} and {two}" for what, one, two in BETWEEN_PAPERS)
    if published_figure(found) is not None:
        lines += ["", f"![{_FIGURE}](noise-floor/published.png)"]
    lines += ["", f"One method under nominally the same protocol differs between papers, too: {apart}.", ""]
    if details:
        titles = ["published", "data", "row", "difference", "larger than the noise", "where seeds differ"]
        table_of_rows = [pipes(titles), f"|{'---|' * len(titles)}", *details]
        lines += folded("Row by row, against the table's own baseline, in percentage points", table_of_rows)
    return lines


def _in_another_part(found: Found) -> list[str]:
    """Return how many differences are larger than the noise of the other probe of the same images, as lines."""
    nearest, other = PARTS["probe_camvid"], PARTS["probe_context"]
    near = [table for table in TABLES if table.part == nearest.key]
    larger = [0, 0]
    for table in near:
        known = table.noise(found), replace(table, part=other.key).noise(found)
        if None in known:
            return []
        for place, noise in enumerate(known):
            larger[place] += sum(pair > noise[0] for pair in table.pairs if noise is not None)
    return [
        f"The choice of the part matters: of the {sum(len(table.pairs) for table in near)} differences held against "
        f"*{nearest.title}*, {larger[0]} are larger than its noise, and {larger[1]} than that of *{other.title}*.",
    ]


def _against_its_baseline(table: Table, noise: tuple[float, float], unpaired: float | None) -> list[str]:
    lines = []
    for data, column in table.columns.items():
        for name, value in column.items():
            if name != table.baseline:
                apart = value - column[table.baseline]
                within = "unclear" if abs(apart) > noise[0] else "no"
                told = ["yes" if abs(apart) > noise[1] else within]
                told.append("–" if unpaired is None else "yes" if abs(apart) > unpaired else "no")
                signed = f"{apart:+.2f}".replace("-", "−")
                lines.append(pipes([f"{table.what}, {table.score}", data, f"{name} − {table.baseline}", signed, *told]))
    return lines


def published_figure(found: Found) -> bytes | None:
    """Draw the size of each published difference, and how far two single runs differ here by their seeds alone.

    Args:
        found: What was measured, by part and score; tables without a part beside them are left out.
    """
    drawn = [(table, noise) for table in TABLES if (noise := table.noise(found)) is not None]
    if not drawn:
        return None
    with styled():
        figure = new_figure(8.6, 1.3 + 0.46 * len(drawn))
        axes = figure.subplots()
        for place, (table, (paired, unpaired)) in enumerate(drawn):
            if unpaired is not None:
                axes.barh(place, unpaired, height=0.7, color="#d55e00", alpha=0.15)
            axes.barh(place, paired, height=0.7, color="#d55e00", alpha=0.3)
            for larger, color in ((True, "#0072b2"), (False, INK)):
                shown = [pair for pair in table.pairs if (pair > paired) == larger]
                axes.plot(shown, [place] * len(shown), "|", color=color, markersize=11)
            told = f"noise {paired:.1f}: {table.larger(paired)} larger"
            told += "" if unpaired is None else f"\n{unpaired:.1f}: {table.larger(unpaired)}"
            axes.annotate(told, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize="small")
        names = [f"{table.name}, {table.score}" for table, _ in drawn]
        axes.set_yticks(range(len(drawn)), names)
        axes.set_ylim(len(drawn) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.grid(False, axis="y")
        axes.set_xlabel(
            "size of a published difference, in percentage points\n"
            "(shaded: noise here; dark: two runs with one seed, light: with different seeds; "
            "blue: larger than the dark one)"
        )
        return png(figure, dpi=100)


def folded(title: str, lines: Sequence[str]) -> list[str]:
    """Return lines of Markdown under a title that opens them.

    >>> folded("More", ["| a |"])
    ['<details markdown="1">', '<summary>More</summary>', '', '| a |', '', '</details>', '']
    """
    return ['<details markdown="1">', f"<summary>{title}</summary>", "", *lines, "", "</details>", ""]


def with_range(one: Measured, guided: bool = False) -> str:
    """Return the noise in percent with its range."""
    ends = one.noise_range(guided)
    return percent(one.noise(guided)) + (f" ({' to '.join(map(percent, ends))})" if ends else "")


def percent(share: float) -> str:
    """Return a share in percent, without its sign."""
    return "–" if math.isnan(share) else f"{100 * share:.2f}"


def ranged(values: Sequence[float], text: Callable[[float], str]) -> str:
    """Return the smallest and the largest value."""
    first, last = text(min(values)), text(max(values))
    return first if first == last else f"{first} to {last}"
