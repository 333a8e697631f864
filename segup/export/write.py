"""Writing a model as one file: prepared, exported, compared with torch, and then put in its place."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from segup.atomic import atomic_write, check_free
from segup.calls import annotated
from segup.errors import ConfigError
from segup.export.about import KEY, About, about, library
from segup.export.check import OutputDifference, compare
from segup.export.exported import SUFFIXES, Exported, OnnxEngine, TorchEngine
from segup.export.program import Output, exported_program, quiet, said_by
from segup.models import SegmentationModel

if TYPE_CHECKING:
    from torch.export import ExportedProgram

_OPSET = 20
"""The first whose GridSample takes bicubic and linear alike; onnxruntime knows it from 1.17 on."""


@dataclass(frozen=True)
class Written:
    """A file that was exported.

    Args:
        path: The file.
        size: Its bytes.
        difference: From torch; None where it was not compared.
    """

    path: Path
    size: int
    difference: OutputDifference | None


@annotated
def export_model(
    model: SegmentationModel,
    path: str | Path,
    output: Output = "logits",
    *,
    trained: Mapping[str, Any] | None = None,
    check: bool = True,
    overwrite: bool = False,
) -> Written:
    """Write a model as one file for batches of any number and images of any height and width.

    Args:
        model: On the CPU or another device; it is not changed.
        path: The file, ``.onnx`` or ``.pt2``.
        output: ``"logits"``, ``"labels"`` (class ids) or ``"probabilities"``.
        trained: What the file is to say beside: ``labels`` (a mapping of ``names``, ``colors`` and ``ignore_index``),
            ``image_range`` and ``config``.
        check: Compare the file with the model at five sizes, see :func:`segup.export.check.compare`.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ConfigError: The suffix is neither, the file exists, the extra ``export`` is not installed, or the model is not
            of float32 or cannot be exported; the message says why.
        DataError: The file does not compute what the model does, or cannot be written. Then there is none.

    >>> from segup import create_model
    >>> model = create_model("resnet18", num_classes=4, pretrained=False, widths=[8, 8, 8, 8, 8])
    >>> export_model(model, "model.tflite")
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: model.tflite must end in .onnx or .pt2
      try: model.onnx
    """
    path = Path(path)
    check_target(path, overwrite)
    if model.dtype != torch.float32:
        raise ConfigError(
            f"the model has weights of {model.dtype}; an exported file takes float32.\n"
            f"  try: copy.deepcopy(model).float()"
        )
    said = about(model, output, trained or {})
    program = exported_program(model.optimize().model.cpu(), output)
    onnx = path.suffix.lower() == ".onnx"
    content = _onnx_bytes(program, said) if onnx else _torch_bytes(program, said)
    difference = None
    if check:
        engine = OnnxEngine(content, path) if onnx else TorchEngine(content, path)
        difference = compare(model, Exported(path, engine))
    atomic_write(path, content, replace=overwrite)
    return Written(path, len(content), difference)


def check_target(path: Path, overwrite: bool = False) -> None:
    """Raise a ConfigError unless a file can be exported to ``path``: before any work."""
    if path.suffix.lower() not in SUFFIXES:
        near = path.with_suffix(".onnx") if path.name else path / "model.onnx"
        raise ConfigError(f"{path} must end in .onnx or .pt2\n  try: {near}")
    if not overwrite or path.is_dir():
        check_free([path])
    if path.suffix.lower() == ".onnx":
        for name in ("onnx", "onnxscript", "onnxruntime"):
            library(name)


def _onnx_bytes(program: "ExportedProgram", said: About) -> bytes:
    ir = library("onnx_ir")
    names: dict[str, Any] = {"input_names": ["image"], "output_names": [said["output"]]}
    try:
        with quiet():
            made: Any = torch.onnx.export(program, opset_version=_OPSET, verbose=False, **names)
    except Exception as cause:
        raise ConfigError(
            f"torch {torch.__version__} cannot write this model as .onnx: {said_by(cause)}\n  try: a .pt2 file"
        ) from cause
    for part in [*made.model.graph.all_nodes(), *made.model.graph.initializers.values(), *made.model.graph.inputs]:
        part.metadata_props.clear()  # the source lines of the machine that exported it
        part.doc_string = None
    most = said.get("most")
    if most is not None:
        _refuse_above(made.model.graph, most, ir)
    for part in (*made.model.graph.inputs, *made.model.graph.outputs):
        part.shape = ir.Shape(["batch", *part.shape[1:-2], "height", "width"])
    made.model.metadata_props[KEY] = json.dumps(said)
    try:
        content: bytes = ir.to_proto(made.model).SerializeToString()
    except (ValueError, RuntimeError) as cause:  # protobuf's: a message has at most 2 GiB
        raise ConfigError(f"this model is too large for one .onnx file: {cause}\n  try: a .pt2 file") from cause
    return content


def _refuse_above(graph: Any, most: int, ir: Any) -> None:
    """Let a graph whose encoder has a largest size fail at a larger image: what it is cut to has fewer pixels."""
    (image,) = graph.inputs
    readers = list(image.uses())
    ends = ir.node("Constant", [], {"value_ints": [most, most]})
    starts, axes = (ir.node("Constant", [], {"value_ints": values}) for values in ([0, 0], [2, 3]))
    cut = ir.node("Slice", [image, starts.outputs[0], ends.outputs[0], axes.outputs[0]])
    sides = ir.node("Shape", [image])
    same = ir.node("Reshape", [cut.outputs[0], sides.outputs[0]], name=f"images_of_up_to_{most}x{most}")
    same.outputs[0].shape, same.outputs[0].dtype = image.shape, image.dtype
    for reader, place in readers:
        reader.replace_input_with(place, same.outputs[0])
    graph.insert_before(graph[0], [ends, starts, axes, cut, sides, same])


def _torch_bytes(program: "ExportedProgram", said: About) -> bytes:
    buffer = io.BytesIO()
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # the source lines of the machine that exported it
    program._example_inputs = None  # random images, as large as a small model
    try:
        with quiet():
            torch.export.save(program, buffer, extra_files={"segup.json": json.dumps(said)})
    except Exception as cause:
        raise ConfigError(
            f"torch {torch.__version__} cannot write this model as .pt2: {said_by(cause)}\n  try: an .onnx file"
        ) from cause
    return buffer.getvalue()
