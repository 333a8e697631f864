"""What Hydra refuses, said in one message: the name, the nearest match, and what works."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segup.cli.composed import composed, configs_folder
from segup.errors import ConfigError, SegupError, nearest, unknown
from segup.overrides import PATHS, for_shell, pasted, quoted


def explained(error: Exception, arguments: Sequence[str] = ()) -> SegupError:
    """Return Hydra's or OmegaConf's error as one message with the name, the nearest match and what is known.

    Args:
        error: What was raised.
        arguments: The overrides; the groups that they choose have keys of their own.
    """
    if isinstance(error, SegupError):
        return error
    if isinstance(error, OverrideParseException):
        return ConfigError(unreadable(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        elsewhere = _model_of_timm(option) if group == "encoder" else ""
        return ConfigError(f"{group}={option}: {unknown(f'{group} option', option, error.options)}{elsewhere}")
    if isinstance(error, ConfigCompositionException):
        word = _quoted(str(error), "Ambiguous value for argument '")
        if word is not None:
            return ConfigError(_several_values(word, arguments))
        within = getattr(error.__cause__, "full_key", None)  # decoder={widht: 3} overrides a group, but not that key
        key = within or _quoted(str(error), "Could not override '") or _quoted(str(error), "Could not find '")
        if key is not None:
            return ConfigError(_unknown_key(key, arguments))
    return ConfigError(" ".join(str(error).split()))


_PLACE = re.compile(r"([a-z_]+(?:\.[a-z0-9_]+)*)(?:\[\d+\])*=")


def with_way_out(error: SegupError, words: Sequence[str]) -> SegupError:
    """Return an error about a typed value with the value that stands there without it, where it has no way out.

    Args:
        error: What was raised.
        words: The overrides.

    >>> print(with_way_out(ConfigError("seed='one' must be an int"), ["seed=one"]))
    seed='one' must be an int
      try: seed=0
    """
    place = _PLACE.match(str(error))
    if place is None or type(error) is not ConfigError or "try: " in str(error):
        return error
    key = place[1]
    others = [word for word in words if word.partition("=")[0].lstrip("+") != key]
    if len(others) == len(words):
        return error
    held = _value_at(key, others)
    if held == "???" or isinstance(held, Mapping):
        return error
    way_out = ConfigError(f"{error}\n  try: {pasted(key, held)}")
    way_out.__cause__ = error.__cause__
    return way_out


def _value_at(key: str, words: Sequence[str]) -> Any:
    """Return a configuration's value, "???" where there is none to name."""
    try:
        held = OmegaConf.to_container(composed(words))
    except (HydraException, OmegaConfBaseException):
        return "???"  # another word is wrong, too
    for part in key.split("."):
        held = held.get(part, "???") if isinstance(held, Mapping) else "???"
    return held


def unreadable(override: str) -> str:
    """Say how an override is written that Hydra's grammar cannot read."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"'{override}' is no override; one has the form key=value, such as decoder=deconv or seed=1"
    if any(value.count(left) != value.count(right) for left, right in ("[]", "{}", "()")):
        return f"'{override}' cannot be read: its brackets do not match"
    way_out = _quoted_twice(key, value)
    return (
        f"'{override}' cannot be read: a value with spaces, commas, brackets or letters beyond a-z is quoted twice, "
        f"once for the shell and once for Hydra." + (f"\n  try: {way_out}" if way_out else "")
    )


def _quoted_twice(key: str, value: str) -> str:
    """Return the override as it is typed, where Hydra reads that as what was meant; else an empty text.

    >>> print(_quoted_twice("data.root", "my images"), _quoted_twice("data.classes", "[soil, big leaf]"))
    "data.root='my images'" "data.classes=['soil','big leaf']"
    """
    if value[:1] == "{":  # a key cannot be quoted
        meant = re.sub(r"""["']?#([0-9a-fA-F]{6})["']?""", r"0x\1", value)
    elif value[:1] == "[":
        meant = f"[{','.join(quoted(_bare(element)) for element in value[1:-1].split(','))}]"
    else:
        meant = quoted(_bare(value))
    try:
        read = OverridesParser.create().parse_override(f"{key}={meant}").value()
    except HydraException:
        return ""
    if meant[:1] == "'" and str(read) != _bare(value):
        return ""
    return for_shell(f"{key}={meant}")


def _bare(value: str) -> str:
    """Return a value without the quotes around it."""
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] in "'\"" and value[0] == value[-1] else value


def _model_of_timm(name: str) -> str:
    """Return how a model of timm's is asked for, where ``name`` is nearly one."""
    from difflib import get_close_matches

    import timm

    close = get_close_matches(name, timm.list_models(), n=1, cutoff=0.75)
    return f"\n  try: encoder=timm encoder.name={close[0]}" if close else ""


def _several_values(word: str, arguments: Sequence[str]) -> str:
    """Say how several values are given: each in a run of its own, or as one list, where the key takes one."""
    key, _, values = word.partition("=")
    now = _composed([other for other in arguments if other != word and not other.startswith("-")])
    for part in key.split("."):
        if not isinstance(now, Mapping) or part not in now:
            return _unknown_key(key, arguments)
        now = now[part]
    listed = f"'{key}=[{values}]' for a list"
    swept = f"-m {shlex.quote(word)} for a run with each"
    if key in _FREE:
        return f"{word}: {key} takes one value.\n  try: {_quoted_twice(key, values)}"
    if key.startswith("ablation."):
        return f"{word}: {key} takes one value.\n  try: {key}={values.partition(',')[0]}"
    ways = listed if isinstance(now, list) else f"{swept}, or {listed}" if now in (None, "???") else swept
    return f"{word}: several values are for several runs, or for a list.\n  try: {ways}."


_SEVERAL = ("metric", "experiment", "debug")
"""Groups of which a run may have several options."""


def check_choices(arguments: Sequence[str]) -> None:
    """Raise a ConfigError for what Hydra answers with a bare ValueError: ``decoder=null``, ``data.crop_size.x=3``."""
    below = [word for word in arguments if not word.startswith("-") and "." in word.partition("=")[0]]
    held = _composed(arguments) if below else {}
    for word in below:
        _check_no_list_above(word, held)
    for word in arguments:
        group, equals, given = word.partition("=")
        if word.startswith("-") or not equals or not (configs_folder() / group).is_dir():
            continue
        if not group:
            raise ConfigError(unreadable(given))
        chosen = OverridesParser.create().parse_override(word)
        if not chosen.is_sweep_override() and not isinstance(chosen.value(), str | list | dict):
            options = [file.stem for file in (configs_folder() / group).glob("*.yaml")]
            raise ConfigError(f"{word}: {unknown(f'{group} option', given, options)}")
        several = chosen.value()
        if isinstance(several, list) and len(several) > 1 and group not in _SEVERAL:
            each = given.strip("[]")
            raise ConfigError(
                f"{word}: a run has one {group}, and a sweep has a run for each.\n"
                f"  try: -m {group}={each} for a run with each; in Python segup.sweep."
            )


def _check_no_list_above(word: str, held: Any) -> None:
    """Raise a ConfigError where a word's key stands below a list of a configuration, such as ``data.crop_size.x``."""
    place = ""
    for part in word.partition("=")[0].lstrip("+~").split("."):
        if isinstance(held, list) and not part.isdecimal():
            whole = pasted(place[:-1], held)
            raise ConfigError(f"{word}: {place[:-1]} is a list, and takes all its values.\n  try: {whole}")
        held, place = held.get(part) if isinstance(held, dict) else None, f"{place}{part}."


def _unknown_key(key: str, arguments: Sequence[str]) -> str:
    """Name the first part of a dotted key that is not known, with what is known at its place."""
    held = _composed(arguments)
    known, place = sorted(_keys(held, "") | {"experiment", "debug"}), ""
    for part in key.split("."):
        here = {name.removeprefix(place).partition(".")[0] for name in known if name.startswith(place)}
        if place and not here:
            return f"unknown key '{key}': {_of_one_value(place[:-1], key, held, arguments)}"
        if part not in here and place == _OPTIONS and (having := _presets_with(part)):
            return (
                f"unknown key '{place}{part}' of this decoder; it is an option of {', '.join(having)}.\n"
                f"  try: decoder={having[0]} with it; or ++{place}{part}=... in a sweep over decoders that have it."
            )
        if part not in here:
            group = place[: place.find(".") + 1]
            below = {name.rpartition(".")[2]: name for name in known if name.startswith(group)}
            elsewhere = nearest(part, below) if part in below or len(part) > 3 else None  # so short, it may mean any
            if elsewhere is not None and (part in below or nearest(part, here) is None):  # lr is in optimizer.lr
                return f"unknown key '{place}{part}': did you mean '{below[elsewhere]}'?"
            return unknown("key", part, here).replace(f"'{part}'", f"'{place}{part}'", 1)
        place += f"{part}."
    return f"unknown key '{key}'"


_OPTIONS = "decoder.upsampler_options."


def _presets_with(option: str) -> list[str]:
    """Return the decoders whose files name an option of their operator."""
    files = sorted((configs_folder() / "decoder").glob("*.yaml"))
    known: dict[str, Any] = {file.stem: OmegaConf.to_container(OmegaConf.load(file)) for file in files}
    return [name for name, preset in known.items() if option in (preset.get("upsampler_options") or {})]


_FREE = ("name", *PATHS)
"""Keys whose one value may be any text."""


def _of_one_value(place: str, key: str, held: Any, arguments: Sequence[str]) -> str:
    """Say that a place holds one value, below which there is no key, or which experiment makes it a group."""
    if (configs_folder() / "experiment" / f"{place}.yaml").is_file():
        return f"it is a key of the experiment of that name.\n  try: experiment={place} before it"
    for part in place.split("."):
        held = held[part]
    given = next((word.partition("=")[2] for word in arguments if word.partition("=")[0].endswith(key)), "null")
    if held == {}:
        return f"{place} holds no keys by itself; with + it takes new ones.\n  try: {for_shell(f'+{key}={given}')}"
    free = held == "???" or (held is None and place in _FREE)
    way_out = for_shell(f"{place}={given}") if free else pasted(place, held)
    return f"{place} holds one value, and no group.\n  try: {way_out}"


def _composed(arguments: Sequence[str]) -> Any:
    """Return the configuration with the groups that are chosen in ``arguments``, and nothing else of them."""
    words = [word for word in arguments if word.count("=") == 1 and "," not in word]
    chosen = [word for word in words if os.path.isfile(configs_folder() / f"{word.replace('=', '/')}.yaml")]
    return OmegaConf.to_container(composed(chosen))


def _keys(values: Any, prefix: str) -> set[str]:
    if not isinstance(values, Mapping):
        return set()
    return {f"{prefix}{key}" for key in values} | {
        name for key, value in values.items() for name in _keys(value, f"{prefix}{key}.")
    }


def _quoted(text: str, before: str) -> str | None:
    _, found, rest = text.partition(before)
    return rest.partition("'")[0] if found else None
