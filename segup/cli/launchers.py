"""What hands a sweep's runs over, and how many of them one machine trains at a time."""

from importlib.util import find_spec
from typing import Annotated, Any

from segup.calls import check
from segup.cli.sweep import Sweep
from segup.conform import Within
from segup.data.module import usable_processors as cores
from segup.errors import ConfigError


def runs_at_once(sweep: Sweep) -> int | None:
    """Return how many runs one machine trains at a time; None where the launcher spreads them over several.

    Raises:
        ConfigError: ``ablation.at_once`` is no int of 1 or more.
    """
    wanted = checked_at_once(sweep.ablation["at_once"])
    kind = sweep.launcher_kind
    if kind == "BasicLauncher":
        return wanted or 1
    if kind == "LocalLauncher":
        return wanted or cores()
    if kind == "JoblibLauncher":
        jobs = int(sweep.launcher["n_jobs"])
        jobs = jobs if jobs > 0 else max(1, cores() + 1 + jobs)
        return min(jobs, wanted or jobs)
    if kind == "RayLauncher":
        ray = sweep.launcher["ray"]
        if ray["init"].get("address") is None:
            return max(1, int((ray["init"].get("num_cpus") or cores()) / (ray["remote"].get("num_cpus") or 1)))
    return None


def checked_at_once(wanted: Any) -> int | None:
    """Return ``ablation.at_once``, or raise a ConfigError unless it is an int of 1 or more, or None."""
    check("ablation.at_once", Annotated[int, Within(1)] | None, wanted)
    found: int | None = wanted
    return found


def check_launcher(sweep: Sweep) -> None:
    """Raise a ConfigError where the sweep's launcher is not installed."""
    module = str(sweep.launcher["_target_"]).split(".")[:2]
    if module[0] != "hydra_plugins":
        return
    try:
        found = find_spec(".".join(module))
    except ModuleNotFoundError:
        found = None
    if found is None:
        extra = sweep.launcher_name.partition("_")[0]
        raise ConfigError(
            f"hydra/launcher={sweep.launcher_name} needs {module[1].replace('_', '-')}, which is not installed.\n"
            f"  try: pip install 'segup[{extra}]'"
        )
