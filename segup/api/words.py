"""Arguments of Python as words of the command line."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from segup.cli.data_words import as_value, as_words
from segup.conform import short
from segup.errors import ConfigError

Data = str | Path | Mapping[str, Any]
_Write = Callable[[Any], str]


def run_words(data: Data | None, words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the overrides of one run.

    Args:
        data: A data set's word, a file of data, or what such a file holds; None: among the values, or of the run that
            goes on.
        words: Overrides as they are typed.
        values: By key. A dictionary sets the keys of its group.

    >>> run_words("cells", ["encoder=timm"], {"encoder.name": "resnet18", "trainer": {"max_epochs": 5}, "seed": 0})
    ['data=cells', 'encoder=timm', 'encoder.name=resnet18', 'trainer.max_epochs=5', 'seed=0']
    >>> run_words({"name": "folder", "root": "my images"}, [], {})
    ['data=folder', "++data.root='my images'"]
    """
    return _written(data, words, values, as_value)


def sweep_words(data: Data | None, words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the overrides of several runs: a list, tuple or range that is given to a key has one value for each.

    >>> sweep_words("cells", [], {"decoder": ["deconv", "bilinear"], "seed": range(2), "data": {"crop_size": [64, 64]}})
    ['data=cells', 'decoder=deconv,bilinear', 'seed=0,1', 'data.crop_size=[64,64]']
    """
    return _written(data, words, values, _swept)


def _written(data: Data | None, words: Sequence[str], values: Mapping[str, Any], value: _Write) -> list[str]:
    typed, among = _typed(words), values.get("data")
    if data is None and among is not None and not (isinstance(among, Mapping) and "name" not in among):
        data, values = among, {key: given for key, given in values.items() if key != "data"}
    goes_on = data is None and any(word.startswith("ckpt_path=") for word in (*typed, *(f"{key}=" for key in values)))
    return [*([] if goes_on else _data_words(data)), *typed, *_value_words(values, value)]


def _data_words(data: Any) -> list[str]:
    if not isinstance(data, str | Path | Mapping):
        raise ConfigError(f"data={short(data)} must be a data set's name, a file, or a dictionary.\n  try: 'cells'")
    if isinstance(data, Mapping):
        if not isinstance(data.get("name"), str):
            raise ConfigError(f"data={short(data)} must have a name.\n  try: 'name': 'folder' beside root and classes")
        return as_words({key: plain(value, f"data.{key}") for key, value in data.items()}, "++")
    if isinstance(data, Path) and "/" not in str(data):
        data = f"./{data}"  # a path is a file, whatever it ends in
    if not str(data):
        raise ConfigError("data='' must name a data set or a file.\n  try: 'cells', or 'my_data.yaml'")
    return [f"data={data}"] if "/" in str(data) else [f"data={as_value(str(data))}"]


def _typed(words: Sequence[str]) -> list[str]:
    for word in words:
        if not isinstance(word, str) or word.startswith("-") or "=" not in word:
            raise ConfigError(f"{short(word)} is no override.\n  try: 'encoder=timm', or encoder='timm'")
    return list(words)


def _value_words(values: Mapping[str, Any], written: _Write) -> list[str]:
    found = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += [f"{key}.{own}={as_value(plain(part, f'{key}.{own}'))}" for own, part in value.items()]
        else:
            found.append(f"{key}={written(plain(value, key))}")
    return found


def _swept(value: Any) -> str:
    if not isinstance(value, list):
        return as_value(value)
    return ",".join(map(as_value, value))


def plain(value: Any, key: str) -> Any:
    """Return a value as YAML has it: paths as text, ranges and tuples as lists, numbers of numpy as Python's.

    Raises:
        ConfigError: It is of no such kind.

    >>> plain((Path("a/b"), range(2)), "x")
    ['a/b', [0, 1]]
    """
    if isinstance(value, Mapping):
        return {own: plain(part, f"{key}.{own}") for own, part in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(part, key) for part in value]
    if isinstance(value, Path):
        return str(value)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"{key}={short(value)} must be text, a number, True, False, None, or lists and dictionaries of them"
    )
