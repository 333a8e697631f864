"""Type what nobody should: command lines and calls with odd arguments, each in a process and a time of its own.

    python scripts/fuzz.py commands --count 2000 --seed 1
    python scripts/fuzz.py calls --count 5000 --seed 1
    python scripts/fuzz.py commands --seed 1 --case 17     that one again, with all it says

A case is a fault when it ends in a traceback, does not end in time, says nothing, exits 0 on what cannot be meant, or
writes outside its own folder. A call may raise a SegupError, or Python's TypeError for arguments that do not fit its
signature. Nothing is stubbed: training is cut short by trainer.max_steps=1. Exit code: 1 where a fault was found.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fuzz_calls import call_case, documented_calls
from fuzz_commands import command_case, prepare
from fuzz_process import Outcome


def main(arguments: list[str] | None = None) -> int:
    """Run the cases and print what failed, each with the command that repeats it."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="segup-fuzz-") as folder:
        work = Path(folder)
        run: Callable[[int], Outcome]
        if options.what == "commands":
            prepare(work)
            run = lambda number: command_case(work, f"{options.seed}/{number}", options.limit)  # noqa: E731
        else:
            examples = documented_calls()
            run = lambda number: call_case(work, examples, f"{options.seed}/{number}", options.limit)  # noqa: E731
        return _run(run, options)


def _run(run: Callable[[int], Outcome], options: argparse.Namespace) -> int:
    numbers = range(options.count) if options.case is None else [options.case]
    began, ends, faults = time.monotonic(), Counter[str](), 0
    for number in numbers:
        outcome = run(number)
        ends[outcome.end] += 1
        if outcome.fault or options.case is not None:
            faults += bool(outcome.fault)
            print(f"{outcome.fault or 'no fault'}: {outcome.what}", flush=True)
            print("   " + "\n   ".join(outcome.said.strip().splitlines()[-40 if options.case is not None else -3 :]))
            print(f"   again: python scripts/fuzz.py {options.what} --seed {options.seed} --case {number}", flush=True)
        if time.monotonic() - began > options.minutes * 60:
            print(f"stopped after {options.minutes} minutes")
            break
    cases = sum(ends.values())
    ended = ", ".join(f"{end}: {count}" for end, count in sorted(ends.items()))
    print(f"{cases} {options.what}, seed {options.seed}: {faults} faults; {time.monotonic() - began:.0f} s; {ended}")
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("commands", "calls"))
    parser.add_argument("--count", type=int, default=200, help="cases (default: 200)")
    parser.add_argument("--seed", type=int, default=0, help="case N of a seed is always the same (default: 0)")
    parser.add_argument("--case", type=int, help="this one alone, with all it says")
    parser.add_argument("--limit", type=float, default=60, help="seconds for each (default: 60)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many")
    return parser


if __name__ == "__main__":
    sys.exit(main())
