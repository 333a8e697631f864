"""The live page in a notebook cell, where anywidget is installed."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from segup.errors import ShapeError
from segup.explain.live.page import link_of, live_page, spelled_values
from segup.explain.operation import WeightedOperation

if TYPE_CHECKING:
    from segup.explain.operation import Operation

HEIGHT = 820
_SHOWN = """
export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.srcdoc = model.get("page");
    frame.title = "segup explain";
    frame.style.cssText = `width:100%;height:${model.get("tall")}px;border:0`;
    const listen = (event) => {
      if (event.source !== frame.contentWindow || !event.data || typeof event.data.segup !== "string") return;
      model.set("link", event.data.segup);
      model.save_changes();
    };
    window.addEventListener("message", listen);
    el.append(frame);
    return () => window.removeEventListener("message", listen);
  },
};
"""


def link_to(operation: "Operation") -> str:
    """Return the address of a layer with its numbers.

    Raises:
        ShapeError: It has more numbers than an address holds, or is larger than what the page computes.
    """
    weights = biases = ""
    if isinstance(operation, WeightedOperation):
        weights = spelled_values(operation.weight)
        biases = "" if operation.bias is None else spelled_values(operation.bias)
    words = operation.words
    if getattr(operation, "padding_mode", "zeros") != "zeros":
        words += f" {operation.padding_mode}"  # type: ignore[attr-defined]
    if not getattr(operation, "count_include_pad", True):
        words += " nopad"
    if getattr(operation, "divisor_override", None):
        words += f" div{operation.divisor_override}"  # type: ignore[attr-defined]
    if words.startswith("carafe"):
        raise ShapeError("the kernels that CARAFE predicts are no part of an address.\n  try: its picture.")
    shape = tuple(operation.x.shape)
    if max(*shape, *operation.shape) > 64:
        raise ShapeError("the page computes sizes and channels up to 64.\n  try: a smaller input.")
    outputs = operation.shape[0] if weights else 0
    values = spelled_values(operation.x)
    return link_of(words, shape, out_channels=outputs, values=values, weights=weights, biases=biases)


def widget_of(operation: "Operation") -> Any:
    """Return the live page of a layer with its numbers as a widget; None without anywidget, or for too many numbers.

    Its ``link`` follows what the person does.
    """
    if find_spec("anywidget") is None:
        return None
    try:
        link = link_to(operation)
    except ShapeError:
        return None
    anywidget, traitlets = import_module("anywidget"), import_module("traitlets")
    members = {
        "_esm": _SHOWN,
        "page": traitlets.Unicode().tag(sync=True),
        "link": traitlets.Unicode().tag(sync=True),
        "tall": traitlets.Int(HEIGHT).tag(sync=True),
    }
    return type("LiveLayer", (anywidget.AnyWidget,), members)(page=live_page(link), link=link)
