"""The rows of a part's file: read off the runs of its study, and written beside those that the file has."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noise_floor_costs import GPU
from noise_floor_measured import read_rows
from noise_floor_parts import Part, words_of
from scored import TEST

from segup.ablation.comparison import TIMED
from segup.ablation.member import Member
from segup.ablation.report.content import read_report
from segup.ablation.report.texts import as_csv
from segup.ablation.study import Study
from segup.atomic import atomic_write
from segup.stored import as_written, read_json
from segup.training.run_folder import read_config

TESTED = ("miou", "pixel_accuracy", "class_accuracy", "boundary_iou", "bf_score")
_LEFT_OUT = ("best_miou", "run")
_MADE = ("device", "torch", "commit")


def unlike(before: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]], part: Part) -> list[str]:
    """Return a line for each run of the baseline whose score here is not that of the file: other machines round apart.

    Args:
        before: The rows of the file.
        now: Those of the study.
        part: Of which they are.
    """
    metric = part.metrics[0]
    known = {_run(row): row.get(metric) for row in before if row["decoder"] == part.baseline}
    return [
        f"{part.baseline} seed {row['seed']}: {metric} is {row[metric]} here, and {known[_run(row)]} in the file; "
        "rows that were trained on another machine may be as far apart"
        for row in now
        if row["decoder"] == part.baseline and known.get(_run(row)) not in (None, "", row.get(metric))
    ]


def measured_rows(part: Part, study: Study, words: Sequence[str]) -> list[dict[str, str]]:
    """Return a row for each run that has ended: segup's own of its report, the test scores, and what chose it.

    Args:
        part: Of which it is.
        study: The study.
        words: That all runs have beside those of the part.
    """
    looks = " ".join(map(str, study.settings.get("looks") or ()))
    found = []
    for row, member in zip(csv.DictReader(io.StringIO(as_csv(read_report(study.path)))), study.members, strict=True):
        if member.state not in ("finished", "failed"):
            continue
        kept = {key: _short(value) for key, value in row.items() if key not in _LEFT_OUT}
        chosen = (study.settings.get("decoders") or {}).get(member.label, {}).get("widths")
        operator, *axes = member.label.split(",")
        own = [*(_words(member) if part.script is None else ("--rows", operator)), *axes, *words]
        own += [f"decoder.widths=[{','.join(map(str, chosen))}]"] if chosen else []
        found.append({**kept, **_tested(member.path), **_made(member), "looks": looks, "words": " ".join(own)})
    return found


def _words(member: Member) -> tuple[str, ...]:
    upsampler = str(read_config(member.path)["decoder"]["upsampler"])
    return words_of(upsampler if ":" in upsampler else member.label.partition(",")[0])


def _made(member: Member) -> dict[str, str]:
    """Return on what a run was trained, its GPU or its processor, with which torch, and at which commit of segup."""
    environment: Mapping[str, Any] = {} if member.run is None else member.run.result["environment"]
    gpu = environment.get("gpu")
    device = f"{GPU}{gpu}" if gpu else environment.get("processor")
    values = device, environment.get("packages", {}).get("torch"), (environment.get("git_commit") or "")[:12]
    return {key: str(value or "") for key, value in zip(_MADE, values, strict=True)}


def _tested(folder: Path) -> dict[str, str]:
    file = folder / TEST
    if not file.exists():
        return {}
    stored: Mapping[str, Any] = as_written(dict[str, Any], read_json(file), file)
    scores, classes = stored["scores"], stored["classes"]
    values = {name: scores[name] for name in TESTED}
    values |= {f"iou/{name}": value for name, value in zip(classes, scores["iou"], strict=True)}
    return {f"test_{name}": "" if value is None else _short(str(value)) for name, value in values.items()}


def _short(text: str | None) -> str:
    """Return a number of a table with six digits after the point: rows are committed.

    >>> _short("0.7496436778840075"), _short("4416563"), _short("out of memory, 1.5 GiB")
    ('0.749644', '4416563', 'out of memory, 1.5 GiB')
    """
    try:
        return str(round(float(text), 6)) if text and "." in text else text or ""
    except ValueError:
        return text or ""


def write_rows(file: Path, rows: Sequence[Mapping[str, str]], only: set[str] | None = None) -> None:
    """Write rows into a part's file; what it has of other runs stays, and when the part is looked at.

    Args:
        file: The file, which need not be there.
        rows: Of this study.
        only: The operators whose rows are written; None for all. Runs that the file does not have are written, too: a
            newcomer's seeds are held against the baseline's.
    """
    before = read_rows(file)
    known = {_run(row) for row in before}
    now = [row for row in rows if only is None or row["decoder"].partition(",")[0] in only or _run(row) not in known]
    if only is not None:  # not in turns with the operators of the file
        now = [{**row, **dict.fromkeys(TIMED, "")} for row in now]
    runs = {_run(row): {**row, **_plan(before, now)} for row in (*before, *now)}
    columns = list(dict.fromkeys(key for row in (*now, *before) for key in row))
    last = [key for key in ("wall_seconds", "cause", *_MADE, "looks", "words") if key in columns]
    columns = [*(key for key in columns if key not in last), *last]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(runs.values())
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(file, text.getvalue().encode())


def _plan(before: Sequence[Mapping[str, str]], now: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return when a part is looked at: as the file says, or as the study does where it goes on with that plan.

    A study of a few seeds alone has a plan of its own, which says nothing of the part.
    """
    known, new = ({"looks": rows[0]["looks"]} if rows and "looks" in rows[0] else {} for rows in (before, now))
    goes_on = not known or new.get("looks", "").startswith(f"{known['looks']} ")
    return new if goes_on else known


def _run(row: Mapping[str, str]) -> tuple[str, ...]:
    return row["decoder"], row["seed"], row.get("fold", "")
