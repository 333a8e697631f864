"""``segup predict``: class ids and coloured overlays of images."""

import argparse
from dataclasses import replace
from pathlib import Path

from segup.cli.help_text import argument, command
from segup.cli.model_options import image_range, inference_arguments, inference_of, model_arguments, positive
from segup.cli.report import run_reported, say, tracked
from segup.tables import counted

_EPILOG = """\
examples:
  segup predict outputs/train/deconv/0-20260101-120000 photo.jpg --out predicted
  segup predict RUN photos --out predicted --tta
  segup predict RUN slide.tif --out predicted --window 1024 --max-pixels 400000000

photo.jpg becomes photo.png and photo_overlay.png. The grey values of photo.png are the class ids (16-bit for more than
256 classes). photo_overlay.png is the image in the colours of its classes. Both have exactly the image's height and
width, turned by its EXIF orientation. Subfolders of a folder stay subfolders. Images of one name keep their folder or
their extension: a.jpg and a.png become a.jpg.png and a.png.png. DIR is no folder of the images that are read: nothing
of yours is replaced, or mixed with results. segup reports images that it cannot use at the end,
after all others; the exit code is then 1.
"""


def run(arguments: list[str]) -> int:
    """Predict as the arguments say and return the exit code."""
    return run_reported(_predict, _parser().parse_intermixed_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "predict",
        "Segment images with a run or checkpoint: class ids and overlays of exactly each image's size.",
        _EPILOG,
        *model_arguments(),
        argument("images", nargs="+", type=Path, metavar="IMAGE|FOLDER", help="images, or folders of images"),
        argument("--out", type=Path, required=True, metavar="DIR", help="the folder for the results"),
        argument("--overwrite", action="store_true", help="replace files in DIR, which are refused otherwise"),
        *inference_arguments(),
        argument(
            "--max-pixels",
            type=positive,
            default=100_000_000,
            metavar="N",
            help="refuse images of more pixels: a small file may claim any size (default: 100000000)",
        ),
        argument(
            "--image-range",
            type=image_range,
            metavar="LOW,HIGH",
            help="the values of black and white in the images (default: those of the training)",
        ),
    )


def _predict(options: argparse.Namespace) -> None:
    from segup.evaluation.plan import left_out, plan

    tasks = plan(options.images, options.out, options.overwrite)

    from segup.errors import DataError
    from segup.evaluation.predict import predict_files
    from segup.evaluation.runs import open_run, trained_reflections

    how = inference_of(options)
    opened = open_run(options.run, options.checkpoint, options.trust, options.device)
    how = replace(how, tta=trained_reflections(opened)) if options.tta else how
    for line in left_out(options.images, options.out):
        say(line)
    values = options.image_range or opened.image_range
    failures = predict_files(opened.model, opened.labels, tasks, how, options.max_pixels, values, tracked("predicting"))
    done = len(tasks) - len(failures)
    if done:
        classes = ", ".join(f"{index} {name}" for index, name in enumerate(opened.labels.names))
        say(f"classes: {classes}")
        say(f"{counted(done, 'image')} segmented: {options.out}")
    if failures:
        lines = [f"{len(failures)} of {len(tasks)} images could not be used:", *failures]
        raise DataError("\n  ".join(lines) if len(tasks) > 1 else failures[0])
