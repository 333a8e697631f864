"""``segup evaluate``: the scores of a run or a checkpoint on a data set."""

import argparse
from dataclasses import replace
from pathlib import Path

from segup.cli.help_text import argument, command
from segup.cli.model_options import inference_arguments, inference_of, model_arguments
from segup.cli.report import run_reported, say, tracked
from segup.tables import counted

_EPILOG = """\
examples:
  segup evaluate outputs/train/deconv/0-20260101-120000
  segup evaluate RUN data=camvid data.root=camvid --split test
  segup evaluate RUN data=folder data.root=my_images --window 512

Every image is scored at its own size, in float32. The data are those of the training. data=... names other data of the
same classes, and data.<key>=<value> changes one setting.
"""


def run(arguments: list[str]) -> int:
    """Evaluate as the arguments say and return the exit code."""
    return run_reported(_evaluate, _parser().parse_intermixed_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "evaluate",
        "Score a run or checkpoint on a data set; print the table and write it.",
        _EPILOG,
        *model_arguments(),
        argument("data", nargs="*", metavar="data...=...", help="data=<data set>, data.<key>=<value>"),
        argument("--split", choices=("val", "test", "train"), default="val", help="(default: val)"),
        argument(
            "--metric",
            action="append",
            default=[],
            metavar="NAME",
            help="a further metric, or package.module:Name, which runs its code; may be repeated (those that the run "
            "was scored with are computed anyway)",
        ),
        argument(
            "--out",
            type=Path,
            metavar="FILE",
            help="the JSON file for the scores (default: evaluation-<data name>-<split>.json beside the checkpoint, "
            "with a number if that exists); no file is overwritten",
        ),
        *inference_arguments(),
    )


def _evaluate(options: argparse.Namespace) -> None:
    from segup.cli.data_overrides import composed_data, parse_overrides

    overrides = parse_overrides(options.data)

    from rich.console import Console

    from segup.evaluation.evaluate import check_out, evaluate_run, write_report
    from segup.evaluation.runs import open_run, stored_data, stored_metrics, trained_reflections
    from segup.metrics.scores import Score
    from segup.training.progress import score_table

    how = inference_of(options)
    check_out(options.out)
    opened = open_run(options.run, options.checkpoint, options.trust, options.device)
    check_out(options.out, opened.path)
    how = replace(how, tta=trained_reflections(opened)) if options.tta else how
    data = composed_data(overrides, lambda: stored_data(opened, options.trust), opened.labels.names)
    metrics = {**stored_metrics(opened, options.trust), **{name: {"name": name} for name in options.metric}}
    report = evaluate_run(opened, data, options.split, how, tracked("evaluating"), metrics)
    images = counted(report["images"], "image")
    declared = [Score(**score) for score in report["metrics"]]
    title, found = f"Scores of {opened.path.stem}", {options.split: report["scores"]}
    Console().print(score_table(title, found, report["classes"], declared))
    say(f"{data['name']}, {options.split}: {images}; written: {write_report(report, options.out)}")
