"""The parts of the GPU's page: each takes a device and yields lines of Markdown as they are measured."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from benchmark_operators import REFERENCE, build, by_encoder
from hydra import compose, initialize_config_dir
from measuring import FORMATS, alternate, measure, training_step
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor, nn

from segup.losses import create_loss, list_losses
from segup.training.config import RunConfig
from segup.training.rows import read_history
from segup.training.run import train
from segup.upsamplers import create_upsampler, list_upsamplers
from segup.upsamplers.contract import operator_class
from segup.upsamplers.probe import constant_guides

ROOT = Path(__file__).resolve().parents[1]
ENCODER = "efficientnet_lite0"
MIB = 2**20


@dataclass(frozen=True)
class Load:
    """How much each part is given to do."""

    batch: int
    size: tuple[int, int]
    training_steps: int
    turns: int
    workers: int | None = None


class PartError(Exception):
    """Something in a part failed; the lines that it yielded say what."""


def row(*cells: object) -> str:
    """Return a line of a table.

    >>> row("deconv", 1)
    '| deconv | 1 |'
    """
    return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"


def head(*titles: str) -> Iterator[str]:
    yield row(*titles)
    yield row(*("---" for _ in titles))


def one_by_one(names: Iterable[str], measured: Callable[[str], str], until: float) -> Iterator[str]:
    """Yield ``measured(name)`` for each name while there is time; what fails is a line too, and an error at the end."""
    left, failed = [], []
    for name in names:
        if time.monotonic() >= until:
            left.append(name)
            continue
        try:
            yield measured(name)
        except Exception as cause:  # whatever it is, the others are measured
            failed.append(name)
            yield row(name, f"failed: {type(cause).__name__}: {' '.join(str(cause).split())[:300]}")
    if left:
        yield f"\nLeft out for time: {', '.join(left)}."
    if failed:
        raise PartError(f"failed: {', '.join(failed)}")


def gpu_tests(device: torch.device, until: float, load: Load) -> Iterator[str]:  # noqa: ARG001 -- as all parts
    """Run the tests that are marked ``gpu``."""
    missing = [name for name in ("pytest", "hypothesis") if find_spec(name) is None]
    if missing:
        yield f"Left out: {' and '.join(missing)} not installed."
        return
    files = [str(path) for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]
    # The project's own options ask for pytest-xdist, which may be absent.
    options = ["-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider", "-m", "gpu", "-q", "-rfEs"]
    command = [sys.executable, "-m", "pytest", *options, *files]
    # Indented, not fenced: what a part had no time for is cut off, and a fence would stay open.
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as tests:
        yield from (f"    {line.rstrip()}" for line in tests.stdout or ())
    if tests.returncode:
        raise PartError(f"pytest ended with {tests.returncode}")


RUNS = {
    "float32": ("32-true", False),
    "bfloat16": ("bf16-mixed", False),
    "bfloat16, compiled": ("bf16-mixed", True),
}


def training(device: torch.device, until: float, load: Load) -> Iterator[str]:
    """Train on the embedded data as ``segup train`` does: in float32, in bfloat16, and that compiled."""
    last = max(1, load.training_steps // 5)
    yield f"{load.training_steps} steps of {load.batch} crops of {load.size[0]}×{load.size[1]}, `decoder=deconv`; "
    yield f"the loss is the mean of the last {last} steps. The first steps, compilation among them, are not timed.\n"
    yield from head("precision", "step", "images/s", "peak memory", "loss", "loss − float32's", "mIoU")
    losses: dict[str, float] = {}

    def run(name: str) -> str:
        result, losses[name] = trained(device, load, *RUNS[name], last)
        step, rate = result["step_seconds"], result["images_per_second"]
        timed = (f"{step * 1e3:.1f} ms", f"{rate:.0f}") if step else ("", "")
        memory, beside = f"{result['peak_memory_bytes'] / MIB:.0f} MiB", losses.get("float32")
        apart = "" if beside is None else f"{losses[name] - beside:+.4f}"
        return row(name, *timed, memory, f"{losses[name]:.4f}", apart, f"{result['last']['miou']:.3f}")

    yield from one_by_one(RUNS, run, until)


def trained(
    device: torch.device, load: Load, precision: str, compiled: bool, last: int
) -> tuple[dict[str, Any], float]:
    """Return the result of a run, and the mean loss of its ``last`` steps."""
    groups = {"data": "cells", "decoder": "deconv", "loss": "ce_dice", "optimizer": "adamw", "scheduler": "one_cycle"}
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        whole: Any = OmegaConf.to_container(compose("train", [f"{key}={name}" for key, name in groups.items()]))
    values = {key: whole[key] for key in groups}
    values["data"] |= {
        "crop_size": list(load.size), "batch_size": load.batch, "samples_per_epoch": load.batch * load.training_steps,
    }  # fmt: skip
    values |= {"encoder": {"name": ENCODER, "pretrained": False}, "compile": compiled}
    accelerator = "gpu" if device.type == "cuda" else device.type
    values["trainer"] = {"accelerator": accelerator, "precision": precision, "max_epochs": 1}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory() as folder:
        result = train(RunConfig.of(values), Path(folder), Console(quiet=True))
        rows = read_history(Path(folder) / "metrics.csv")
    losses = [float(line["train/loss"]) for line in rows if line["train/loss"]]
    return result, fmean(losses[-last:])


def operators(device: torch.device, until: float, load: Load) -> Iterator[str]:
    """Take training steps of every operator in the same U-Net, in turns with the reference and with SMP's Unet."""
    smp = find_spec("segmentation_models_pytorch") is not None
    encoder_of = {name: encoder for encoder, names in by_encoder(list_upsamplers(), ENCODER).items() for name in names}
    image = torch.rand(load.batch, 3, *load.size, device=device).to(memory_format=torch.channels_last)
    target = torch.randint(0, 3, (load.batch, *load.size), device=device)

    def step_of(model: nn.Module) -> Callable[[], None]:
        layout = model.to(device).to(memory_format=torch.channels_last)
        return training_step(layout, image, target, bf16=True)

    @cache
    def others(encoder: str) -> list[Callable[[], None]]:
        theirs = [step_of(their_unet())] if smp and encoder == ENCODER else []
        return [step_of(build(encoder, REFERENCE)), *theirs]

    def beside(name: str) -> str:
        encoder = encoder_of[name]
        steps = [step_of(build(encoder, name)), *others(encoder)]
        steps[0]()  # what it allocates once is no part of a later step
        held, _ = measure(steps[0], device)
        own, *rest = alternate(steps, load.turns, device, until)
        ratios = [f"{own.median / other.median:.2f}" for other in rest]
        return row(name, encoder, own, *[*ratios, ""][:2], f"{held / MIB:.0f} MiB")

    yield f"A training step on {load.batch} images of {load.size[0]}×{load.size[1]} in bfloat16, channels_last: median"
    yield "(quartiles), and its ratio (above 1: slower) to those that took turns with it. Memory is the most that a"
    yield "step holds beside the weights and the optimizer's state. Compare rows by the ratios, not by the times: the"
    yield "machine was not equally fast all the time."
    yield "" if smp else "segmentation_models_pytorch is not installed: its Unet is left out.\n"
    yield from head("operator", "encoder", "step", f"to {REFERENCE}", "to SMP's Unet", "peak memory")
    yield from one_by_one(encoder_of, beside, until)


def their_unet() -> nn.Module:
    """Return SMP's Unet; its library may be absent."""
    from benchmark_training import their_unet

    return their_unet(ENCODER)


PRECISIONS = {"float32": False, "bfloat16": True}


def whole_steps(device: torch.device, until: float, load: Load) -> Iterator[str]:
    """Compare whole training steps with SMP's Unet, in both memory formats and precisions."""
    if find_spec("segmentation_models_pytorch") is None:
        yield "Left out: segmentation_models_pytorch is not installed."
        return
    from benchmark_training import compare

    def against(kind: str) -> str:
        upsampler, layout, precision = kind.split(", ")
        shape, bf16 = (load.batch, 3, *load.size), PRECISIONS[precision]
        ours, theirs = compare(ENCODER, upsampler, layout, shape, load.turns, device, bf16=bf16, until=until)
        return row(kind, ours, theirs, f"{theirs.median / ours.median:.2f}")

    yield f"Same encoder ({ENCODER}), widths, images and loss; the two take turns. Above 1: segup is faster.\n"
    yield from head("model", "segup", "SMP's Unet", "SMP / segup")
    kinds = [f"{up}, {layout}, {p}" for p in PRECISIONS for layout in FORMATS for up in ("deconv", "bilinear")]
    yield from one_by_one(kinds, against, until)


def determinism(device: torch.device, until: float, load: Load) -> Iterator[str]:
    """Say which backward passes torch calls deterministic, and which came out alike twice."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses every matrix product
    yield "Each operator and loss alone, in float32, forward and backward. Strict: whether it runs under"
    yield "`torch.use_deterministic_algorithms(True)`. Alike: without that, five passes gave the same bits; a yes is no"
    yield "proof, a no is.\n"
    yield from head("part", "strict", "alike")
    parts = dict.fromkeys(list_upsamplers(), operator_call) | {f"loss {name}": loss_call for name in list_losses()}

    def both(name: str) -> str:
        gradients = parts[name](name.removeprefix("loss "), device, load)
        first, *later = (gradients() for _ in range(5))
        alike = all(torch.equal(a, b) for other in later for a, b in zip(first, other, strict=True))
        return row(name, strict(gradients), "yes" if alike else "no")

    yield from one_by_one(parts, both, until)


def strict(call: Callable[[], object]) -> str:
    """Return whether torch runs ``call`` where it has to be deterministic, in its own words where it does not."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        call()
    except RuntimeError as refusal:
        if "determinis" not in str(refusal):
            raise
        return f"no: {str(refusal).split(', ')[0]}"
    finally:
        torch.use_deterministic_algorithms(before)
    return "yes"


def operator_call(name: str, device: torch.device, load: Load) -> Callable[[], Sequence[Tensor]]:
    """Return a function that gives the gradients of an operator's input and weights."""
    guide = {"skip_channels": 64} if "skip" in operator_class(name).requires else {}
    up = create_upsampler(name, 64, 32, **guide).to(device)
    x = torch.randn(1, 64, *(n // 2 for n in load.size), device=device, requires_grad=True)
    guides = constant_guides(up, x[0])
    with torch.no_grad():
        weights = torch.randn_like(up(x, **guides))
    return lambda: torch.autograd.grad((up(x, **guides) * weights).sum(), [x, *up.parameters()])


def loss_call(name: str, device: torch.device, load: Load) -> Callable[[], Sequence[Tensor]]:
    """Return a function that gives the gradient of a loss's logits."""
    loss = create_loss(name, num_classes=3).to(device)
    logits = torch.randn(load.batch, 3, *load.size, device=device, requires_grad=True)
    target = torch.randint(0, 3, (load.batch, *load.size), device=device)
    return lambda: torch.autograd.grad(loss(logits, target), logits)
