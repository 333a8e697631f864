"""Write a study's report: everything is made first, and then every file is written whole."""

from collections.abc import Sequence
from pathlib import Path

from segup.ablation.report.content import read_report
from segup.ablation.report.gallery import draw, pictures
from segup.ablation.report.page import as_html
from segup.ablation.report.texts import FIGURES, as_csv, as_latex, as_markdown
from segup.training.whole import write_whole


def write_report(study: str | Path, baseline: str | None = None, trust: Sequence[str] = ()) -> Path:
    """Write ``report.html``, ``report.md``, ``report.csv``, ``report.tex`` and ``figures/`` into a study's folder.

    Finished or not: what is there is told, and every run that is not finished is named with its state and cause. When
    something goes wrong before everything is made, the report that was there stays.

    Args:
        study: The folder.
        baseline: The label that the others are held against; the study's own by default.
        trust: Modules outside segup that a checkpoint may import to be shown in the pictures.

    Returns:
        The HTML file.

    Raises:
        DataError: It is no study, or a file cannot be written.
        ConfigError: It has no such baseline.
    """
    report = read_report(study, baseline)
    shown, missing = pictures(report, trust)
    figures = [*draw(report), *shown]
    folder = report.study.path
    files = {
        **{f"{FIGURES}/{figure.name}.png": figure.png for figure in figures},
        **{f"{FIGURES}/{figure.name}.svg": figure.svg for figure in figures if figure.svg is not None},
        "report.csv": as_csv(report).encode(),
        "report.tex": as_latex(report).encode(),
        "report.md": as_markdown(report, figures, missing).encode(),
        "report.html": as_html(report, figures, missing).encode(),
    }
    for name, content in files.items():
        write_whole(folder / name, content)
    for stale in (folder / FIGURES).glob("*.*"):
        if f"{FIGURES}/{stale.name}" not in files and stale.suffix in (".png", ".svg"):
            stale.unlink()  # of a report before this one
    return folder / "report.html"
