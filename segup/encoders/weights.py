"""Weights of a file: whose names are whose, what fits, and what does not."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segup.errors import DataError
from segup.tables import listed

_NESTED = ("state_dict", "model", "teacher", "student", "module", "model_state", "model_ema", "params")
"""Under which names files keep the tensors, beside what else a training stored."""
_PREFIXES = re.compile(r"^(?:module|backbone|encoder|model|body|teacher|student|trunk|visual)\.")


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
        whole = len(self.loaded) + len(self.missing) + len(self.other_shape)
        lines = [f"weights of {self.file}: {len(self.loaded)} of the encoder's {whole} tensors"]
        for words, names in (
            ("adapted", self.adapted), ("missing in the file", self.missing), ("unexpected", self.unexpected),
            ("of another shape", self.other_shape),
        ):  # fmt: skip
            if names:
                lines.append(f"  {words} ({len(names)}): {listed(names)}")
        return "\n".join(lines)


def load_weights(body: nn.Module, file: str | Path) -> WeightsReport:
    """Fill a body's weights from a file of safetensors, or one that torch saved; nothing in it is run.

    Names are those of timm or torchvision, for the whole classifier or its features alone, with prefixes such as
    ``backbone.`` or ``module.``. Position embeddings are resampled, and the kernels of a first layer are adapted to
    other channels. A tensor of another shape is left as it was built.

    Args:
        body: Of an encoder.
        file: The file.

    Raises:
        DataError: The file is missing or cannot be read, or nothing of it fits.
    """
    path = Path(file)
    stored = _read(path)
    given = {_key(name): (name, tensor) for name, tensor in _unprefixed(stored, body).items()}
    own = body.state_dict()
    loaded, adapted, missing, other = [], [], [], []
    with torch.no_grad():
        for name, tensor in own.items():
            found = given.pop(_key(name), None)
            if found is None:
                missing.append(name)
                continue
            fitted, how = _fitted(found[1], tensor, name, body)
            if fitted is None:
                other.append(f"{name} {tuple(found[1].shape)} for {tuple(tensor.shape)}")
                continue
            tensor.copy_(fitted)
            loaded.append(name)
            if how:
                adapted.append(f"{name} ({how})")
    unexpected = tuple(name for name, _ in given.values())
    if not any(own[name].dim() > 1 for name in loaded):
        raise DataError(
            f"{path}: nothing in it fits this encoder: it holds {listed(list(stored)) or 'no tensor'}, and the "
            f"encoder {listed(list(own))}\n  try: encoder.name= of the model whose weights these are"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return WeightsReport(
        path.name, digest, tuple(loaded), tuple(adapted), tuple(missing), tuple(unexpected), tuple(other)
    )


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"no file of weights at {path}\n  try: encoder.weights=path/to/model.safetensors")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # each library raises its own
        said = " ".join(str(cause).split())[:160]
        raise DataError(
            f"{path} holds no weights that can be read without running it: {type(cause).__name__}: {said}\n"
            f"  try: torch.save(model.state_dict(), path), or a .safetensors file of them"
        ) from cause
    return _tensors(content)


def _tensors(content: Any) -> dict[str, Tensor]:
    """Return the tensors of a mapping by name, or of the one within it that holds them."""
    if not isinstance(content, Mapping):
        return {}
    for name in _NESTED:
        nested = content.get(name)
        if isinstance(nested, Mapping) and (found := _tensors(nested)):
            return found
    return {name: part for name, part in content.items() if isinstance(name, str) and isinstance(part, Tensor)}


def _key(name: str) -> str:
    """Return a name as files and features share it: timm joins the names of nested features by underscores."""
    return name.removeprefix("model.").replace(".", "_")


def _unprefixed(stored: dict[str, Tensor], body: nn.Module) -> dict[str, Tensor]:
    """Return the tensors under the names, without prefixes, of which the body knows most."""
    own = {_key(name) for name in body.state_dict()}
    best, names = -1, stored
    tried = stored
    for _ in range(4):
        known = sum(_key(name) in own for name in tried)
        if known > best:
            best, names = known, tried
        prefixes = {found.group() for name in tried if (found := _PREFIXES.match(name))}
        if not prefixes:
            break
        most = max(sorted(prefixes), key=lambda prefix: sum(name.startswith(prefix) for name in tried))
        tried = {name.removeprefix(most): part for name, part in tried.items()}
    return names


def _fitted(given: Tensor, own: Tensor, name: str, body: nn.Module) -> tuple[Tensor | None, str]:
    """Return a tensor of the shape of ``own``, and what was done for that; None where it cannot be."""
    if given.shape == own.shape:
        return given, ""
    if name.endswith("pos_embed") and given.dim() == own.dim():
        resampled = _resampled(given, own, body)
        return resampled, f"resampled from {tuple(given.shape)} to {tuple(own.shape)}"
    first = next((n for n, p in body.named_parameters() if p.dim() == 4), None)
    if name == first and given.dim() == 4 and given.shape[:1] + given.shape[2:] == own.shape[:1] + own.shape[2:]:
        from timm.models import adapt_input_conv

        try:
            adapted = adapt_input_conv(own.shape[1], given)
        except NotImplementedError:  # from other than three channels
            adapted = given.mean(dim=1, keepdim=True).expand_as(own) * (given.shape[1] / own.shape[1])
        return adapted, f"from {given.shape[1]} channels to {own.shape[1]}"
    return None, ""


def _resampled(given: Tensor, own: Tensor, body: nn.Module) -> Tensor | None:
    """Return a position embedding ``(1, tokens, C)`` or ``(1, h, w, C)`` for another number of cells."""
    from timm.layers import resample_abs_pos_embed, resample_abs_pos_embed_nhwc

    if given.shape[-1] != own.shape[-1]:
        return None
    if own.dim() == 4:
        return resample_abs_pos_embed_nhwc(given, [own.shape[1], own.shape[2]])
    inner = getattr(body, "model", body)
    side = int(own.shape[1] ** 0.5)
    prefix = own.shape[1] - side * side
    grid = getattr(getattr(inner, "patch_embed", None), "grid_size", None) or (side, side)
    extra = own.shape[1] - grid[0] * grid[1]
    return resample_abs_pos_embed(given, list(grid), num_prefix_tokens=max(0, extra if extra >= 0 else prefix))
