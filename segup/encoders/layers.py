"""The layers of a library's network, from the input on: what is before the first block or stage, then each of them."""

import re
from dataclasses import dataclass, field

from torch import nn

_NUMBERED = re.compile(r"(stages?|layers?|blocks?|features?|denseblock)_?\d+")
_HOLDS = ("stages", "layers", "blocks", "features")


@dataclass
class Layer:
    """A block or stage, or what is before them, with what follows it up to the next.

    Args:
        modules: Names of its modules in the network.
        parameters: Their parameters.
    """

    modules: list[str] = field(default_factory=list)
    parameters: list[nn.Parameter] = field(default_factory=list)


def layers_of(body: nn.Module) -> list[Layer]:
    """Return the layers of a body, the stem first.

    >>> body = nn.Sequential()
    >>> body.stem, body.blocks = nn.Conv2d(3, 4, 1), nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 8, 1))
    >>> [layer.modules for layer in layers_of(body)]
    [['stem'], ['blocks.0'], ['blocks.1']]
    """
    inner = getattr(body, "model", body)
    prefix = "model." if inner is not body else ""
    layers = [Layer(parameters=list(inner.parameters(recurse=False)))]

    def enter(name: str, module: nn.Module, *, begins: bool) -> None:
        if begins and next(module.parameters(), None) is not None:
            layers.append(Layer())
        layers[-1].modules.append(f"{prefix}{name}")
        layers[-1].parameters.extend(module.parameters())

    for name, child in inner.named_children():
        if name in _HOLDS:
            for place, part in child.named_children():
                enter(f"{name}.{place}", part, begins=True)
        else:
            enter(name, child, begins=_NUMBERED.fullmatch(name) is not None)
    return layers
