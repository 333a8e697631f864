"""``segup data``: what a folder holds, and the line that trains on it."""

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segup.cli.help_text import argument, command
from segup.cli.model_options import positive
from segup.cli.report import run_reported, say, tracked

if TYPE_CHECKING:
    from segup.data.discover.discovery import Choice

_EPILOG = """\
examples:
  segup data my_images
  segup data my_images --write my_data.yaml --picture sheet.png
  segup train data=my_data.yaml

Images and masks are told apart by what they hold, and matched by what their names share. The last line begins with
segup train and trains on the folder. If there are two ways to read it, there are two lines: choose one.
"""


def run(arguments: list[str]) -> int:
    """Look at a folder as the arguments say and return the exit code."""
    return run_reported(_look, _parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    return command(
        "data",
        "Find images, masks and classes in a folder, and print the line that trains.",
        _EPILOG,
        argument("root", type=Path, metavar="ROOT", help="the folder"),
        argument(
            "--sample",
            type=positive,
            default=400,
            metavar="N",
            help="read the values of at most N images and N masks, evenly spaced (default: 400)",
        ),
        argument("--write", type=Path, metavar="FILE", help="write the configuration: segup train data=FILE"),
        argument("--picture", type=Path, metavar="FILE", help="draw some images with their masks as a PNG"),
        argument("--overwrite", action="store_true", help="replace FILE, which is refused otherwise"),
    )


def _look(options: argparse.Namespace) -> None:
    from segup.errors import ConfigError

    for option in ("write", "picture"):
        file = getattr(options, option)
        if file is not None and not file.absolute().parent.is_dir():
            way_out = f"mkdir -p {shlex.quote(str(file.parent))}"
            raise ConfigError(f"--{option}: there is no folder {file.parent}.\n  try: {way_out}")
        if file is not None and file.exists() and not options.overwrite:
            raise ConfigError(f"--{option}: {file} exists already.\n  try: another name, or --overwrite.")
    if options.write is not None and options.write.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(f"--write: {options.write} must end in .yaml.\n  try: --write my_data.yaml")

    from segup.cli.data_report import lines
    from segup.cli.data_words import as_command
    from segup.data.discover.discovery import discover, scan
    from segup.data.sets import published
    from segup.host import usable_processors

    for name in published(options.root):
        line = as_command({"name": name, "root": str(options.root)})
        say(f"the data set {name} as it is published; with its own splits and classes: {line}")
    scanned = scan(options.root)
    choices = discover(options.root, scanned, options.sample, usable_processors(), tracked)
    for choice in choices:
        for line in lines(options.root, scanned, choice):
            say(line)
    _end(options, choices)


def _end(options: argparse.Namespace, choices: "list[Choice]") -> None:
    """Write what was asked for, and print the command, or those that there are to choose from."""
    from segup.cli.data_words import as_command
    from segup.errors import DataError

    good = [choice for choice in choices if choice.meaning.unreadable is None]
    if not good:
        raise DataError(f"{options.root}: {choices[0].meaning.unreadable}")
    if len(good) > 1:
        print(f"\nThere are {len(good)} ways to read this folder. Choose one line:")
    elif options.write is not None or options.picture is not None:
        _write(options, good[0])
    for choice in good:
        say(as_command(choice.config))
    if len(good) > 1 and (options.write is not None or options.picture is not None):
        raise DataError(
            f"{options.root}: nothing was written, since there are {len(good)} ways to read this folder.\n"
            f"  try: one of the lines above"
        )


def _write(options: argparse.Namespace, choice: "Choice") -> None:
    import yaml

    from segup.atomic import atomic_write
    from segup.data.config import create_data
    from segup.data.discover.sheet import sheet

    if options.picture is not None:
        data = create_data({**choice.config, "num_workers": 0})
        atomic_write(options.picture, sheet(data), replace=options.overwrite)
    if options.write is not None:
        root = os.path.relpath(options.root.resolve(), options.write.resolve().parent)
        config: dict[str, Any] = {**choice.config, "root": root}
        text = "# Written by segup data. Train with: segup train data=THIS_FILE; root is relative to this file.\n"
        text += yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        atomic_write(options.write, text.encode(), replace=options.overwrite)
