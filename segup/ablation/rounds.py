"""Seeds in rounds: a study that goes on until its differences are decided, where they are not."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from segup.ablation.comparison import compare_study
from segup.ablation.plan import RunSpec
from segup.ablation.study import Study, read_study
from segup.errors import ConfigError
from segup.statistics import Decision, looks_at

DECIDED = "decided"
_OPEN = "It has not come to its last look."


def looks_asked(asked: Sequence[RunSpec], baseline: str, most: int, known: Sequence[str] = ()) -> tuple[int, ...]:
    """Return after how many seeds a study is looked at that begins with these runs.

    Args:
        asked: The runs, as they were typed.
        baseline: The label that the others are held against.
        most: Seeds at the last look.
        known: The labels that the study has already: each look waits for all of them.

    Raises:
        ConfigError: The runs cannot be continued with further seeds.
    """
    seeds = list(dict.fromkeys(run.seed for run in asked))
    if most < len(seeds):
        raise ConfigError(
            f"ablation.max_seeds={most}, but the sweep asks for {len(seeds)} seeds.\n"
            f"  try: ablation.max_seeds={len(seeds)}"
        )
    labels = list(dict.fromkeys(run.label for run in asked))
    if baseline not in labels:
        raise ConfigError(
            f"ablation.until=decided adds seeds to the baseline, and '{baseline}' is not among the decoders.\n"
            f"  try: name it, too; or ablation.baseline={labels[0]}"
        )
    if left_out := [label for label in dict.fromkeys(known) if label not in labels]:
        raise ConfigError(
            f"ablation.until=decided goes on with all decoders of the study, and '{left_out[0]}' is not among those "
            f"named.\n  try: name it, too; or ablation.name=another_name for a study of its own"
        )
    if len(labels) == 1:
        raise ConfigError(
            "ablation.until=decided has one decoder, and nothing to decide.\n  try: decoder=deconv,bilinear"
        )
    for label in labels:
        first, *others = [{**run.config, "seed": None} for run in asked if run.label == label]
        if any(other != first for other in others):
            raise ConfigError(
                f"ablation.until=decided goes on with further seeds, and a setting of '{label}' follows the seed.\n"
                f"  try: ablation.until=null"
            )
        if (first.get("data") or {}).get("fold") is not None:
            raise ConfigError(
                "ablation.until=decided takes each seed's own fold, and data.fold is given.\n  try: data.fold=null"
            )
    return looks_at(len(seeds), most)


def next_round(path: Path, asked: Sequence[RunSpec], max_hours: float | None, *, retry: bool = False) -> list[RunSpec]:
    """Return the runs that the next look at a study needs: those of the baseline and of what is not decided.

    They follow from the runs that are there, so a study that was killed goes on to the same decision.

    Args:
        path: The study's folder.
        asked: The runs with which it began: each decoder's configuration.
        max_hours: No round begins after so many hours of training, all runs together.
        retry: Whether runs that failed are asked for again first; else their decoders get no further seeds.

    Returns:
        Further runs, and those that were asked for and have not ended; none where the study ends.
    """
    study = read_study(path)
    baseline, looks = str(study.settings["baseline"]), list(study.settings["looks"])
    found = compare_study(study)
    decision = None if found is None else found.decision
    done = 0 if decision is None else len(decision.looks)
    spent = sum(member.wall_seconds or 0.0 for member in study.members)
    if done == len(looks) or (max_hours is not None and spent >= max_hours * 3600):
        return []
    labels = _open(decision, baseline, [run.label for run in asked])
    failed, templates = study.failed(), {run.label: run for run in reversed(asked)}
    if retry and failed:
        return [_with_seed(templates[label], block.seed) for label, blocks in failed.items() for block in blocks]
    if not labels or baseline in failed:
        return []
    seeds = seeds_of(study, looks[done])
    finished = {(member.label, member.seed) for member in study.members if member.run is not None}
    return [
        _with_seed(templates[label], seed)
        for seed in seeds
        for label in (baseline, *labels)
        if label not in failed and (label, seed) not in finished
    ]


def rounds(path: Path, asked: Sequence[RunSpec], max_hours: float | None) -> Iterator[list[RunSpec]]:
    """Yield the runs of each round, to be trained before the next one is asked for; see :func:`next_round`.

    It ends where the study does, and where a round's runs did not end.
    """
    before: list[RunSpec] = []
    runs = next_round(path, asked, max_hours, retry=True)
    while runs and runs != before:
        yield runs
        before, runs = runs, next_round(path, asked, max_hours)


def seeds_of(study: Study, count: int) -> list[int]:
    """Return the first seeds of a study in the order of its looks: those it has, then the numbers above them."""
    seeds = list(dict.fromkeys(member.seed for member in study.members))
    return [*seeds, *range(max(seeds) + 1, max(seeds) + 1 + count)][:count]


def ending(study: Study) -> str:
    """Return why a study of looks ended by its own question, in words, or that it has not."""
    found = compare_study(study)
    if found is None:
        return _OPEN
    decision = found.decision
    if all(one.verdict != "undecided" for one in decision.differences):
        return "It ended when all was decided."
    if len(decision.looks) == len(study.settings["looks"]):
        return f"It ended at the most seeds ({decision.looks[-1].blocks})."
    return _OPEN


def _open(decision: Decision | None, baseline: str, labels: Sequence[str]) -> list[str]:
    """Return the labels that are not decided against the baseline."""
    others = [label for label in dict.fromkeys(labels) if label != baseline]
    if decision is None:
        return others
    verdicts = {one.arm: one.verdict for one in decision.differences}
    return [label for label in others if verdicts.get(label, "undecided") == "undecided"]


def _with_seed(run: RunSpec, seed: int) -> RunSpec:
    return replace(run, seed=seed, config={**run.config, "seed": seed})
