"""What a score is: each is declared once, and logs, tables, pictures and comparisons read it from its declaration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from segup.calls import annotated
from segup.conform import Name, Within
from segup.errors import ConfigError

Place = Literal["history", "progress", "run", "study"]
PLACES: tuple[Place, ...] = ("history", "progress", "run", "study")
"""Where scores are shown: ``metrics.csv`` and TensorBoard; the line of each epoch and the curves; the table of a run
and of ``segup evaluate``; the tables of studies and of ``segup compare``. ``result.json`` holds all of them."""

Share = Annotated[float, Within(-0.001, 1.001)] | None
"""A share as it is stored: 0 … 1 but for rounding, None where nothing was counted."""
_TAKEN = frozenset({"step", "epoch", "lr", "loss", "checkerboard", "parameters", "macs", "decoder", "seed", "state"})
_SIGNS = frozenset(":/,=")


@annotated
@dataclass(frozen=True)
class Score:
    """The declaration of one score.

    Args:
        name: Its key in results and logs, such as ``"boundary_recall"``.
        label: As tables and pictures call it.
        about: What it is, in one line.
        per_class: Whether it is a list with one number for each class, in place of one number. In the history and in
            the line of an epoch stands their mean.
        better: ``"higher"`` or ``"lower"``; None where neither is.
        share: Whether it lies between 0 and 1.
        shown: Where it is shown, of :data:`PLACES`; everywhere by default.

    Raises:
        ConfigError: A name that cannot be a key, or that the results use for something else.

    >>> Score("boundary_recall", "boundary recall", "share of the true boundary that is found", share=True).better
    'higher'
    """

    name: Name
    label: Name
    about: str = ""
    per_class: bool = False
    better: Literal["higher", "lower"] | None = "higher"
    share: bool = False
    shown: tuple[Place, ...] = PLACES

    def __post_init__(self) -> None:
        if self.name in _TAKEN or self.name.startswith("best_") or _SIGNS & set(self.name) or self.name.split() == []:
            raise ConfigError(
                f"a score cannot be called {self.name!r}: results use that name, or a sign in it, for something else\n"
                f"  try: letters and underscores, such as 'boundary_recall'"
            )

    @property
    def stored(self) -> Any:
        """The type of its values in a file, for :func:`segup.conform.conform`."""
        one = Share if self.share else float | None
        return list[one] if self.per_class else one  # type: ignore[valid-type]

    def one_number(self, scores: "dict[str, Any]") -> float:
        """Return its value, or the mean over the classes that have one.

        >>> Score("recall", "recall", per_class=True).one_number({"recall": [0.5, float("nan"), 1.0]})
        0.75
        """
        found = scores[self.name] if self.per_class else [scores[self.name]]
        known = [value for value in found if value is not None and value == value]
        return sum(known) / len(known) if known else float("nan")


MIOU = Score("miou", "mIoU", "mean over the classes that occur of intersection over union", share=True)
"""The score by which ``best.ckpt`` is chosen, and in which decoders are held against each other."""
OWN_SCORES = (
    MIOU,
    Score("pixel_accuracy", "pixel accuracy", "share of the pixels that are right", share=True,
          shown=("history", "run", "study")),
    Score("class_accuracy", "class accuracy", "mean over the classes of the share of their pixels that is right",
          share=True, shown=("history", "run")),
    Score("dice", "Dice", "mean over the classes that occur of the Dice coefficient", share=True,
          shown=("history", "run")),
    Score("boundary_iou", "Boundary IoU", "mean over the classes of the IoU of the bands along boundaries", share=True),
    Score("bf_score", "BF score", "mean over images of the F1 of boundaries", share=True),
    Score("iou", "IoU", "intersection over union of a class", per_class=True, share=True, shown=("run", "study")),
)  # fmt: skip
"""Those of :class:`segup.metrics.SegmentationMetrics`, which every run has. Tables are made of them without torch."""


def shown_in(place: Place, scores: Sequence[Score]) -> list[Score]:
    """Return the scores that are shown in a place, in their order."""
    return [score for score in scores if place in score.shown]
