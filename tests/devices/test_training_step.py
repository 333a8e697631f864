"""A training step and a validation step on a device that is not there, as Lightning calls them."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from segup import create_model
from segup.losses import create_loss
from segup.metrics import SegmentationMetrics
from segup.training.module import SegmentationModule

ENCODERS = {
    "efficientnet_lite0": {},
    "segnet": {"encoder_options": {"widths": [4, 4, 4], "convs": 1}},
    "resnet18": {},
    "torchvision/mobilenet_v3_small": {},
}
MORE_ENCODERS = ["convnext_atto", "densenet121", "pvt_v2_b0", "vgg11_bn", "torchvision/regnet_y_400mf"]
ADAMW = {"name": "adamw", "lr": 1e-3, "encoder_lr_factor": 0.1, "weight_decay": 0.01}
SGD = {"name": "sgd", "lr": 0.1, "momentum": 0.9}


def module_of(encoder, num_classes=3, optimizer=ADAMW, **options):
    model = create_model(encoder, "unet", "dysample", num_classes=num_classes, pretrained=False, **options)
    loss = create_loss("ce_dice", num_classes=num_classes)
    metrics = SegmentationMetrics(max(num_classes, 2))
    return SegmentationModule(model, loss, metrics, optimizer=optimizer, scheduler={"name": "one_cycle"})


class Trainer(SimpleNamespace):
    """What a step asks Lightning's trainer for."""

    def __init__(self, precision):
        super().__init__(
            precision=precision, estimated_stepping_batches=5, num_training_batches=5, global_step=0, world_size=1,
            global_rank=0, gradient_clip_val=1.0, gradient_clip_algorithm="norm",
            precision_plugin=MixedPrecision(precision, "cpu"),
        )  # fmt: skip


def on(device, module, precision="bf16-mixed"):
    """The module as Lightning leaves it before the first step: moved, told its device, its optimizer built."""
    device.take(module)._device = device.device
    module._trainer, module._unchecked = Trainer(precision), None
    module.log = lambda name, value, **_: None
    built = module.configure_optimizers()
    module.trainer.optimizers = [built["optimizer"]]
    return module, built["optimizer"], built["lr_scheduler"]["scheduler"]


def batch_on(device, count=2):
    image = device.empty(count, 3, 33, 35, memory_format=torch.channels_last)
    mask = device.empty(count, 33, 35, dtype=torch.int64)
    return {"image": image, "mask": mask, "name": ["a", "b"][:count]}


def update(module, device, precision="bf16-mixed"):
    """Take a step on a fake GPU; the gradients, which it cannot compute, are put in their places."""
    module, optimizer, scheduler = on(device, module, precision)
    module.on_train_batch_start(batch_on(device), 0)
    optimizer.zero_grad()
    with device.autocast():
        loss = module.training_step(batch_on(device), 0)
    assert loss.dtype == torch.float32
    for parameter in module.parameters():
        parameter.grad = torch.empty_like(parameter)
    module.configure_gradient_clipping(optimizer, 1.0, "norm")
    optimizer.step()
    scheduler.step()


def gradients(module, device):
    module, *_ = on(device, module)
    module.training_step(batch_on(device), 0).backward()
    assert all(p.grad is not None and p.grad.device == device.device for p in module.model.decoder.parameters())


def check(module, faults_of):
    assert faults_of("cuda:0", lambda device: update(module, device)) == []
    assert faults_of("lazy:0", lambda device: gradients(module, device)) == []


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_training_step(encoder, faults_of):
    check(module_of(encoder, **ENCODERS[encoder]), faults_of)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", MORE_ENCODERS)
def test_a_training_step_of_more_encoders(encoder, faults_of):
    check(module_of(encoder), faults_of)


def test_a_training_step_of_one_sigmoid_channel_and_sgd(faults_of):
    """Not fused, as with 16-mixed: torch cannot pretend to run SGD's fused kernel."""
    module = module_of("segnet", 1, SGD, **ENCODERS["segnet"])
    assert faults_of("cuda:0", lambda device: update(module, device, "16-mixed")) == []


def test_a_loss_is_read_where_the_next_step_begins_and_nowhere_else(faults_of):
    module, before = module_of("segnet", **ENCODERS["segnet"]), []

    def step(device):
        update(module, device)
        before.extend(device.faults)
        module.check_loss()

    first, *_ = faults_of("cuda:0", step)
    assert before == []
    assert first.startswith("aten._local_scalar_dense.default: DataDependentOutputException, ")
    assert "segup/training/module.py" in first


def stray_reader(module):
    module.loss.register_forward_hook(lambda loss, logits, y: print(y.item()))


def stray_constant(module):
    module.model.head.register_forward_hook(lambda head, x, y: y * torch.tensor(0.5))


def stray_optimizer(module):
    """Torch's AdamW counts its steps on the CPU unless it is fused, and segup's is not with 16-mixed."""
    module.optimizer_config = ADAMW


@pytest.mark.parametrize(
    ("stray", "fault"),
    [
        (stray_reader, "aten._local_scalar_dense.default: "),
        (stray_constant, "aten.mul.Tensor: cpu, cuda:0"),
        (stray_optimizer, "cpu"),
    ],
)
def test_what_a_step_must_not_do_is_found(stray, fault, faults_of):
    module = module_of("segnet", 3, SGD, **ENCODERS["segnet"])
    assert faults_of("cuda:0", lambda device: update(module, device, "16-mixed")) == []
    stray(module)
    faults = faults_of("cuda:0", lambda device: update(module, device, "16-mixed"))
    assert any(fault in found for found in faults), faults


def test_a_validation_step_hands_class_ids_to_the_metrics_where_they_are(faults_of):
    module, seen = module_of("segnet", **ENCODERS["segnet"]).eval(), []
    module.metrics.update = lambda *images: seen.extend((tuple(x.shape), x.dtype, x.device.type) for x in images)

    def step(device):
        on(device, module)
        sizes = [(17, 19), (17, 19), (9, 30)]
        samples = [
            {"image": device.empty(3, *size), "mask": device.empty(*size, dtype=torch.int64), "name": str(size)}
            for size in sizes
        ]
        with torch.no_grad(), device.autocast():
            module.validation_step(samples, 0)

    assert faults_of("cuda:0", step) == []
    shapes = [(2, 17, 19), (2, 17, 19), (1, 9, 30), (1, 9, 30)]  # prediction and mask of each size
    assert seen == [(shape, torch.int64, "cuda") for shape in shapes]


def test_the_metrics_count_on_the_cpu_and_keep_their_sums_where_they_are():
    """On the device ``meta``, which refuses what meets it from the CPU, as a GPU does."""
    metrics = SegmentationMetrics(3).to("meta")
    metrics.update(torch.randint(3, (2, 17, 19)), torch.randint(3, (2, 17, 19)))
    assert {getattr(metrics, name).device.type for name in metrics.metric_state} == {"meta"}
