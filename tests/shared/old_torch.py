"""What torch's lower bound, 2.11, does not do, though segup does its part there."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch

OLD = pytest.mark.xfail(
    torch.torch_version.TorchVersion(torch.__version__) < (2, 12),
    reason="torch 2.11 asks for the parity of pooled sizes, for the order of strides, and has no vmap of grid_sample",
    strict=True,
)


def but_on_old_torch(names: Iterable[Any], *failing: Any) -> list[Any]:
    """Return the parameters of a test of which some fail on torch 2.11."""
    return [pytest.param(name, marks=OLD) if name in failing else name for name in names]
