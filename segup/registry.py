"""Tables from names to parts: what a YAML or a checkpoint says in words becomes an object here and nowhere else."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from segup.calls import check
from segup.conform import conform, short
from segup.errors import ConfigError, SegupError, unknown
from segup.imports import import_named

T = TypeVar("T", bound=Callable[..., Any])
P = TypeVar("P", bound=Callable[..., Any])
THE_FILE = "."
"""Stands, among modules that are trusted, for a file itself that segup did not write."""


class Registry(Generic[T]):
    """A table of the parts of one kind, filled by the modules of one package.

    Args:
        kind: What the parts are called in errors, such as ``"upsampler"``.
        package: The package whose modules register parts; they are imported on the first look-up,
            so that a new part is one new file.
        place: Arguments of the parts that follow from where one stands, and are no options of it.
        group: Of the configuration, in which their options stand: it begins their names in errors.
        base: The class that each part is a subclass of; None where parts may be functions.
        told: Errors of parts that refuse their options in words of another library: they become ConfigErrors.

    A name of the form ``"package.module:attribute"`` is a part from outside the table. It is imported,
    which runs its module's code: a checkpoint's names go through :func:`outside_module` first.

    >>> operators = Registry("operator")
    >>> @operators.register("double")
    ... def double(x, times=2):
    ...     return x * times
    >>> operators.create("double", 3)
    6
    >>> operators.create("double", 3, tines=3)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown option of operator 'double' 'tines': did you mean 'times'? known: times, x
    """

    def __init__(
        self,
        kind: str,
        package: str | None = None,
        place: Sequence[str] = (),
        group: str = "",
        base: type | None = None,
        told: tuple[type[Exception], ...] = (),
    ) -> None:
        self.kind = kind
        self._package, self.place, self._group = package, place, group
        self._parts: dict[str, T] = {}
        self._storable: dict[Any, Any] = {}
        self._complete, self._base, self._told = package is None, base, told

    def register(self, name: str, storable: Mapping[str, Any] | None = None) -> Callable[[P], P]:
        """Return a decorator that enters a part under ``name``, which a class that has a name then has too.

        Args:
            name: One word.
            storable: Which of its options a checkpoint may hold, and their types and ranges, see
                :func:`segup.conform.closed`; by default its keywords, as they are annotated. Of a part from outside a
                checkpoint may hold anything, since opening such a one takes the person's trust.

        Raises:
            ConfigError: No name that can be asked for, or one taken by another part.
        """
        if not isinstance(name, str) or not name or ":" in name:
            raise ConfigError(
                f"{self.kind} {name!r} cannot be registered: a name is text without a colon\n"
                f'  try: the decorator with a name in parentheses, such as ("mine")'
            )

        def enter(part: P) -> P:
            taken = self._parts.get(name)
            if taken is not None and (taken.__module__, taken.__qualname__) != (part.__module__, part.__qualname__):
                raise ConfigError(f"{self.kind} '{name}' is already {taken.__module__}.{taken.__qualname__}")
            self._parts[name] = part  # type: ignore[assignment]
            if isinstance(part, type) and isinstance(getattr(part, "name", None), str):
                part.name = name  # type: ignore[attr-defined]
            if storable is not None:
                self._storable[part] = storable
            return part

        return enter

    def names(self) -> list[str]:
        """Return all names, sorted."""
        self._fill()
        return sorted(self._parts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        self._fill()
        return name in self._parts

    def get(self, name: str) -> T:
        """Return the part called ``name``; an unknown name is a ConfigError with the nearest match."""
        if not isinstance(name, str):
            raise ConfigError(f"{self.kind} must be a name, not {name!r}; known: {', '.join(self.names())}")
        module = outside_module(name)
        self._fill()
        if module is None and name not in self._parts:
            raise ConfigError(unknown(self.kind, name, self._parts))
        part = self._parts[name] if module is None else self._import(module, name)
        if self._base and not (isinstance(part, type) and issubclass(part, self._base)):
            raise ConfigError(f"{self.kind} '{name}' is no subclass of {self._package}.{self._base.__name__}")
        return part

    def create(self, name: str, /, *args: Any, **options: Any) -> Any:
        """Call the part with the options, after checking each option against its signature.

        Raises:
            ConfigError: An option that it does not take, with the nearest match, one out of its range, or one that it
                needs and is not given.
        """
        part = self.get(name)
        check_options(part, options, f"{self.kind} '{name}'", self.place)
        parameters = inspect.signature(part).parameters
        for option, value in options.items():
            if self._group and option in parameters and option not in self.place:
                check(f"{self._group}.{option}", parameters[option].annotation, value, parameters[option].default)
        try:
            inspect.signature(part).bind(*args, **options)
        except TypeError as cause:
            raise ConfigError(f"{self.kind} '{name}' cannot be built: {cause}") from cause
        try:
            return part(*args, **options)
        except SegupError:
            raise
        except self._told as cause:
            raise ConfigError(f"{self.kind} '{name}' cannot be built: {cause}") from cause

    def check_given(self, options: Mapping[str, Any], path: str, names: Collection[str] = ()) -> None:
        """Raise a ConfigError for an option that follows from where the part stands, and nobody gives.

        Args:
            options: What was given.
            path: What they are called there, such as "loss".
            names: Further ones beside :attr:`place`.
        """
        for option in (*self.place, *names):
            if option in options:
                raise ConfigError(
                    f"{path}.{option}={short(options[option])} cannot be given: it follows from the rest of the run.\n"
                    f"  try: leave it out"
                )

    def storable(self, name: str) -> Mapping[str, Any] | None:
        """Return which options of the part called ``name`` a file may hold, and of what kind; None for any."""
        part = self.get(name)
        if part not in self._storable and part.__module__.startswith(f"{self._package}."):
            keywords = (p for p in inspect.signature(part).parameters.values() if p.kind is p.KEYWORD_ONLY)
            self._storable[part] = {p.name: p.annotation for p in keywords if p.name not in self.place}
        return self._storable.get(part)

    def check_stored(self, name: str, options: Any, path: str) -> None:
        """Raise a ConfigError for an option that does not belong in a file, or a value out of its range.

        Args:
            name: Of the part.
            options: What a file says, or is to say.
            path: What they are called there.
        """
        storable, owner = self.storable(name), f"{self.kind} '{name}'"
        if storable is None or options is None:
            return
        if isinstance(options, Mapping):
            named = {key: None for key in options if len(str(key)) < 100}
            check_options(self.get(name), named, owner, self.place)
        conform(storable, options, path, refused=f"is no option of {owner} that a file may hold")

    def _fill(self) -> None:
        if self._complete or self._package is None:
            return
        self._complete = True
        for module in pkgutil.iter_modules(importlib.import_module(self._package).__path__):
            importlib.import_module(f"{self._package}.{module.name}")

    def _import(self, module: str, name: str) -> T:
        attribute, refused = name.partition(":")[2], f"{self.kind} '{name}' cannot be imported"
        try:
            home = import_named(module)
            there = hasattr(home, attribute)
        except (ImportError, AttributeError) as cause:  # the module's own code may raise either, also when it is asked
            raise ConfigError(f"{refused}: {cause}") from cause
        if not there:  # a name that is loaded when it is asked for is not in vars: it is listed, and not loaded
            own = vars(home)
            known = [key for key in dir(home) if key[0] != "_" and (key not in own or callable(own[key]))]
            raise ConfigError(f"{refused}: {unknown(f'name in {module}', attribute, known)}")
        found = getattr(home, attribute)
        if not callable(found):
            raise ConfigError(f"{self.kind} '{name}' is {type(found).__name__}, not something to call")
        return found


def outside_module(name: str) -> str | None:
    """Return the module that a name of the form ``"module:attribute"`` would import, or None for a plain name.

    >>> outside_module("mypackage.blocks:Up")
    'mypackage.blocks'
    >>> outside_module("deconv")
    """
    module, colon, _ = name.partition(":")
    return module if colon else None


def check_options(
    part: Callable[..., Any],
    options: Mapping[str, Any],
    owner: str,
    place: Collection[str] = (),
    more: Collection[str] = (),
) -> None:
    """Raise a ConfigError with the nearest match for an option that ``part`` does not take.

    Args:
        part: A class or function.
        options: By their names.
        owner: What ``part`` is called.
        place: Arguments of ``part`` that follow from where it stands: they are not proposed.
        more: Options that whoever calls ``part`` takes beside its own: they are.
    """
    parameters = inspect.signature(part).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for option in options:
        if option not in known:
            proposed = {*known, *more} - {*place}
            raise ConfigError(unknown(f"option of {owner}", option, proposed))
