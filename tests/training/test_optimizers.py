import pickle
import sys
import types

import pytest
import torch

from segup import create_model
from segup.errors import ConfigError
from segup.training.optimizers import create_optimizer
from segup.training.schedulers import create_scheduler

ADAMW = {"name": "adamw", "lr": 1e-3, "weight_decay": 0.1, "encoder_lr_factor": 0.5}


@pytest.fixture(scope="module")
def model():
    return create_model("resnet18", num_classes=2, pretrained=False, widths=[4, 4, 4, 4, 4])


def test_every_parameter_is_trained_once_at_its_rate(model):
    groups = create_optimizer(ADAMW, model).param_groups
    seen = [p for group in groups for p in group["params"]]
    assert {id(p) for p in seen} == {id(p) for p in model.parameters()}
    assert len(seen) == len(list(model.parameters()))
    encoder = {id(p) for p in model.encoder.parameters()}
    for group in groups:
        for p in group["params"]:
            assert group["lr"] == (5e-4 if id(p) in encoder else 1e-3)
            assert group["weight_decay"] == (0.1 if p.dim() > 1 else 0.0)


@pytest.mark.parametrize("options", [{}, {"head_lr_factor": 5}, {"layer_decay": 0.75}])
@pytest.mark.parametrize(
    "parts",
    [
        {"encoder": "test_vit", "neck": "simple_fpn"},
        {"encoder": "test_resnet", "topology": "fpn", "preset": "published"},
        {"encoder": "segnet", "topology": "fcn", "upsampler": "bilinear", "encoder_options": {"widths": [4, 6, 8]}},
    ],
    ids=["neck", "head within the decoder", "scores"],
)
def test_every_part_of_every_model_is_trained(parts, options):
    model = create_model(**{"num_classes": 2, "pretrained": False, **parts})
    seen = [id(p) for group in create_optimizer({**ADAMW, **options}, model).param_groups for p in group["params"]]
    assert sorted(seen) == sorted(id(p) for p in model.parameters())


def test_the_head_has_a_rate_of_its_own_and_the_last_group_the_one_that_is_shown(model):
    groups = create_optimizer({**ADAMW, "head_lr_factor": 8}, model).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates.keys() == {id(p) for p in model.parameters()}
    assert {rates[id(p)] for p in model.head.parameters()} == {8e-3}
    assert {rates[id(p)] for p in model.decoder.parameters()} == {1e-3} == {groups[-1]["lr"]}
    assert {rates[id(p)] for p in model.encoder.parameters()} == {5e-4}


def test_a_frozen_encoder_is_left_out():
    model = create_model("resnet18", num_classes=2, pretrained=False, widths=[4] * 5, encoder_options={"freeze": True})
    seen = {id(p) for group in create_optimizer(ADAMW, model).param_groups for p in group["params"]}
    assert seen == {id(p) for p in [*model.decoder.parameters(), *model.head.parameters()]}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**ADAMW, "name": "adam"}, "unknown optimizer 'adam': did you mean 'adamw'"),
        ({**ADAMW, "momentum": 0.9}, "unknown option of optimizer 'adamw' 'momentum'"),
        ({**ADAMW, "lr": 0}, "optimizer.lr=0 must be a number above 0"),
        ({**ADAMW, "lr": "fast"}, "optimizer.lr='fast' must be a number above 0"),
        ({**ADAMW, "head_lr_factor": 0}, "optimizer.head_lr_factor=0 must be a number above 0"),
        ({**ADAMW, "weight_decay": -1}, "optimizer.weight_decay=-1 must be a number of 0 or more"),
    ],
)
def test_wrong_options_are_named(model, config, message):
    with pytest.raises(ConfigError, match=message):
        create_optimizer(config, model)


def own_optimizer(params, *, lr, groups=1):
    return torch.optim.SGD(params, lr=lr / groups)


def test_an_optimizer_of_ones_own_may_call_an_option_groups(model, monkeypatch):
    module = types.ModuleType("own_optimizers")
    module.own = own_optimizer
    monkeypatch.setitem(sys.modules, "own_optimizers", module)
    found = create_optimizer({"name": "own_optimizers:own", "lr": 0.1, "groups": 2}, model)
    assert found.defaults["lr"] == 0.05


SGD = {"name": "sgd", "lr": 0.1}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**ADAMW, "lr": float("nan")}, "optimizer.lr=nan must be a number above 0"),
        ({**ADAMW, "lr": True}, "optimizer.lr=True must be a number above 0"),
        ({**ADAMW, "betas": 0.9}, r"optimizer.betas=0.9 must be 2 values, each a number of 0 or more and below 1"),
        ({**ADAMW, "betas": [0.9]}, r"optimizer.betas=\[0.9\] must be 2 values, each a number"),
        (
            {**ADAMW, "betas": [0.9, 2]},
            r"optimizer.betas=\[0.9, 2\] must be 2 values, each a number of 0 or more and below 1",
        ),
        ({**SGD, "momentum": -1}, "optimizer.momentum=-1 must be a number of 0 or more and below 1"),
        ({**SGD, "momentum": 0}, "optimizer.nesterov=True needs a momentum above 0: add optimizer.nesterov=false"),
        ({**SGD, "nesterov": 1}, "optimizer.nesterov=1 must be true or false"),
        (
            {**ADAMW, "fused": True},
            "optimizer.fused=True cannot be given: it follows from the rest of the run.\n  try: leave it out",
        ),
        (
            {"name": "torch.optim:RAdam", "lr": 0.1, "betas": [0.9, 1.5]},
            "optimizer 'torch.optim:RAdam' cannot be built: Invalid beta",
        ),
        ({"name": "torch.optim:LBFGS", "lr": 0.1}, "optimizer 'torch.optim:LBFGS' cannot be built: LBFGS does"),
    ],
)
def test_a_value_that_no_optimizer_takes_is_named(model, config, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        create_optimizer(config, model)


def rates(name, steps=20, **options):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = create_scheduler({"name": name, **options}, optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(found) < steps else None
    return found


def test_the_schedules_have_their_shapes():
    assert rates("constant") == [1.0] * 20
    assert rates("poly", power=0.9) == pytest.approx([(1 - step / 20) ** 0.9 for step in range(20)])
    cosine = rates("cosine", min_factor=0.1)
    assert (cosine[0], cosine == sorted(cosine, reverse=True)) == (1.0, True)
    assert cosine[10] == pytest.approx(0.55)
    cycle = rates("one_cycle", pct_start=0.5)
    assert max(cycle) == pytest.approx(1.0)
    assert cycle.index(max(cycle)) == 9
    assert cycle[-1] < cycle[0] < 0.05


def in_groups(name, **options):
    """Return the rates of two groups over 10 steps, as shares of their own."""
    zero = torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [zero], "lr": 0.02}, {"params": [torch.nn.Parameter(zero.detach().clone())], "lr": 1.0}]
    optimizer = torch.optim.SGD(groups)
    scheduler = create_scheduler({"name": name, **options}, optimizer, 10)
    found = []
    for step in range(10):
        found.append([group["lr"] / own for group, own in zip(optimizer.param_groups, (0.02, 1.0), strict=True)])
        optimizer.step()
        scheduler.step() if step < 9 else None
    return found


@pytest.mark.parametrize(
    ("name", "options"), [("constant", {}), ("cosine", {"min_factor": 0.1}), ("one_cycle", {}), ("poly", {})]
)
def test_every_group_keeps_its_share_of_the_rate(name, options):
    for first, second in in_groups(name, **options):
        assert first == pytest.approx(second)


def cosine_of_torch(optimizer, steps):
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


@pytest.mark.parametrize(
    "before", [cosine_of_torch, lambda optimizer, steps: create_scheduler({"name": "cosine"}, optimizer, steps)]
)
def test_a_cosine_goes_on_from_its_state_and_from_that_of_torchs(before):
    def at(optimizer):
        return [group["lr"] for group in optimizer.param_groups]

    first, second, whole = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5) for _ in range(3))
    stopped, expected = before(first, 10), cosine_of_torch(whole, 10)
    for optimizer, scheduler in ((first, stopped), (whole, expected)):
        for _ in range(4):
            optimizer.step()
            scheduler.step()
    again = create_scheduler({"name": "cosine"}, second, 10)
    second.load_state_dict(first.state_dict())
    again.load_state_dict(pickle.loads(pickle.dumps(stopped.state_dict())))
    assert again.get_last_lr() == stopped.get_last_lr()
    for _ in range(6):
        for optimizer, scheduler in ((second, again), (whole, expected)):
            optimizer.step()
            scheduler.step()
        assert at(second) == pytest.approx(at(whole), abs=1e-12)


def test_an_unknown_schedule_or_option_is_named():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ConfigError, match="unknown scheduler 'one-cycle': did you mean 'one_cycle'"):
        create_scheduler({"name": "one-cycle"}, optimizer, 10)
    with pytest.raises(ConfigError, match="unknown option of scheduler 'poly' 'pow': did you mean 'power'"):
        create_scheduler({"name": "poly", "pow": 2}, optimizer, 10)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("one_cycle", {"pct_start": 2}, "scheduler.pct_start=2 must be a number of 0 or more and at most 1"),
        ("one_cycle", {"pct_start": "x"}, "scheduler.pct_start='x' must be a number of 0 or more and at most 1"),
        ("one_cycle", {"div_factor": 0}, "scheduler.div_factor=0 must be a number above 0"),
        ("one_cycle", {"final_div_factor": -1}, "scheduler.final_div_factor=-1 must be a number above 0"),
        ("poly", {"power": -1}, "scheduler.power=-1 must be a number of 0 or more"),
        ("cosine", {"min_factor": -4}, "scheduler.min_factor=-4 must be a number of 0 or more and at most 1"),
    ],
)
def test_a_value_that_no_schedule_takes_is_named(name, options, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        rates(name, **options)


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_cycle_may_rise_at_no_step_or_at_all_of_them(share, steps):
    cycle = rates("one_cycle", steps=steps, pct_start=share)
    assert cycle == sorted(cycle, reverse=share == 0)
    assert max(cycle) == pytest.approx(1.0, rel=0.2 if steps == 10 else 1)


def test_a_rise_over_the_first_step_alone_begins_at_the_rate():
    assert rates("one_cycle", steps=10, pct_start=0.1)[0] == pytest.approx(1.0)


@pytest.mark.parametrize("config", [ADAMW, {**SGD, "weight_decay": 0.1}])
def test_the_fused_step_is_the_plain_one(config):
    moved = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = create_model("resnet18", num_classes=2, pretrained=False, widths=[4] * 5)
        optimizer = create_optimizer(config, model, fused=fused)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 3, 33, 47)).square().mean().backward()
            optimizer.step()
        moved.append(model.head.weight.detach())
    torch.testing.assert_close(moved[0], moved[1])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"name": "cosine", "steps": 7},
            "scheduler.steps=7 cannot be given: it follows from the rest of the run.\n  try: leave it out",
        ),
        (
            {"name": "torch.optim.lr_scheduler:ReduceLROnPlateau"},
            "moves by a score, and segup's schedules move with every step.\n  try: scheduler=cosine; or early_stopping",
        ),
        (
            {"name": "torch.optim.lr_scheduler:LambdaLR", "lr_lambda": ["x", "y"]},
            "scheduler 'torch.optim.lr_scheduler:LambdaLR' cannot be built: Expected 1 lr_lambdas, but got 2",
        ),
    ],
)
def test_what_no_schedule_of_a_run_can_be_is_said(config, message):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ConfigError, match=message):
        create_scheduler(config, optimizer, 4)
