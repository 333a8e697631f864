"""``data=<option>`` and ``data.<key>=<value>`` on the command line of a command that is not Hydra's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from segup.cli.composed import composed, plain_values
from segup.cli.data_words import with_files
from segup.cli.explained import explained
from segup.errors import ConfigError


def parse_overrides(words: Sequence[str]) -> list[Override]:
    """Return the overrides, each of which has to set the data or one of its keys.

    Raises:
        ConfigError: Another word, with the way out.

    >>> [override.key_or_group for override in parse_overrides(["data=camvid", "data.root=images"])]
    ['data', 'data.root']
    """
    return [_parsed(word) for word in with_files(words)]


def composed_data(
    overrides: Sequence[Override], stored: Callable[[], Mapping[str, Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """Return the data configuration that the overrides describe.

    Args:
        overrides: From :func:`parse_overrides`.
        stored: Called where no ``data=<option>`` is among them: what they change.
        classes: The model's; they stand in where the option's file leaves the classes open.

    Raises:
        ConfigError: An unknown option or key, with the nearest match.
    """
    try:
        if any(override.key_or_group == "data" for override in overrides):
            return _of_option(overrides, classes)
        config = OmegaConf.create(dict(stored()))
        for override in overrides:
            OmegaConf.update(config, override.key_or_group.removeprefix("data."), override.value(), merge=False)
        return plain_values(config)
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error) from error


def _parsed(word: str) -> Override:
    key = word.lstrip("+").partition("=")[0]
    if "=" not in word or (key != "data" and not key.startswith("data.")):
        raise ConfigError(f"'{word}' is not an override of the data: write data=<data set> or data.<key>=<value>")
    try:
        override = OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise ConfigError(f"{word}: {str(error).splitlines()[0]}") from error
    if override.is_sweep_override():
        raise ConfigError(f"{word}: one value at a time; a list is written [a,b]")
    return override


def _of_option(overrides: Sequence[Override], classes: Sequence[str]) -> dict[str, Any]:
    config = composed([str(override.input_line) for override in overrides]).data
    if OmegaConf.is_missing(config, "classes"):
        config.classes = list(classes)
    return plain_values(config)
