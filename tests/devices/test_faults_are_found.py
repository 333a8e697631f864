"""What is broken on purpose is found: each of these would stop a step on a GPU, or make it wait."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segup import create_model
from segup.losses.base import SegmentationLoss
from segup.losses.cross_entropy import CrossEntropy
from segup.upsamplers import Bilinear


class Backward(torch.autograd.Function):
    """The identity; ``change`` is applied to the gradient."""

    @staticmethod
    def forward(ctx, x, change):
        ctx.change = change
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return ctx.change(gradient), None


def swallowed(x):
    try:
        return x if x.mean() > 0 else -x
    except Exception:
        return x


def hooked(x):
    x = x.clone()
    x.register_hook(lambda gradient: gradient / gradient.norm().item())
    return x


def printed(x):
    print(x)
    return x


def ending(value):
    """A reader: the value, and the map as it is."""
    return lambda x: [value(x), x][1]


FORWARD = {
    "zeros": (lambda x: x + torch.zeros(1), "aten.zeros"),
    "a number as a tensor": (lambda x: x * torch.tensor(2.0), "aten._to_copy|lift_fresh|aten.mul"),
    "a constant that is moved": (lambda x: x * torch.ones(1).to(x.device), "aten.ones"),
    "positions": (lambda x: x + torch.arange(x.shape[-1]).to(x), "aten.arange"),
    "noise": (lambda x: x + torch.randn(1).to(x), "aten.randn"),
    "numpy": (lambda x: x + torch.from_numpy(np.ones(1, np.float32)), "cpu"),
    "to the CPU and back": (lambda x: x + x.cpu().mean().to(x.device), "cpu"),
    "like, elsewhere": (lambda x: x + torch.zeros_like(x, device="cpu"), "cpu"),
    "item": (lambda x: x * x.amax().item(), "_local_scalar_dense"),
    "a branch": (lambda x: x if x.sum() > 0 else -x, "_local_scalar_dense|is_nonzero"),
    "an assertion": (ending(lambda x: [torch.isfinite(x).all() or x.fail()]), "_local_scalar_dense|is_nonzero"),
    "a branch, and its error swallowed": (swallowed, "_local_scalar_dense|is_nonzero"),
    "int": (lambda x: x[..., : int(x.argmax())], "_local_scalar_dense"),
    "nonzero": (ending(lambda x: x.nonzero()), "nonzero"),
    "a mask as an index": (ending(lambda x: x[x > 0]), "nonzero|index"),
    "unique": (ending(lambda x: x.unique()), "unique"),
    "equal": (ending(lambda x: torch.equal(x, x + 1)), "equal"),
    "tolist": (ending(lambda x: x.detach().tolist()), "_local_scalar_dense"),
    "numpy of it": (ending(lambda x: x.detach().numpy()), "numpy"),
    "shown": (printed, "__repr__"),
    "shown in a text": (ending(lambda x: f"{x.mean()}"), "__format__"),
    "only on a GPU": (lambda x: x + torch.zeros(1) if x.is_cuda else x, "aten.zeros"),
}
BACKWARD = {
    "zeros": (lambda x: Backward.apply(x, lambda g: g + torch.zeros(1)), "aten.zeros"),
    "a number as a tensor": (lambda x: Backward.apply(x, lambda g: g * torch.tensor(2.0)), "cpu"),
    "a branch": (lambda x: Backward.apply(x, lambda g: g if g.any() else -g), "_local_scalar_dense|is_nonzero"),
    "a hook that reads": (hooked, "_local_scalar_dense"),
}


class Broken(Bilinear):
    """An operator, and a change of its map."""

    def __init__(self, change):
        super().__init__(4, 4)
        self.change = change

    def upsample(self, x, *, skip=None, indices=None):
        return super().upsample(self.change(x))


class Kept(Bilinear):
    """It keeps a tensor as an attribute, which ``to`` does not move."""

    def __init__(self, kept):
        super().__init__(4, 4)
        self.kept = kept

    def upsample(self, x, *, skip=None, indices=None):
        return super().upsample(x * self.kept)


class Single(Bilinear):
    """It mixes channels with weights made in float32, whatever it is given."""

    def upsample(self, x, *, skip=None, indices=None):
        mixed = torch.eye(4, device=x.device) @ x.flatten(2)
        return super().upsample(mixed.unflatten(2, x.shape[2:]))


def called(up):
    def call(device, dtype):
        return device.take(up, dtype)(device.empty(1, 4, 5, 6, dtype=dtype, requires_grad=True))

    return call


def names(faults, expected):
    return any(part in fault for part in expected.split("|") for fault in faults)


@pytest.mark.parametrize("kind", FORWARD)
def test_in_an_operators_forward(kind, forward_faults):
    change, expected = FORWARD[kind]
    faults = forward_faults(called(Broken(change)))
    assert names(faults, expected), faults


@pytest.mark.parametrize("kind", BACKWARD)
def test_in_an_operators_backward(kind, forward_faults, backward_faults):
    change, expected = BACKWARD[kind]
    assert forward_faults(called(Broken(change))) == []
    faults = backward_faults(called(Broken(change)))
    assert names(faults, expected), faults


@pytest.mark.parametrize("kept", [torch.ones(4, 1, 1), torch.tensor(2.0)], ids=["a map", "a number"])
def test_a_buffer_that_is_not_registered(kept, forward_faults, backward_faults):
    for faults in (forward_faults(called(Kept(kept))), backward_faults(called(Kept(kept)))):
        assert names(faults, "FakeTensor"), faults


def test_a_type_that_does_not_follow_the_input(forward_faults, backward_faults, faults_of):
    up = Single(4, 4)
    assert faults_of("cuda:0", lambda device: called(up)(device, torch.float32)) == []
    for faults in (forward_faults(called(up)), backward_faults(called(up))):
        assert names(faults, "mm"), faults


def test_in_a_whole_model(backward_faults):
    model = create_model(
        "segnet", "unet", "bilinear", num_classes=2, pretrained=False, encoder_options={"widths": [4, 4], "convs": 1}
    )
    model.decoder.register_forward_hook(lambda decoder, maps, y: y - torch.zeros(1))
    faults = backward_faults(lambda device, dtype: device.take(model, dtype)(device.empty(1, 3, 9, 9, dtype=dtype)))
    assert names(faults, "aten.zeros"), faults


class Weighted(SegmentationLoss):
    """Its weights become a tensor in each step."""

    def compute(self, logits, target, valid):
        return (logits * torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1).to(logits)).mean()


class Counted(CrossEntropy):
    """It leaves out a batch without a pixel that counts."""

    def compute(self, logits, target, valid):
        return super().compute(logits, target, valid) if valid.any() else logits.sum() * 0


class Selected(CrossEntropy):
    """It picks the pixels that count."""

    def compute(self, logits, target, valid):
        return F.cross_entropy(logits.movedim(1, -1)[valid], target[valid])


class Forgotten(CrossEntropy):
    """Its weights are not registered."""

    def __init__(self):
        super().__init__(num_classes=2)
        self.weights = torch.ones(2)

    def compute(self, logits, target, valid):
        return F.cross_entropy(logits, target, self.weights)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Weighted(num_classes=2), "lift_fresh|_to_copy"),
        (Counted(num_classes=2), "_local_scalar_dense|is_nonzero"),
        (Selected(num_classes=2), "index|nonzero"),
        (Forgotten(), "FakeTensor"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_in_a_loss(loss, expected, forward_faults, backward_faults):
    def call(device, dtype):
        logits = device.empty(1, 2, 5, 6, dtype=dtype, requires_grad=True)
        return device.take(loss)(logits, device.empty(1, 5, 6, dtype=torch.int64))

    for faults in (forward_faults(call), backward_faults(call)):
        assert names(faults, expected), faults


def test_a_fault_is_named_with_its_place(forward_faults):
    place = f"{__file__}:"
    fault = forward_faults(called(Broken(FORWARD["zeros"][0])))[0]
    assert fault.startswith("aten.zeros.default: cpu, ")
    assert place in fault
