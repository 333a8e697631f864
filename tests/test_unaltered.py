"""What may be read off a module's parameters: nothing that does something else than its class in torch."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from segup.errors import ConfigError
from segup.explain import explain
from segup.inspection import size_map
from segup.surgery import rewrite, swap_upsamplers, to_subpixel
from segup.unaltered import altered


class Tall(nn.Conv2d):
    def forward(self, x):
        return super().forward(nn.functional.pad(x, (0, 0, 1, 0)))


class Inner(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return x


class Backwards(nn.Sequential):
    def forward(self, x):
        for part in reversed(self):
            x = part(x)
        return x


class Hidden(nn.Sequential):
    def __iter__(self):
        return iter(())


class Mixin:
    def forward(self, x):
        return x[..., 1:]


class Mixed(Mixin, nn.MaxPool2d):
    pass


class Cropped(nn.Identity):
    def __call__(self, x):
        return x[..., 1:]


class LeakySame(nn.ReLU):
    def forward(self, x):
        return x[..., 1:]


class Up(nn.Upsample):
    def forward(self, x):
        return super().forward(x)[..., :-1]


class Transposed(nn.ConvTranspose2d):
    def forward(self, x, output_size=None):
        return super().forward(x)[..., :-1]


class Shuffled(nn.PixelShuffle):
    def forward(self, x):
        return super().forward(x)[..., 1:]


class Wide(nn.Conv2d):
    """Built differently, and torch's in what it does."""

    def __init__(self, channels):
        super().__init__(channels, channels, 7, padding=3)

    def extra_repr(self):
        return "wide"


def with_(module: nn.Module, change: Callable[[nn.Module], object]) -> nn.Module:
    change(module)
    return module


def hooked(module):
    module.register_forward_hook(lambda module, args, out: out[..., 1:])


def hooked_before(module):
    module.register_forward_pre_hook(lambda module, args: (args[0][..., 1:],))


def patched(module):
    module.forward = lambda x: x


def rewired(module):
    module._conv_forward = lambda x, weight, bias: x


def reweighted(module):
    module.weight = nn.Parameter(torch.ones(1, 1, 5, 5))


def rekernelled(module):
    module.kernel_size = (5, 5)


def repadded(module):
    module.padding = (2, 2)


def timms():
    from timm.layers import Conv2dSame

    return Conv2dSame(1, 1, 3, stride=2)


ALTERED = {
    "timm's Conv2dSame": timms,
    "a subclass's forward": lambda: Tall(1, 1, 3),
    "a subclass's _conv_forward": lambda: Inner(1, 1, 3),
    "a mixin's forward": lambda: Mixed(2),
    "a __call__": Cropped,
    "an activation's forward": LeakySame,
    "a resize's forward": lambda: Up(scale_factor=2),
    "a deconv's forward": lambda: Transposed(1, 1, 4, 2, 1),
    "a shuffle's forward": lambda: Shuffled(1),
    "a sequential's forward": lambda: Backwards(nn.Conv2d(1, 1, 3)),
    "a sequential's order": lambda: Hidden(nn.Conv2d(1, 1, 3)),
    "a hook": lambda: with_(nn.Conv2d(1, 1, 3), hooked),
    "a hook on an activation": lambda: with_(nn.ReLU(), hooked),
    "a hook on a sequential": lambda: with_(nn.Sequential(nn.Conv2d(1, 1, 3)), hooked),
    "a hook before a pool": lambda: with_(nn.AvgPool2d(2), hooked_before),
    "a forward of one module": lambda: with_(nn.MaxPool2d(2), patched),
    "a method of one module": lambda: with_(nn.Conv2d(1, 1, 3), rewired),
    "another weight": lambda: with_(nn.Conv2d(1, 1, 3), reweighted),
    "another weight of a deconv": lambda: with_(nn.ConvTranspose2d(1, 1, 3), reweighted),
    "another kernel_size": lambda: with_(nn.Conv2d(1, 1, 3), rekernelled),
    "a padding that came too late": lambda: with_(nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate"), repadded),
    "a parametrization": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(1, 1, 3)),
    "a hook that computes the weight": lambda: nn.utils.spectral_norm(nn.Conv2d(1, 1, 3)),
    "inside a sequential": lambda: nn.Sequential(nn.ReLU(), nn.Sequential(Tall(1, 1, 3))),
}


@pytest.mark.parametrize("name", ALTERED)
def test_it_has_no_size_rule_and_no_explanation(name):
    module = ALTERED[name]()
    assert any(altered(part) for part in module.modules())
    with pytest.raises(ConfigError, match="no size rule of"):
        size_map(module)
    with pytest.raises(ConfigError):
        explain(module, torch.ones(1, 8, 8))


@pytest.mark.parametrize(
    "build", [lambda: Transposed(1, 1, 4, 2, 1), lambda: with_(nn.ConvTranspose2d(1, 1, 4), hooked)]
)
def test_nor_is_it_rewritten(build):
    with pytest.raises(ConfigError):
        to_subpixel(build())
    assert len(rewrite(nn.Sequential(build())).report.left) == 1


class Stretched(nn.ConvTranspose2d):
    def _output_padding(self, *args, **kwargs):
        return [1, 1]


@pytest.mark.parametrize("build", [Transposed, Stretched], ids=["its forward", "a step of it"])
def test_swap_and_rewrite_leave_the_same_code_alone(build):
    model = nn.Sequential(build(1, 1, 4, 2, 1))
    (kept,) = swap_upsamplers(model, "bilinear", example=torch.ones(1, 1, 4, 4)).kept
    assert kept.reason == "it has a forward of its own, and may do something else than its class in torch"
    assert len(rewrite(model).report.left) == 1


PLAIN = [
    *(nn.Conv2d(1, 1, 3), Wide(1), nn.Conv2d(1, 1, 4, padding="same", padding_mode="replicate"), nn.MaxPool2d(2)),
    *(nn.Conv2d(1, 1, (3, 1), padding=(1, 0), padding_mode="circular"), nn.AvgPool2d(2), nn.Upsample(scale_factor=2)),
    *(nn.ConvTranspose2d(1, 1, 4, 2, 1), nn.PixelShuffle(1), nn.Conv2d(1, 1, 3).half(), nn.ConvTranspose2d(1, 1, 3, 2)),
    *(with_(nn.Conv2d(1, 1, 3), repadded), with_(nn.Conv2d(1, 1, 3), lambda module: setattr(module, "stride", 2))),
    *(nn.Upsample(scale_factor=1.4, mode="bilinear"), nn.Upsample(scale_factor=1.4, recompute_scale_factor=True)),
    nn.MaxPool2d(2, return_indices=True),
]


@pytest.mark.parametrize("module", PLAIN, ids=repr)
def test_what_is_torchs_is_believed_and_left_alone(module):
    before = copy.deepcopy(module.state_dict())
    assert altered(module) == ""
    module.train()
    x = torch.rand(1, 1, 45, 45, dtype=next((p.dtype for p in module.parameters()), torch.float32))
    made = explain(module, x)
    expected = module(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(made.output, expected, atol=1e-3, rtol=1e-2)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    if getattr(module, "padding_mode", "zeros") != "circular":
        assert size_map(module).out((45, 45)) == tuple(expected.shape[2:])


def test_torchs_own_class_changed_is_noticed(monkeypatch):
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x[..., 1:])
    with pytest.raises(ConfigError, match="ReLU of torch was given another forward"):
        size_map(nn.ReLU())


def test_what_the_parameters_do_not_say_is_found_by_running_it(monkeypatch):
    module = nn.Conv2d(1, 1, 3)
    monkeypatch.setattr("segup.explain.modules.altered", lambda module, *known: "")
    module.register_forward_hook(lambda module, args, out: out + 1)
    with pytest.raises(ConfigError, match="gives something else than a layer with its parameters, 'conv k3'"):
        explain(module, torch.ones(1, 8, 8))


def test_both_a_size_and_a_factor_have_no_rule():
    module = nn.Upsample(scale_factor=2)
    module.size = (7, 7)
    with pytest.raises(ConfigError, match="no size rule"):
        size_map(module)
    with pytest.raises(ConfigError, match="no size rule"):
        size_map(nn.Upsample(scale_factor=2, mode="area"))
