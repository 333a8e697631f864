"""Weights of a file: whose names are whose, what fits, and what does not."""

import argparse
import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from segup.calls import annotated
from segup.conform import short
from segup.encoders.contract import Encoder
from segup.errors import DataError
from segup.tables import listed

_DEEPEST = 5  # parts of a prefix: model.encoder.body.
_RELATIVE = ("rel_pos_h", "rel_pos_w")  # tables of distances on one axis, (2·cells − 1, C), of SAM's and MViT's blocks
_LEADING = (0, 1, 2, 5)  # class and register tokens in front of a table of positions


@dataclass(frozen=True)
class WeightsReport:
    """What came of a file of weights; ``str`` says it in a few lines.

    Args:
        file: Its name.
        sha256: Of its bytes.
        loaded: Tensors of the encoder that were filled.
        adapted: Those of them that were brought to another shape, and how.
        missing: Tensors of the encoder that the file does not have.
        unexpected: Tensors of the file that the encoder does not have, a classifier's among them.
        other_shape: Tensors of both whose shapes differ.
    """

    file: str
    sha256: str
    loaded: tuple[str, ...]
    adapted: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    other_shape: tuple[str, ...]

    def __str__(self) -> str:
        return self.text()

    def text(self, most: int = 4) -> str:
        """Return one line for each kind of tensors, with so many of their names, and the last."""
        whole = len(self.loaded) + len(self.missing) + len(self.other_shape)
        lines = [f"weights of {self.file}: {len(self.loaded)} of the encoder's {whole} tensors"]
        for words, names in (
            ("adapted", self.adapted), ("missing in the file", self.missing), ("unexpected", self.unexpected),
            ("of another shape", self.other_shape),
        ):  # fmt: skip
            if names:
                lines.append(f"  {words} ({len(names)}): {listed(names, most)}")
        return "\n".join(lines)


@annotated
def load_weights(encoder: Encoder, file: str | Path) -> WeightsReport:
    """Fill an encoder's weights from a file of safetensors, or one that torch saved; nothing in it is run.

    Names are those of the encoder's library, for the whole classifier or its features alone, with any prefix, such as
    ``backbone.`` or ``module.``. Layouts that timm itself converts are converted. Position embeddings are resampled,
    and the kernels of a first layer are adapted to other channels. A tensor of another shape is left as it was built.

    Args:
        encoder: Of any kind.
        file: The file.

    Raises:
        DataError: The file is missing or cannot be read, it holds NaN or infinite values, or nothing of it fits.

    >>> from segup.encoders import create_encoder
    >>> from tempfile import TemporaryDirectory
    >>> encoder = create_encoder("test_resnet", pretrained=False)
    >>> with TemporaryDirectory() as folder:
    ...     torch.save(encoder.body.state_dict(), f"{folder}/w.pth")
    ...     print(load_weights(encoder, f"{folder}/w.pth"))
    weights of w.pth: 90 of the encoder's 90 tensors
    """
    path = weights_file(file)
    own = encoder.body.state_dict()
    keys = _own_keys(own)
    given, stored = _fitting(_read(path), encoder, {keys[name]: tensor for name, tensor in own.items()})
    found: dict[str, Tensor] = {}
    adapted, missing, other = [], [], []
    convs = [(name, one) for name, one in encoder.body.named_modules() if isinstance(one, nn.Conv2d)]
    # The kernels that read the image. One that reads blocks of pixels as channels has an order of its own in them.
    stems = {f"{name}.weight" for name, one in convs if one.in_channels == encoder.in_channels}
    weights = dict(encoder.body.named_parameters())
    for name, tensor in own.items():
        _, part = given.pop(keys[name], (name, None))
        if part is None:
            missing.append(name)
            continue
        was = stored.get(keys[name], (name, part))[1].shape
        fitted = _fitted(name, part, tensor, first=name in stems)
        if fitted is None:
            other.append(f"{name} {tuple(was)} for {tuple(tensor.shape)}")
            continue
        if not (fitted.isfinite() if name in weights else ~fitted.isnan()).all():  # a mask of attention has −inf
            raise DataError(f"{path}: '{name}' holds NaN or infinite values")
        found[name] = fitted
        if was != tensor.shape:
            adapted.append(f"{name} (from {tuple(was)} to {tuple(tensor.shape)})")
    if not any(tensor.dim() > 1 for tensor in found.values()):
        held = listed([one for one, _ in given.values()]) or "no tensors by name"
        said = f"shapes differ at {listed(other)}" if other else f"it holds {held}; the encoder {listed(list(own))}"
        raise DataError(
            f"{path}: nothing in it fits encoder '{encoder.name}': {said}.\n"
            f"  try: encoder.name= of the model whose weights these are"
        )
    with torch.no_grad():
        for name, tensor in found.items():
            own[name].copy_(tensor)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    names = (tuple(some) for some in (found, adapted, missing, [one for one, _ in given.values()], other))
    return WeightsReport(path.name, digest, *names)


def weights_file(file: str | Path) -> Path:
    """Return the path of a file of weights.

    Raises:
        DataError: There is none.
    """
    path = Path(file)
    if not path.is_file():
        raise DataError(f"no file of weights at {path}\n  try: encoder.weights=path/to/model.safetensors")
    return path


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):  # of a training's arguments: values by name
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as cause:  # each library raises its own
        more = isinstance(cause, UnpicklingError) and "weights_only" in str(cause)
        said = "more than tensors and plain values" if more else f"{type(cause).__name__}: {short(str(cause))}"
        raise DataError(
            f"{path} holds no weights that can be read without running what is in it: {said}\n"
            f"  try: torch.save(model.state_dict(), path), or a .safetensors file of them"
        ) from cause


Tensors = dict[str, Tensor]
Named = dict[str, tuple[str, Tensor]]


def _fitting(content: Any, encoder: Encoder, own: Mapping[str, Tensor]) -> tuple[Named, Named]:
    """Return the file's tensors by the keys under which most of them fit, with their names, and as the file has them.

    A file may hold several groups of them, such as averaged weights beside the last ones.
    """
    shapes = {key: tensor.shape for key, tensor in own.items()}

    def fit(pair: tuple[Named, Named]) -> tuple[int, int]:
        both = [shapes[key] == tensor.shape for key, (_, tensor) in pair[0].items() if key in shapes]
        return sum(both), len(both)

    pairs: list[tuple[Named, Named]] = []
    for held in _groups_of_tensors(content):
        for stored in (held, _without_prefix(held, shapes)):
            as_stored = _by_key(stored)
            pairs += [(as_stored, as_stored), (_by_key(encoder.convert(stored)), as_stored)]
    return max(pairs, key=fit, default=({}, {}))


def _by_key(tensors: Tensors) -> Named:
    return {_key(name): (name, tensor) for name, tensor in tensors.items()}


def _groups_of_tensors(content: Any) -> Iterator[Tensors]:
    """Yield the tensors by name of each mapping within what a file holds: its own, then those of the nested ones."""
    if isinstance(content, Mapping):
        tensors = {name: part for name, part in content.items() if isinstance(name, str) and isinstance(part, Tensor)}
        if tensors:
            yield tensors
        for part in sorted(content, key=lambda name: "ema" not in str(name)):  # of equal ones, averaged weights
            yield from _groups_of_tensors(content[part])


def _key(name: str) -> str:
    """Return a name as files and features share it: timm joins the names of nested features by underscores."""
    return name.removeprefix("model.").replace(".", "_")


def _own_keys(own: Iterable[str]) -> dict[str, str]:
    """Return the keys of the encoder's names, without what all have in front: segup holds some libraries' models whole.

    >>> _own_keys(["body.conv_proj.weight", "body.encoder.ln.bias"])
    {'body.conv_proj.weight': 'conv_proj_weight', 'body.encoder.ln.bias': 'encoder_ln_bias'}
    """
    first = {name.partition(".")[0] for name in own}
    shared = f"{min(first)}." if len(first) == 1 else ""
    return {name: _key(name.removeprefix(shared)) for name in own}


def _without_prefix(stored: Tensors, known: Iterable[str]) -> Tensors:
    """Return the tensors below the prefix that leaves most names known, without it; the others under their names."""
    known = set(known)
    prefixes = {"": None}
    for name in stored:
        parts = name.split(".")
        prefixes |= dict.fromkeys(f"{'.'.join(parts[:depth])}." for depth in range(1, min(_DEEPEST, len(parts))))
    best = max(
        prefixes, key=lambda prefix: sum(_key(n[len(prefix) :]) in known for n in stored if n.startswith(prefix))
    )
    return {name.removeprefix(best): tensor for name, tensor in stored.items()}


def _fitted(name: str, given: Tensor, own: Tensor, *, first: bool) -> Tensor | None:
    """Return a tensor in the shape of ``own``; None where it cannot be brought to it."""
    if given.shape == own.shape:
        return given
    if given.dim() != own.dim():
        return None
    if first and own.dim() == 4 and given[:, :1].shape == own[:, :1].shape:
        return _for_channels(given, own.shape[1])
    if name.endswith(_RELATIVE) and own.dim() == 2 and given.shape[1] == own.shape[1]:
        return nn.functional.interpolate(given.T[None].float(), own.shape[0], mode="linear")[0].T.to(given.dtype)
    if "pos" in name and own.dim() in (3, 4) and (given.shape[0], given.shape[-1]) == (1, own.shape[-1]):
        return _resampled(given, own)
    return None


def _for_channels(kernel: Tensor, channels: int) -> Tensor:
    from timm.models import adapt_input_conv

    if kernel.shape[1] == 3:
        return adapt_input_conv(channels, kernel)
    return kernel.float().mean(dim=1, keepdim=True).repeat(1, channels, 1, 1) * (kernel.shape[1] / channels)


def _resampled(given: Tensor, own: Tensor) -> Tensor | None:
    """Return a table of positions, ``(1, tokens, C)`` or ``(1, h, w, C)``, for another number of cells."""
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc

    if own.dim() == 4:
        return resample_abs_pos_embed_nhwc(given, list(own.shape[1:3]))
    for leading in _LEADING:
        sides = [isqrt(max(0, table.shape[1] - leading)) for table in (given, own)]
        if all(side**2 + leading == table.shape[1] for side, table in zip(sides, (given, own), strict=True)):
            return resample_abs_pos_embed(given, [sides[1]] * 2, [sides[0]] * 2, num_prefix_tokens=leading)
    return None
