"""The share of honest modules that are proved: ``python -m random_modules.share 660`` prints it.

It says how much a calculus can do, where the judge says what it must not do.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Iterator

import torch

from segup.inspection import check_sizes

from .assembly import RandomModule, honest_module


def checked(start: int, stop: int, seed: int = 0) -> Iterator[tuple[RandomModule, str]]:
    """Yield honest modules, each with the first reason why it is not proved, or an empty text."""
    for i in range(start, stop):
        module = honest_module(i, seed)
        report = check_sizes(module)
        yield module, "" if report.proved else report.reasons[0]


def main(stop: int = 660, start: int = 0, seed: int = 0) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    drawn, left = Counter(), Counter()
    unproved = 0
    for module, reason in checked(start, stop, seed):
        forms = {part.form for part in module.forms}
        drawn.update(forms)
        if reason:
            unproved += 1
            left.update(forms)
            print(f"not proved: {module.name}: {reason}", flush=True)
    count = stop - start
    print(f"{count - unproved} of {count} honest modules are proved: {1 - unproved / count:.1%}")
    print("Of the modules with a form in them, not proved:")
    for name, times in left.most_common():
        print(f"  {name}: {times} of {drawn[name]}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
