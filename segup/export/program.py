"""A model as one program for images of any height and width and batches of any number."""

import logging
import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.fx import Node

from segup.errors import ConfigError, ShapeError
from segup.models import SegmentationModel, predicted_labels, probabilities_of

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Output = Literal["logits", "labels", "probabilities"]
OUTPUTS: tuple[Output, ...] = ("logits", "labels", "probabilities")
_EXAMPLE = (75, 101)
"""Above every accepted minimum it is extended, so that its size stands for all."""
_MORE_THAN_ONE = re.compile(r"^[01] (<|<=|!=) | (!=|>|>=) [01]$")


class Program(nn.Module):
    """What an exported file computes: the model's logits, class ids or probabilities.

    Args:
        model: In evaluation mode.
        output: ``"logits"`` and ``"probabilities"`` ``(N, num_classes, H, W)``, float32; ``"labels"`` ``(N, H, W)``,
            uint8 for up to 256 classes, else int32.

    >>> from segup import create_model
    >>> model = create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8]).eval()
    >>> Program(model, "labels")(torch.rand(1, 3, 33, 47)).dtype
    torch.uint8
    """

    def __init__(self, model: nn.Module, output: Output = "logits") -> None:
        super().__init__()
        self.model, self.output = model, output

    def forward(self, image: Tensor) -> Tensor:
        """Return the output of ``(N, in_channels, H, W)``, float32 in 0 … 1."""
        logits: Tensor = self.model(image)
        if self.output == "labels":
            kind = torch.uint8 if max(2, logits.shape[1]) <= 256 else torch.int32
            return predicted_labels(logits).to(kind)
        return probabilities_of(logits) if self.output == "probabilities" else logits


def exported_program(model: SegmentationModel, output: Output = "logits") -> "ExportedProgram":
    """Return the program of torch.export.

    Raises:
        ConfigError: torch cannot trace the model with a height and a width that are not fixed; the message says why.
    """
    from torch.export import Dim
    from torch.utils._sympy.value_ranges import ValueRanges

    most = model.encoder.pyramid.accepted.most
    height, width = (Dim.DYNAMIC if most is None else Dim(side, min=1, max=most) for side in ("height", "width"))
    example = _EXAMPLE if most is None else (most - 1, most - 2)
    image = torch.rand(2, model.encoder.in_channels, *example, generator=torch.Generator().manual_seed(0))
    shapes: Any = ({0: Dim.DYNAMIC, 2: height, 3: width},)
    try:
        with torch.no_grad(), any_size(), quiet():
            found = torch.export.export(Program(model, output).eval(), (image,), dynamic_shapes=shapes, strict=False)
    except (ConfigError, ShapeError):
        raise
    except Exception as cause:  # torch and the encoder's library each raise their own
        raise ConfigError(
            f"encoder '{model.encoder.name}' cannot be exported for images of any size: {said_by(cause)}\n"
            f"  try: another encoder, such as encoder=efficientnet_lite0 or encoder.name=resnet18."
        ) from cause
    # That the example's maps have more than one row was noted, though a program for any size does the same with one:
    # as conditions, and as the smallest image that is taken.
    found._guards_code = [guard for guard in found._guards_code if not _MORE_THAN_ONE.search(guard)]
    for symbol, sizes in found.range_constraints.items():
        found.range_constraints[symbol] = sizes | ValueRanges(1, 1)
    divide_whole_numbers(found)
    return found


def divide_whole_numbers(program: "ExportedProgram") -> None:
    """Replace roundings of quotients, as ``math.ceil(height / 16)``, which torch.export traces and cannot save."""
    graph: Any = program.graph
    for node in list(graph.nodes):
        quotient = node.args[0] if node.target in (math.ceil, math.floor) else None
        if not isinstance(quotient, Node) or quotient.target is not operator.truediv:
            continue
        parts: Any = quotient.args
        number, divisor = parts
        if not isinstance(divisor, int) or not isinstance(number, Node) or type(number.meta["val"]) is not torch.SymInt:
            continue
        with graph.inserting_before(node):
            if node.target is math.ceil:
                number = _counted(graph, operator.add, number, divisor - 1)
            node.replace_all_uses_with(_counted(graph, operator.floordiv, number, divisor))
        graph.erase_node(node)
        if not quotient.users:
            graph.erase_node(quotient)
    program.graph_module.recompile()


def _counted(graph: Any, operation: Callable[[Any, Any], Any], number: Node, other: int) -> Node:
    node: Node = graph.call_function(operation, (number, other))
    node.meta["val"] = operation(number.meta["val"], other)
    return node


@contextmanager
def any_size() -> Iterator[None]:
    """Let torch.export treat a size of 0 or 1 as any other, so that one program is right for the smallest, too.

    A pooling rounds down. In torch 2.11 it asks for the remainder as well, whose answer would be a condition on the
    parity of an image's sides; here it rounds as in later ones.
    """
    from torch import _meta_registrations
    from torch.fx.experimental import _config

    switches: Any = _config
    with (
        switches.patch(backed_size_oblivious=True),
        patch.object(_meta_registrations, "div_rtn", operator.floordiv, create=True),
    ):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporters' remarks about themselves from the person."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def said_by(cause: BaseException) -> str:
    """Return what an error is and the first line of what it says, of the one that led to all others."""
    while cause.__cause__ is not None:
        cause = cause.__cause__
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else 'without a message'}"[:400]
