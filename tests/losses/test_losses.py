"""What every loss promises, and each one against a reference implementation."""

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from segup.losses import SegmentationLoss, create_loss, list_losses

NAMES = ["ce_dice", "cross_entropy", "dice", "focal", "lovasz", "tversky"]
IGNORE = 255
CONFIGS = Path(__file__).parents[2] / "configs" / "loss"


def batch(
    seed: int, num_classes: int, *, present: list[int] | None = None, ignored: float = 0.3, shape=(2, 7, 5)
) -> tuple[Tensor, Tensor]:
    """Random logits in float64 and targets that use only the classes in ``present``."""
    generator = torch.Generator().manual_seed(seed)
    n, h, w = shape
    logits = 3 * torch.randn(n, num_classes, h, w, generator=generator, dtype=torch.float64)
    labels = torch.tensor(present if present is not None else list(range(max(num_classes, 2))))
    target = labels[torch.randint(len(labels), shape, generator=generator)]
    return logits, target.masked_fill(torch.rand(shape, generator=generator) < ignored, IGNORE)


batches = st.builds(
    batch,
    seed=st.integers(0, 2**31),
    num_classes=st.just(4),
    present=st.sampled_from([[0, 1, 2, 3], [1, 3], [2]]),
    ignored=st.sampled_from([0.0, 0.3]),
)
binary_batches = st.builds(
    batch,
    seed=st.integers(0, 2**31),
    num_classes=st.just(1),
    present=st.sampled_from([[0, 1], [1], [0]]),
    ignored=st.sampled_from([0.0, 0.3]),
)
few = settings(max_examples=25, deadline=None)


def pixels(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The counted pixels as rows ``(P, K)`` and their labels ``(P,)``: another way to ignore."""
    counted = (target != IGNORE).flatten()
    return logits.movedim(1, -1).reshape(-1, logits.shape[1])[counted], target.flatten()[counted]


# Against references


@few
@given(batches)
def test_cross_entropy_is_torchs(data):
    rows, labels = pixels(*data)
    assert torch.allclose(create_loss("cross_entropy", num_classes=4)(*data), F.cross_entropy(rows, labels))


@few
@given(batches, st.floats(0, 0.5))
def test_weighted_and_smoothed_cross_entropy_is_torchs(data, smoothing):
    rows, labels = pixels(*data)
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0])
    loss = create_loss("cross_entropy", num_classes=4, class_weights=weights, label_smoothing=smoothing)
    expected = F.cross_entropy(rows, labels, weight=weights.double(), label_smoothing=smoothing)
    assert torch.allclose(loss(*data), expected)


@pytest.mark.parametrize("found", [0, 1, 3])
@pytest.mark.parametrize("name", ["cross_entropy", "ce_dice"])
def test_pixels_of_weight_0_count_nowhere_also_with_smoothing(name, found):
    logits, target = batch(5, 3, present=[0], ignored=0.0, shape=(1, 64, 64))
    target[0, 0, :found] = 1
    weighted = {"num_classes": 3, "class_weights": [0.0, 1.0, 2.0], "label_smoothing": 0.1}
    parts = {"dice_weight": 0.0, "balance": 0.0} if name == "ce_dice" else {}
    loss = create_loss(name, **weighted, **parts)
    value = loss(logits.requires_grad_(), target)
    value.backward()
    ignored = loss(logits, target.masked_fill(target == 0, IGNORE))
    assert torch.allclose(value, ignored)
    assert (value == 0) == (found == 0)
    assert value < 20
    assert not logits.grad[0, :, 1:].any()
    if name == "cross_entropy" and found:
        rows, labels = logits[0, :, 0, :found].T, target[0, 0, :found]
        expected = F.cross_entropy(rows, labels, weight=loss.class_weights.double(), label_smoothing=0.1)
        assert torch.allclose(value, expected)


@few
@given(batches, st.floats(0, 1), st.sampled_from([None, [0.5, 2.0, 1.0, 3.0]]))
def test_balanced_cross_entropy_weighs_a_class_by_its_share_of_the_batch(data, balance, fixed):
    rows, labels = pixels(*data)
    shares = [(labels == c).double().mean().item() for c in range(4)]
    weights = [(share**-balance if share else 0.0) * (fixed[c] if fixed else 1) for c, share in enumerate(shares)]
    loss = create_loss("cross_entropy", num_classes=4, balance=balance, class_weights=fixed)
    assert torch.allclose(loss(*data), F.cross_entropy(rows, labels, weight=torch.tensor(weights).double()))


@few
@given(batches)
def test_a_balance_of_one_weighs_all_classes_that_are_there_alike(data):
    rows, labels = pixels(*data)
    means = [F.cross_entropy(rows[labels == c], labels[labels == c]) for c in labels.unique()]
    assert torch.allclose(create_loss("cross_entropy", num_classes=4, balance=1.0)(*data), torch.stack(means).mean())


@few
@given(binary_batches, st.floats(0, 1))
def test_one_channel_is_balanced_as_two_classes(data, balance):
    logits, target = data
    two = torch.cat((torch.zeros_like(logits), logits), dim=1)
    ours = [create_loss("cross_entropy", num_classes=k, balance=balance)(x, target) for k, x in ((1, logits), (2, two))]
    assert torch.allclose(*ours)


@few
@given(binary_batches)
def test_binary_cross_entropy_is_torchs(data):
    rows, labels = pixels(*data)
    expected = F.binary_cross_entropy_with_logits(rows[:, 0], labels.double())
    assert torch.allclose(create_loss("cross_entropy", num_classes=1)(*data), expected)


@few
@given(binary_batches)
def test_two_binary_weights_weigh_background_and_foreground(data):
    rows, labels = pixels(*data)
    pixel_weights = torch.tensor([0.5, 2.0], dtype=torch.float64)[labels]
    summed = F.binary_cross_entropy_with_logits(rows[:, 0], labels.double(), weight=pixel_weights, reduction="sum")
    loss = create_loss("cross_entropy", num_classes=1, class_weights=[0.5, 2.0])
    assert torch.allclose(loss(*data), summed / pixel_weights.sum())


@few
@given(batches, st.sampled_from([0.0, 1.5]), st.sampled_from([None, [0.5, 2.0, 1.0, 3.0]]))
def test_dice_is_smps(data, smooth, weights):
    reference = smp.losses.DiceLoss("multiclass", smooth=smooth, ignore_index=IGNORE, class_weights=weights)
    loss = create_loss("dice", num_classes=4, smooth=smooth, class_weights=weights)
    assert torch.allclose(loss(*data), reference(*data))


@few
@given(batches, st.floats(0.1, 2), st.floats(0, 2), st.sampled_from([0.0, 1.5]))
def test_tversky_is_smps(data, alpha, beta, smooth):
    reference = smp.losses.TverskyLoss("multiclass", alpha=alpha, beta=beta, smooth=smooth, ignore_index=IGNORE)
    assert torch.allclose(
        create_loss("tversky", num_classes=4, alpha=alpha, beta=beta, smooth=smooth)(*data), reference(*data)
    )


@few
@given(binary_batches, st.sampled_from([0.0, 1.5]))
def test_binary_overlaps_are_smps(data, smooth):
    dice = smp.losses.DiceLoss("binary", smooth=smooth, ignore_index=IGNORE)
    tversky = smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=smooth, ignore_index=IGNORE)
    assert torch.allclose(create_loss("dice", num_classes=1, smooth=smooth)(*data), dice(*data))
    assert torch.allclose(create_loss("tversky", num_classes=1, smooth=smooth)(*data), tversky(*data))


@few
@given(batches, st.booleans())
def test_lovasz_softmax_is_smps(data, per_image):
    logits, target = data[0].float(), data[1]  # the reference takes float32 alone
    reference = smp.losses.LovaszLoss("multiclass", per_image=per_image, ignore_index=IGNORE)
    loss = create_loss("lovasz", num_classes=4, per_image=per_image)
    assert torch.allclose(loss(logits, target), reference(logits, target))


@few
@given(binary_batches, st.booleans())
def test_lovasz_hinge_is_smps(data, per_image):
    logits, target = data[0].float(), data[1]  # the reference takes float32 alone
    reference = smp.losses.LovaszLoss("binary", per_image=per_image, ignore_index=IGNORE)
    loss = create_loss("lovasz", num_classes=1, per_image=per_image)
    assert torch.allclose(loss(logits, target), reference(logits, target))


@few
@given(batches)
def test_weighted_lovasz_is_the_weighted_mean_of_the_classes_present(data):
    logits, target = data
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)
    single = torch.stack(
        [
            create_loss("lovasz", num_classes=4, class_weights=F.one_hot(torch.tensor(c), 4))(logits, target)
            for c in range(4)
        ]
    )
    weights *= torch.stack([(target == c).any() for c in range(4)])
    weighted = create_loss("lovasz", num_classes=4, class_weights=[0.5, 2.0, 1.0, 3.0])(logits, target)
    assert torch.allclose(weighted, (single * weights).sum() / weights.sum())


def test_lovasz_of_certain_predictions_is_the_jaccard_loss():
    target = torch.tensor([[[0, 0, 1, 1, 1, 2]]])
    predicted = torch.tensor([[[0, 1, 1, 1, 2, 2]]])
    logits = 200.0 * F.one_hot(predicted, 3).movedim(-1, 1)
    assert create_loss("lovasz", num_classes=3)(logits, target).item() == pytest.approx(1 - (1 / 2 + 2 / 4 + 1 / 2) / 3)


@few
@given(batches, st.sampled_from([0.0, 0.5, 2.0, 3.5]))
def test_focal_is_smps_softmax_form(data, gamma):
    reference = softmax_focal_loss_with_logits(*pixels(*data), gamma=gamma)
    assert torch.allclose(create_loss("focal", num_classes=4, gamma=gamma)(*data), reference)


@few
@given(binary_batches, st.sampled_from([0.0, 0.5, 2.0, 3.5]))
def test_binary_focal_is_torchvisions_and_smps(data, gamma):
    rows, labels = pixels(*data)
    loss = create_loss("focal", num_classes=1, gamma=gamma)(*data)
    assert torch.allclose(
        loss, sigmoid_focal_loss(rows[:, 0], labels.double(), alpha=-1, gamma=gamma, reduction="mean")
    )
    assert torch.allclose(loss, smp.losses.FocalLoss("binary", gamma=gamma, ignore_index=IGNORE)(*data))


@few
@given(binary_batches)
def test_focal_class_weights_are_the_papers_alpha(data):
    rows, labels = pixels(*data)
    summed = sigmoid_focal_loss(rows[:, 0], labels.double(), alpha=0.25, gamma=2, reduction="sum")
    total = torch.tensor([0.75, 0.25], dtype=torch.float64)[labels].sum()
    loss = create_loss("focal", num_classes=1, class_weights=[0.75, 0.25])
    assert torch.allclose(loss(*data), summed / total)


@few
@given(batches)
def test_focal_without_gamma_is_cross_entropy(data):
    options = {"num_classes": 4, "class_weights": [0.5, 2.0, 1.0, 3.0]}
    assert torch.allclose(
        create_loss("focal", gamma=0.0, **options)(*data), create_loss("cross_entropy", **options)(*data)
    )


def test_focal_has_a_finite_gradient_where_the_probability_rounds_to_one():
    logits = torch.tensor([200.0, -200.0]).reshape(1, 2, 1, 1).requires_grad_()
    loss = create_loss("focal", num_classes=2, gamma=0.5)(logits, torch.zeros(1, 1, 1, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@few
@given(batches, st.floats(0, 2), st.floats(0.1, 2))
def test_ce_dice_is_the_weighted_sum_and_weighs_the_cross_entropy_alone(data, ce_weight, dice_weight):
    weights = [0.5, 2.0, 1.0, 3.0]
    loss = create_loss("ce_dice", num_classes=4, class_weights=weights, ce_weight=ce_weight, dice_weight=dice_weight)
    cross_entropy = create_loss("cross_entropy", num_classes=4, class_weights=weights, balance=0.25)
    dice = create_loss("dice", num_classes=4)
    assert torch.allclose(loss(*data), ce_weight * cross_entropy(*data) + dice_weight * dice(*data))


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
@few
@given(data=binary_batches)
def test_one_sigmoid_channel_is_two_classes_with_a_zero_logit(name, data):
    logits, target = data
    options = {"class_weights": [0.5, 2.0]}
    one = create_loss(name, num_classes=1, **options)(logits, target)
    two = create_loss(name, num_classes=2, **options)(torch.cat((torch.zeros_like(logits), logits), 1), target)
    assert torch.allclose(one, two)


# What every loss promises


def test_the_table_holds_every_loss_and_every_loss_has_a_config():
    assert set(NAMES) <= set(list_losses())
    assert sorted(path.stem for path in CONFIGS.glob("*.yaml")) == list_losses()


@pytest.mark.parametrize("name", list_losses())
def test_its_config_builds_it_with_its_own_defaults(name):
    options = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert options["name"] == name
    data = batch(1, 3)
    plain = create_loss(name, num_classes=3)
    assert torch.equal(create_loss(**options, num_classes=3)(*data), plain(*data))


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_ignored_pixels_have_no_influence_and_no_gradient(name, num_classes):
    logits, target = batch(2, num_classes)
    loss = create_loss(name, num_classes=num_classes)
    ignored = (target == IGNORE).unsqueeze(1)
    changed = torch.where(ignored, 7 * logits.flip(0) + 1, logits).requires_grad_()
    value = loss(changed, target)
    value.backward()
    assert torch.allclose(value, loss(logits, target))
    assert not changed.grad[ignored.expand_as(changed)].any()
    assert changed.grad[~ignored.expand_as(changed)].any()


@pytest.mark.parametrize(
    ("name", "num_classes", "weights"),
    [(name, k, None) for name in NAMES for k in (1, 4)]
    + [(name, 4, [2.0, 1.0, 0.5, 1.0]) for name in NAMES]
    + [(name, 1, [2.0, 1.0]) for name in ("cross_entropy", "ce_dice", "focal")],
)
def test_an_ignored_batch_is_a_loss_of_zero_with_a_gradient_of_zero(name, num_classes, weights):
    loss = create_loss(name, num_classes=num_classes, class_weights=weights)
    logits = torch.randn(2, num_classes, 3, 3, requires_grad=True)
    value = loss(logits, torch.full((2, 3, 3), IGNORE))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_an_image_without_counted_pixels_among_others_is_finite():
    logits, target = batch(3, 4)
    target[0] = IGNORE
    for name in NAMES:
        assert create_loss(name, num_classes=4)(logits, target).isfinite()
    assert create_loss("lovasz", num_classes=4, per_image=True)(logits, target).isfinite()


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name, num_classes):
    logits, target = batch(4, num_classes, shape=(2, 3, 2))
    loss = create_loss(name, num_classes=num_classes)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_computed_in_float32(name, num_classes):
    logits, target = batch(5, num_classes, shape=(2, 60, 50))
    low = logits.bfloat16()
    loss = create_loss(name, num_classes=num_classes)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(low, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(low.double(), target).item(), rel=1e-5)


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_read_back_from_the_device(name, num_classes):
    # A meta tensor has no values, so whatever would wait for a GPU fails on it.
    loss = create_loss(name, num_classes=num_classes).to("meta")
    logits = torch.empty(2, num_classes, 5, 7, device="meta", requires_grad=True)
    value = loss(logits, torch.empty(2, 5, 7, dtype=torch.int64, device="meta"))
    value.backward()
    assert value.shape == ()
    assert logits.grad.shape == logits.shape


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_images_and_the_memory_format_do_not_matter(name, num_classes):
    logits, target = batch(6, num_classes)
    loss = create_loss(name, num_classes=num_classes)
    value = loss(logits, target)
    assert torch.allclose(loss(logits.flip(0), target.flip(0)), value)
    assert torch.allclose(loss(logits.contiguous(memory_format=torch.channels_last), target), value)


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", NAMES)
def test_a_certain_and_right_prediction_costs_nothing(name, num_classes):
    _, target = batch(7, num_classes)
    labels = target.masked_fill(target == IGNORE, 0)
    logits = 2.0 * labels.unsqueeze(1) - 1 if num_classes == 1 else F.one_hot(labels, num_classes).movedim(-1, 1)
    assert create_loss(name, num_classes=num_classes)(100.0 * logits, target).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_ignore_index_may_be_the_id_of_a_class(name):
    logits, target = batch(8, 4, present=[1, 2, 3])
    expected = create_loss(name, num_classes=4)(logits, target)
    moved = target.masked_fill(target == IGNORE, 0)
    assert torch.allclose(create_loss(name, num_classes=4, ignore_index=0)(logits, moved), expected)


@pytest.mark.parametrize("name", NAMES)
def test_weights_move_with_the_loss_but_stay_out_of_the_state_dict(name):
    loss = create_loss(name, num_classes=2, class_weights=[1.0, 2.0])
    assert isinstance(loss, SegmentationLoss)
    assert loss.state_dict() == {}
    assert loss.to("meta").class_weights.device.type == "meta"
    assert "class_weights=[1.0, 2.0]" in repr(create_loss(name, num_classes=2, class_weights=[1.0, 2.0]))
