"""The layers of a library's network, from the input on: what is before the first block or stage, then each of them."""

import re
from collections.abc import Container
from dataclasses import dataclass, field

from torch import nn

from segup.inspection.copies import as_by_default, meta_copy
from segup.inspection.trace import Tracer

_NUMBER = re.compile(r"\d+[a-z]?(?=_|$)")


@dataclass
class LayerGroup:
    """A block or stage, or what is before them, with what follows it up to the next.

    Args:
        modules: Names of its modules in the network.
        parameters: Their parameters.
    """

    modules: list[str] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)


def layers_of(body: nn.Module, size: int, in_channels: int = 3) -> list[LayerGroup]:
    """Return the layers of a network in the order in which it runs them, what is before the first block in front.

    Blocks and stages are the longest of its rows: modules side by side whose names differ by a number, of which the row
    with the most tensors counts. A network without such a row is one layer.

    Args:
        body: The network; a copy without weights is run on shapes alone.
        size: Of an image, height and width, that it takes.
        in_channels: Channels of the image.

    >>> body = nn.Sequential()
    >>> body.stem, body.blocks = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 1))
    >>> [layer.modules for layer in layers_of(body, 8)]
    [['stem'], ['blocks.0'], ['blocks.1']]
    """
    row, layers = _row(body), [LayerGroup()]
    members = {name: member for member in row for name, _ in body.get_submodule(member).named_modules(prefix=member)}
    placed: set[str] = set()
    seen: set[int] = set()
    for name in _order(body, size, in_channels, members):
        whole = members.get(name, name)
        if whole in placed:
            continue
        placed.add(whole)
        if name in members:
            layers.append(LayerGroup())
        module = body.get_submodule(whole)
        if name in members or not any(inner in members for inner, _ in module.named_modules(prefix=name)):
            layers[-1].modules.append(whole)
        own = [one for one in module.parameters(recurse=name in members) if id(one) not in seen]  # some are shared
        layers[-1].parameters.extend(own)
        seen.update(map(id, own))
    return layers


def _row(body: nn.Module) -> list[str]:
    rows: dict[tuple[str, str], list[str]] = {}
    for name, module in body.named_modules():
        parent, _, last = name.rpartition(".")
        if _NUMBER.search(last) and next(module.parameters(), None) is not None:
            rows.setdefault((parent, _NUMBER.sub("#", last)), []).append(name)
    several = [row for row in rows.values() if len(row) > 1]
    return max(several, key=lambda row: sum(len([*body.get_submodule(name).parameters()]) for name in row), default=[])


@as_by_default()
def _order(body: nn.Module, size: int, in_channels: int, members: Container[str]) -> list[str]:
    """Return the names of the modules that own tensors as they are called; of those that never are, members last."""
    twin = meta_copy(body).eval()
    owners = [name for name, module in twin.named_modules() if {*module._parameters, *module._buffers}]
    called: dict[str, None] = {}
    for name in owners:
        twin.get_submodule(name).register_forward_pre_hook(lambda *_, name=name: called.setdefault(name))
    Tracer(twin, in_channels).run((size, size))
    never = [name for name in owners if name not in called]
    return [*(n for n in never if n not in members), *called, *(n for n in never if n in members)]
