"""The page of the noise floor: made from the files of the parts alone, with segup's own decisions and drawings."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from noise_floor_anchor import whose
from noise_floor_costs import CPU, by_place, classes, costs
from noise_floor_limits import limits, repeat
from noise_floor_measured import ENOUGH, LEAST, RANGED, Measured, Row, measured, read_rows, score_of
from noise_floor_parts import PARTS, Part, filled
from noise_floor_published import TABLES, folded, percent, published, published_figure, ranged, with_range
from noise_floor_reads import READS, cells_read
from noise_floor_segnet import beside_published
from noise_floor_short import in_short

from segup.ablation.comparison import Comparison
from segup.ablation.markup import code, pipes, plain
from segup.ablation.report.forest import drawn_differences, forest
from segup.ablation.report.style import png, styled
from segup.ablation.tables import score_text
from segup.atomic import atomic_write
from segup.statistics import Decision, conclusion, difference_text, spread

PAGE, FOLDER = "noise-floor.md", "noise-floor"
_UNNAMED = re.compile(r"\W+", re.ASCII)


def write_page(out: Path) -> Path:
    """Write ``noise-floor.md`` and its figures from the files in ``noise-floor`` and return the page.

    Args:
        out: The folder of both.
    """
    rows = {key: read_rows(out / FOLDER / f"{key}.csv") for key in PARTS}
    found = {
        (key, metric): one
        for key, part in PARTS.items()
        for metric in dict.fromkeys((*part.metrics, *(table.metric for table in TABLES if table.part == key)))
        if (one := measured(part, rows[key], metric)) is not None
    }
    shown = {place: one for place, one in found.items() if place[1] in one.part.metrics}
    second = {
        (key, metric): held
        for (key, metric), one in shown.items()
        if (name := one.part.second) in one.scores
        if name is not None and (held := measured(replace(one.part, baseline=name), rows[key], metric)) is not None
    }
    drawn = {}
    for end, these in (("", shown), ("-second", second)):
        for (key, metric), one in these.items():
            if (forest_plot := figure_of(one)) is not None:
                drawn[key, metric, one.part.baseline] = f"{FOLDER}/{key}-{metric}{end}.png"
                atomic_write(out / drawn[key, metric, one.part.baseline], forest_plot)
    figure = published_figure(found)
    if figure is not None:
        atomic_write(out / FOLDER / "published.png", figure)
    atomic_write(out / PAGE, page(rows, found, second, drawn).encode())
    return out / PAGE


def figure_of(one: Measured) -> bytes | None:
    """Return the forest plot of a part, as segup's report draws it."""
    if one.decision is None:
        return None
    with styled():
        comparison = Comparison((), one.part.baseline, one.score, _ranked(one.decision), (), (), ())
        figure = forest(comparison, drawn_differences(comparison))
        return None if figure is None else png(figure, dpi=100)


def page(
    rows: Mapping[str, Sequence[Row]],
    found: Mapping[tuple[str, str], Measured],
    second: Mapping[tuple[str, str], Measured],
    drawn: Mapping[tuple[str, str, str], str],
) -> str:
    """Return the page as Markdown.

    Args:
        rows: By part.
        found: What they show, by part and score.
        second: The same against the second baseline of those that have one.
        drawn: The figures, by part, score and baseline.
    """
    lines = ["# The noise floor of upsampling", "", *_opening(rows), *in_short(found, second)]
    lines += [*_seeds_alone(found), *published(found)]
    for key, part in PARTS.items():
        if rows[key]:
            lines += _part(part, rows, found, second, drawn)
    return "\n".join([*lines, *limits(), *repeat()]).rstrip() + "\n"


def _opening(rows: Mapping[str, Sequence[Row]]) -> list[str]:
    runs = sum(len(own) for own in rows.values())
    failed = sum(row["state"] == "failed" for own in rows.values() for row in own)
    missing = [part.title for key, part in PARTS.items() if not rows[key]]
    told = f", of which {failed} failed" if failed else ""
    lines = [
        "How much do upsampling operators differ, and how much do seeds alone? Published tables of guided "
        "operators report no seeds. Here "
        f"{'is 1 run' if runs == 1 else f'are {runs} runs'}{told}, each a line of a file in "
        f"`docs/{FOLDER}` (with the device, torch and commit where they were kept), with the decisions that "
        "[`segup report`](ablations.md#what-is-decided) makes. "
        "`python scripts/noise_floor.py --write` makes this page from these files.",
        "",
        "Names are those of the [operators](operators.md), with their tiny variants where they have one; `_alone` is a "
        "resize without its 3×3 convolution, `conv_` one with it before the resize, `_corners` one on the encoder's "
        "own grid (`align_corners`). Where nothing else is said, the last weights are scored. *Same sign*: in how many "
        "of the pairs of runs the operator is on the same side of the baseline. *P* in a figure: the share of all "
        "pairs of one run of each in which it is ahead; the seeds "
        f"of a pair may differ. {READS}",
        "",
        "*Better* and *worse*: the interval leaves out 0, and all intervals of a table hold together with 95 % "
        "probability. *Equal*: two tests at 3.5 %, of a row alone, put the difference within ±0.005; so the interval "
        "of the table, which is wider, may reach further. A part whose seeds came in rounds is tested at each look, at "
        "a level that covers all looks; a row that is decided early has its difference from fewer pairs than seeds.",
        "",
    ]
    if not runs:
        lines = ["How much do upsampling operators differ, and how much do seeds alone? No part has been run yet.", ""]
    return [*lines, f"Not run yet: {'; '.join(missing)}.", ""] if missing else lines


_COLUMNS = ("over seeds", "of a difference", "noise", "guided", "seeds differ", "detectable")


def _seeds_alone(found: Mapping[tuple[str, str], Measured]) -> list[str]:
    lines = [
        "## What seeds alone do",
        "",
        f"In percentage points, of operators with {ENOUGH} seeds or more. *Over seeds*: the standard deviation of an "
        "operator's scores, the median over the operators and its range. Where seeds validate on different folds, the "
        "folds count, too. *Of a difference*: two operators are trained with the same seed and scored on the same "
        "images; the standard deviation of their difference over the seeds, the median over all pairs of operators. "
        "*Noise*: 95 in 100 of these differences are less than this away from the mean of their pair; in brackets, of "
        f"{RANGED} seeds or more, between what it lies with 95 % probability (a jackknife: one seed is left out at a "
        f"time). It is not named of fewer than {LEAST} differences. It is of all pairs together: quiet operators have "
        "less, `carafe` and guided ones more. *Guided*: "
        "of the pairs with one of segup's operators that read the image or the skip. *Seeds differ*: of two runs that "
        "share neither seed nor fold. *Detectable*: four in five studies with as many seeds would decide a true "
        "difference of this size; the smallest and the largest of all comparisons with the baseline.",
        "",
        pipes(["part", "score", "operators", "seeds", *_COLUMNS]),
        f"|{'---|' * (4 + len(_COLUMNS))}",
    ]
    shown = [one for (key, metric), one in found.items() if metric in PARTS[key].metrics]
    for one in shown:
        counts = sorted({len(one.values(row)) for row in one.scores})
        own = one.deviations
        lines.append(
            pipes([
                one.part.title, one.score.label, str(len(one.scores)), ranged(counts, str),
                f"{percent(median(own))} ({ranged(own, percent)})" if own else "–", percent(one.paired),
                with_range(one), with_range(one, guided=True), percent(one.unpaired_noise()),
                ranged(one.seen, percent) if one.seen else "–",
            ])
        )  # fmt: skip
    return [*lines, ""] if shown else []


def _run_time(places: Mapping[str, Sequence[Row]]) -> str:
    """Return how long a run took, on each kind of device, as the rest of a sentence."""
    took = {
        place: [float(row["wall_seconds"]) for row in own if row["state"] == "finished" and row.get("wall_seconds")]
        for place, own in places.items()
    }
    told = [f"{median(own):.0f} s{f' on {place}' if len(took) > 1 else ''}" for place, own in took.items() if own]
    return f"; a run took {' and '.join(told)} (median), with other work on the machine" if told else ""


def _part(
    part: Part,
    all_rows: Mapping[str, Sequence[Row]],
    found: Mapping[tuple[str, str], Measured],
    second: Mapping[tuple[str, str], Measured],
    drawn: Mapping[tuple[str, str, str], str],
) -> list[str]:
    rows = all_rows[part.key]
    folds = any(row.get("fold") for row in rows)
    failed = [f"{row['decoder']} seed {row['seed']} ({row['cause']})" for row in rows if row["state"] == "failed"]
    lines = [f"## {part.title}", "", part.about, ""]
    paired = "; differences are paired by seed and fold" if folds else ""
    places = by_place(rows)
    on = (
        ""
        if list(places) == [CPU]
        else ", " + ", ".join(f"{f'{len(own)} ' if len(places) > 1 else ''}on {place}" for place, own in places.items())
    )
    runs = f"{len(rows)} of {part.planned}" if len(rows) < part.planned else str(len(rows))
    lines += [
        f"{runs} runs{on}, `docs/{FOLDER}/{part.key}.csv`{paired}" + _run_time(places) + ".",
        "",
    ]
    lines += [f"Failed: {plain('; '.join(failed))}.", ""] if failed else []
    for metric in sorted(part.metrics, key=lambda metric: not metric.startswith("test_")):
        one = found.get((part.key, metric))
        if one is None:
            lines += [f"{score_of(metric).label}: not scored yet.", ""]
            continue
        where = f"on {'test' if metric.startswith('test_') else 'validation'} images"
        on = f", {where}" if len(part.metrics) > 1 else ""
        lines += [f"### {where.capitalize()}: {one.score.label}", ""] if on else []
        lines += _held(one, drawn)
        if (held := second.get((part.key, metric))) is not None:
            lines += [
                f"### Against `{held.part.baseline}`{on}: {held.score.label}",
                "",
                _SECOND if part.neck_kernel > 1 else f"{_SECOND} {_WITHOUT_CONV}",
                "",
                *_held(held, drawn),
            ]
    told = whose(found, all_rows) if part.key == "anchor" else []
    told += beside_published(part, found) if part.key == "segnet" else []
    return [*lines, *told, *classes(rows), *costs(rows), *_commands(part, rows)]


_SECOND = (
    "It is a 3×3 convolution at the encoder's stride and then a bilinear resize. A difference is of the cells that an "
    "operator reads, too."
)
_WITHOUT_CONV = (
    "Guided operators stand here without a convolution before them; "
    f"*{PARTS['probe_context'].title}* gives one to every operator."
)


def _held(one: Measured, drawn: Mapping[tuple[str, str, str], str]) -> list[str]:
    """Return what is decided against a part's baseline: a sentence, a figure and a table."""
    if one.decision is None:
        lines = [f"{one.part.baseline} has no finished run, or stands alone: no difference is known.", ""]
    else:
        lines = [plain(conclusion(_ranked(one.decision), one.score.label)), ""]
    file = drawn.get((one.part.key, one.metric, one.part.baseline))
    if file is not None:
        about = f"Differences in {one.score.label} to {one.part.baseline}, with their intervals"
        lines += [f"![{about}]({file})", ""]
    return [*lines, *_table(one), ""]


def _ranked(decision: Decision) -> Decision:
    """Return a decision with the largest difference first."""
    ranked = sorted(decision.differences, key=lambda difference: -difference.mean)
    return replace(decision, differences=tuple(ranked))


def _table(one: Measured) -> list[str]:
    differences = {} if one.decision is None else {found.arm: found for found in one.decision.differences}
    against = f"{one.score.label} − {one.part.baseline}"
    titles = ["operator", one.score.label, "seeds", against, "pairs", "verdict", "same sign"]
    titles += ["cells read"] if one.part.probe else []
    lines = [pipes(titles), f"|{'---|' * len(titles)}"]
    means = {row: sum(values) / len(values) for row in one.scores if (values := one.values(row))}
    ranked = {row: differences[row].mean if row in differences else 0.0 for row in means}  # as they are paired
    for row in sorted(means, key=lambda row: (-ranked[row], -means[row])):
        values, found = one.values(row), differences.get(row)
        told = ["baseline" if row == one.part.baseline else "–", "", "", ""]
        if found is not None and one.decision is not None:
            told = [difference_text(found, one.decision.margin), str(found.pairs), found.verdict, one.alike(row)]
        told += [cells_read(one.part, row)] if one.part.probe else []
        lines.append(pipes([code(row), score_text(spread(values)), str(len(values)), *told]))
    return lines


def _commands(part: Part, rows: Sequence[Row]) -> list[str]:
    seeds: dict[str, dict[str, None]] = {}
    words: dict[str, str] = {}
    for row in rows:
        seeds.setdefault(row["decoder"], {})[row["seed"]] = None
        words[row["decoder"]] = row["words"]
    commands = [pipes([code(name), code(command(part, name, words[name], list(own)))]) for name, own in seeds.items()]
    lines = folded("Each row again, as a study of its own", [pipes(["operator", "command"]), "|---|---|", *commands])
    if part.needs is not None:
        lines += [_NEEDS[part.needs], ""]
    if part.tested:
        lines += [
            "The test scores of one of its runs: "
            "`segup evaluate ablations/again_ROW/OPERATOR/SEED/last.ckpt --split test`.",
            "",
        ]
    return lines


_NEEDS = {
    "half": "`camvid_180x240` is the folder that `python scripts/noise_floor.py --data FOLDER --half camvid_180x240` "
    "makes of CamVid.",
    "camvid": "`data/camvid` is CamVid in SegNet's layout.",
}


def command(part: Part, row: str, words: str, seeds: Sequence[str]) -> str:
    """Return the command that trains a row of a part again, beside its study.

    Args:
        part: The part.
        row: Its name.
        words: Those of the row.
        seeds: Its seeds.
    """
    shared = filled(part.words, {"camvid": Path("data/camvid"), "half": Path("camvid_180x240")})
    if part.script is not None:
        first = ["python", f"scripts/{part.script}", *words.split(), "--seeds", ",".join(seeds), *shared]
    else:
        own = {word.partition("=")[0] for word in words.split()}  # the seeds', and the widths that were matched
        own |= {"hydra.sweeper.params", "ablation.match"}
        shared = [word for word in shared if word.partition("=")[0] not in own]
        first = ["python", "train.py", "-m", *shared, words, f"seed={','.join(seeds)}"]
    return " ".join([*first, "trainer.threads=1", f"ablation.name=again_{_UNNAMED.sub('_', row)}"])
