"""Measure on a GPU all that waits for one, in at most eight minutes, into ``docs/gpu.md``.

    python scripts/gpu_report.py
    python scripts/gpu_report.py --parts "Operators,Whole steps"

Its tests; training in bfloat16, compiled and not, beside float32; every operator's step and memory; whole steps beside
segmentation_models_pytorch's; which backward passes are deterministic. Each part is a process with seconds of its own:
what it had no time for is said, and a part that fails is reported, does not stop the others, and makes the exit code 1.
``--parts`` measures these alone; what the page has of the others stays, where it is of the same kind of device.
Without a GPU nothing is measured and the exit code is 1; ``--device cpu --to FILE`` tries the command itself out.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
from gpu_parts import Load, determinism, gpu_tests, operators, training, whole_steps

from segup.atomic import atomic_write, check_free
from segup.cli.report import run_reported
from segup.errors import unknown

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
PARTS = {
    "Tests": (gpu_tests, 60),
    "Training": (training, 200),
    "Operators": (operators, 105),
    "Whole steps": (whole_steps, 55),
    "Determinism": (determinism, 30),
}
"""Each part and its seconds, out of ``SECONDS``."""
SECONDS = sum(seconds for _, seconds in PARTS.values())
SPARE = 0.2
"""Share of a part's seconds in which it begins nothing new, and ends what it began."""
LOADS = {"cuda": Load(16, (256, 256), 100, 20), "cpu": Load(2, (64, 64), 5, 1, workers=0)}


@dataclass(frozen=True)
class Outcome:
    """What a part printed, and what went wrong with it."""

    text: str
    fault: str | None = None


def main(words: Sequence[str] | None = None) -> int:
    arguments = _arguments(words)
    if arguments.part:
        return print_part(arguments.part, torch.device(arguments.device), arguments.until)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print(
            "no GPU: torch finds none, so nothing was measured and docs/gpu.md is as it was\n"
            "  try: python scripts/gpu_report.py --device cpu --to page.md"
        )
        return 1
    to, device = arguments.to or PAGE, torch.device(arguments.device)
    if arguments.device != "cuda" and to.resolve() == PAGE:
        print(
            "docs/gpu.md holds a GPU's figures alone\n  try: python scripts/gpu_report.py --device cpu --to page.md",
            file=sys.stderr,
        )
        return 2
    goes_on = set(arguments.parts) != set(PARTS) and to.is_file() and to.read_text().startswith(_title(device))
    if arguments.to and not (arguments.overwrite or goes_on) and (code := run_reported(lambda: check_free([to]))):
        return code
    outcomes, known = {}, sections(to.read_text()) if goes_on else {}
    for title in arguments.parts:
        limit = PARTS[title][1] * arguments.seconds / sum(PARTS[asked][1] for asked in arguments.parts)
        until = time.monotonic() + (1 - SPARE) * limit  # the same clock for all processes of a machine
        options = ["--part", title, "--device", arguments.device, "--until", str(until)]
        outcomes[title] = run([sys.executable, __file__, *options], limit)
        known[title] = section(device, outcomes[title], limit)
        atomic_write(to, page(device, known).encode())
        print(f"{title}: {outcomes[title].fault or 'done'}", flush=True)
    print(f"written: {to}")
    return int(any(outcome.fault for outcome in outcomes.values()))


def print_part(title: str, device: torch.device, until: float) -> int:
    """Print a part's lines as they come, and return its exit code."""
    part, _ = PARTS[title]
    try:
        for line in part(device, until, LOADS[device.type]):
            print(line, flush=True)
    except Exception as cause:  # whatever it is, it belongs in the report
        print(f"{type(cause).__name__}: {' '.join(str(cause).split())[:500]}", file=sys.stderr)
        return 1
    return 0


def run(command: Sequence[str], limit: float) -> Outcome:
    """Run a command for at most ``limit`` seconds, and return what it had printed by then."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=out, stderr=errors, start_new_session=True)
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        text, said = (file.read() for file in (out, errors) if file.seek(0) == 0)
    if code == 0:
        return Outcome(text)
    if code is None:
        return Outcome(text, f"stopped after {limit:.0f} s")
    return Outcome(text, (said.strip().splitlines() or [f"exit code {code}"])[-1])


def section(device: torch.device, outcome: Outcome, seconds: float) -> str:
    """Return what a part measured, and where."""
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if on_gpu else f"{platform.machine()} CPU, which stands for no GPU"
    cuda = f", CUDA {torch.version.cuda}" if on_gpu else ""
    where = f"{name}; torch {torch.__version__}{cuda}; Python {platform.python_version()}"
    lines = [f"{where}; {date.today().isoformat()}, {seconds:.0f} s at most."]
    lines += ["", outcome.text.strip("\n") or "Nothing was measured."]
    lines += ["", f"**Failed**: {outcome.fault}"] if outcome.fault else []
    return "\n".join(lines)


def _title(device: torch.device) -> str:
    return "# Measured on a GPU" if device.type == "cuda" else "# Not measured on a GPU"


def sections(text: str) -> dict[str, str]:
    r"""Return the sections of a page by their titles.

    >>> sections("# Measured\n\n## Tests\n\nall passed\n")
    {'Tests': 'all passed'}
    """
    parts = [part.partition("\n\n") for part in text.split("\n## ")[1:]]
    return {title: body.strip("\n") for title, _, body in parts}


def page(device: torch.device, known: Mapping[str, str]) -> str:
    """Return the page of the sections that there are."""
    lines = [
        _title(device),
        "",
        "Written by `python scripts/gpu_report.py`, which says what each part does. A part may be measured by itself "
        "(`--parts`), so each names its machine and its day.",
    ]
    for title in (title for title in PARTS if title in known):
        lines += ["", f"## {title}", "", known[title]]
    return "\n".join(lines) + "\n"


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=LOADS)
    parser.add_argument("--to", type=Path, metavar="FILE", help="docs/gpu.md by default")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE")
    parser.add_argument("--seconds", type=_seconds, default=SECONDS, help=f"of all parts; {SECONDS} by default")
    listed = ", ".join(PARTS)
    parser.add_argument("--parts", type=_titles, default=list(PARTS), metavar="PART,...", help=f"of {listed}")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def _seconds(text: str) -> float:
    if not (seconds := float(text)) > 0:
        raise argparse.ArgumentTypeError(f"{text} is no time\n  try: python scripts/gpu_report.py --seconds {SECONDS}")
    return seconds


def _titles(text: str) -> list[str]:
    for title in (titles := text.split(",")):
        if title not in PARTS:
            raise argparse.ArgumentTypeError(unknown("part", title, PARTS))
    return titles


if __name__ == "__main__":
    sys.exit(main())
