"""The names and options that stand for a model in a checkpoint: which may stand there, and which need trust."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segup.conform import Count, Name, closed, conform
from segup.decoders.contract import topologies, topology_class
from segup.encoders import encoders
from segup.encoders.create import KEYS_OF_ITS_GROUP, OF_EVERY_ENCODER, family_of
from segup.errors import ConfigError
from segup.necks import necks
from segup.registry import outside_module
from segup.upsamplers.contract import upsamplers

_OF_EVERY_MODEL = closed(
    encoder=Name, topology=Name, upsampler=Name | None, num_classes=Count, in_channels=Count, neck=Name
)
_GROUPS = ("encoder_options", "neck_options")


def check_storable(spec: Mapping[str, Any]) -> None:
    """Raise a ConfigError unless the names that build a model are names and options that a checkpoint may hold.

    >>> check_storable({"encoder": "timm/resnet18", "encoder_options": {"options": {"checkpoint_path": "a.pth"}}})
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: encoder.options.options.checkpoint_path is no option of encoder 'timm' that a file may ...
    """
    conform(_OF_EVERY_MODEL, {key: value for key, value in spec.items() if key in _OF_EVERY_MODEL})
    if "encoder" in spec:
        given = spec.get("encoder_options")
        family = family_of(spec["encoder"])[0]
        if not isinstance(given, Mapping):
            encoders.check_stored(family, given, "encoder.options")
        else:
            for path, held in _by_place(given).items():
                common = {key: value for key, value in held.items() if key in OF_EVERY_ENCODER}
                conform(OF_EVERY_ENCODER, common, path)
                others = {key: value for key, value in held.items() if key not in OF_EVERY_ENCODER}
                encoders.check_stored(family, others, path)
    own = spec.get("neck_options")
    necks.check_stored(spec.get("neck", "none"), own, "neck")
    if isinstance(own, Mapping) and own.get("upsampler"):
        upsamplers.check_stored(own["upsampler"], own.get("upsampler_options"), "neck.upsampler_options")
    topology, chosen = spec.get("topology", "unet"), topology_options(spec)
    topologies.check_stored(topology, chosen, "decoder")
    filled = topology_class(topology).filled({"upsampler": spec.get("upsampler"), **chosen})
    for options, operator in (("upsampler_options", "upsampler"), ("final_options", "final")):
        upsamplers.check_stored(filled[operator], spec.get(options), f"decoder.{options}")


def _by_place(options: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return an encoder's options by the group of the configuration in which a person gives them."""
    places: dict[str, dict[str, Any]] = {"encoder": {}, "encoder.options": {}}
    for key, value in options.items():
        places["encoder" if key in KEYS_OF_ITS_GROUP else "encoder.options"][key] = value
    return places


def topology_options(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the topology's own options."""
    return {key: value for key, value in spec.items() if key not in _OF_EVERY_MODEL and key not in _GROUPS}


def check_trust(names: Any, trust: Iterable[str], path: str | Path) -> None:
    """Raise a ConfigError if anything in ``names``, read from ``path``, would import a module not in ``trust``.

    >>> check_trust({"upsampler": "deconv"}, (), "a.ckpt")
    >>> check_trust({"upsampler": "mypackage.blocks:Up"}, ("mypackage.blocks",), "a.ckpt")
    """
    for name in _names(names):
        module = outside_module(name)
        if module is not None and module not in ({trust} if isinstance(trust, str) else set(trust)):
            raise ConfigError(
                f"{path} has a part from outside segup, '{name}'. Importing it runs that module's code.\n"
                f"  If you trust it: --trust {module} (segup train: trust=[{module}]; in Python trust=['{module}'])"
            )


def _names(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [name for part in value.values() for name in _names(part)]
    if isinstance(value, list | tuple):
        return [name for part in value for name in _names(part)]
    return []
