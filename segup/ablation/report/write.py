"""Write a study's report: everything is made first, and then every file is written whole."""

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from segup.ablation.report.content import StudyReport, read_report
from segup.ablation.report.gallery import draw, pictures
from segup.ablation.report.page import as_html
from segup.ablation.report.texts import FIGURES, as_csv, as_image_csv, as_latex, as_markdown
from segup.atomic import atomic_write, check_free
from segup.lock import lock
from segup.stored import as_written, read_json
from segup.training.run_folder import write_json

WRITTEN = ".report.json"
"""What the report wrote: the digests of each file, by which it is known again."""
_LOCK = ".report.lock"
_TEXTS = ("report.csv", "report.tex", "report.md", "report.html")
_IMAGES = "report-images.csv"
_PICTURE = re.compile(rf"{FIGURES}/[\w-]+\.(png|svg)")


def write_report(
    study: str | Path,
    baseline: str | None = None,
    trust: Sequence[str] = (),
    overwrite: bool = False,
    **criterion: Any,
) -> Path:
    """Write ``report.html``, ``report.md``, ``report.csv``, ``report.tex`` and ``figures/`` into a study's folder.

    Beside them goes ``report-images.csv``, where the runs have counted image by image.

    Finished or not: what is there is told, and every run that is not finished is named with its state and cause. When
    something goes wrong before everything is made, the report that was there stays. It takes the place of the report
    before it; files that are not of that report, or were changed since, are neither replaced nor removed.

    Args:
        study: The folder.
        baseline: The label that the others are held against, the study's own by default; ``"all"`` for all pairs.
        trust: Modules outside segup that a checkpoint may import to be shown in the pictures.
        overwrite: Whether to replace files that no report wrote.
        **criterion: ``metric``, ``margin`` and ``level``, see :func:`segup.ablation.report.content.read_report`.

    Returns:
        The HTML file.

    Raises:
        DataError: It is no study, or a file cannot be written.
        HeldError: Another process has been writing the report for ten minutes.
        ConfigError: It has no such baseline, or a file is in the way.
    """
    return write_pages(read_report(study, baseline, **criterion), trust, overwrite)


def write_pages(report: StudyReport, trust: Sequence[str] = (), overwrite: bool = False) -> Path:
    """Write the files of a report that has been read; see :func:`write_report`."""
    with lock(report.study.path, _LOCK, patience=600.0):  # two sweeps of one study end with its report at once
        return _written_report(report, trust, overwrite)


def _written_report(report: StudyReport, trust: Sequence[str], overwrite: bool) -> Path:
    folder = report.study.path
    before = _written(folder)
    _check(folder, before, _TEXTS, overwrite)
    shown, missing = pictures(report, trust)
    figures = [*draw(report), *shown]
    files = {
        **{f"{FIGURES}/{figure.name}.png": figure.png for figure in figures},
        **{f"{FIGURES}/{figure.name}.svg": figure.svg for figure in figures if figure.svg is not None},
        "report.csv": as_csv(report).encode(),
        "report.tex": as_latex(report).encode(),
        "report.md": as_markdown(report, figures, missing).encode(),
        "report.html": as_html(report, figures, missing).encode(),
    }
    if images := as_image_csv(report):
        files[_IMAGES] = images.encode()
    _check(folder, before, files, overwrite)
    now = {name: [sha256(content).hexdigest()] for name, content in files.items()}
    both = {name: [*(before.get(name) or ()), *now.get(name, ())] for name in {**before, **now}}
    write_json(folder / WRITTEN, both)  # whichever of them is there if the process dies, it is known again
    for name, content in files.items():
        atomic_write(folder / name, content)
    for name in before.keys() - files.keys():
        if (_PICTURE.fullmatch(name) or name == _IMAGES) and before[name] and _is_known(folder / name, before[name]):
            (folder / name).unlink()
    write_json(folder / WRITTEN, now)
    return folder / "report.html"


def _check(folder: Path, before: Mapping[str, list[str]], names: Iterable[str], overwrite: bool) -> None:
    """Raise a ConfigError where a file that no report wrote, or that was changed since, would be replaced."""
    if not overwrite:
        paths = {path: before.get(name) for name in names if os.path.lexists(path := folder / name)}
        foreign = [path for path, digests in paths.items() if not _is_known(path, digests)]
        way_out = f"segup report {shlex.quote(str(folder))} --overwrite"
        check_free(foreign, f"{way_out}; or another place for what that report did not write")


def _is_known(path: Path, digests: list[str] | None) -> bool:
    if digests is None or not path.is_file():
        return False
    return not digests or sha256(path.read_bytes()).hexdigest() in digests


def _written(folder: Path) -> dict[str, list[str]]:
    """Return the files of the report before, with their digests; of earlier versions' reports, without."""
    file = folder / WRITTEN
    if file.is_file():
        written: dict[str, list[str]] = as_written(dict[str, list[str]], read_json(file), file)
        return written
    page, text = folder / "report.html", folder / "report.md"
    if not (page.is_file() and text.is_file()):
        return {}
    if b'<meta name="generator" content="segup">' not in page.read_bytes()[:2000]:
        return {}
    drawn = re.findall(rf"\]\({FIGURES}/([\w-]+)\.png\)", text.read_text(encoding="utf-8", errors="replace"))
    return {name: [] for name in (*_TEXTS, *(f"{FIGURES}/{stem}.{kind}" for stem in drawn for kind in ("png", "svg")))}
