"""A data configuration as words of the command line, and a file of one in place of ``data=<data set>``."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segup.errors import ConfigError
from segup.overrides import as_value, at_home, for_shell
from segup.stored import read_yaml, visible


def as_words(config: Mapping[str, Any], mark: str = "") -> list[str]:
    """Return a data configuration as overrides; a group in it, such as ``augment``, as one for each of its keys.

    Args:
        config: With the ``name`` of a data set.
        mark: Before each key but ``data`` itself: ``++`` to take keys that the data set's YAML does not list, too.

    >>> as_words({"name": "folder", "mask_values": {0: 0, "#ff8000": 1}, "augment": {"noise": 0.1}})
    ['data=folder', 'data.mask_values={0:0,0xff8000:1}', 'data.augment.noise=0.1']
    """
    words = [f"data={config['name']}"]
    for key, value in config.items():
        if key == "augment" and isinstance(value, Mapping):
            words += [f"{mark}data.augment.{inner}={as_value(own)}" for inner, own in value.items()]
        elif key != "name":
            words.append(f"{mark}data.{key}={as_value(value)}")
    return words


def as_command(config: Mapping[str, Any]) -> str:
    """Return the line that trains on the data, as it is typed in a shell.

    >>> print(as_command({"name": "folder", "root": "my images"}))
    segup train data=folder "data.root='my images'"
    """
    return " ".join(["segup train", *map(for_shell, as_words(config))])


def with_files(words: Sequence[str]) -> list[str]:
    """Return overrides in which ``data=my_data.yaml`` is what the file holds; what is typed beside it counts more.

    A value that ends in .yaml or .yml, or holds a slash, is a file. The last ``data=`` replaces those before it. In all
    that is a path, ``~`` becomes the person's home.

    Raises:
        ConfigError: There is no such file, or it holds what is no data.
        DataError: It cannot be read.
    """
    first: list[str] = []
    others = []
    last = max((place for place, word in enumerate(words) if word.startswith("data=")), default=0)
    for place, word in enumerate(map(at_home, words)):
        key, _, value = word.partition("=")
        value = value.strip("'\"")
        if key == "data" and place < last:
            continue
        if key == "data" and ("/" in value or value.endswith((".yaml", ".yml"))):
            chosen, *own = as_words(read_data_file(Path(value)), "++")
            first += map(at_home, own)
            word = chosen
        others.append(word)
    return [*first, *others]


def read_data_file(path: Path) -> dict[str, Any]:
    """Return the data configuration of a file, its ``root`` relative to the file's folder.

    Without a ``name`` it is a folder's, and without a ``root`` the folder is the file's own.

    Raises:
        ConfigError: There is no such file, or it holds what is no data.
        DataError: It cannot be read.
    """
    if not path.is_file():
        raise ConfigError(
            f"data={path}: there is no such file.\n  try: segup data FOLDER --write my_data.yaml, which writes one."
        )
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no keys and values.\n  try: segup data FOLDER --write my_data.yaml")
    _check_plain(content, path)
    config = {"name": "folder", **content}
    name = config["name"]
    if not isinstance(name, str) or not re.fullmatch(r"\w+", name):
        raise ConfigError(
            f"{path}: name={visible(str(name))} is no data set of segup's; a file of data names no code.\n"
            f"  try: name: folder"
        )
    if name == "folder" or config.get("root") is not None:
        config["root"] = str(path.parent / os.path.expanduser(str(config.get("root") or ".")))
    return config


def _check_plain(value: Any, path: Path) -> None:
    if isinstance(value, dict):
        for key, own in value.items():
            if str(key).startswith("_"):
                raise ConfigError(
                    f"{path}: '{visible(str(key))}' is no key of data: the file is data only, and runs none"
                )
            if isinstance(key, str) and not re.fullmatch(r"\w+|#[0-9a-fA-F]{6}", key, re.ASCII):
                raise ConfigError(f"{path}: '{visible(key)}' is no key of data")
            _check_plain(own, path)
    elif isinstance(value, list):
        for own in value:
            _check_plain(own, path)
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{path}: '{visible(value)}' refers to something else: the file is data only")
