"""What looking at a model must not do: change it, draw random numbers, or take memory."""

import copy
import random
import resource

import numpy as np
import pytest
import torch
from torch import nn

from segup.errors import ConfigError
from segup.inspection import check_sizes, feature_sizes, stage_rules
from segup.inspection.copies import meta_copy


class Careless(nn.Module):
    """Counts its calls, keeps what it saw, draws random numbers and fills buffers."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout()
        self.register_buffer("seen", torch.zeros(1))
        self.calls, self.kept, self.plain = 0, None, torch.ones(4, 1, 1)

    def forward(self, x):
        self.calls += 1
        self.seen += 1
        self.kept = x
        random.random(), np.random.rand(), torch.rand(2)
        return self.drop(self.norm(self.conv(x))) * self.plain


def state_of(model):
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    flags = {name: part.training for name, part in model.named_modules()}
    grads = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    return tensors, flags, grads, dict(model._forward_hooks), dict(model._forward_pre_hooks)


@pytest.mark.parametrize("look", [check_sizes, lambda m: feature_sizes(m, 33), stage_rules])
def test_the_model_and_the_random_generators_stay_as_they_were(look):
    model = Careless()
    model.norm.eval()
    model.conv.weight.requires_grad_(False)
    before = state_of(model)
    generators = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    look(model)
    after = state_of(model)
    assert all(torch.equal(tensor, after[0][name]) for name, tensor in before[0].items())
    assert before[1:] == after[1:]
    assert (model.calls, model.kept, model.plain.device.type) == (0, None, "cpu")
    assert torch.equal(generators[0], torch.get_rng_state())
    assert generators[1] == random.getstate()
    assert (generators[2] == np.random.get_state()[1]).all()
    with torch.no_grad():
        assert model.eval()(torch.zeros(1, 3, 5, 5)).shape == (1, 4, 5, 5)


def test_a_training_model_runs_in_training_mode_only_when_asked():
    modes = []

    class Tells(nn.Module):
        def forward(self, x):
            modes.append(self.training)
            return x

    check_sizes(Tells(), sizes=[4])
    assert set(modes) == {False}
    modes.clear()
    check_sizes(Tells().eval(), sizes=[4], training=True)
    assert set(modes) == {True}


def test_no_memory_is_taken_by_maps_or_weights():
    """At 10**4 × 10**4 and 4096 channels one map is 1.6 TB; the weights of the copy would be 0.6 GB."""
    model = nn.Sequential(
        nn.Conv2d(3, 4096, 3, padding=1, device="meta"), nn.Conv2d(4096, 4096, 3, padding=1, device="meta")
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert check_sizes(model, sizes=[10**4], other=10**4).always
    assert feature_sizes(model, 10**5) == [(10**5, 10**5)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_weights_on_meta_and_old_weight_norm_are_taken():
    assert check_sizes(nn.Conv2d(3, 3, 3, padding=1, device="meta")).always
    normed = nn.utils.weight_norm(nn.Conv2d(3, 3, 3, padding=1))
    with pytest.raises(RuntimeError):
        copy.deepcopy(normed)  # its weight is no leaf
    assert check_sizes(normed).always
    assert check_sizes(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 3, 3, padding=1))).always


def test_lazy_layers_and_models_that_cannot_be_copied_are_refused():
    with pytest.raises(ConfigError, match="LazyConv2d has lazy layers .*\n  try: run it once"):
        check_sizes(nn.LazyConv2d(3, 3))

    class Stubborn(nn.Module):
        def __deepcopy__(self, memo):
            raise TypeError("not me")

    with pytest.raises(ConfigError, match="Stubborn cannot be copied, .*: not me"):
        meta_copy(Stubborn())


class HoldsOn(nn.Module):
    """Its forward goes through a function that knows the module itself, which no copy has."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.function = lambda x: self.norm(x)

    def forward(self, x):
        return self.function(x)


def test_a_model_whose_code_holds_on_to_it_keeps_its_buffers():
    model = HoldsOn()
    check_sizes(model, training=True)
    assert model.norm.num_batches_tracked == 0
    assert (model.norm.running_mean == 0).all()


def test_within_inference_mode_it_is_the_same():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 2, 4, 2, 1))
    with torch.inference_mode():
        inside = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 2, 4, 2, 1))
        reports = [check_sizes(net), check_sizes(inside)]
        assert feature_sizes(net[:1], 33) == [(17, 17)]
    assert [(report.verdict, report.period) for report in [*reports, check_sizes(inside)]] == [("proved", 2)] * 3


def test_a_compiled_model_is_looked_at_as_it_was_written():
    def refused(graph, inputs):
        raise AssertionError("compiled")

    net = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ConvTranspose2d(8, 2, 4, 2, 1))
    report = check_sizes(torch.compile(net, backend=refused))
    assert (report.verdict, report.period) == ("proved", 2)
