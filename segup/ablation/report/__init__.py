"""The report of a study: tables, figures and pictures, as Markdown, CSV, LaTeX and one HTML page."""

from segup.ablation.report.write import write_report

__all__ = ["write_report"]
