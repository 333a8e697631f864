"""Measure CARAFE's memory and time beside the textbook forms, which unfold the map after it is brought up.

    python scripts/benchmark_carafe.py [--size 128] [--channels 256] [--scale 2] [--device cuda]

All run the same module with the same weights and have to agree. The textbook weighs its neighbourhoods by an einsum,
which holds least, or by a product and a sum, which is faster on a CPU and holds twice as much. Memory is the most
that is held during a call beyond what was held before: on a GPU as torch's allocator counts it, on a CPU as the
operating system counts the process (Linux with glibc). Ratios are textbook to segup: above 1, segup needs less.
Each row is printed when it is measured; the defaults take about five minutes on two cores, nearly all of them einsum's.
"""

import argparse
from collections.abc import Callable, Iterator
from statistics import median

import torch
import torch.nn.functional as F
from measuring import FORMATS, measure
from torch import Tensor

from segup.upsamplers import Carafe

GIB = 2**30


class Einsum(Carafe):
    """The definition in torch's own words: nearest upsampling, unfold, weigh, add."""

    def upsample(self, x: Tensor, *, skip: Tensor | None = None, indices: Tensor | None = None) -> Tensor:
        """Return ``x`` reassembled from its upsampled map, which holds ``scale²`` times the neighbourhoods."""
        kernels, size = self.kernels(x), self.kernel_size
        high = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        near = F.unfold(high, size, dilation=self.scale, padding=size // 2 * self.scale)
        near = near.reshape(x.shape[0], x.shape[1], size**2, *high.shape[-2:])
        y: Tensor = self.project(self.weigh(near, kernels))
        return y

    def weigh(self, near: Tensor, kernels: Tensor) -> Tensor:
        """Return ``near`` ``(N, C, kernel_size², H, W)`` summed with ``kernels`` ``(N, kernel_size², H, W)``."""
        return torch.einsum("nckhw,nkhw->nchw", near, kernels)


class Product(Einsum):
    """The same, with the weighted neighbourhoods written out before they are added."""

    def weigh(self, near: Tensor, kernels: Tensor) -> Tensor:
        """Return the same sum as a product and a sum."""
        return (near * kernels[:, None]).sum(2)


def main() -> None:
    arguments = _arguments()
    device = torch.device(arguments.device)
    forms = build(arguments.channels, arguments.scale, device)
    shape = (1, arguments.channels, arguments.size, arguments.size)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {shape}, scale {arguments.scale}")
    print(f"{'':>50}  {'memory':>8}  {'time':>10}  ratio of memory, time")
    check(forms, torch.randn(1, arguments.channels, 16, 16, device=device))
    for name, memory_format in FORMATS.items():
        x = torch.randn(shape, device=device).to(memory_format=memory_format).requires_grad_()
        for form in forms.values():
            form.to(memory_format=memory_format)
        for kind, call in (("inference", inference), ("forward", forward), ("forward + backward", training)):
            for row in rows(forms, call, x, arguments.repeats):
                print(f"{name:>13}  {kind:>18}  {row}", flush=True)


def build(channels: int, scale: int, device: torch.device) -> dict[str, Carafe]:
    """Return the three forms with the same weights."""
    torch.manual_seed(0)
    ours = Carafe(channels, channels, scale)
    torch.nn.init.normal_(ours.encode.weight, std=0.1)
    forms = {
        "segup": ours,
        "einsum": Einsum(channels, channels, scale),
        "product and sum": Product(channels, channels, scale),
    }
    for form in forms.values():
        form.load_state_dict(ours.state_dict())
        form.to(device)
    return forms


def check(forms: dict[str, Carafe], x: Tensor) -> None:
    """Stop unless the forms agree on a small map; this is their warm-up as well."""
    with torch.no_grad():
        results = {name: form(x) for name, form in forms.items()}
    for y in results.values():
        torch.testing.assert_close(y, results["segup"], rtol=1e-4, atol=1e-4)
    for form in forms.values():
        training(form, x.requires_grad_())


def rows(forms: dict[str, Carafe], call: Callable[[Carafe, Tensor], object], x: Tensor, repeats: int) -> Iterator[str]:
    """Yield each form's peak and median time, with their ratios to segup's."""
    reference: tuple[int, float] | None = None
    for name, form in forms.items():
        calls = [measure(lambda form=form: call(form, x), x.device) for _ in range(repeats)]  # type: ignore[misc]
        held, took = max(held for held, _ in calls), median(took for _, took in calls)
        reference = reference or (held, took)
        yield (
            f"{name:>15}  {held / GIB:4.2f} GiB  {took * 1000:7.1f} ms  "
            f"{held / reference[0]:5.2f}  {took / reference[1]:6.2f}"
        )


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


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="height and width; the textbook takes up to 5 GiB at 128")
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=1, help="calls of each; peaks are the most, times the median")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
