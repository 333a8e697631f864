"""Random modules: one to three forms between ordinary layers, before or after a step down."""

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import (  # noqa: F401 -- they fill the table
    broadcasting,
    caught,
    comparisons,
    conditions,
    fixed_lengths,
    hidden,
    ordinary_calls,
    ordinary_layers,
    ordinary_shapes,
    padding,
    scripts_and_hooks,
    varying,
)
from .form import CHANNELS, FORMS, Form, make

_ORDINARY = (ordinary_calls.__name__, ordinary_layers.__name__, ordinary_shapes.__name__)

HONEST = tuple(name for name, factory in FORMS.items() if factory.__module__ in _ORDINARY)
"""The forms that a calculus can follow."""

OTHERS = tuple(name for name in FORMS if name not in HONEST)
"""The forms that hide something, branch on a size, or are refused by torch at some sizes."""

_SLOW = ("grid_sampling", "control_flow_of_torch")
"""Seconds each, so they come in their turn alone."""
_QUICK_HONEST = tuple(name for name in HONEST if name not in _SLOW)
_QUICK = tuple(name for name in FORMS if name not in _SLOW)
_HONEST_PLACES, _OTHER_PLACES = (0, 2), (1, 3, 4)


class RandomModule(nn.Module):
    """A module of (N, 3, H, W) to (N, 2, h, w).

    Args:
        name: Its forms and its seed.
        parts: Layers and forms in their order.
        stride: Pixels of the input to one of the map that the forms see.
        before: How many of the parts come before the step down.
        up: What brings the map back; None for a resize to the input's size.
        skip: Whether the map before the step down is added to the one after the step up.
        keyed: Whether the result is a dict with the map in it.
    """

    def __init__(self, name: str, parts: Sequence[nn.Module], before: int, down: nn.Module | None, up: nn.Module | None,
                 stride: int, resized: bool, skip: bool, keyed: bool) -> None:  # fmt: skip
        super().__init__()
        self.name, self.before, self.stride, self.resized, self.skip, self.keyed = (
            name,
            before,
            stride,
            resized,
            skip,
            keyed,
        )
        self.stem, self.head = nn.Conv2d(3, CHANNELS, 3, padding=1), nn.Conv2d(CHANNELS, 2, 1)
        self.parts, self.down, self.up = nn.ModuleList(parts), down, up

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        y = self.stem(x)
        for part in self.parts[: self.before]:
            y = part(y)
        beside = y
        if self.down is not None:
            y = self.down(y)
        for part in self.parts[self.before :]:
            y = part(y)
        if self.up is not None:
            y = self.up(y)
        if self.resized:
            y = F.interpolate(y, size=x.shape[-2:], mode="bilinear", align_corners=False)
        if self.skip:
            y = y + beside
        y = self.head(y)
        return {"aux": self.head(beside), "out": y} if self.keyed else y

    @property
    def forms(self) -> list[Form]:
        return [part for part in self.parts if isinstance(part, Form)]

    @property
    def thresholds(self) -> list[int]:
        """Sizes of the input around which something changes."""
        found = set()
        for place, part in enumerate(self.parts):
            if isinstance(part, Form):
                step = self.stride if place >= self.before else 1
                found |= {step * t + k for t in part.thresholds for k in (-step, -1, 0, 1, step)}
        return sorted(size for size in found if size > 0)

    @property
    def honest(self) -> bool:
        return all(part.honest for part in self.forms)

    @property
    def varies(self) -> bool:
        return any(part.varies for part in self.forms)

    @property
    def reads_values(self) -> bool:
        return any(part.reads_values for part in self.forms)

    @property
    def by_values(self) -> bool:
        return any(part.by_values for part in self.forms)

    @property
    def quadratic(self) -> bool:
        return any(part.quadratic for part in self.forms)


def _layer(rng: random.Random) -> nn.Module:
    c = CHANNELS
    return rng.choice(
        [nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(c, c, 1), nn.BatchNorm2d(c), nn.GroupNorm(2, c), nn.ReLU(), nn.GELU(),
         nn.Dropout(0.1), nn.MaxPool2d(3, 1, 1), nn.Conv2d(c, c, 3, padding=2, dilation=2, groups=c), nn.Identity(),
         nn.Sequential(nn.Conv2d(c, c, 5, padding=2), nn.BatchNorm2d(c), nn.SiLU(inplace=True))]
    )  # fmt: skip


def _step(rng: random.Random) -> tuple[nn.Module | None, nn.Module | None, int, bool]:
    """Return a step down, one up, its factor, and whether the map is resized to the input's size."""
    c = CHANNELS
    if rng.random() < 0.45:
        return None, None, 1, rng.random() < 0.15
    down = rng.choice(
        [nn.Conv2d(c, c, 3, 2, 1), nn.MaxPool2d(2), nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(c, c, 2, 2)]
    )
    up = rng.choice([nn.ConvTranspose2d(c, c, 2, 2), nn.ConvTranspose2d(c, c, 4, 2, 1), nn.Upsample(scale_factor=2)])
    return (down, None, 2, True) if rng.random() < 0.25 else (down, up, 2, False)


def names_of(first: str, seed: int, others: Sequence[str]) -> list[str]:
    """Return the forms of a module: ``first`` and up to two of ``others``."""
    rng = random.Random(f"{first} {seed}")
    names = [first, *rng.choices(others, k=rng.choice([0, 0, 0, 1, 1, 2]))]
    rng.shuffle(names)
    return names


def draw(names: Sequence[str], seed: int) -> RandomModule:
    """Return a module of forms and ordinary layers between them."""
    torch.manual_seed(seed)
    rng = random.Random(f"{names} {seed}")
    parts: list[nn.Module] = []
    for place, name in enumerate(names):
        parts += [_layer(rng) for _ in range(rng.choice([0, 0, 1]))]
        parts.append(make(name, f"{seed} {place}"))
    down, up, stride, resized = _step(rng)
    skip = rng.random() < 0.15
    before = rng.randint(0, len(parts)) if down is not None else 0
    made = RandomModule(
        f"{'+'.join(names)}#{seed}", parts, before, down, up, stride, resized, skip, rng.random() < 0.05
    )
    return made.eval()


def alone(name: str, seed: int) -> RandomModule:
    """Return a module of one form and nothing else, for a small example."""
    torch.manual_seed(seed)
    return RandomModule(f"{name}#{seed}", [make(name, f"{seed}")], 0, None, None, 1, False, False, False).eval()


def names_of_honest(i: int, seed: int = 0) -> list[str]:
    """Return the forms of the ``i``-th module of honest forms alone."""
    return names_of(HONEST[i % len(HONEST)], seed + i, _QUICK_HONEST)


def names_of_module(i: int, seed: int = 0) -> list[str]:
    """Return the forms of the ``i``-th module: two of five are honest, and every form comes in turn."""
    block, place = divmod(i, 5)
    if place in _HONEST_PLACES:
        return names_of_honest(2 * block + _HONEST_PLACES.index(place), seed)
    other = 3 * block + _OTHER_PLACES.index(place)
    return names_of(OTHERS[other % len(OTHERS)], seed + i, _QUICK)


def module_of(i: int, seed: int = 0) -> RandomModule:
    """Return the ``i``-th module."""
    return draw(names_of_module(i, seed), seed + i)


def honest_module(i: int, seed: int = 0) -> RandomModule:
    """Return the ``i``-th module of honest forms alone."""
    return draw(names_of_honest(i, seed), seed + i)
