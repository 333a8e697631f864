"""What an .onnx file that somebody else made could do beyond computing, found before it is opened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segup.errors import ConfigError, DataError
from segup.export.about import KEY, library

_STANDARD = ("", "ai.onnx", "ai.onnx.ml")
_SHARES = ("Sigmoid", "Softmax")
_SAME = ("Identity", "Cast")


def checked_onnx(content: bytes, path: Path, trust: bool = False) -> None:
    """Raise unless an .onnx file is one that segup wrote, or may be opened nevertheless.

    Args:
        content: Of the file.
        path: As messages call it.
        trust: Whether files that segup did not write, and operators of other libraries, may be opened.

    Raises:
        DataError: It is no .onnx file, or reads other files.
        ConfigError: It is not trusted.
    """
    onnx = library("onnx")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as cause:  # the parser's own, and protobuf's
        raise DataError(f"{path} is no .onnx file, or damaged ({type(cause).__name__})") from cause
    if not model.graph.node:
        raise DataError(f"{path} is no .onnx file, or an empty one")
    outside = sorted({node.domain for node in _messages(model, "NodeProto")} - set(_STANDARD))
    if any(t.data_location == onnx.TensorProto.EXTERNAL or t.external_data for t in _messages(model, "TensorProto")):
        raise DataError(
            f"{path} keeps weights in other files, and segup reads no file that a model names.\n"
            f"  try: onnx.save_model(onnx.load({path.name!r}), 'whole.onnx'), which makes one file of them."
        )
    foreign = f"has operators of {', '.join(map(repr, outside))}" if outside else "was not written by segup"
    if not trust and (outside or not any(prop.key == KEY for prop in model.metadata_props)):
        raise ConfigError(
            f"{path} {foreign}: what it computes, and how much memory that takes, is its maker's choice.\n"
            f"  If you trust it: --trust (in Python trust=True)"
        )


def gives_probabilities(content: bytes) -> bool:
    """Whether what makes the first output of an .onnx file is a sigmoid or a softmax."""
    graph = library("onnx").load_model_from_string(content).graph
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(graph.output[0].name)
    while maker is not None and maker.op_type in _SAME:
        maker = makers.get(maker.input[0])
    return maker is not None and maker.op_type in _SHARES


def _messages(message: Any, kind: str) -> Iterator[Any]:
    """Return all parts of a message that are of a kind, wherever they lie: in subgraphs, functions, attributes."""
    left = [message]
    while left:
        one = left.pop()
        if one.DESCRIPTOR.name == kind:
            yield one
        for field, value in one.ListFields():
            if field.message_type is not None:
                left += [value] if hasattr(value, "DESCRIPTOR") else list(value)
