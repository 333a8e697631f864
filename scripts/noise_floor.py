"""Measure how much upsampling operators differ, and how much seeds alone do: studies that go on, and the page of them.

    python scripts/noise_floor.py --part probe_cells
    python scripts/noise_floor.py --part probe_camvid --data ~/data --minutes 80
    python scripts/noise_floor.py --part probe_cells --operators mypackage.mine:Mine
    python scripts/noise_floor.py --part decoders_cells --hours 12
    python scripts/noise_floor.py --write

A part is a study of segup, ``ablations/noise_floor_<part>``. ``--minutes`` ends it as Ctrl-C does: running runs save,
and the same command goes on. Afterwards every run that has ended is a row of ``docs/noise-floor/<part>.csv``: its
scores and costs, and the words that chose its operator. ``--operators`` adds a word of ``decoder=`` or an operator from
outside segup to the part: it is trained with the part's seeds, beside the baseline where the study is not here, and its
rows join those that the file has. Further words KEY=VALUE are those of ``segup train``, for all runs of the part.

``--write`` makes ``docs/noise-floor.md`` and its figures from these files alone.
"""

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from noise_floor_measured import read_rows
from noise_floor_page import write_page
from noise_floor_parts import PARTS, VARIANTS, Part, check_camvid, filled, halve, label_of, part_of, write_presets
from noise_floor_rows import measured_rows, unlike, write_rows
from omegaconf.errors import OmegaConfBaseException
from scored import score_runs

from segup.ablation.study import FILE, read_study
from segup.cli.composed import configs_folder
from segup.cli.explained import explained
from segup.cli.report import run_reported
from segup.cli.sweep import read_sweep
from segup.errors import ConfigError, unknown
from segup.registry import outside_module
from segup.training.before import check_parts
from segup.training.config import RunConfig
from segup.training.features import features_folder
from segup.training.run_folder import read_config
from segup.upsamplers.contract import operator_class


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say and return the exit code."""
    options = _parser().parse_intermixed_args(list(arguments))
    code = 0

    def work() -> None:
        nonlocal code
        if options.part is None and options.data is not None:  # CamVid at half its size, alone
            halve(options.data / "camvid", options.half)
            print(options.half)
        elif options.part is None and not options.write:
            raise ConfigError("there is nothing to do.\n  try: python scripts/noise_floor.py --part probe_cells")
        if options.part is not None:
            code = train(part_of(options.part), options)
        if options.write:
            print(write_page(options.out))

    return run_reported(work) or code


def train(part: Part, options: argparse.Namespace) -> int:
    """Go on with a part until it ends or its minutes are over, write its rows, and return the exit code."""
    until, began = time.monotonic() + 60 * options.minutes, time.time()
    study, folders = Path("ablations") / part.study, _folders(part, options)
    if part.tested:
        score_tests(study, until, options)  # those of the last command, whose time was over
    operators = _operators(part, study, options.operators)
    seeds = part.seeds if options.seeds is None else options.seeds
    command = _command(part, operators, seeds, folders, options)
    if part.script is None and options.operators:
        check_operators(command, options.operators)
    code = _finished_by(until, command)
    if part.tested:
        score_tests(study, until, options)
    if (study / FILE).exists() and (code == 0 or _has_run(study, began)):
        file = options.out / "noise-floor" / f"{part.key}.csv"
        only = {label_of(name) for name in options.operators} if options.operators and file.exists() else None
        rows = measured_rows(part, read_study(study), options.words)
        for line in unlike(read_rows(file), rows, part) if only else ():
            print(line)
        write_rows(file, rows, only)
        print(f"rows: {file}")
    return code


def check_operators(command: Sequence[str], operators: Sequence[str]) -> None:
    """Refuse operators that cannot stand in a part once, before anything trains, not by every run of them.

    Args:
        command: Of the part's study.
        operators: Those to look at.

    Raises:
        SegupError: One is not known, cannot be imported, or its decoder cannot be built.
    """
    known = {*VARIANTS, *(file.stem for file in (configs_folder() / "decoder").glob("*.yaml") if _stands(file))}
    for name in operators:
        if outside_module(name) is not None:
            if label_of(name) in known:
                raise ConfigError(
                    f"--operators {name}: {label_of(name)} is a row of segup's own, and a row has one operator."
                    f"\n  try: another name for the class."
                )
            operator_class(name)
        elif name not in known:
            raise ConfigError(f"--operators {name}: {unknown('operator', name, known)}")
    looked: set[str] = set()
    try:
        sweep = read_sweep("segup train", command[4:], configs_folder())
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, command[4:]) from None
    for run in sweep.asked if sweep is not None else ():
        operator = run.label.partition(",")[0]
        if operator in map(label_of, operators) and operator not in looked:
            looked.add(operator)
            check_parts(RunConfig.of(run.config))


def _stands(file: Path) -> bool:
    """Return whether a decoder's file names an operator that takes what every encoder gives."""
    operator = yaml.safe_load(file.read_text()).get("upsampler")
    return operator is not None and "indices" not in operator_class(operator).requires


def _has_run(study: Path, began: float) -> bool:
    """Return whether any run of a study went on since; none does where the command is refused."""
    return any(file.stat().st_mtime >= began for file in study.glob("*/*/status.json"))


def _command(
    part: Part, operators: Sequence[str], seeds: Sequence[int], folders: Mapping[str, Path], options: Any
) -> list[str]:
    listed = ",".join(map(str, seeds))
    words = [*filled(part.words, folders), *options.words, f"ablation.name={part.study}"]
    threads = f"trainer.threads={options.threads}"
    if part.script is not None:
        script, rows = Path(__file__).with_name(part.script), ",".join(operators)
        at_once = f"ablation.at_once={options.at_once}"
        return [sys.executable, str(script), "--rows", rows, "--seeds", listed, *words, threads, at_once]
    presets = Path("outputs") / part.study
    write_presets(presets, operators)
    return [
        *(sys.executable, "-m", "segup.cli", "train", "-m", "--config-dir", str(presets)),
        # seed by seed: whenever time is over, all operators have as many
        *(f"seed={listed}", f"decoder={','.join(map(label_of, operators))}", *words, threads),
        *(f"ablation.baseline='{part.baseline}'", f"ablation.at_once={options.at_once}"),
        *([] if part.most is None else ["ablation.until=decided", f"ablation.max_seeds={max(part.most, len(seeds))}"]),
        *([] if options.hours is None else [f"ablation.max_hours={options.hours:g}"]),
    ]


def _operators(part: Part, study: Path, further: Sequence[str]) -> list[str]:
    """Return the operators to train: all of the part; with a further one the baseline; and those the study has."""
    first = [part.baseline.partition(",")[0]] if further else list(part.operators)
    stored = {}
    if (study / FILE).exists() and part.script is None:
        for member in read_study(study).members:
            label = member.label.partition(",")[0]
            if not (member.path / "config.yaml").exists():  # a run that has not begun, or was removed to be made again
                continue
            upsampler = str(read_config(member.path)["decoder"]["upsampler"])
            stored[label] = upsampler if ":" in upsampler else label
    return list(dict.fromkeys([*first, *stored.values(), *further]))


def _folders(part: Part, options: argparse.Namespace) -> dict[str, Path]:
    """Return the folders that a part's words name, CamVid at half its size made where it is needed."""
    if part.needs is None:
        return {}
    if options.data is None:
        raise ConfigError(f"--part {part.key} needs CamVid: give --data FOLDER, the folder that has camvid/")
    folders = {"camvid": options.data / "camvid", "half": options.half}
    check_camvid(folders["camvid"])
    if part.needs == "half":
        halve(folders["camvid"], folders["half"])
    return {name: folder.resolve() for name, folder in folders.items()}


def _finished_by(until: float, command: Sequence[str]) -> int:
    """Run a command that saves and ends at SIGTERM; return its exit code, 0 where its time was over."""
    process = subprocess.Popen(command)
    try:
        return process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        process.wait()
        print("the minutes are over; the same command goes on")
        return 0
    except KeyboardInterrupt:  # the terminal told the process, too
        return process.wait()


def score_tests(study: Path, until: float, options: argparse.Namespace) -> None:
    """Score the last weights of each finished run on the test images, once; begin none after ``until``."""
    if (study / FILE).exists():
        score_runs(read_study(study).members, "last", options.at_once, options.threads, until)


def _parser() -> argparse.ArgumentParser:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    half = features_folder().parent / "camvid_180x240"
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="of segup train, for all runs of the part")
    parser.add_argument("--part", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the folder that has camvid/, in SegNet's layout")
    parser.add_argument("--half", type=Path, default=half, help="CamVid at 180×240, made once (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=80, help="after which the part saves and ends (default: 80)")
    parser.add_argument("--hours", type=float, help="ablation.max_hours: of training, all runs of a part in rounds")
    parser.add_argument("--seeds", type=_seeds, help="such as 0-9 or 0,1,2 (default: the part's)")
    parser.add_argument("--operators", type=_names, default=[], help="further ones: a decoder's word or module:Class")
    parser.add_argument("--at-once", type=int, default=2, help="runs at once (default: 2)")
    parser.add_argument("--threads", type=int, default=1, help="of each run (default: 1)")
    parser.add_argument("--write", action="store_true", help="make docs/noise-floor.md from the files of the parts")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where page and files are (default: docs)")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if not all(names):
        raise argparse.ArgumentTypeError(
            f"{text!r} has an empty name\n  try: python scripts/noise_floor.py --operators deconv,mypackage.mine:Mine"
        )
    return names


def _seeds(text: str) -> list[int]:
    """Return the seeds of a list with ranges.

    >>> _seeds("0-3"), _seeds("0,2,5-6")
    ([0, 1, 2, 3], [0, 2, 5, 6])
    """
    found: list[int] = []
    for word in text.split(","):
        first, _, last = word.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal() and int(first) <= int(last or first)):
            raise argparse.ArgumentTypeError(
                f"{word!r} is no seed and no range of them\n  try: python scripts/noise_floor.py --seeds 0-9"
            )
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
