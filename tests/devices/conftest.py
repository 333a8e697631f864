"""A device that is not there: tensors on it hold no values, and all that torch is asked to do with them is watched.

Torch runs a forward pass on a fake ``cuda:0`` without a driver. A backward pass there would wait for a thread that no
driver started, so it takes place on a fake ``lazy:0``, whose part torch's engine runs in the calling thread.
"""

import traceback
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
ROOT = Path(__file__).resolve().parents[2]
DTYPES = (torch.float32, torch.bfloat16)
OF_ONE_TYPE = (aten.convolution, aten.convolution_backward, aten.mm, aten.bmm, aten.addmm, aten.baddbmm)
"""Products, whose kernels take one type; torch 2.11 does not refuse others where there are no values."""
SHOWS = (Tensor.__repr__, Tensor.__format__)  # on a GPU these read the values; a fake tensor has none to read


class FakeDevice(TorchDispatchMode):
    """Notes in ``faults`` each call that torch refuses, and each that a tensor of another device has a part in.

    A read of a value is among the refused ones. Faults are noted, and not only raised, because the code that is
    watched may go on after an error.
    """

    def __init__(self, name):
        super().__init__()
        self.device, self.faults = torch.device(name), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        try:
            result = func(*args, **(kwargs or {}))
        except Exception as cause:
            self.note(f"{func}: {type(cause).__name__}")
            raise
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if func.overloadpacket in OF_ONE_TYPE and len({t.dtype for t in tensors if t.is_floating_point()}) > 1:
            self.note(f"{func}: {', '.join(sorted({str(tensor.dtype) for tensor in tensors}))}")
        if any(tensor.device != self.device for tensor in tensors):
            self.note(f"{func}: {', '.join(sorted({str(tensor.device) for tensor in tensors}))}")
        return result

    def note(self, fault):
        frames = [f for f in traceback.extract_stack() if f.filename != __file__ and f.filename.startswith(str(ROOT))]
        self.faults.append(f"{fault}, {frames[-1].filename}:{frames[-1].lineno}" if frames else fault)

    def empty(self, *shape, dtype=torch.float32, memory_format=torch.contiguous_format, requires_grad=False):
        layout = {"memory_format": memory_format, "requires_grad": requires_grad}
        return torch.empty(shape, dtype=dtype, device=self.device, **layout)

    def take(self, module, dtype=None):
        """Move here what ``module.to(device, dtype)`` would move, its parameters and buffers, and nothing else."""
        moved = {}

        def here(tensor):
            if id(tensor) not in moved:
                kind = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
                twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=kind, device=self.device)
                is_parameter = isinstance(tensor, nn.Parameter)
                moved[id(tensor)] = nn.Parameter(twin, tensor.requires_grad) if is_parameter else twin
            return moved[id(tensor)]

        for part in module.modules():
            for table in (part._parameters, part._buffers):
                table.update({name: here(tensor) for name, tensor in table.items() if tensor is not None})
        return module

    @contextmanager
    def autocast(self):
        """Torch's own choice of precision, which without a driver it would refuse."""
        there = {"is_available": lambda: True, "is_bf16_supported": lambda *_: True}
        with mock.patch.multiple("torch.cuda", **there):
            autocast = torch.autocast(self.device.type, torch.bfloat16)
        with autocast:
            yield


class Shows(TorchFunctionMode):
    """Notes each tensor that is printed."""

    def __init__(self, device):
        super().__init__()
        self.watch = device

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in SHOWS:
            self.watch.note(func.__qualname__)
        return func(*args, **(kwargs or {}))


def faults_of(name, step):
    """Return what is wrong with ``step(device)`` on a device of that name, each fault with its place; [] if nothing."""
    device = FakeDevice(name)
    try:
        with FakeTensorMode(allow_fallback_kernels=False), Shows(device), device:
            step(device)
    except Exception as cause:  # the end of the step, whatever it was, is a fault
        device.faults.append(f"{type(cause).__name__}: {cause}")
    return device.faults


def forward_faults(call):
    """Return the faults of ``call(device, dtype)`` on a fake GPU: in float32, in bfloat16 and under autocast."""

    def under_autocast(device):
        with device.autocast():
            call(device, torch.float32)

    steps = [under_autocast, *(lambda device, kind=kind: call(device, kind) for kind in DTYPES)]
    return [fault for step in steps for fault in faults_of("cuda:0", step)]


def backward_faults(call, dtypes=DTYPES):
    """Return the faults of ``call(device, dtype)`` and of the backward pass from its result."""

    def step(device, kind):
        result = call(device, kind)
        result.backward(torch.empty_like(result))

    return [fault for kind in dtypes for fault in faults_of("lazy:0", lambda device, kind=kind: step(device, kind))]


@pytest.fixture(scope="session", name="faults_of")
def faults_fixture():
    return faults_of


@pytest.fixture(scope="session", name="forward_faults")
def forward_fixture():
    return forward_faults


@pytest.fixture(scope="session", name="backward_faults")
def backward_fixture():
    return backward_faults
