"""Compare every operator with what the machine allows: ``python scripts/benchmark_floor.py``.

The floor of a pass is the larger of two times: that of moving each map and weight once, at the measured speed of a
copy, and that of its multiply-accumulates, at the measured speed of a matrix product. A row has the time over the
floor, forward and backward, at three sizes. Then memory and time are fitted against pixels: an exponent of 1 means that
twice the pixels take twice of it. The last column has the operations of torch that take most of the time at the middle
size, forward and backward.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from measuring import measure, seconds
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segup.errors import SegupError
from segup.upsamplers import create_upsampler, list_upsamplers
from segup.upsamplers.contract import Upsampler, operator_class


@dataclass(frozen=True)
class Machine:
    """What it does in a second: bytes copied, read and written alike, and multiply-accumulates of a product."""

    bytes: float
    macs: float

    def floor(self, moved: float, macs: float) -> float:
        """Return the seconds that a pass takes at least."""
        return max(moved / self.bytes, macs / self.macs)


def machine(device: torch.device) -> Machine:
    """Return what the device does, measured on maps as large as those of the table."""
    source, side = torch.rand(2**23, device=device), 1024
    target, square = torch.empty_like(source), torch.rand(side, side, device=device)
    copied = typical(lambda: target.copy_(source), device, 9)
    multiplied = typical(lambda: square @ square, device, 9)
    return Machine(2 * source.nbytes / copied, side**3 / multiplied)


def typical(call: Callable[[], object], device: torch.device, count: int) -> float:
    """Return the seconds of the fastest of ``count`` calls, after one that is not counted."""
    call()
    return min(seconds(call, device) for _ in range(count))


@dataclass(frozen=True)
class Case:
    """An operator with what it takes at one size."""

    up: Upsampler
    x: Tensor
    guides: dict[str, Tensor]

    def forward(self) -> Tensor:
        """Return the result."""
        y: Tensor = self.up(self.x, **self.guides)
        return y

    def learned(self) -> list[Tensor]:
        """Return what a backward pass gives gradients to."""
        return [self.x, *(p for p in self.up.parameters() if p.requires_grad)]


def case(name: str, side: int, channels: int, device: torch.device) -> Case:
    """Return an operator of scale 2 on a square map of ``side``, its guides at twice that."""
    wanted = operator_class(name).requires
    skip = channels if "skip" in wanted else None
    up = create_upsampler(name, channels, channels, 2, skip_channels=skip).to(device)
    x = torch.rand(1, channels, side, side, device=device).to(memory_format=torch.channels_last).requires_grad_()
    high = torch.rand(1, channels, 2 * side, 2 * side, device=device).to(memory_format=torch.channels_last)
    known = {
        "skip": lambda: high,
        "image": lambda: high[:, :3].contiguous(),
        "indices": lambda: torch.nn.functional.max_pool2d(high, 2, return_indices=True)[1],
    }
    return Case(up, x, {guide: known[guide]() for guide in wanted})


def over_floor(one: Case, on: Machine, device: torch.device, count: int) -> tuple[float, float]:
    """Return the time of a forward and of a backward pass over their floors."""
    with FlopCounterMode(display=False) as counter:
        y = one.forward()
        forward_macs = counter.get_total_flops() // 2
        gradient = torch.ones_like(y)
        y.backward(gradient)
        backward_macs = counter.get_total_flops() // 2 - forward_macs
    weights = sum(p.nbytes for p in one.up.parameters())
    read, written = one.x.nbytes + weights + sum(guide.nbytes for guide in one.guides.values()), y.nbytes
    with torch.no_grad():
        ahead = typical(one.forward, device, count)
    times = []
    for _ in range(count + 1):
        y = one.forward()
        backward = partial(torch.autograd.grad, y, one.learned(), gradient, allow_unused=True)
        times.append(seconds(backward, device))
    back = on.floor(read + written + one.x.nbytes + weights, backward_macs)
    return ahead / on.floor(read + written, forward_macs), min(times[1:]) / back


def shares(one: Case, most: int = 3) -> str:
    """Return which operations of torch a forward and a backward pass spend most time in, with their shares."""
    with torch.autograd.profiler.profile() as profiled:
        y = one.forward()
        torch.autograd.grad(y, one.learned(), torch.ones_like(y), allow_unused=True)
    spent = {event.key: event.self_cpu_time_total for event in profiled.key_averages()}
    first = sorted(spent, key=lambda name: -spent[name])[:most]
    return ", ".join(f"{name.removeprefix('aten::')} {100 * spent[name] / sum(spent.values()):.0f} %" for name in first)


def growth(name: str, sides: list[int], channels: int, device: torch.device, until: float) -> tuple[float, float]:
    """Return the exponents of memory and time of a forward pass against pixels; NaN past ``until``."""
    points = []
    for side in sides:
        one = case(name, side // 2, channels, device)
        with torch.inference_mode():
            one.forward()
            taken = [measure(one.forward, device) for _ in range(3)]
        points.append((side**2, max(held for held, _ in taken), min(took for _, took in taken)))
        if time.monotonic() > until:
            return math.nan, math.nan
    return slope([(p, held) for p, held, _ in points]), slope([(p, took) for p, _, took in points])


def slope(points: list[tuple[float, float]]) -> float:
    """Return the exponent of a power that fits points best.

    >>> round(slope([(1, 3), (10, 300), (100, 30000)]), 6)
    2.0
    """
    logs = [(math.log(x), math.log(max(y, 1e-9))) for x, y in points]
    mean = [sum(column) / len(logs) for column in zip(*logs, strict=True)]
    return sum((x - mean[0]) * (y - mean[1]) for x, y in logs) / sum((x - mean[0]) ** 2 for x, _ in logs)


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    on = machine(device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {arguments.channels} channels")
    print(f"copies {on.bytes / 1e9:.1f} GB a second, multiplies {on.macs / 1e9:.0f} G a second\n")
    sizes = " | ".join(f"{way} {2 * side}²" for way in ("forward", "backward") for side in arguments.sides)
    print(f"| operator | {sizes} | memory | time | most time in |\n|{'---|' * (4 + 2 * len(arguments.sides))}")
    for name in arguments.upsampler:
        until = time.monotonic() + arguments.limit
        try:
            ratios = [
                over_floor(case(name, side, arguments.channels, device), on, device, arguments.steps)
                for side in arguments.sides
            ]
            spent = shares(case(name, sorted(arguments.sides)[len(arguments.sides) // 2], arguments.channels, device))
            exponents = growth(name, arguments.growth, 16, device, until)
        except SegupError as cause:
            print(f"| `{name}` | {str(cause).splitlines()[0]} |")
            continue
        cells = [f"{ratio[way]:.1f}" for way in (0, 1) for ratio in ratios]
        cells += ["–" if math.isnan(one) else f"{one:.2f}" for one in exponents]
        print(f"| `{name}` | {' | '.join([*cells, spent])} |", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upsampler", nargs="+", default=list_upsamplers(), choices=list_upsamplers(), metavar="NAME")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 128], help="of the maps that are brought up")
    parser.add_argument("--growth", type=int, nargs="+", default=[256, 512, 1024, 2048], help="sides of results")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60, help="seconds for each operator's growth")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; all by default")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
