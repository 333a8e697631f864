"""A run's configuration as frozen values, each checked before any work starts."""

import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from segup.errors import ConfigError, unknown

_MISSING = "???"
_RANGES = {
    "seed": (0, 2**32 - 1),  # numpy takes no larger one
    "trainer.max_epochs": (1, math.inf),
    "trainer.max_steps": (1, math.inf),
    "trainer.devices": (1, math.inf),
    "trainer.val_every_n_epochs": (1, math.inf),
    "trainer.gradient_clip_val": (0, math.inf),
    "trainer.threads": (1, math.inf),
}


@dataclass(frozen=True)
class TrainerConfig:
    """Where and how long a run trains; ``configs/trainer/auto.yaml`` says what each field does."""

    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    precision: str = "auto"
    max_epochs: int = 12
    max_steps: int | None = None
    gradient_clip_val: float | None = 1.0
    val_every_n_epochs: int = 1
    deterministic: bool = False
    sync_batchnorm: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder, from which library."""

    name: str
    library: str | None = None
    pretrained: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """The name that :func:`segup.encoders.create_encoder` takes."""
        return f"{self.library}/{self.name}" if self.library else self.name


@dataclass(frozen=True)
class RunConfig:
    """All that decides a run. Groups whose keys depend on a name stay mappings; their parts check them.

    Raises:
        ConfigError: From :meth:`of`, for an unknown key (with the nearest match), a missing or a mistyped value.

    >>> RunConfig.of({"encoder": {"name": "efficientnet_lite0"}, "trainer": {"max_epoch": 3}})
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown key 'trainer.max_epoch': did you mean 'max_epochs'? known: accelerator, ...
    """

    encoder: EncoderConfig
    decoder: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    loss: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    name: str = "train"
    seed: int = 0
    num_classes: int | None = None
    channels_last: bool = True
    compile: bool = False
    run_dir: str | None = None
    ckpt_path: str | None = None
    trust: list[str] = field(default_factory=list)

    @staticmethod
    def of(values: Mapping[str, Any]) -> "RunConfig":
        """Check plain nested values, as YAML gives them, and return them as one value."""
        config: RunConfig = _checked(RunConfig, values, "")
        for key, (least, most) in _RANGES.items():
            group, _, name = key.rpartition(".")
            value = getattr(config.trainer if group else config, name)
            if value is not None and not least <= value <= most:
                upper = f" and at most {most}" if most < math.inf else ""
                raise ConfigError(f"{key}={value} must be {least} or more{upper}")
        return config


def _checked(kind: Any, values: Any, path: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{path}={values!r} must be a group of keys")
    known = {f.name: f for f in fields(kind)}
    hints = get_type_hints(kind)
    made: dict[str, Any] = {}
    prefix = f"{path}." if path else ""
    for key, value in values.items():
        if key not in known:
            raise ConfigError(unknown("key", key, known).replace(f"'{key}'", f"'{prefix}{key}'", 1))
        made[key] = _value(hints[key], value, f"{prefix}{key}")
    missing = [f"{prefix}{name}" for name, f in known.items() if _required(f) and name not in made]
    if missing:
        raise ConfigError(f"{missing[0]} is not set: give {missing[0]}=...")
    return kind(**made)


def _required(spec: Any) -> bool:
    from dataclasses import MISSING

    return spec.default is MISSING and spec.default_factory is MISSING


def _value(hint: Any, value: Any, path: str) -> Any:
    if isinstance(value, str) and value == _MISSING:
        raise ConfigError(f"{path} is not set: give {path}=...")
    if hasattr(hint, "__dataclass_fields__"):
        return _checked(hint, value, path)
    if get_origin(hint) in (dict, list):
        if not isinstance(value, get_origin(hint)):
            raise ConfigError(f"{path}={value!r} must be a {'group of keys' if get_origin(hint) is dict else 'list'}")
        return value
    allowed = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if str in allowed and type(value) in (int, float):
        return str(value)  # a name or a precision may look like a number
    if float in allowed and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not any(type(value) is kind for kind in allowed):
        names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in allowed)
        raise ConfigError(f"{path}={value!r} must be {names}")
    return value
