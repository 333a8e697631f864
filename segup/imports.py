"""What may be imported from the current folder: the modules that a person names or trusts, and nothing else.

Libraries ask for many a module that need not be there. Where the current folder is on the path, a file of such a name
in it is run, and somebody else may have filled it.
"""

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def import_named(module: str) -> ModuleType:
    """Return a module that a person named; the current folder is searched after all others, while it is imported.

    Raises:
        ImportError: It is not there, or cannot be imported.
    """
    if "" in module.split(".") or "\0" in module:
        raise ImportError(f"{module!r} is no module's name")
    here = os.getcwd()
    sys.path.append(here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as cause:
        if cause.name != module.partition(".")[0]:  # a submodule, or what the module itself asks for
            raise
        raise ImportError(
            f"{cause}, installed or in {here}\n  try: the same in the folder that holds {cause.name}, or install it."
        ) from cause
    finally:
        sys.path.reverse()
        sys.path.remove(here)
        sys.path.reverse()


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package that loads a module when one of its names is asked for.

    Args:
        package: Its name.
        homes: The public names that each of its modules defines.
    """
    places = {name: module for module, names in homes.items() for name in names}
    held = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        held[name] = getattr(importlib.import_module(f"{package}.{places[name]}"), name)
        return held[name]

    return load, lambda: sorted({*held, *places})


@contextmanager
def children_kept_off() -> Iterator[None]:
    """Let no Python that is started within put the current folder on its path; those start segup from where it is."""
    before = {name: os.environ.get(name) for name in ("PYTHONSAFEPATH", "PYTHONPATH")}
    os.environ["PYTHONSAFEPATH"] = "1"
    if not {"site-packages", "dist-packages"} & set(_ROOT.parts):  # a checkout, which need not be installed
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (before["PYTHONPATH"], str(_ROOT))))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
