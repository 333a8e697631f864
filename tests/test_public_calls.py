"""Every public function answers nonsense with an error of segup's, which names the value: none is bare, none hangs."""

import importlib
import inspect
import itertools
import pkgutil
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import Conv2d

import segup
from segup.decoders import create_decoder
from segup.errors import SegupError
from segup.shapes import (
    Conv,
    ConvTranspose,
    chain_report,
    find_convs,
    find_transposed,
    ladder,
    prove_inversion,
    smallest_padding,
)
from segup.upsamplers import constant_response, overlap_counts

LOOP = []
LOOP.append(LOOP)
NONSENSE = (
    None, "", "x", b"x", -1, 0, 1.5, True, 10**30, float("nan"), float("inf"), np.zeros((2, 2)), torch.zeros(2, 2),
    torch.tensor(0.0), [], {}, [None], (10**30, 10**30), lambda: None, object(), np.float32(3), {"a": None}, range(3),
    torch.zeros(1, 3, 0, 4), LOOP,
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
    "topology": "unet", "name": "deconv", "encoder": "segnet", "pretrained": False, "widths": None,
    "layers": (Conv(3, 2, 1),),
    "layer": Conv(3, 2, 1), "x": torch.ones(1, 1, 4, 4), "scale": 2, "kernel_size": 3, "stride": 2, "size": 9, "out": 5,
    "parameters": 1, "macs": 2, "mean": 0.5, "deviation": 0.1, "count": 3, "half_width": 0.1, "p_value": 0.5,
    "significant": True, "pixels": (3, 0), "image_pixels": (4, 0), "up": torch.nn.Upsample(scale_factor=2),
    "names": ("soil", "leaf"), "features": torch.ones(1, 1, 2, 2), "kernels": torch.ones(1, 9, 4, 4),
    "down": (Conv(3, 2, 1),),
}  # fmt: skip


@pytest.mark.parametrize("part", list(public()))
def test_nonsense_in_one_place_beside_sound_values_is_refused_or_works(part):
    needed = {one.name for one in parameters(part) if one.default is one.empty}
    needed |= {one.name for one in parameters(part) if one.name in ("encoder", "pretrained")}
    if not needed <= SOUND.keys():
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
            r"decoder.channels=\(8, None\) must be a list, each an int of 1 or more; None is not",
        ),
        ("inspection.check_sizes", (Conv2d(3, 3, 1), 3, torch.tensor(3)), r"check_sizes: sizes=.* must be "),
        ("load_model", (3,), r"load_model: path=3 must be text or a path"),
        ("data.read_image", (None,), r"read_image: path=None must be a path or text"),
    ],
)
def test_the_message_names_function_value_and_rule(part, arguments, message):
    module, _, name = f"segup.{part}".rpartition(".")
    function = getattr(importlib.import_module(module), name)
    with pytest.raises(SegupError) as caught:
        function(*arguments)
    assert re.match(message, str(caught.value))


@pytest.mark.parametrize(
    "wrong", [None, "x", b"x", [[1]], {}, LOOP, np.zeros((0, 3)), torch.zeros(2, 2), 1j, Path("x")]
)
@pytest.mark.parametrize(
    ("kept", "sound"),
    [
        ("shapes.Cost", (1, 2)),
        ("ablation.Spread", (0.5, 0.1, 3)),
        ("data.ClassFrequencies", ((3,), (4,))),
    ],
)
def test_what_keeps_numbers_refuses_others_when_it_is_made(kept, sound, wrong):
    module, _, name = f"segup.{kept}".rpartition(".")
    part = getattr(importlib.import_module(module), name)
    part(*sound)
    for place in range(len(sound)):
        with pytest.raises(SegupError, match=rf"^{name}: \w+="):
            part(*sound[:place], wrong, *sound[place + 1 :])


@pytest.mark.parametrize(
    "call",
    [
        lambda: overlap_counts(3, 10**30),
        lambda: overlap_counts(60000, 60000),
        lambda: overlap_counts(3, 2, size=60000),
        lambda: constant_response(torch.nn.Upsample(scale_factor=2), size=60000),
        lambda: smallest_padding(10, kernel_size=3, stride=10**30, exact=True),
        lambda: find_convs(417, 209, kernel_sizes=range(10**12)),
        lambda: find_convs(417, 209, dilations=itertools.count(1)),
        lambda: find_transposed(9, 5, dilations=[10**30]),
        lambda: find_convs(9, 5, strides=[10**30], dilations=[10**30]),
        lambda: find_transposed(16, 33, kernel_sizes=range(1, 1000), strides=range(1, 1000)),
    ],
)
def test_what_would_not_end_is_refused_before_it_begins_with_a_way_out(call):
    began = time.monotonic()
    with pytest.raises(SegupError, match=r"\d{3}|2\*\*"):
        call()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("odd", ["no", 1, None, torch.zeros(1, 3, 0, 4), torch.nn.ReLU()])
@pytest.mark.parametrize(
    "call",
    [
        lambda odd: chain_report([Conv(3, 2, 1), ConvTranspose(3, 2, 1)], 416, matched=odd),
        lambda odd: prove_inversion([Conv(3)], [ConvTranspose(3)], matched=odd),
        lambda odd: prove_inversion([Conv(3)], [ConvTranspose(3)], ends_only=odd),
        lambda odd: ladder([Conv(3)], size=9, matched=odd),
        lambda odd: find_convs(417, 209, exact=odd),
    ],
)
def test_what_is_neither_true_nor_false_is_refused(call, odd):
    with pytest.raises(SegupError, match="must be True or False"):
        call(odd)


def test_a_huge_number_is_refused_before_anything_is_made():
    with pytest.raises(SegupError, match="convs"):
        create_decoder("unet", (8, 16), (1, 2), upsampler="deconv", convs=10**30)
