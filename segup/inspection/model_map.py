"""A model as data for a page: every call's size as a function of the image's, and what it reads of the calls before."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from time import thread_time
from typing import Any

from torch import nn

from segup.errors import ShapeError
from segup.inspection.calls import IMAGE, SAME, Call, Reading
from segup.inspection.check import Findings, look_through
from segup.inspection.periodic import PeriodicMap
from segup.inspection.proof import CodePath, TraceProof, image_size
from segup.inspection.report import AxisReport, SizeReport
from segup.inspection.spread import spread
from segup.inspection.trace import ModelRun
from segup.inspection.traced import TracedSize, as_int, as_ints

MOST_SIZES = 130
"""Up to this size each axis is run where nothing is proved."""
_PATIENCE = 2.0  # seconds for them, and for the model's own runs
_FORMS = {"window": "w", "stamp": "t", "shuffle": "s", "resize": "r"}


@dataclass(frozen=True)
class ModelMap:
    """A model's sizes.

    Args:
        report: For which sizes the output has the image's size.
        data: What :func:`model_map` describes, of ints, strings, lists and dicts alone.
    """

    report: SizeReport
    data: Mapping[str, Any]


def model_map(model: nn.Module, in_channels: int | None = None, **how: Any) -> ModelMap:
    """Return how every map of a model follows from the image's size.

    Args:
        model: As :func:`segup.inspection.check_sizes` takes it.
        in_channels: Likewise.
        how: The other arguments of :func:`segup.inspection.check_sizes`.

    Returns:
        The report, and as data:

        - ``rows``: the calls, each ``[layer, function, words, channels]``;
        - ``laws``: functions of an image's size n, each ``[growth, f(0), f(1), …]``: f(n + period) = f(n) + growth;
          or ``{"at": [f(n) for n in sizes]}`` where nothing is proved;
        - ``reads``: what a call reads of a map, on one axis, as :class:`segup.inspection.calls.Reading`, shortened;
          an int in a list of one, ``[7]``, is a law's place;
        - ``axes``: of height and width ``sizes`` that were run (empty where all are known), ``start`` and ``period``
          with which the ``ways`` repeat, ``ways``: for n from 1 on (or for each of ``sizes``) the way that it takes
          through the calls, ``use``: for each row ``[law, [[source, read], …]]`` or None, in every way, or a list of
          such, ``which``: for every row 0, or the list of which of them each way takes; ``refused``: for each way None
          or ``[row, layer, message, size]`` of the run; and ``output``: the row of the output in each way.

    Raises:
        ConfigError: As :func:`segup.inspection.check_sizes`.
        ShapeError: The model accepts no square image.
    """
    found = look_through(model, in_channels, calls=True, patience=_PATIENCE, **how)
    if not found.runs:
        raise ShapeError(f"no square image was accepted, so there is nothing to draw.\n{found.report}")
    ways = [_Ways.of(found, axis) for axis in (0, 1)]
    rows = _merged([run for one in ways for run in one.runs])
    keys = {key: place for place, key in enumerate(rows)}
    laws, reads = _Table(), _Table()
    axes = [one.as_dict(axis, keys, laws, reads, found.output) for axis, one in enumerate(ways)]
    report = found.report
    data = {
        "model": report.model,
        "channels": report.in_channels,
        "other": report.other,
        "verdict": str(report),
        "proved": report.proved,
        "rows": [[one.layer, one.name.strip("_"), one.words, one.channels] for one in rows.values()],
        "laws": laws.values,
        "reads": reads.values,
        "axes": axes,
    }
    return ModelMap(report, data)


Key = tuple[str, str, int]
"""What tells the calls of one run apart: layer, function, and how often that came before."""


@dataclass(frozen=True)
class _Called:
    """A run with its calls by their keys, in order."""

    run: ModelRun
    calls: Mapping[Key, Call]

    @classmethod
    def of(cls, run: ModelRun) -> "_Called":
        count: dict[tuple[str, str], int] = {}
        calls: dict[Key, Call] = {}
        for call in run.calls:
            name = call.layer, call.name
            calls[*name, count.setdefault(name, 0)] = call
            count[name] += 1
        return cls(run, calls)


def _merged(runs: Iterable[_Called]) -> dict[Key, Call]:
    """Return the calls of all runs, each once, in an order in which each run has its own."""
    order: list[Key] = []
    merged: dict[Key, Call] = {}
    for run in runs:
        at = 0
        for key, call in run.calls.items():
            if key not in merged:
                merged[key] = call
                order.insert(at, key)
                at += 1
            else:
                at = max(at, order.index(key) + 1)
    return {key: merged[key] for key in order}


class _Table:
    """Values that occur more than once, each kept once."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, value: Callable[[], Any]) -> int:
        """Return where a value stands, which ``value`` makes where it is new."""
        if key not in self._places:
            self._places[key] = len(self.values)
            self.values.append(value())
        return self._places[key]


@dataclass(frozen=True)
class _Ways:
    """The ways through the calls that one axis decides.

    Args:
        runs: One run for each.
        way: Which of them the sizes 1, 2, 3, … take, or each of ``sizes``.
        sizes: Those that were run, where nothing is proved.
        start: The size from which on the ways repeat.
        period: With which they do.
    """

    runs: tuple[_Called, ...]
    way: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    start: int = 1
    period: int = 0

    @classmethod
    def of(cls, found: Findings, axis: int) -> "_Ways":
        """Return the ways of what was found."""
        proof = found.proofs[axis]
        if proof.found is None:
            return cls._that_were_run(found, axis)
        period = proof.found.sizes.period if proof.found.period is None else proof.found.period
        return cls._proved(found.runs[axis], proof, proof.settled - 1, max(1, period or 1))

    @classmethod
    def _proved(cls, runs: Mapping[int, ModelRun], proof: TraceProof, last: int, period: int) -> "_Ways":
        taken: dict[CodePath, int] = {}
        way = [taken.setdefault(_path(proof, size), len(taken)) for size in range(1, last + 1)]
        return cls(
            tuple(_Called.of(runs[proof.paths[path]]) for path in taken), tuple(way), (), last - period + 1, period
        )

    @classmethod
    def _that_were_run(cls, found: Findings, axis: int) -> "_Ways":
        report, base = found.report.axes[axis], found.report.other or 0
        runs: dict[int, ModelRun] = {}
        started = thread_time()
        for size in spread(MOST_SIZES):
            if thread_time() - started < _PATIENCE:
                run = found.subject.traced(image_size(axis, size, base))
                if _agrees(run, report, axis, size, found.output):
                    runs[size] = run
        runs.setdefault(base, found.runs[axis][base])
        sizes = tuple(sorted(runs))
        return cls(tuple(_Called.of(runs[size]) for size in sizes), tuple(range(len(sizes))), sizes)

    def as_dict(self, axis: int, keys: Mapping[Key, int], laws: _Table, reads: _Table, output: str) -> dict[str, Any]:
        """Return the ways as :func:`model_map` describes them."""
        columns: list[list[Any]] = []
        for run in self.runs:
            column: list[Any] = [None] * len(keys)
            own = [keys[key] for key in run.calls]
            for row, call in zip(own, run.calls.values(), strict=True):
                inputs = [
                    [IMAGE if source == IMAGE else own[source], _read_place(readings[axis], axis, laws, reads)]
                    for source, readings in call.inputs
                ]
                column[row] = [self._law(call.sizes[axis], axis, laws), inputs]
            columns.append(column)
        if self.sizes:
            self._tabled(columns, laws)
        use, which = [], []
        for cells in zip(*columns, strict=True):
            different = list({str(cell): cell for cell in cells}.values())
            use.append(different)
            which.append(0 if len(different) == 1 else [different.index(cell) for cell in cells])
        return {
            "sizes": list(self.sizes),
            "start": self.start,
            "period": self.period,
            "ways": list(self.way),
            "use": use,
            "which": which,
            "refused": [_refusal(run, keys) for run in self.runs],
            "output": [_output(run, keys, output) for run in self.runs],
        }

    def _law(self, dim: Any, axis: int, laws: _Table) -> Any:
        """Return the place of a size's law; the size itself, in a list, where only those that were run are known."""
        if dim is None:
            return None
        if self.sizes:
            return [as_int(dim)]
        extent = dim.extent if type(dim) is TracedSize else None
        single = extent.single() if extent is not None else None
        function = PeriodicMap.constant(as_int(dim)) if single is None or single[0] != axis else single[1]
        return laws.place(function, lambda: [function.growth, *function.values])

    def _tabled(self, columns: list[list[Any]], laws: _Table) -> None:
        """Put every row's sizes into one table."""
        for row in range(len(columns[0])):
            sizes = [column[row] and column[row][0] and column[row][0][0] for column in columns]
            place = laws.place(tuple(sizes), lambda sizes=sizes: {"at": sizes})  # type: ignore[misc]
            for column in columns:
                if column[row] is not None:
                    column[row][0] = None if column[row][0] is None else place


def _path(proof: TraceProof, size: int) -> CodePath:
    return next(way for way in proof.paths if way.at(size) is not None)


def _agrees(run: ModelRun, report: AxisReport, axis: int, size: int, output: str) -> bool:
    """Return whether a run on shapes alone came out as the model itself did, where that was run."""
    if size not in report.sizes or run.refusal is not None or size not in report.accepted:
        return size not in report.sizes or (run.refusal is None) == (size in report.accepted)
    shape = as_ints(run.outputs.get(output, ()))
    return len(shape) == 4 and (shape[axis - 2] == size) == bool(report.holds(size))


def _read_place(reading: Reading | None, axis: int, laws: _Table, reads: _Table) -> int | None:
    """Return where a reading stands; None where all rows are read, and −1 where each row reads its own."""
    if reading is None or reading == SAME:
        return None if reading is None else -1

    def value(one: Any) -> Any:
        if type(one) is not TracedSize:
            return one
        single = one.extent.single() if one.extent is not None else None
        if single is None or single[0] != axis:
            return one.value
        function: PeriodicMap = single[1]
        return [laws.place(function, lambda: [function.growth, *function.values])]

    entry = [_FORMS[reading.kind], *map(value, reading.values)]
    return reads.place(str(entry), lambda: entry)


def _refusal(called: _Called, keys: Mapping[Key, int]) -> list[Any] | None:
    refusal = called.run.refusal
    if refusal is None:
        return None
    last = next(reversed(list(called.calls)), None)
    row = keys[last] if last is not None and called.calls[last].refused else None
    return [row, refusal.layer, refusal.message, list(called.run.size)]


def _output(called: _Called, keys: Mapping[Key, int], output: str) -> int | None:
    maker = called.run.makers.get(output)
    return maker if maker is None or maker == IMAGE else keys[list(called.calls)[maker]]
