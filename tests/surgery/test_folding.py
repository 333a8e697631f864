"""BatchNorm folded into convolutions: the same result, and only where nothing else takes the convolution's."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from segup.surgery import fold_norms


def with_statistics(model):
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.running_mean.normal_(), norm.running_var.uniform_(0.3, 3)
            if norm.affine:
                norm.weight.data.normal_(), norm.bias.data.normal_()
    return model.eval()


def folded(model, x, count):
    model = with_statistics(model)
    with torch.no_grad():
        before = model(x)
        assert fold_norms(model, x) == count
        assert torch.allclose(model(x), before, atol=1e-5)
    return model


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d])
def test_each_kind_of_convolution(layer, groups, affine, bias):
    sides = int(layer.__name__[-2])
    norm = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[sides - 1](8, affine=affine)
    model = folded(
        nn.Sequential(layer(4, 8, 3, stride=2, groups=groups, bias=bias), norm, nn.ReLU()),
        torch.randn(2, 4, *[7] * sides),
        1,
    )
    assert isinstance(model[1], nn.Identity)
    assert not any(parameter.requires_grad for parameter in model.parameters())


class Net(nn.Module):
    """A convolution, a norm, and a forward that joins them."""

    def __init__(self, forward, **parts):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.other = nn.BatchNorm2d(3)
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def set_all(whole, y):
    whole[:] = y


@pytest.mark.parametrize(
    ("forward", "count"),
    [
        (lambda net, x: net.norm(net.conv(x)), 1),
        (lambda net, x: net.norm(net.conv(x)[..., :5, 1:]), 1),
        (lambda net, x: net.norm(net.conv(x)[..., :5, :].contiguous()), 1),
        (lambda net, x: net.norm(net.conv(x)[:, :, 1:]), 0),
        (lambda net, x: net.norm(net.conv(x).flip(1)), 0),
        (lambda net, x: net.norm(net.conv(x).relu()), 0),
        (lambda net, x: (y := net.conv(x), net.norm(y) + y)[1], 0),
        (lambda net, x: (y := net.conv(x), torch.cat((net.norm(y), y.mean((2, 3), keepdim=True).expand_as(y))))[1], 0),
        (lambda net, x: (y := net.conv(x), net.norm(y[..., 1:]) + y[..., :-1])[1], 0),
        (lambda net, x: (y := net.conv(x), net.norm(y) * y.max(1, keepdim=True)[0])[1], 0),
        (lambda net, x: (y := net.conv(x), torch.cat((net.norm(y), y.chunk(3, 1)[0]), 1))[1], 0),
        (lambda net, x: (y := net.conv(x), whole := torch.zeros_like(x), set_all(whole, y), net.norm(y) + whole)[3], 0),
        (lambda net, x: net.norm(net.conv(net.conv(x))), 0),
        (lambda net, x: net.norm(net.conv(x)) + net.norm(x), 0),
        (lambda net, x: (y := net.conv(x), net.norm(y) + net.other(y))[1], 0),
        (lambda net, x: net.other(net.norm(net.conv(x))), 1),
        (lambda net, x: net.norm(nn.functional.conv2d(x, net.conv.weight * 2)), 0),
        (lambda net, x: net.norm(x), 0),
    ],
)
def test_only_a_result_that_the_norm_alone_takes(forward, count):
    folded(Net(forward), torch.randn(2, 3, 8, 8), count)


def test_a_result_that_the_model_gives_out_too_is_left():
    net = with_statistics(Net(lambda net, x: {"low": (y := net.conv(x)), "high": net.norm(y)}))
    assert fold_norms(net, torch.randn(1, 3, 8, 8)) == 0


def test_shared_weights_keep_their_norm():
    net = Net(lambda net, x: net.norm(net.conv(x)) + net.twin(x), twin=nn.Conv2d(3, 3, 3, padding=1))
    net.twin.weight = net.conv.weight
    folded(net, torch.randn(1, 3, 8, 8), 0)


def test_modes_come_back_and_statistics_stay():
    net = with_statistics(Net(lambda net, x: net.norm(net.conv(x)) + net.other(x))).train()
    mean = net.other.running_mean.clone()
    fold_norms(net, torch.randn(2, 3, 8, 8))
    assert net.training
    assert torch.equal(net.other.running_mean, mean)


def test_timms_norm_keeps_its_activation():
    timm_layers = pytest.importorskip("timm.layers")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), timm_layers.BatchNormAct2d(4, act_layer=nn.SiLU))
    assert isinstance(folded(net, torch.randn(1, 3, 6, 6), 1)[1], nn.SiLU)


class Own(nn.Conv2d):
    """A convolution whose forward reads no bias."""

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight, None, self.stride, self.padding)


@dataclass
class Out:
    """A result that is no mapping, list or tuple."""

    y: torch.Tensor
    before: torch.Tensor


def weight_alone(net, x):
    return net.norm(nn.functional.conv2d(x, net.conv.weight, padding=1))


def weight_twice(net, x):
    y = net.norm(net.conv(x))
    return nn.functional.linear(y.mean((2, 3)).repeat(1, 9), net.conv.weight.flatten(1))


def norm_by_hand(net, x):
    norm, y = net.norm, net.conv(x)
    return nn.functional.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def kept_beside(net, x):
    net.seen = net.conv(x)
    return net.norm(net.seen)


UNSEEN = {
    "a forward that reads no bias": (lambda net, x: net.norm(net.conv(x)), {"conv": Own(3, 3, 3, bias=False)}),
    "a weight without its bias": (weight_alone, {"conv": nn.Conv2d(3, 3, 3, bias=False)}),
    "a weight that something else reads": (weight_twice, {}),
    "the norm's statistics, not the norm": (norm_by_hand, {}),
    "a result that the model keeps": (kept_beside, {}),
}


@pytest.mark.parametrize(("forward", "parts"), UNSEEN.values(), ids=UNSEEN)
def test_what_a_fold_would_change_is_left(forward, parts):
    model = folded(Net(forward, **parts), torch.randn(1, 3, 5, 5), 0)
    assert isinstance(model.norm, nn.BatchNorm2d)
    assert (model.conv.bias is None) == bool(parts)


def changed_in_place(net, x):
    x.sub_(0.5)
    return net.norm(net.conv(x))


def with_a_nan(net, x):
    y = net.norm(net.conv(x))
    y[0, 0, 0, 0] = float("nan")
    return y


@pytest.mark.parametrize("forward", [changed_in_place, with_a_nan])
def test_the_second_look_is_at_the_same_image_and_at_numbers(forward):
    model, x = with_statistics(Net(forward)), torch.randn(1, 3, 5, 5)
    before = x.clone()
    assert fold_norms(model, x) == 1
    assert torch.equal(x, before)


def test_an_infinite_number_does_not_hide_another_result():
    def forward(net, x):
        y = net.hidden[0](net.conv(x)).mean((2, 3))
        return torch.cat((y, torch.full_like(y, -float("inf"))))

    model = with_statistics(Net(forward))
    model.hidden = [model.norm]
    assert fold_norms(model, torch.randn(1, 3, 5, 5)) == 0


def test_a_dataclass_that_the_model_gives_out_is_looked_into():
    def forward(net, x):
        y = net.conv(x)
        return Out(net.norm(y), y)

    model = with_statistics(Net(forward))
    assert fold_norms(model, torch.randn(1, 3, 5, 5)) == 0


@pytest.mark.parametrize("place", ["conv", "norm"])
def test_what_has_hooks_is_left(place):
    model = Net(lambda net, x: net.norm(net.conv(x)))
    getattr(model, place).register_forward_hook(lambda _, given, result: 2 * result)
    folded(model, torch.randn(1, 3, 5, 5), 0)


def test_a_norm_that_runs_where_no_module_shows_it_is_put_back():
    model = Net(lambda net, x: net.hidden[0](net.conv(x)))
    model.hidden = [model.norm]
    folded(model, torch.randn(1, 3, 5, 5), 0)
    assert model.norm is model.hidden[0]
