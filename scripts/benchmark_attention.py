"""Compare attention alone with a bilinear resize of the same map: ``python scripts/benchmark_attention.py``.

Both run forward and backward in turn in one process, on maps of 64 channels with queries and keys of 32 (64 from 16 to
224), one thread. Times are medians with their quartiles, ratios are to bilinear (above 1: slower). ``loop`` is the form
of a textbook, one neighbour of the window after another.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import alternate
from torch import Tensor

from segup.upsamplers.window_sums import attend
from segup.upsamplers.windows import extended

SIZES = ((32, 64, 32), (64, 128, 32), (16, 224, 64))
"""Of the map and of the result, and channels of queries and keys."""


def main() -> None:
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {arguments.steps} steps each")
    print(f"{'':>28}  {'median (quartiles)':>28}  ratio")
    for low, high, depth in SIZES:
        query, key, value = (
            torch.randn(arguments.batch, channels, side, side, device=device).requires_grad_()
            for channels, side in ((depth, high), (depth, low), (arguments.channels, low))
        )
        forms: dict[str, Callable[[], Tensor]] = {
            "bilinear": lambda value=value, high=high: F.interpolate(value, (high, high), mode="bilinear")  # type: ignore[misc]
        }
        for kernel in arguments.kernel:
            given = (query, key, value, kernel, arguments.heads, high // low)
            forms[f"attention, {kernel}×{kernel}"] = lambda given=given: attend(*given)  # type: ignore[misc]
            if arguments.loop:
                forms[f"loop, {kernel}×{kernel}"] = lambda given=given: loop(*given)  # type: ignore[misc]
        times = alternate([training(form, (query, key, value)) for form in forms.values()], arguments.steps, device)
        for name, time in zip(forms, times, strict=True):
            ratio = time.median / times[0].median
            print(f"{low:>4} to {high:<3} {name:>17}  {time!s:>28}  {ratio:5.2f}", flush=True)


def training(form: Callable[[], Tensor], inputs: tuple[Tensor, ...]) -> Callable[[], None]:
    """Return a forward and a backward pass."""

    def step() -> None:
        y = form()
        torch.autograd.grad(y, inputs, torch.ones_like(y), allow_unused=True)

    return step


def loop(query: Tensor, key: Tensor, value: Tensor, kernel_size: int, heads: int, scale: int) -> Tensor:
    """Return what ``attend`` does, neighbour by neighbour of the window, each at the result's size."""
    low = key.shape[-2:]
    near = [(row, column) for row in range(kernel_size) for column in range(kernel_size)]
    keys, values = (
        [
            whole[:, row : row + low[0], column : column + low[1]]
            .permute(0, 3, 1, 2)
            .repeat_interleave(scale, 2)
            .repeat_interleave(scale, 3)
            for row, column in near
        ]
        for whole in (extended(key, kernel_size, "shift"), extended(value, kernel_size, "shift"))
    )
    logits = torch.stack([(query * k).unflatten(1, (heads, -1)).sum(2) for k in keys], dim=2)
    weights = logits.softmax(dim=2).unbind(2)
    terms = (w.unsqueeze(2) * v.unflatten(1, (heads, -1)) for w, v in zip(weights, values, strict=True))
    return sum(terms).flatten(1, 2)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--heads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loop", action="store_true", help="also the form of a textbook")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
