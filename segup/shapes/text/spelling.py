"""Other spellings of a layer than the language's own: torch's call, torch's names, commas, capitals."""

import ast
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import Any

from segup.errors import ShapeError
from segup.shapes.resize import MODES

LETTERS: Mapping[str, str] = MappingProxyType(
    {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation", "op": "output_padding", "g": "groups"}
)
NAMES: Mapping[str, str] = MappingProxyType(
    {
        **LETTERS,
        **{name: name for name in LETTERS.values()},
        "kernel": "kernel_size",
        "pad": "padding",
        "out_padding": "output_padding",
        "ceil": "ceil_mode",
        **{name: name for name in ("ceil_mode", "mode", "scale_factor", "upscale_factor")},
        "x": "scale_factor",
        "scale": "scale_factor",
        "factor": "scale_factor",
    }
)
"""What a parameter may be called, and torch's name for it."""
POOLS = ("max", "avg")

_OPTIONS: Mapping[str, tuple[str, Any]] = {
    **{mode: ("mode", mode) for mode in MODES},
    **{pool: ("pool", pool) for pool in POOLS},
    **{padding: ("padding", padding) for padding in ("same", "valid")},
    **dict.fromkeys(("ceil", "ceil_mode", "ceil_mode=true"), ("ceil_mode", True)),
    "ceil_mode=false": ("ceil_mode", False),
}
"""Parameters in one word, without a value of their own, and what they say."""

_CONV = ("kernel_size", "stride", "padding", "dilation", "groups")
_DECONV = ("kernel_size", "stride", "padding", "output_padding", "dilation", "groups")
_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
CALLS: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, Any]]] = MappingProxyType(
    {
        "conv": ("conv", _CONV, {}),
        "convolution": ("conv", _CONV, {}),
        "conv2d": ("conv", ("in_channels", "out_channels", *_CONV, "bias", "padding_mode"), {}),
        "deconv": ("deconv", _DECONV, {}),
        "deconvolution": ("deconv", _DECONV, {}),
        "deconv2d": ("deconv", _DECONV, {}),
        "convtranspose": ("deconv", _DECONV, {}),
        "transposedconv": ("deconv", _DECONV, {}),
        "transposedconvolution": ("deconv", _DECONV, {}),
        "upconv": ("deconv", _DECONV, {}),
        "tconv": ("deconv", _DECONV, {}),
        "convtranspose2d": (
            "deconv",
            ("in_channels", "out_channels", *_DECONV[:4], "groups", "bias", "dilation", "padding_mode"),
            {},
        ),
        "pool": ("pool", _POOL, {}),
        "pooling": ("pool", _POOL, {}),
        **dict.fromkeys(
            ("maxpool", "maxpooling", "maxpool2d"),
            ("pool", (*_POOL[:4], "return_indices", "ceil_mode"), {"pool": "max"}),
        ),
        **dict.fromkeys(
            ("avgpool", "averagepool", "avgpooling", "averagepooling", "avgpool2d"),
            ("pool", (*_POOL[:3], "ceil_mode", "count_include_pad", "divisor_override"), {"pool": "avg"}),
        ),
        "resize": ("resize", ("scale_factor", "mode"), {}),
        **dict.fromkeys(
            ("upsample", "upsampling", "interpolate"),
            (
                "resize",
                ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor"),
                {"mode": "nearest"},
            ),
        ),
        "upsamplingnearest2d": ("resize", ("size", "scale_factor"), {"mode": "nearest"}),
        "upsamplingbilinear2d": ("resize", ("size", "scale_factor"), {"mode": "bilinear", "align_corners": True}),
        "nearest": ("resize", ("scale_factor",), {"mode": "nearest"}),
        "bilinear": ("resize", ("scale_factor",), {"mode": "bilinear"}),
        "bicubic": ("resize", ("scale_factor",), {"mode": "bicubic"}),
        **dict.fromkeys(("pixelshuffle", "depthtospace"), ("pixel_shuffle", ("upscale_factor",), {})),
    }
)
"""By a layer's name without capitals and underscores: its kind, a call's parameters in their order, its defaults."""
_NO_WORD: Mapping[str, tuple[Any, ...]] = {
    "padding_mode": ("zeros",),
    "align_corners": (False, None),
    "recompute_scale_factor": (False, None),
    "count_include_pad": (True,),
    "divisor_override": (None,),
    "size": (None,),
}
"""Arguments that change what a layer gives and have no word, with the values that are meant without them."""
_NO_MATTER = ("in_channels", "out_channels", "bias", "return_indices", "inplace", "device", "dtype")


def kind_of(name: str) -> tuple[str, tuple[str, ...], dict[str, Any]] | None:
    """Return the kind that a name stands for, the order of its parameters in a call, and its defaults, or None.

    >>> kind_of("torch.nn.MaxPool2d")[0], kind_of("pixel_shuffle")[0], kind_of("decov")
    ('pool', 'pixel_shuffle', None)
    """
    found = CALLS.get(name.lower().rpartition(".")[2].replace("_", ""))
    return None if found is None else (found[0], found[1], dict(found[2]))


def layers_of(text: str) -> list[str]:
    """Return the text of each layer: what stands between commas, semicolons, | or arrows, outside of brackets.

    What begins with a parameter belongs to the layer before.

    >>> layers_of("conv k4,s2,p1, nn.Conv2d(3, 8, kernel_size=3) -> pool k2")
    ['conv k4 s2 p1', 'nn.Conv2d(3, 8, kernel_size=3)', 'pool k2']
    """
    text = re.sub(r"->|→|[;|]", ",", text.replace("×", "x"))
    depths = accumulate((sign in "([") - (sign in ")]") for sign in text)
    commas = [place for place, depth in enumerate(depths) if text[place] == "," and depth <= 0]
    layers: list[str] = []
    for part in (text[low + 1 : high].strip() for low, high in pairwise([-1, *commas, len(text)])):
        if layers and layers[-1] and is_parameter(part):
            layers[-1] += f" {part}"
        else:
            layers.append(part)
    return layers


def is_parameter(part: str) -> bool:
    """Return whether a text begins with a parameter and not with a kind.

    >>> is_parameter("s2 p1"), is_parameter("stride = 2"), is_parameter("pool k2"), is_parameter("nearest x2")
    (True, True, False, False)
    """
    first = words_of(part)[:1]
    if not first or kind_of(first[0].partition("(")[0]) is not None:
        return False
    word = first[0].lower()
    name = re.split(r"[^a-z_]", word, maxsplit=1)[0]
    return word in ("psame", "pvalid", *_OPTIONS, *NAMES) or (name in ("", *NAMES) and name != word)


def words_of(part: str) -> list[str]:
    """Return one layer's words: no quotes, each parameter with its value in one word.

    >>> words_of('conv kernel_size = (3, 1), padding="same" s 2')
    ['conv', 'kernel_size=3x1', 'padding=same', 's=2']
    """
    plain = re.sub(r"[\"'`]", "", part)
    plain = re.sub(r"[(\[]\s*([^()\[\],]*?)\s*,\s*([^()\[\],]*?)\s*,?\s*[)\]]", r"\1x\2", plain)
    plain = re.sub(r"\s*[=:]\s*", "=", plain)
    words: list[str] = []
    for word in plain.replace(",", " ").split():
        if words and words[-1].lower() in NAMES and words[-1].lower() != "ceil" and re.match(r"[-0-9]", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def called(part: str) -> tuple[str, dict[str, Any]] | None:
    """Return kind and parameters of a layer that is written as a call, or None for one that is not.

    >>> called("nn.ConvTranspose2d(1, 1, 4, 2, padding=1)")
    ('deconv', {'kernel_size': 4, 'stride': 2, 'padding': 1})
    """
    match = re.fullmatch(r"\s*([A-Za-z_][\w.]*)\s*\((.*)\)\s*", part, re.DOTALL)
    found = kind_of(match[1]) if match else None
    if match is None or found is None:
        return None
    kind, order, given = found
    try:
        call = ast.parse(f"f({match[2]})", mode="eval").body
        assert isinstance(call, ast.Call)
        values = [_literal(node) for node in call.args]
        named = {str(word.arg): _literal(word.value) for word in call.keywords}
    except (SyntaxError, ValueError):
        raise ShapeError(f"'{part}' is no call with numbers.") from None
    if len(values) > len(order):
        raise ShapeError(f"'{part}' has {len(values)} values, and {match[1]} takes {', '.join(order)}.")
    for name, value in [*zip(order, values, strict=False), *named.items()]:
        _give(given, name, value, name in named, part)
    return kind, given


def _give(given: dict[str, Any], name: str, value: Any, by_name: bool, part: str) -> None:
    if name in _NO_MATTER or value in _NO_WORD.get(name, ()):
        return
    if name in _NO_WORD:
        raise ShapeError(f"{name}={value!r} of '{part}' has no word.")
    known = NAMES.get(name)
    if known is None:
        raise ShapeError(f"unknown parameter '{name}' in '{part}'.")
    if by_name and known in given and known != "mode":
        raise ShapeError(f"{known} is given twice, the second time by '{name}'.")
    if value is not None:
        given[known] = value


def _literal(node: ast.expr) -> Any:
    """Return the value of a number, a text, a bare word such as same, a pair of them, or a fraction such as 3/2."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(map(_literal, node.elts)) if len(node.elts) != 1 else _literal(node.elts[0])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        above, below = _literal(node.left), _literal(node.right)
        if isinstance(above, int) and isinstance(below, int) and below:
            return Fraction(above, below)
        raise ValueError
    value = ast.literal_eval(node)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def option(word: str, figures: Callable[[str, str], Any]) -> tuple[str | None, Any]:
    """Return the name and the value of one word of a layer, by torch's name; the name None where it is no parameter.

    Args:
        word: Such as ``k3``, ``stride=2``, ``same`` or ``nearest``.
        figures: Reads the value of a parameter, given its name and its text.
    """
    plain = word.lower()
    if plain in _OPTIONS:
        return _OPTIONS[plain]
    name, sign, value = plain.partition("=")
    if not sign:
        match = re.fullmatch(r"(op|[a-z])(.*)", plain)
        name, value = (match[1], match[2]) if match else ("", plain)
    if name == "" and re.fullmatch(r"[0-9./x]+", value):
        return "", value
    if name not in NAMES:
        return None, value
    if NAMES[name] == "mode" or (NAMES[name] == "padding" and value in ("same", "valid")):
        return NAMES[name], value
    return NAMES[name], figures(NAMES[name], value)
