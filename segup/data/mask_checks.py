"""Masks checked before they cost anything: a sample at once, all of them beside the first epoch."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from segup.data.drawn import MaskSource
from segup.data.files import unusable
from segup.data.mask_codes import MaskCode
from segup.data.mask_files import MaskPixels, mask_pixels
from segup.data.masks import decode_mask, mask_ids, mask_values
from segup.data.samples import Samples
from segup.errors import DataError

SAMPLE = 16


class MaskCheck:
    """Reads the masks of splits, and the images whose values may not fit, and collects what is wrong with each.

    Palettes whose indices are class ids have to give an index the same colour in every file; otherwise some tool chose
    the indices anew for each, and they mean nothing.

    Args:
        splits: Samples by the name of their split.
        code: What the masks' values mean.
    """

    def __init__(self, splits: Mapping[str, Samples], code: MaskCode) -> None:
        self._splits, self._code = splits, code
        self._colors: dict[int, tuple[int, MaskSource]] = {}
        self._stop = threading.Event()
        self._faults: list[str] = []
        self._thread: threading.Thread | None = None
        self._defect: BaseException | None = None

    def check_sample(self) -> None:
        """Check a few masks of each split, evenly spaced.

        Raises:
            DataError: Naming each file that is wrong, with its values.
        """
        for samples in self._splits.values():
            for number in np.unique(np.linspace(0, len(samples) - 1, min(SAMPLE, len(samples))).astype(int)).tolist():
                self._check(samples, number)
        self.report()

    def start(self, rank: int = 0, processes: int = 1) -> None:
        """Begin to check all masks in a thread; of several processes each checks its share."""
        work = ((samples, number) for samples in self._splits.values() for number in range(len(samples)))
        mine = islice(work, rank, None, processes)
        self._thread = threading.Thread(target=self._run, args=(mine,), name="masks", daemon=True)
        self._thread.start()

    def passed(self) -> None:
        """Check nothing more: all of this was checked before."""
        self._splits = {}

    @property
    def started(self) -> bool:
        """Whether the thread was begun."""
        return self._thread is not None

    def report(self) -> None:
        """Raise a DataError for what was found so far."""
        if self._defect is not None:
            raise self._defect
        faults = list(self._faults)
        if faults:
            raise unusable(faults)

    def wait(self) -> None:
        """Wait until all masks are checked, and report."""
        if self._thread is not None:
            self._thread.join()
        self.report()

    def close(self) -> None:
        """End the thread after the file that it reads."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, work: Iterable[tuple[Samples, int]]) -> None:
        try:
            for samples, number in work:
                if self._stop.is_set():
                    return
                self._check(samples, number)
        except BaseException as defect:  # handed over to the thread that asks
            self._defect = defect

    def _check(self, samples: Samples, number: int) -> None:
        path = samples.pairs[number].mask
        try:
            if path is not None:
                mask = mask_pixels(path)
                mask_ids(mask, self._code, path)
                self._check_palette(mask, path)
            samples.check_image(number)
        except DataError as fault:
            if str(fault) not in self._faults:
                self._faults.append(str(fault))

    def _check_palette(self, mask: MaskPixels, path: MaskSource) -> None:
        if mask.palette is None or self._code.colors_decide or self._code.numbers_given or not mask.ordered:
            return
        used = np.unique(mask.values)
        colors = MaskCode.packed(mask.palette[used])
        for index, color in zip(used.tolist(), colors.tolist(), strict=True):
            known, first = self._colors.setdefault(index, (color, path))
            if known != color and index != self._code.labels.ignore_index:
                raise DataError(
                    f"{path}: the colours and the class ids of its palette disagree: index {index} is #{color:06x}, "
                    f"and #{known:06x} in {first}. If colours decide, give those of the classes in data.colors. If "
                    f"indices decide, set data.colors=null {mask_values(self._code.ids)}"
                )


def check_foreground(paths: Iterable[MaskSource], code: MaskCode) -> None:
    """Raise a DataError when masks of two classes hold 0 and 255 alone, and 255 is the ignore_index.

    Such masks are black and white; without this check every white pixel would silently be left out. Reads masks until
    one holds the second class, which is mostly the first.
    """
    labels = code.labels
    if labels.num_classes != 2 or labels.ignore_index != 255 or code.values:
        return
    white: MaskSource | None = None
    for path in paths:
        ids = decode_mask(path, code)
        if np.any(ids == 1):
            return
        white = path if white is None and np.any(ids == 255) else white
    if white is not None:
        raise DataError(
            f"{white}: no mask holds class 1 ('{labels.names[1]}'), but 255, which is the ignore_index; "
            f"if 255 means '{labels.names[1]}', set data.ignore_index=-1 'data.mask_values={{0:0,255:1}}'"
        )


def check_labelled(paths: Sequence[MaskSource], code: MaskCode) -> None:
    """Raise a DataError when there are masks and each is the ignore_index throughout: nothing could be learnt.

    Reads masks until one holds a class, which is mostly the first.
    """
    ignored = code.labels.ignore_index
    if paths and not any(np.any(decode_mask(path, code) != ignored) for path in paths):
        raise DataError(
            f"{paths[-1]}: no mask of {len(paths)} holds a class: every pixel is {ignored}, the ignore_index.\n"
            f"  try: data.mask_values={{VALUE:CLASS,...}}, what the values in the files mean, or data.ignore_index=-1 "
            f"where {ignored} is a class."
        )
