"""``segup.sweep``: a study, as ``segup train -m`` makes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from segup.ablation.report import write_report
from segup.ablation.study import Study, read_study
from segup.api.train import composed_sweep, sweep_words
from segup.calls import annotated
from segup.cli.data_words import with_files
from segup.cli.study import run_study, trusted_by
from segup.errors import INTERRUPTED, ConfigError, DataError
from segup.imports import children_kept_off


@dataclass(frozen=True)
class Page(PathLike[str]):
    """A page that was written; a notebook shows it."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        text = escape(self.path.read_text(encoding="utf-8"))
        return f'<iframe srcdoc="{text}" style="width:100%;height:40em;border:0"></iframe>'


@dataclass(frozen=True, repr=False)
class SweptStudy(Study):
    """A study that was trained, and its report. The parts from outside segup that its call named are trusted."""

    trusted: tuple[str, ...] = ()

    def report(
        self,
        baseline: str | None = None,
        overwrite: bool = False,
        trust: Sequence[str] | None = None,
        **criterion: Any,
    ) -> Page:
        """Write the report as ``segup report`` does, and return its page.

        Args:
            baseline: The decoder that the others are held against, ``"all"`` for all pairs; None is the study's own.
            overwrite: Whether to replace files that no report wrote.
            trust: Modules of parts from outside segup, which pictures need; None are those that the call named.
            **criterion: ``metric``, ``margin`` and ``level``: what is decided.

        Raises:
            DataError: A file cannot be written.
            ConfigError: The study has no such baseline or score, or a file is in the way.
        """
        return Page(write_report(self.path, baseline, self.trusted if trust is None else trust, overwrite, **criterion))

    def __repr__(self) -> str:
        finished = sum(member.state == "finished" for member in self.members)
        return f"Study({str(self.path)!r}, {finished} of {len(self.members)} runs finished)"


@annotated
def sweep(data: str | Path | Mapping[str, Any] | None = None, /, *words: str, **values: Any) -> SweptStudy:
    """Train a study as ``segup train -m`` does, and return it.

    Args:
        data: As for :func:`segup.train`.
        *words: Overrides as they are typed: ``"decoder=deconv,bilinear"``.
        **values: The same by key. A list, tuple or range has one run for each of its values:
            ``decoder=["deconv", "bilinear"], seed=range(3)``. Inside a dictionary it is one value.

    The study's folder is ``ablations/<name>`` in the current folder. The same call continues it: finished runs are
    kept. Runs are trained in processes of their own, ``ablation={"at_once": 2}`` two at a time.

    Raises:
        SegupError: What the command refuses; a DataError where no run finished.

    >>> sweep("cells", decoder=["deconv", "bilinaer"])
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: decoder=bilinaer: unknown decoder option 'bilinaer': did you mean 'bilinear'? known: ...
    """
    given = with_files(sweep_words(data, words, values))
    asked = composed_sweep(["-m", *given], "segup train")
    if asked is None:
        raise ConfigError("hydra.sweeper is for the command line.\n  try: segup train -m with the same words")
    with children_kept_off():
        code = run_study(asked)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    study = read_study(asked.path)
    if not study.finished():
        raise DataError(_none_finished(study))
    return SweptStudy(study.path, study.settings, study.members, trusted=tuple(trusted_by(asked.asked)))


def _none_finished(study: Study) -> str:
    causes = [f"{member.name}: {member.cause or member.state}" for member in study.members]
    return "\n  ".join([f"{study.path}: none of {len(causes)} runs finished:", *causes[:3]])
