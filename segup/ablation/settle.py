"""What a study asks of its decoders beyond what was typed: equal budgets, equal starts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segup.ablation.plan import Asked, Terms
from segup.ablation.study import read_study
from segup.training.run_folder import read_config


def settled(study: Path, asked: Sequence[Asked], terms: Terms) -> tuple[tuple[Asked, ...], Terms]:
    """Return the runs with the widths and starts that the study's terms ask for, and the terms with what was chosen.

    Args:
        study: The study's folder, where the baseline's configuration lies if it is not among the runs.
        asked: The runs, as they were typed.
        terms: Of the study.

    Raises:
        ConfigError: A decoder that cannot be matched: unknown parts, or widths that its operator cannot have.
    """
    configs = {run.label: dict(run.config) for run in asked}
    chosen: dict[str, dict[str, Any]] = {label: {} for label in configs}
    if terms.start == "interpolate":
        from segup.ablation.beginning import interpolating

        for label, config in configs.items():
            config["decoder"], chosen[label]["start"] = interpolating(config)
    if terms.match != "none":
        from segup.ablation.match import match_decoders

        baseline = configs.get(terms.baseline) or _stored(study, terms.baseline)
        for label, found in match_decoders(configs, baseline, terms.match).items():
            config = configs[label]
            if label != terms.baseline and found.widths:
                config["decoder"] = {**config["decoder"], "widths": list(found.widths)}
            chosen[label] |= {"widths": list(found.widths), "budget": found.budget, "difference": found.difference}
    runs = tuple(replace(run, config={**run.config, "decoder": configs[run.label]["decoder"]}) for run in asked)
    return runs, replace(terms, decoders={label: values for label, values in chosen.items() if values})


def _stored(study: Path, label: str) -> dict[str, Any]:
    path = next(member.path for member in read_study(study).members if member.label == label)
    return read_config(path)
