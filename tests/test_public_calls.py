"""Every public function answers nonsense with an error of segup's, which names the value: none is bare, none hangs."""

import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
import torch

import segup
from segup.decoders import create_decoder
from segup.errors import SegupError

NONSENSE = (
    None, "", "x", b"x", -1, 0, 1.5, True, 10**30, float("nan"), float("inf"), np.zeros((2, 2)), torch.zeros(2, 2),
    torch.tensor(0.0), [], {}, [None], (10**30, 10**30), lambda: None, object(), np.float32(3), {"a": None}, range(3),
)  # fmt: skip


def public():
    packages = [
        segup,
        *(importlib.import_module(f"segup.{found.name}") for found in pkgutil.iter_modules(segup.__path__)),
    ]
    named = {id(part): (f"{package.__name__}.{name}", part) for package in packages
             for name in getattr(package, "__all__", ()) if callable(part := getattr(package, name))}  # fmt: skip
    for name, part in named.values():
        is_error = inspect.isclass(part) and issubclass(part, BaseException)
        if not is_error and not inspect.isabstract(part) and parameters(part):
            yield pytest.param(part, id=name)


def parameters(part):
    try:
        found = inspect.signature(part).parameters.values()
    except ValueError:
        return []
    return [parameter for parameter in found if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)]


def call(part, values):
    """Call with the values for what has no default, by name or by place; the first alone where all have one."""
    needed = [one for one in parameters(part) if one.default is one.empty] or parameters(part)[:1]
    places = [values(one) for one in needed if one.kind is not one.KEYWORD_ONLY]
    return part(*places, **{one.name: values(one) for one in needed if one.kind is one.KEYWORD_ONLY})


@pytest.mark.parametrize("part", list(public()))
def test_nonsense_in_every_place_is_refused_or_works(part):
    for value in NONSENSE:
        try:
            call(part, lambda _, value=value: value)
        except SegupError:
            continue
        except Exception as error:
            raise AssertionError(f"{value!r}: {type(error).__name__}: {error}") from error


SOUND = {
    "channels": (16, 32), "strides": (2, 4), "in_channels": 4, "out_channels": 4, "num_classes": 3, "skip_channels": 4,
    "topology": "unet", "name": "deconv", "encoder": "efficientnet_lite0", "widths": None, "layers": "conv k3",
    "layer": "conv k3", "x": torch.ones(1, 1, 4, 4), "scale": 2,
}  # fmt: skip


@pytest.mark.parametrize("part", list(public()))
def test_nonsense_in_one_place_beside_sound_values_is_refused_or_works(part):
    needed = {one.name for one in parameters(part) if one.default is one.empty}
    if not needed <= SOUND.keys() or "encoder" in needed:
        return
    for one in parameters(part):
        for value in NONSENSE:
            given = {**{name: SOUND[name] for name in needed}, one.name: value}
            positional = [given.pop(own.name) for own in parameters(part)
                          if own.kind is own.POSITIONAL_ONLY and own.name in given]  # fmt: skip
            try:
                part(*positional, **given)
            except SegupError:
                continue
            except Exception as error:
                raise AssertionError(f"{one.name}={value!r}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        ("inspection.check_sizes", (None,), r"check_sizes: model=None must be Module"),
        (
            "decoders.create_decoder",
            ("unet", (8, None), (1, 2)),
            r"channels=\[8, None\] must be ints of 1 or more",
        ),
        ("load_model", (3,), r"load_model: path=3 must be str or Path"),
        ("data.read_image", (None,), r"read_image: path=None must be Path or str"),
    ],
)
def test_the_message_names_function_value_and_rule(part, arguments, message):
    module, _, name = f"segup.{part}".rpartition(".")
    function = getattr(importlib.import_module(module), name)
    with pytest.raises(SegupError) as caught:
        function(*arguments)
    assert re.match(message, str(caught.value))


def test_a_huge_number_is_refused_before_anything_is_made():
    with pytest.raises(SegupError, match="convs"):
        create_decoder("unet", (8, 16), (1, 2), upsampler="deconv", convs=10**30)
