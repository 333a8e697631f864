"""Where a checkpoint stands, and what a resumed run may change."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

from segup.checkpoints import find_checkpoint, read_checkpoint
from segup.conform import Within, conform
from segup.errors import ConfigError, DataError
from segup.metrics.scores import MIOU
from segup.names import check_trust
from segup.training.config import MEANT, PLACE, DataConfig, Seed, in_fold

Done = Annotated[int, Within(0, 10**12)]
_FREE = PLACE | {f"trainer.{key}" for key in ("devices", "num_nodes", "strategy", "precision", "deterministic")}
"""Where a run goes on, which it may do elsewhere; all else is its recipe."""
_UNUSED = (("optimizer", "fused"), ("loss", "ignore_index"), ("loss", "num_classes"), ("scheduler", "steps"))
"""What earlier versions stored though it had no effect."""
_LENGTH = frozenset({"trainer.max_epochs", "trainer.max_steps"})
_LAID_OUT = ("total_steps", "T_max", "total_iters")
"""What torch's schedules call their steps: a checkpoint of an earlier version says them there alone."""


_group: Any = TypedDict  # made of other groups, in the order in which the file has them
_Batches = _group("_Batches", {"is_last_batch": bool, "current": _group("_Current", {"processed": Done})})
_Scores = _group("_Scores", {"step": Done}) | None
_Kept = _group("_Kept", {"best_scores": _Scores, "last_scores": _Scores})
_State = _group("_State", {
    "epoch": Done,
    "global_step": Done,
    "loops": _group("_Loops", {"fit_loop": _group("_Fit", {"epoch_loop.batch_progress": _Batches})}),
    "callbacks": _group("_Callbacks", {"RunCheckpoints": _Kept}),
    "optimizer_states": list[dict[str, Any]],
    "lr_schedulers": list[dict[str, Any]],
})  # fmt: skip


@dataclass(frozen=True)
class Position:
    """Where a run goes on.

    Args:
        epoch, batch: The next batch: its epoch, and its place in the epoch.
        step: Optimizer steps already done.
        best: Whether these are the best weights so far.
        image_range: What the run takes for 0 and 1 in images; None for a run that begins.
        least: Steps, and samples, that an epoch has at least; None for a run that begins.
        weights: Name and sum of the file that the encoder began with; None for none, and for a run that begins.
        rate: What a range test found; None where none was made.
        precision: In what it was trained until here; None where an earlier version did not say.
        steps: Those over which its schedule is laid out; None for a run that begins, and where none is known.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: bool = False
    image_range: Any = None
    least: tuple[int, int] | None = None
    weights: Any = None
    rate: float | None = None
    precision: str | None = None
    steps: int | None = None


def read_position(path: str | Path) -> Position:
    """Return where the checkpoint's run goes on.

    Raises:
        DataError: No segup checkpoint of a training run.
    """
    content = read_checkpoint(path)
    if "loops" not in content:
        raise ConfigError(f"{path} holds a model without its training state: it can be evaluated, not continued")
    own = content["segup"]
    try:
        state = conform(_State, content)
        kept = state["callbacks"]["RunCheckpoints"]
        for scores in filter(None, (kept["best_scores"], kept["last_scores"])):
            conform(float, scores.get(MIOU.name), MIOU.name)  # by which the next one is judged
        rate: float | None = conform(Annotated[float, Within(above=0)] | None, own.get("rate"), "rate")
        precision: str | None = conform(str | None, own.get("precision"), "precision")
        kind = str(_get(own, "config.scheduler.name"))
        segups = state["lr_schedulers"] if ":" not in kind else ()  # what others mean by these words is theirs
        of_torch = [held[key] for held in segups for key in _LAID_OUT if key in held]
        steps: int | None = conform(Done | None, own.get("steps", next(iter(of_torch), None)), "steps")
        # Earlier versions knew no least steps, and 120 samples.
        least_steps: int = conform(Annotated[int, Within(0, 10**6)], own.get("least_steps", 0), "least_steps")
        least_samples: int = conform(Annotated[int, Within(0, 10**9)], own.get("least_samples", 120), "least_samples")
    except ConfigError as cause:
        raise DataError(f"{path}: its training state is not one that segup wrote ({cause})") from cause
    batches, step = state["loops"]["fit_loop"]["epoch_loop.batch_progress"], state["global_step"]
    finished, scored = batches["is_last_batch"], kept["best_scores"]
    best = scored is not None and scored["step"] == step
    processed = 0 if finished else batches["current"]["processed"]
    image_range = own.get("image_range", "dtype")  # of earlier versions, which went by the files
    return Position(
        state["epoch"] + finished,
        processed,
        step,
        best,
        image_range,
        (least_steps, least_samples),
        own.get("weights"),
        rate,
        precision,
        steps,
    )


def resumed_config(path: str | Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of the checkpoint's run with what may change taken from ``given``.

    Args:
        path: The checkpoint, or a run folder, which stands for its last one.
        given: What was typed on the command line, as dotted keys; all else comes from the run.

    Raises:
        ConfigError: Something given would make another run of it; the message shows the difference.
        DataError: No segup checkpoint.
    """
    path = find_checkpoint(path) if isinstance(path, str | Path) and Path(path).is_dir() else path
    content = read_checkpoint(path)
    stored = content["segup"].get("config")
    if not isinstance(stored, dict):
        raise ConfigError(f"{path} holds a model without its run's configuration: it can be evaluated, not continued")
    config = {**deepcopy(stored), "run_dir": None}  # its own folder, wherever that lies now
    if (config.get("loss") or {}).get("name") == "ce_dice":
        config["loss"].setdefault("balance", 0.0)  # earlier versions had none
    for group, key in _UNUSED:
        if isinstance(config.get(group), dict):
            config[group].pop(key, None)
    named = {**config, "data": {"name": (config.get("data") or {}).get("name")}}  # a class may be called "a: b"
    check_trust(named, given.get("trust") or [], str(path))
    for key, value in _with_fold(given, config).items():
        before = _get(config, key)
        if key in _LENGTH and before != value and config["scheduler"].get("name") != "constant":
            was, now = ("null" if one is None else one for one in (before, value))
            raise ConfigError(
                f"{key} was {was} in the run of {path}, and its schedule '{config['scheduler'].get('name')}' is laid "
                f"out over them: it cannot become {now}.\n"
                f"  try: leave out ckpt_path to begin anew with {key}={now}."
            )
        if key in _FREE | _LENGTH:
            _set(config, key, value)
        elif _meant(key, before) != _meant(key, value):
            raise ConfigError(
                f"{key} was {before!r} in the run of {path} and is now {value!r}: that would be another run.\n"
                f"  try: leave it out to continue, or leave out ckpt_path to begin anew."
            )
    config["ckpt_path"] = str(path)
    return config


def _with_fold(given: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was given with the fold that the run's seed chooses where it leaves the fold open."""
    if given.get("data.fold", 0) is not None:
        return given
    folds = given.get("data.folds", _get(config, "data.folds"))
    conform(DataConfig, {"folds": folds}, "data")
    fold = in_fold({"folds": folds}, conform(Seed, config.get("seed", 0), "seed")).get("fold")
    return {**given, "data.fold": fold}


def _meant(key: str, value: Any) -> Any:
    return MEANT.get(key) if value is None else value


def _get(values: Mapping[str, Any], key: str) -> Any:
    head, _, rest = key.partition(".")
    inner = values.get(head)
    return _get(inner, rest) if rest and isinstance(inner, Mapping) else inner


def _set(values: dict[str, Any], key: str, value: Any) -> None:
    head, _, rest = key.partition(".")
    if rest:
        _set(values.setdefault(head, {}), rest, value)
    else:
        values[head] = value
