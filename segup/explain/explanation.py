"""A layer explained: its output, what goes into each entry, and its pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from segup.calls import annotated
from segup.errors import ConfigError, DataError, ShapeError, unknown
from segup.explain.amount import check_amount
from segup.explain.check import check_module, checked
from segup.explain.language import read_words
from segup.explain.modules import operation_of, operations_of, weight_shape
from segup.explain.numbers import Array, written
from segup.explain.operation import Entry, Operation, WeightedOperation
from segup.explain.phrases import size_said
from segup.explain.steps import VIEWS, steps
from segup.explain.values import numbers

if TYPE_CHECKING:
    from segup.explain.drawing.story import Story

OVERLAP = "overlap"
LARGEST_INT64 = 2.0**62
LARGEST_CELL = 200_000
"""Of a notebook's cell, in bytes: a longer picture is left to :meth:`Explanation.save`."""


class Explanation:
    """What :func:`explain` returns.

    Attributes:
        operations: The layer with its numbers, once for each image.
        output: What the layer makes of the input, computed from the definition: of the input's dimensions, and of a
            module's or the input's type (whole numbers where words are given whole ones).
        words: The layer in the layer language.
        views: The names of the views that can be drawn, the one shown first leading.
    """

    @annotated
    def __init__(self, operations: Sequence[Operation], dimensions: int = 4, dtype: torch.dtype | None = None) -> None:
        if not operations:
            raise ConfigError("an explanation is of one image or more.\n  try: segup.explain.explain")
        self.operations = tuple(operations)
        self.words = operations[0].words
        self.views = (*operations[0].ways, OVERLAP)
        self._dimensions, self._dtype = dimensions, dtype or torch.get_default_dtype()
        for operation in operations:
            check_amount(operation)
        self.output = self.result(operations[0].ways[0])

    @property
    def formulas(self) -> tuple[str, str]:
        """The size formula of height and of width with the numbers put in."""
        return self.operations[0].formulas()

    @property
    def rules(self) -> tuple[str, str]:
        """The size formula of height and of width in symbols."""
        return self.operations[0].rules()

    def contributions(self, row: int, column: int, *, channel: int = 0, image: int = 0) -> Entry:
        """Return what goes into one output entry: a sequence of terms, whose ``str`` is the equation.

        Args:
            row, column: Of the entry, counted from 0.
            channel: Its channel.
            image: Its image in the batch.

        Raises:
            ShapeError: There is no such entry.
        """
        if not 0 <= image < len(self.operations):
            raise ShapeError(f"there are images 0 … {len(self.operations) - 1}, not {image}.")
        return self.operations[image].entry(channel, row, column)

    def result(self, view: str) -> Tensor:
        """Return the output as one view computes it, after comparing it with torch's.

        Raises:
            ConfigError: The layer has no such view.
        """
        known = self.operations[0].ways
        if view not in known:
            raise ConfigError(unknown("view that computes the output", view, known))
        return self._tensor([checked(operation, view) for operation in self.operations])

    @property
    def overlap(self) -> Tensor:
        """How many inputs go into each output position, ``(H, W)``."""
        return torch.from_numpy(self.operations[0].counts())

    @property
    def unread(self) -> tuple[list[int], list[int]]:
        """The rows and the columns of the input that go into no output."""
        return self.operations[0].unread()

    @property
    def parameters(self) -> int:
        """The number of weights and biases of the layer; none where it learns nothing."""
        operation = self.operations[0]
        if not isinstance(operation, WeightedOperation):
            return 0
        return int(operation.weight.size + (0 if operation.bias is None else operation.bias.size))

    def story(
        self,
        view: str | None = None,
        *,
        at: tuple[int, int] | None = None,
        channel: int = 0,
        animated: bool = False,
    ) -> "Story":
        """Return the pictures of one view as plain data: its steps, and the still that stands for all of them.

        Every view of the layer is computed for it and compared with torch.
        """
        from segup.explain.views import story

        chosen = self.views[0] if view is None else view
        if chosen not in self.views:
            raise ConfigError(unknown("view", chosen, self.views))
        found = story(self.operations[0], chosen, at, channel, animated)
        for way in self.operations[0].ways:
            checked(self.operations[0], way)
        return found

    def save(
        self,
        path: str | Path,
        view: str | None = None,
        *,
        at: tuple[int, int] | None = None,
        channel: int = 0,
        replace: bool = True,
    ) -> Path:
        """Write a picture and return its path.

        Args:
            path: Ends in .svg or .png for a still, .gif for an animation, .html for a page with every view and a
                slider over its steps.
            view: One of ``views``; by default the first, and in a page all of them.
            at: (row, column) of the output entry to point out; by default one into which much goes.
            channel: The output channel that is shown.
            replace: Whether a file that is there may be replaced.

        Raises:
            ConfigError: Another ending, no such view, or a file that is not to be replaced.
            ShapeError: The picture would be too large to read; or there is no such entry.
        """
        from segup.explain.drawing.files import ANIMATIONS, ending, save

        target = Path(path)
        kind = ending(target)
        if kind == ".html" and view is None:
            stories, left_out = self._stories(at, channel)
            return save(target, stories, left_out, replace, finished=at is not None)
        stories = [self.story(view, at=at, channel=channel, animated=kind in ANIMATIONS)]
        return save(target, stories, replace=replace, finished=at is not None)

    def _stories(self, at: tuple[int, int] | None = None, channel: int = 0) -> "tuple[list[Story], list[str]]":
        """Return every view that can be read as an animation, and why others cannot; an error where none can."""
        stories, reasons = [], []
        for name in self.views:
            try:
                stories.append(self.story(name, at=at, channel=channel, animated=True))
            except ShapeError as reason:
                reasons.append(reason)
        if not stories:
            raise reasons[0]
        return stories, [" ".join(str(reason).split()) for reason in reasons]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """Return what a notebook shows: the live page's widget where anywidget is installed, else the still."""
        from segup.explain.live.widget import widget_of

        plain = {"text/plain": str(self)}
        shown = widget_of(self.operations[0])
        if shown is None:
            return {**plain, "text/html": self._still()}
        made = shown._repr_mimebundle_()
        return {**(made[0] if isinstance(made, tuple) else made or {}), **plain}

    def _still(self) -> str:
        """Return the picture as a notebook's cell holds it, or the words of what is too large for one."""
        from html import escape

        try:
            drawn = self.picture()
        except ShapeError as reason:
            return f"<pre>{escape(str(self))}\n\n{escape(str(reason))}</pre>"
        return drawn if len(drawn.encode()) <= LARGEST_CELL else f"<pre>{escape(str(self))}</pre>"

    def picture(self) -> str:
        """Return the first view's still as SVG.

        Raises:
            ShapeError: It would be too large to read.
        """
        from segup.explain.drawing.files import svg_text

        return svg_text(self.story())

    def __str__(self) -> str:
        operation = self.operations[0]
        told = [f"  {place}. {line}" for place, line in enumerate(steps(operation, operation.ways[0]), 1)]
        _, rows, columns = operation.shape
        lines = [f"{self.words} on {_by(operation.x.shape)} → {_by(operation.shape)}"]
        lines += [*(f"{title}: {text}" for title, text in size_said(operation)), *told]
        if rows * columns <= 400:
            lines += ["", table(checked(operation, operation.ways[0])[0])]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Explanation of '{self.words}': {' × '.join(map(str, self.output.shape))}>"

    def _tensor(self, images: Sequence[Array]) -> Tensor:
        held = np.float64 if self._dtype.is_floating_point else np.int64
        stacked = torch.from_numpy(np.stack([image.astype(held) for image in images])).to(self._dtype)
        while stacked.dim() > self._dimensions:
            stacked = stacked[0]
        return stacked


def explain(
    layer: nn.Module | str,
    x: Tensor,
    output_size: Sequence[int] | None = None,
    *,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Explanation:
    """Explain one layer with a person's own numbers.

    Every figure is computed from the operation's definition; torch only checks it.

    Args:
        layer: A Conv2d, ConvTranspose2d, MaxPool2d, AvgPool2d, Upsample, PixelShuffle or CARAFE module; or a layer's
            words, such as ``"deconv k4 s2 p1"``.
        x: ``(N, C, h, w)``, ``(C, h, w)``, or ``(h, w)`` for one channel; whole numbers stay exact.
        output_size: (height, width) that a transposed convolution is to reach, as torch's.
        weight: With words: of torch's shape, or ``(kh, kw)`` for one channel; 1, 2, 3, … by default. Of carafe
            the logits of its kernels, ``(groups·k², scale·h, scale·w)``; random by default.
        bias: With words: ``(Co,)``; none by default.

    Raises:
        ShapeError: A parameter, ``x`` or ``output_size`` breaks a rule; the message says what works.
        ConfigError: A module that is not one of these, or that does something else than its class in torch with its
            parameters: a subclass with a forward of its own, hooks, a weight of another size. What is explained is
            compared with ``layer(x)``, of a copy in evaluation mode.
        DataError: Values that are no finite real numbers.

    Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285.

    >>> e = explain("deconv k4 s2 p1", torch.ones(4, 4))
    >>> e.output[0].tolist()
    [6.0, 12.0, 14.0, 12.0, 14.0, 12.0, 14.0, 7.0]
    >>> print(e.contributions(0, 1))
    y[0,1] = x[0,0]·w[1,2] + x[0,1]·w[1,0] = 1·7 + 1·5 = 12
    """
    values = _real_tensor(x, "x")
    if values.dim() not in (2, 3, 4) or 0 in values.shape:
        raise ShapeError(
            f"x must be (N, C, h, w), (C, h, w) or (h, w), with none of them 0, not {tuple(values.shape)}."
        )
    dimensions = values.dim()
    batch = values[(None,) * (4 - dimensions)]
    reach = _pair(output_size)
    if isinstance(layer, str):
        return _explain_words(layer, batch, reach, weight, bias, dimensions)
    if not isinstance(layer, nn.Module):
        raise ConfigError(
            f"explain takes a layer's words or a module, not {layer!r}.\n"
            f'  try: "conv k3 s2 p1", or torch.nn.Conv2d(1, 1, 3, stride=2, padding=1).'
        )
    if weight is not None or bias is not None:
        raise ConfigError("a module has its own weight and bias: weight= and bias= go with a layer's words.")
    for name, parameter in layer.named_parameters():
        if is_lazy(parameter):
            raise ConfigError(
                f"{name} of {type(layer).__name__} is made by the first forward.\n  try: layer(x) before."
            )
        _real_tensor(parameter, name)
    held = next((p.dtype for p in layer.parameters()), None)
    if held is not None:
        batch = batch.to(held)
    elif not batch.is_floating_point():
        batch = batch.to(torch.get_default_dtype())
    made = operations_of(layer, batch, reach)
    check_module(layer, batch, reach, made)
    return Explanation(made, _kept(dimensions, made), batch.dtype)


def _explain_words(
    text: str, batch: Tensor, reach: tuple[int, int] | None, weight: Tensor | None, bias: Tensor | None, dimensions: int
) -> Explanation:
    words = read_words(text)
    channels, size = int(batch.shape[1]), (int(batch.shape[2]), int(batch.shape[3]))
    kernel = None if weight is None else _real_tensor(weight, "weight").detach().cpu().numpy()
    groups = words.given.get("groups", 1)
    if kernel is not None and kernel.ndim < 2:
        raise ShapeError(f"weight must have two dimensions at least, (kh, kw), not the shape {kernel.shape}.")
    if kernel is None or kernel.ndim == 2:
        out_channels = groups
    else:
        out_channels = kernel.shape[0] if words.kind == "conv" else kernel.shape[1] * groups
    shape = weight_shape(words, channels, out_channels, size)
    if shape is not None:
        if kernel is None:
            # A softmax over 1, 2, 3, … is all but one weight; logits near 0 show what a reassembly does.
            drawn = ("random", "weight", shape, 1, -2, 2) if words.kind == "carafe" else ("arange", "weight", shape)
            kernel = numbers(*drawn)
        elif kernel.ndim == 2 and shape[:2] == (1, 1):
            kernel = kernel[None, None]
        if kernel.shape != shape:
            raise ShapeError(f"weight must have the shape {shape} for '{text}' here, not {kernel.shape}.")
    offset = None if bias is None else _real_tensor(bias, "bias").detach().cpu().numpy()
    if offset is not None and (shape is None or words.kind == "carafe"):
        raise ShapeError(f"'{text}' has no bias.")
    if offset is not None and offset.shape != (out_channels,):
        raise ShapeError(f"bias must have the shape {(out_channels,)}, not {offset.shape}.")
    images = (batch.float() if batch.dtype == torch.bfloat16 else batch).detach().cpu().numpy()
    made = [operation_of(words, image, kernel, offset, reach) for image in images]
    return Explanation(made, _kept(dimensions, made), _words_dtype(batch, made))


def _real_tensor(values: object, name: str) -> Tensor:
    """Return a tensor of real numbers that are in memory, one beside the other."""
    try:
        made = torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError):
        raise DataError(f"{name} must be a tensor or nested lists of numbers, not {values!r}.") from None
    if made.is_complex():
        raise DataError(
            f"{name} must be real numbers, not {made.dtype}.\n  try: {name}.real and {name}.imag by themselves."
        )
    if made.is_meta:
        raise DataError(f"{name} is on the meta device, where there are no numbers.\n  try: one on the cpu.")
    return made if made.layout is torch.strided else made.to_dense()


def _words_dtype(batch: Tensor, made: Sequence[Operation]) -> torch.dtype:
    """Return the output's type: whole numbers of a whole image stay whole."""
    if batch.is_floating_point():
        return batch.dtype
    if all(operation.whole() and operation.largest() < LARGEST_INT64 for operation in made):
        return torch.int64
    return torch.get_default_dtype()


def _kept(dimensions: int, made: Sequence[Operation]) -> int:
    """Return the dimensions of the output: two stay two where there is one channel."""
    return 3 if dimensions == 2 and made[0].shape[0] > 1 else dimensions


def _pair(output_size: Sequence[int] | None) -> tuple[int, int] | None:
    if output_size is None:
        return None
    sizes: tuple[Any, ...] = (output_size, output_size)
    if isinstance(output_size, Sequence):
        sizes = tuple(output_size)[-2:]
    if len(sizes) != 2 or not all(isinstance(size, int) for size in sizes):
        raise ShapeError(f"output_size must be (height, width), not {output_size!r}.")
    return int(sizes[0]), int(sizes[1])


def table(values: Array) -> str:
    """Return one channel ``(H, W)`` as aligned rows.

    >>> print(table(np.array([[10, 1], [3, 400]])))
     10   1
      3 400
    """
    cells = [[written(value) for value in row] for row in values]
    width = max(len(cell) for row in cells for cell in row)
    return "\n".join(" ".join(cell.rjust(width) for cell in row) for row in cells)


def _by(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


__all__ = ["VIEWS", "Explanation", "explain", "table"]
