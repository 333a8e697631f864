"""``segup export``: a run as one file, .onnx or .pt2."""

import argparse
from pathlib import Path

from segup.cli.help_text import argument, command, either
from segup.cli.model_options import model_arguments
from segup.cli.report import run_reported, say

_EPILOG = """\
examples:
  segup export outputs/train/deconv/0-20260101-120000 --out model.onnx
  segup export RUN --out model.onnx --labels
  segup export RUN --out model.pt2 --checkpoint best
  segup predict model.onnx photos --out predicted

The file takes images (N, C, H, W), float32 in 0 … 1, in batches of any number and of any height and width. Normalising,
extending the image and cutting the output are inside. BatchNorm is folded into the convolutions. The file runs without
segup: .onnx in onnxruntime, .pt2 in torch. Its metadata hold the class names and colours, the image range, the accepted
sizes, the run's data configuration and segup's version.
"""


def run(arguments: list[str]) -> int:
    """Export as the arguments say and return the exit code."""
    return run_reported(_export, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "export",
        "Write a run or checkpoint as one file that runs without segup, and compare it with torch.",
        _EPILOG,
        *model_arguments(exported=False),
        argument(
            "--out", type=Path, required=True, metavar="FILE", help="the file, .onnx (onnxruntime) or .pt2 (torch)"
        ),
        argument("--overwrite", action="store_true", help="replace FILE, which is refused otherwise"),
        either(
            argument("--labels", action="store_true", help="give class ids (N, H, W) instead of logits"),
            argument("--probabilities", action="store_true", help="give probabilities instead of logits"),
        ),
        argument(
            "--check",
            action=argparse.BooleanOptionalAction,
            default=True,
            help="compare the file with torch at five sizes, the smallest and odd ones among them, print the largest "
            "difference, and write no file where it is above 0.0001 of the largest logit (default: --check)",
        ),
    )


def _export(options: argparse.Namespace) -> None:
    from segup.export.write import check_target

    check_target(options.out, options.overwrite)

    from segup.evaluation.runs import export_run
    from segup.export.program import Output

    output: Output = "labels" if options.labels else "probabilities" if options.probabilities else "logits"
    written = export_run(
        options.run, options.out, output, options.checkpoint, options.trust, options.check, options.overwrite
    )
    if written.difference is not None:
        say(str(written.difference))
    say(f"{written.path}: {output}, {written.size / 2**20:.1f} MiB")
