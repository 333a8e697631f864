"""The wording of what a loss refuses."""

import re

import pytest
import torch

from segup.errors import ConfigError, ShapeError
from segup.losses import create_loss, list_losses

NAN = float("nan")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "dise"}, "unknown loss 'dise': did you mean 'dice'? known: "),
        ({"gama": 1.0, "name": "focal"}, "unknown option of loss 'focal' 'gama': did you mean 'gamma'?"),
        ({"num_classes": 0}, "num_classes=0 must be an int of 1 or more"),
        ({"num_classes": True}, "num_classes=True must be an int of 1 or more"),
        ({"ignore_index": None}, "ignore_index=None must be an int"),
        ({"class_weights": 5}, "class_weights=5 must be a list, each a number, or Tensor, or null"),
        ({"class_weights": [1, "b", 3]}, "class_weights=[1, 'b', 3] must be a list, each a number"),
        ({"class_weights": [1, 2]}, "class_weights has 2 numbers, num_classes=3 takes 3: give one per class"),
        (
            {"class_weights": [1], "num_classes": 1},
            "class_weights has 1 numbers, num_classes=1 takes 2 (background and foreground of one sigmoid channel)",
        ),
        ({"class_weights": [1, -1, 1]}, "class_weights=[1.0, -1.0, 1.0]: every weight must be finite and at least 0"),
        ({"class_weights": [1, NAN, 1]}, "class_weights=[1.0, nan, 1.0]: every weight must be finite"),
        ({"class_weights": [0, 0, 0]}, "one must be above 0"),
        ({"class_weights": "median_frequency"}, "class_weights='median_frequency' must be a list, each a number"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be a number of 0 or more and below 1"),
        ({"balance": -0.5}, "balance=-0.5 must be a number of 0 or more and at most 1"),
        ({"name": "ce_dice", "balance": 1.5}, "balance=1.5 must be a number of 0 or more and at most 1"),
        ({"name": "focal", "gamma": -1}, "gamma=-1 must be a number of 0 or more"),
        ({"name": "focal", "gamma": "2"}, "gamma='2' must be a number of 0 or more"),
        ({"name": "tversky", "alpha": -0.1}, "alpha=-0.1 must be a number of 0 or more"),
        ({"name": "tversky", "alpha": 0, "beta": 0}, "alpha=0 and beta=0: one must be above 0"),
        ({"name": "dice", "smooth": NAN}, "smooth=nan must be a number of 0 or more"),
        ({"name": "ce_dice", "ce_weight": 0, "dice_weight": 0}, "ce_weight=0 and dice_weight=0: one must be above 0"),
        ({"name": "ce_dice", "dice_weight": -1}, "dice_weight=-1 must be a number of 0 or more"),
    ],
)
def test_a_loss_that_cannot_be_built(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        create_loss(**{"name": "cross_entropy", "num_classes": 3, **options})


@pytest.mark.parametrize("name", ["dice", "tversky", "lovasz"])
def test_binary_overlap_losses_refuse_weights_that_would_change_nothing(name):
    message = f"loss '{name}' with num_classes=1 measures the overlap of the foreground alone"
    with pytest.raises(ConfigError, match=message):
        create_loss(name, num_classes=1, class_weights=[1.0, 2.0])


def ids(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (
            (2, 4, 8, 8),
            ids(2, 8, 8),
            ShapeError,
            "logits have shape (2, 4, 8, 8), must be (N, 3, H, W) for num_classes",
        ),
        ((3, 8, 8), ids(8, 8), ShapeError, "logits have shape (3, 8, 8), must be (N, 3, H, W)"),
        ((2, 3, 8, 8), ids(2, 8, 7), ShapeError, "target has shape (2, 8, 7), must be (2, 8, 8), the (N, H, W) of"),
        ((2, 3, 8, 8), ids(2, 1, 8, 8), ShapeError, "target has shape (2, 1, 8, 8), must be (2, 8, 8)"),
        ((1, 3, 2, 2), ids(1, 2, 2).float(), ConfigError, "target has dtype torch.float32, must be integer class ids"),
        ((1, 3, 2, 2), ids(1, 2, 2).bool(), ConfigError, "target has dtype torch.bool, must be integer class ids"),
        (
            (1, 3, 2, 2),
            torch.tensor([[[3, -1], [0, 255]]]),
            ConfigError,
            "target holds class id -1, 3: num_classes=3 allows 0 to 2 and ignore_index=255",
        ),
    ],
)
def test_inputs_that_do_not_fit(logits, target, error, message):
    with pytest.raises(error, match=re.escape(message)):
        create_loss("ce_dice", num_classes=3)(torch.zeros(logits), target)


def test_binary_logits_and_targets_that_do_not_fit():
    loss = create_loss("ce_dice", num_classes=1)
    with pytest.raises(ShapeError, match=re.escape("for num_classes=1 (one sigmoid channel)")):
        loss(torch.zeros(1, 2, 2, 2), ids(1, 2, 2))
    with pytest.raises(ConfigError, match="target holds class id 2: num_classes=1 allows 0 to 1"):
        loss(torch.zeros(1, 1, 2, 2), ids(1, 2, 2) + 2)


def test_targets_of_every_integer_dtype_are_taken():
    logits = torch.randn(1, 3, 2, 2)
    loss = create_loss("ce_dice", num_classes=3)
    expected = loss(logits, ids(1, 2, 2) + 1)
    for dtype in (torch.uint8, torch.uint16, torch.uint32, torch.int16, torch.int32):
        assert torch.equal(loss(logits, (ids(1, 2, 2) + 1).to(dtype)), expected)


@pytest.mark.parametrize("name", list_losses())
@pytest.mark.parametrize(("dtype", "stray", "ignore_index"), [(torch.uint8, 255, -1), (torch.int8, -1, 255)])
def test_an_id_that_a_narrow_dtype_could_take_for_the_ignore_index_is_refused(name, dtype, stray, ignore_index):
    loss = create_loss(name, num_classes=3, ignore_index=ignore_index)
    with pytest.raises(ConfigError, match=f"target holds class id {stray}: .* 0 to 2 and ignore_index={ignore_index}"):
        loss(torch.zeros(1, 3, 1, 2), torch.tensor([[[stray, 0]]], dtype=dtype))
