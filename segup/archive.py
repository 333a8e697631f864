"""A checkpoint's file, read as data: its own sums hold, nothing in it is run, and it takes no more than its size.

torch writes a zip archive of records as they are: a pickle that says what is where, and the numbers of each tensor. So
everything can be checked before it is opened: that no record is packed or named twice, the sum of each, and which few
functions the pickle may call. The tensors are then mapped, not copied, so that they lie inside the file.
"""

import io
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segup.conform import short
from segup.errors import ConfigError, DataError
from segup.stored import check_plain

_BYTES = {
    f"{kind}Storage": size
    for kinds, size in (
        (("ComplexDouble",), 16), (("Double", "Long", "ComplexFloat"), 8), (("Float", "Int"), 4),
        (("Half", "BFloat16", "Short"), 2), (("Bool", "Byte", "Char", "Untyped"), 1),
    )
    for kind in kinds
}  # fmt: skip
_CALLED = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
}
_MAKERS = frozenset(
    {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye, torch.arange}
    | {torch.linspace, torch.empty_strided, Tensor.new_empty, Tensor.new_zeros, Tensor.new_ones, Tensor.new_full}
)


def read_archive(path: Path) -> Any:
    """Return what torch saved in a file: groups and lists of plain values and tensors, which are mapped from the file.

    Raises:
        DataError: It is no such archive, it is damaged, or it holds more than that; the message is one line.
    """
    _check_records(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about what becomes the error below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as cause:  # the unpickler, the zip reader and torch each raise their own
        raise DataError(f"{path} is not a segup checkpoint: it cannot be read ({type(cause).__name__})") from cause
    try:
        check_plain(content, finite=False, leaf=_is_dense)
    except ConfigError as cause:
        raise DataError(f"{path} is not a segup checkpoint: {cause}") from cause
    return content


def _check_records(path: Path) -> None:
    """Raise a DataError unless the file is an archive of unpacked records with the sums that they were written with."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            names = [record.filename for record in records]
            packed = next((r.filename for r in records if r.compress_type != zipfile.ZIP_STORED), None)
            whole = sum(record.file_size for record in records) <= path.stat().st_size
            if packed is not None or len(set(names)) < len(names) or not whole:
                raise DataError(f"{path} is not a segup checkpoint: its records are not as torch writes them")
            damaged = archive.testzip()
            if damaged is not None:
                raise DataError(
                    f"{path} is damaged: its record '{damaged}' does not have the sum that was written with it.\n"
                    f"  try: a copy of the file, or the run's other checkpoint."
                )
            pickles = [name for name in names if name.endswith(".pkl")]
            if len(pickles) != 1:
                raise DataError(f"{path} is not a segup checkpoint: it has {len(pickles)} pickles, not one")
            sizes = {record.filename.partition("/")[2]: record.file_size for record in records}
            _Dry(path, archive.read(pickles[0]), sizes).load()
    except DataError:
        raise
    except Exception as cause:  # of a file of any kind; zipfile raises its own, and struct's, and the system's
        raise DataError(f"{path} is not a segup checkpoint: it cannot be read ({type(cause).__name__})") from cause


class _Dry(pickle._Unpickler):
    """Reads a pickle without making what it describes; raises a DataError where it would call more than tensors take.

    Args:
        path: For the message.
        content: The pickle.
        sizes: Bytes of the archive's records: what a tensor is said to hold has to be what its record does.
    """

    def __init__(self, path: Path, content: bytes, sizes: Mapping[str, int]) -> None:
        super().__init__(io.BytesIO(content))
        self._path, self._sizes = path, sizes

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _BYTES:
            return _BYTES[name]
        if (module, name) not in _CALLED:
            raise DataError(
                f"{self._path} is not a segup checkpoint: it holds more than tensors and plain values, and nothing in "
                f"it was run"
            )
        return OrderedDict if name == "OrderedDict" else lambda *_: None

    def persistent_load(self, pid: Any) -> None:
        _, item, key, _, count = pid
        if count * item != self._sizes[f"data/{key}"]:
            raise DataError(
                f"{self._path} is damaged: it says that its record 'data/{key}' has {short(count)} numbers of {item} "
                f"bytes; it has {self._sizes[f'data/{key}']} bytes"
            )


def _is_dense(value: Any) -> bool:
    """Return whether a tensor holds as many numbers as its shape says; one that is spread out grows when copied."""
    if not isinstance(value, Tensor):
        return False
    held = value.layout == torch.strided and value.device.type == "cpu" and not value.is_quantized
    return held and value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def size_of(weights: Mapping[str, Tensor]) -> int:
    """Return the bytes of tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in weights.values())


class Allowance(TorchFunctionMode):
    """Refuse what makes tensors of more than ``size`` bytes together, before the one that would exceed it is made.

    Raises:
        ConfigError: From within, where a tensor is asked for.

    >>> with Allowance(1000):
    ...     torch.nn.Linear(10**6, 10**6)
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: it takes 4000000000000 bytes or more, of 1000 that its file accounts for
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._used = size, 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS and str(kwargs.get("device", "cpu")) != "meta":
            self._used += _bytes(func, args, kwargs)
            if self._used > self._size:
                raise ConfigError(f"it takes {self._used} bytes or more, of {self._size} that its file accounts for")
        return func(*args, **kwargs)


def _bytes(make: Any, args: Any, kwargs: Any) -> int:
    """Return what a call that makes a tensor would take: it is asked for its shape alone."""
    shaped = {key: value for key, value in kwargs.items() if key not in ("generator", "out", "pin_memory")}
    try:
        made = make(*args, **{**shaped, "device": "meta"})
    except RuntimeError as cause:  # more than torch can count; or wrong in another way, which the call itself will say
        raise ConfigError(f"it asks for a tensor that cannot be made: {cause}") from cause
    return int(made.numel() * made.element_size())
