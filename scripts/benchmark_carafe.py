"""Measure CARAFE's memory and time beside the textbook form, which unfolds the map after it is brought up.

    python scripts/benchmark_carafe.py [--size 128] [--channels 256] [--scale 2] [--device cuda]

Both run the same module with the same weights and have to agree. Memory is the most that is held during a call beyond
what was held before: on a GPU as torch's allocator counts it, on a CPU as the operating system counts the process
(Linux with glibc). Ratios are textbook to segup: above 1, segup needs less.
"""

import argparse
import ctypes
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from segup.upsamplers import Carafe

GIB = 2**30
FORMATS = {"channels_last": torch.channels_last, "default": torch.contiguous_format}


class Textbook(Carafe):
    """The definition in torch's own words: nearest upsampling, unfold, weigh, add."""

    def upsample(self, x: Tensor, *, skip: Tensor | None = None, indices: Tensor | None = None) -> Tensor:
        """Return ``x`` reassembled from its upsampled map, which holds ``scale²`` times the neighbourhoods."""
        kernels, size = self.kernels(x), self.kernel_size
        high = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        near = F.unfold(high, size, dilation=self.scale, padding=size // 2 * self.scale)
        near = near.reshape(x.shape[0], x.shape[1], size**2, *high.shape[-2:])
        y: Tensor = self.project(torch.einsum("nckhw,nkhw->nchw", near, kernels))
        return y


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    textbook, ours = (form(arguments.channels, arguments.channels, arguments.scale) for form in (Textbook, Carafe))
    torch.nn.init.normal_(ours.encode.weight, std=0.1)
    textbook.load_state_dict(ours.state_dict())
    shape = (1, arguments.channels, arguments.size, arguments.size)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {shape}, scale {arguments.scale}")
    for name, memory_format in FORMATS.items():
        x = torch.randn(shape, device=device).to(memory_format=memory_format).requires_grad_()
        forms = [form.to(device).to(memory_format=memory_format) for form in (textbook, ours)]
        for row in compare(forms, x, arguments.repeats):
            print(f"{name:>13}  {row}", flush=True)


def compare(forms: list[Carafe], x: Tensor, repeats: int) -> list[str]:
    """Return a row for each kind of call: peaks and median times of both forms, and their ratios."""
    check(forms, x)
    rows = []
    for kind, call in (("inference", inference), ("forward", forward), ("forward + backward", training)):
        peaks = [peak(lambda form=form, call=call: call(form, x), x.device) for form in forms]  # type: ignore[misc]
        times: list[list[float]] = [[], []]
        for _ in range(repeats):
            for form, measured in zip(forms, times, strict=True):
                measured.append(seconds(lambda form=form, call=call: call(form, x), x.device))  # type: ignore[misc]
        theirs, ours = (median(measured) * 1000 for measured in times)
        rows.append(
            f"{kind:>18}  textbook {peaks[0] / GIB:5.2f} GiB {theirs:8.1f} ms  segup {peaks[1] / GIB:5.2f} GiB "
            f"{ours:8.1f} ms  ratio {peaks[0] / peaks[1]:5.2f}  {theirs / ours:5.2f}"
        )
    return rows


def check(forms: list[Carafe], x: Tensor) -> None:
    """Stop unless the forms agree; this is their warm-up as well."""
    with torch.no_grad():
        textbook, ours = (form(x) for form in forms)
    torch.testing.assert_close(ours, textbook, rtol=1e-4, atol=1e-4)
    for form in forms:
        training(form, x)


def inference(form: Carafe, x: Tensor) -> Tensor:
    with torch.no_grad():
        y: Tensor = form(x)
    return y


def forward(form: Carafe, x: Tensor) -> Tensor:
    """Return the result with all that the backward pass needs still held."""
    y: Tensor = form(x)
    return y


def training(form: Carafe, x: Tensor) -> None:
    torch.autograd.grad(form(x).square().mean(), [x, *form.parameters()])


def peak(call: Callable[[], object], device: torch.device) -> int:
    """Return the most bytes held while ``call`` runs beyond those held before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    ctypes.CDLL(None).malloc_trim(0)  # memory that was freed but kept would hide what the call takes
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _resident("VmRSS")
    call()
    return _resident("VmHWM") - before


def seconds(call: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="height and width; the textbook form takes 4 GiB at 128")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="times that each is run; the medians are compared")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
