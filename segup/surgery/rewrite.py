"""Rewriting every upsampling layer of a model that has an exact equivalent."""

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segup.calls import annotated
from segup.errors import ConfigError, ShapeError, unknown
from segup.modes import modes_of, set_modes
from segup.surgery.convert import to_deconv, to_subpixel, to_zero_insertion
from segup.surgery.forms import BilinearDeconv2d, SubPixelConv2d, ZeroInsertionConv2d
from segup.surgery.observe import arguments_of, in_turn, observe
from segup.surgery.operators import RewrittenUpsampler, operator_layers
from segup.surgery.places import APART, Kept
from segup.upsamplers.contract import Upsampler

TARGETS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {"deconv": to_deconv, "subpixel": to_subpixel, "zero_insertion": to_zero_insertion}
)
_ALREADY: Mapping[str, tuple[type[nn.Module], ...]] = {
    "deconv": (nn.ConvTranspose2d, BilinearDeconv2d),
    "subpixel": (SubPixelConv2d,),
    "zero_insertion": (ZeroInsertionConv2d,),
}
_UPSAMPLING = (
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    nn.PixelShuffle,
    nn.Upsample,
    SubPixelConv2d,
    ZeroInsertionConv2d,
    BilinearDeconv2d,
)


@dataclass(frozen=True)
class Change:
    """One rewrite: where, from what, to what."""

    path: str
    before: str
    after: str


@dataclass(frozen=True)
class RewriteReport:
    """What :func:`rewrite` changed and what it left; ``print`` shows it line by line."""

    to: str
    changed: tuple[Change, ...]
    left: tuple[Kept, ...]
    note: str = ""

    def __str__(self) -> str:
        if not self.changed and not self.left:
            return f"to {self.to}: no upsampling layer found; functions that a forward calls are not seen"
        lines = [f"to {self.to}: {len(self.changed)} rewritten, {len(self.left)} left"]
        lines += [f"  {change.path or '(the model)'}: {change.before} → {change.after}" for change in self.changed]
        lines += [f"  {left.path or '(the model)'}: {left.what} left: {left.line}" for left in self.left]
        return "\n".join([*lines, self.note] if self.note else lines)


class Rewritten(NamedTuple):
    """A rewritten copy, and the report of what changed: ``model, report = rewrite(...)``."""

    model: nn.Module
    report: RewriteReport


@annotated
def rewrite(model: nn.Module, to: str = "subpixel", *, example: Any = None) -> Rewritten:
    """Return a copy of a model in which every upsampling layer that has an exact equivalent is replaced by it.

    Args:
        model: Any module: segup's own, or somebody else's. Layers of one kind are found by their type: ConvTranspose2d,
            segup's deconv, deconv_matched, pixel_shuffle, nearest and bilinear operators. Pairs (Conv2d and
            PixelShuffle; nearest Upsample and Conv2d) are found where they are neighbours in an ``nn.Sequential`` that
            runs as a whole: only there is it certain that nothing comes between. Functions that a ``forward`` calls
            (``F.interpolate``) cannot be seen.
        to: ``"subpixel"``, ``"deconv"`` or ``"zero_insertion"``; see :func:`to_subpixel`, :func:`to_deconv` and
            :func:`to_zero_insertion`.
        example: What a model that has such neighbours is run with once, to see whether their ``Sequential`` does: a
            tensor, or a tuple of arguments; a black image ``(1, 3, 64, 64)`` by default. Where the model does not run
            on it, the report says so, and neighbours are pairs.

    Returns:
        ``(model, report)``. The copy computes the same, to rounding, at every size; the original is untouched. In a
        ``Sequential`` a pair's second place is taken by ``nn.Identity``, so that indices stay. A layer that is used in
        several places stays shared. Names in its ``state_dict`` differ from the original's: load weights first, then
        rewrite.

    Raises:
        ConfigError: An unknown ``to``, or no module.

    >>> import torch
    >>> net = nn.Sequential(nn.ConvTranspose2d(8, 4, 4, 2, 1), nn.ReLU(), nn.Upsample(scale_factor=2))
    >>> twin, report = rewrite(net, to="subpixel")
    >>> x = torch.randn(1, 8, 5, 6)
    >>> torch.allclose(twin(x), net(x), atol=1e-5)
    True
    >>> print(report)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
    to subpixel: 1 rewritten, 1 left
      0: ConvTranspose2d(8, 4, kernel_size=(4, 4), ...) → SubPixelConv2d(8, 4, kernel_size=(4, 4), ...)
      2: Upsample(scale_factor=2.0, mode='nearest') left: no Conv2d stands directly after it in a Sequential
    """
    if to not in TARGETS:
        raise ConfigError(unknown("rewrite to", to, TARGETS))
    twin, note, alone = _copied(model), "", frozenset[int]()
    if any(in_turn(one) and any(itertools.starmap(is_pair, _neighbours(one))) for one in twin.modules()):
        seen = observe(twin, arguments_of(twin, example))
        alone = seen.alone
        if seen.failure:
            note = (
                f"The model did not run on the example ({seen.failure}): whether something comes between two "
                f"neighbours is not seen; try: example=..."
            )
    walk = _Walk(to, twin, alone)
    return Rewritten(walk.result, RewriteReport(to, tuple(walk.changed), tuple(walk.left), note))


def _neighbours(module: nn.Module) -> Iterator[tuple[nn.Module, nn.Module]]:
    return itertools.pairwise(child for child in module._modules.values() if child is not None)


def _copied(model: nn.Module) -> nn.Module:
    """Return a deep copy, also where hooks keep a computed weight beside its parameters (weight_norm, pruning)."""
    kept = [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    copies = {id(t): t.detach().clone().requires_grad_(t.requires_grad) for t in kept if not t.is_leaf}
    twin: nn.Module = copy.deepcopy(model, copies)
    set_modes(twin, modes_of(model))
    return twin


class _Walk:
    """One pass over a copied model, which it changes in place."""

    def __init__(self, to: str, model: nn.Module, alone: Collection[int]) -> None:
        self.to, self._alone = to, alone
        self.changed: list[Change] = []
        self.left: list[Kept] = []
        self._became: dict[int, tuple[nn.Module, nn.Module]] = {}  # by id; the first of each pair keeps it alive
        modules = list(model.modules())
        self._owners = Counter(id(p) for module in modules for p in module.parameters(recurse=False))
        self._places = Counter(id(child) for module in modules for child in module._modules.values())
        self.result = self._visit(model, "")

    def _visit(self, module: nn.Module, path: str) -> nn.Module:
        """Return what stands in the place of ``module``: itself or its equivalent, the same wherever it is used."""
        if id(module) not in self._became:
            self._became[id(module)] = module, self._replace(module, path)
        return self._became[id(module)][1]

    def _replace(self, module: nn.Module, path: str) -> nn.Module:
        if isinstance(module, Upsampler):
            return self._operator(module, path)
        if isinstance(module, _UPSAMPLING):
            return self._converted((module,), path) or module
        if isinstance(module, torch.jit.ScriptModule):
            self.left.append(Kept(path, type(module).__name__, "TorchScript has fixed its code: rewrite first"))
            return module
        children = list(module._modules.items())
        while children:
            name, child = children.pop(0)
            if child is None:
                continue
            place = f"{path}.{name}".removeprefix(".")
            after = children[0][1] if in_turn(module) and children else None
            if after is not None and is_pair(child, after):
                second, _ = children.pop(0)
                apart = id(child) in self._alone or id(after) in self._alone
                new = self._converted((child, after), place, APART if apart else "")
                if new is not None:
                    module._modules[name], module._modules[second] = new, nn.Identity()
            else:
                module._modules[name] = self._visit(child, place)
        return module

    def _operator(self, up: Upsampler, path: str) -> nn.Module:
        """Rewrite the run of layers that an operator is, and put it under the operator's size rule."""
        try:
            layers = operator_layers(up)
        except ConfigError as reason:
            self.left.append(Kept(path, type(up).__name__, str(reason)))
            return up
        # a convolution may stand before the resize
        first = next(i for i, one in enumerate(layers) if isinstance(one, _UPSAMPLING) or is_pair(*layers[i : i + 2]))
        end = first + (2 if is_pair(*layers[first : first + 2]) else 1)
        new = self._converted(tuple(layers[first:end]), path)
        if new is None:
            return up
        body = nn.Sequential(*layers[:first], new, *layers[end:]) if len(layers) > end - first else new
        return RewrittenUpsampler(up, body).train(up.training)

    def _converted(self, layers: tuple[nn.Module, ...], path: str, refusal: str = "") -> nn.Module | None:
        """Return the equivalent of ``layers`` and note the change, or note why there is none."""
        before = " + ".join(_text(layer) for layer in layers)
        try:
            if refusal:
                raise ConfigError(refusal)
            self._check_unshared(layers)
            new = convert(layers, self.to)
        except (ConfigError, ShapeError) as reason:
            self.left.append(Kept(path, before, str(reason)))
            return None
        self.changed.append(Change(path, before, _text(new)))
        return new

    def _check_unshared(self, layers: tuple[nn.Module, ...]) -> None:
        for layer in layers:
            tied = any(self._owners[id(p)] > 1 for p in layer.parameters(recurse=False))
            again = len(layers) > 1 and self._places[id(layer)] > 1 and any(True for _ in layer.parameters())
            if tied or again:
                raise ConfigError(f"the weights of this {type(layer).__name__} are used in another place too")


def is_pair(first: nn.Module, second: nn.Module | None = None) -> bool:
    """Return whether two layers that follow each other upsample together.

    >>> is_pair(nn.Conv2d(3, 12, 3), nn.PixelShuffle(2)), is_pair(nn.Upsample(scale_factor=2), nn.ReLU())
    (True, False)
    """
    if isinstance(first, nn.Conv2d):
        return isinstance(second, nn.PixelShuffle)
    nearest = isinstance(first, nn.Upsample) and first.mode in ("nearest", "nearest-exact")
    return nearest and isinstance(second, nn.Conv2d)


def convert(layers: tuple[nn.Module, ...], to: str) -> nn.Module:
    """Return the equivalent of one layer or pair in the form ``to``.

    Raises:
        ConfigError, ShapeError: There is none, or it is in that form already; the message says why.
    """
    last = layers[-1]
    if (to == "subpixel" and isinstance(last, nn.PixelShuffle) and len(layers) == 2) or isinstance(last, _ALREADY[to]):
        raise ConfigError(f"it is in the form {to!r} already")
    if isinstance(last, nn.PixelShuffle) and len(layers) == 1:
        raise ConfigError("no Conv2d stands directly before it in a Sequential")
    if isinstance(last, nn.Upsample) and last.mode in ("nearest", "nearest-exact"):
        raise ConfigError("no Conv2d stands directly after it in a Sequential")
    if isinstance(last, nn.Upsample | BilinearDeconv2d) and to != "deconv":
        raise ConfigError(f"a resize by itself has no form {to!r}")
    return TARGETS[to](*layers)


def _text(layer: nn.Module) -> str:
    return f"{type(layer).__name__}({layer.extra_repr()})"
