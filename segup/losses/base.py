"""The contract of a loss: logits and class ids in, one float32 number out, ignored pixels left out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segup.calls import CheckedPart, annotated
from segup.conform import Count, Signed, short
from segup.errors import ConfigError, ShapeError
from segup.registry import Registry


def label_classes(num_classes: int) -> int:
    """Return how many classes the labels have: one sigmoid channel separates two.

    >>> label_classes(1), label_classes(11)
    (2, 11)
    """
    return max(num_classes, 2)


def as_class_weights(weights: Sequence[float] | Tensor | None, num_classes: int) -> Tensor | None:
    """Return one float32 weight per label class, or None.

    >>> as_class_weights([1, 3], num_classes=1)
    tensor([1., 3.])

    Raises:
        ConfigError: If their number is wrong, one is negative or not finite, or all are 0.
    """
    if weights is None:
        return None
    if isinstance(weights, Tensor) and weights.dim() != 1:
        raise ConfigError(f"class_weights={short(weights)} must have one dimension, not {weights.dim()}")
    values = [float(weight) for weight in weights]
    expected = label_classes(num_classes)
    if len(values) != expected:
        binary = " (background and foreground of one sigmoid channel)" if num_classes == 1 else ""
        raise ConfigError(
            f"class_weights has {len(values)} numbers, num_classes={num_classes} takes {expected}{binary}: "
            "give one per class, or null for equal weights"
        )
    if any(not math.isfinite(value) or value < 0 for value in values) or not any(values):
        raise ConfigError(
            f"class_weights={values}: every weight must be finite and at least 0, and one must be above 0"
        )
    return torch.tensor(values, dtype=torch.float32)


def checked_target(logits: Tensor, target: Tensor, num_classes: int, ignore_index: int) -> Tensor:
    """Return the target as int64; raise a ShapeError or ConfigError unless it labels the pixels of the logits."""
    if logits.ndim != 4 or logits.shape[1] != num_classes:
        raise ShapeError(
            f"logits have shape {tuple(logits.shape)}, must be (N, {num_classes}, H, W) for num_classes={num_classes}"
            f"{' (one sigmoid channel)' if num_classes == 1 else ''}: "
            "give the loss the num_classes that the model was built with"
        )
    expected = (logits.shape[0], *logits.shape[2:])
    if target.shape != expected:
        raise ShapeError(
            f"target has shape {tuple(target.shape)}, must be {expected}, the (N, H, W) of logits "
            f"{tuple(logits.shape)}: class ids without a channel axis, at the size of the logits"
        )
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise ConfigError(f"target has dtype {target.dtype}, must be integer class ids: target.long()")
    ids = target.long()  # before any comparison: as uint8, 255 equals an ignore_index of -1
    if ids.device.type == "cpu" and not torch.compiler.is_compiling():
        check_values(ids, num_classes, ignore_index)
    return ids


def check_values(target: Tensor, num_classes: int, ignore_index: int) -> None:
    """Raise a ConfigError for class ids, int64, that are neither a class nor ``ignore_index``."""
    last = label_classes(num_classes) - 1
    stray = target[((target < 0) | (target > last)) & (target != ignore_index)]
    if stray.numel():
        found = ", ".join(str(value) for value in stray.unique().tolist()[:5])
        raise ConfigError(
            f"target holds class id {found}: num_classes={num_classes} allows 0 to {last} "
            f"and ignore_index={ignore_index}: correct the masks, num_classes or ignore_index"
        )


class SegmentationLoss(nn.Module, CheckedPart):
    """The base of every loss: checks its inputs, computes in float32, and finds the pixels that count.

    A loss of your own subclasses this, implements :meth:`compute`, and is entered with :func:`register_loss`.

    Args:
        num_classes: Channels K of the logits; 1 is binary segmentation with one sigmoid channel,
            whose targets are 0 and 1.
        ignore_index: The class id of pixels that count nowhere.
        class_weights: One number per label class, not negative (K of them; two, for background and foreground,
            when K = 1), or None for equal weights. They are no part of the state dict.

    Raises:
        ConfigError: If ``num_classes`` is not positive, or the weights do not fit it.
    """

    class_weights: Tensor | None

    @annotated
    def __init__(
        self, *, num_classes: Count, ignore_index: Signed = 255, class_weights: Sequence[float] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.register_buffer("class_weights", as_class_weights(class_weights, num_classes), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of a batch, 0 with a gradient of 0 when every pixel is ignored.

        Target values are checked where that is free, on the CPU. On a GPU nothing waits for a value, and a class id
        out of range is a device-side assertion.

        Args:
            logits: ``(N, K, H, W)``, any floating dtype; bfloat16 and float16 are computed in float32.
            target: Class ids ``(N, H, W)``, an integer dtype.

        Returns:
            A scalar tensor.

        Raises:
            ShapeError: If the shapes do not fit each other or ``num_classes``.
            ConfigError: If the target is not of an integer dtype, or holds neither a class nor ``ignore_index``.
        """
        target = checked_target(logits, target, self.num_classes, self.ignore_index)
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return self.compute(precise, target, target != self.ignore_index)

    def compute(self, logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
        """Return the scalar loss.

        Args:
            logits: ``(N, K, H, W)``, float32 or float64.
            target: Class ids ``(N, H, W)``, int64, ``ignore_index`` where a pixel does not count.
            valid: ``(N, H, W)``, bool, whether a pixel counts.
        """
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Show what the numbers of the loss depend on."""
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return f"num_classes={self.num_classes}, ignore_index={self.ignore_index}, class_weights={weights}"


LOSSES: Registry[Callable[..., nn.Module]] = Registry(
    "loss", "segup.losses", place=("num_classes", "ignore_index"), group="loss"
)
register_loss = LOSSES.register


def create_loss(
    name: str,
    *,
    num_classes: int,
    ignore_index: int = 255,
    class_weights: Sequence[float] | Tensor | None = None,
    **options: Any,
) -> nn.Module:
    """Build a loss by name.

    Args:
        name: One of :func:`list_losses`, or ``"package.module:attribute"`` for a loss of your own.
        num_classes: Channels K of the logits; 1 is binary with one sigmoid channel.
        ignore_index: The class id of pixels that count nowhere.
        class_weights: One number per label class, or None; see :func:`median_frequency_weights`.
        **options: The loss's own options.

    Raises:
        ConfigError: For an unknown name or option (with the nearest match), or a value that a loss cannot use.

    >>> import torch
    >>> loss = create_loss("cross_entropy", num_classes=3)
    >>> logits, target = torch.zeros(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.int64)
    >>> round(loss(logits, target).item(), 4)  # log 3
    1.0986
    >>> create_loss("lovas", num_classes=3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    segup.errors.ConfigError: unknown loss 'lovas': did you mean 'lovasz'? known: ...
    """
    loss = LOSSES.create(
        name, num_classes=num_classes, ignore_index=ignore_index, class_weights=class_weights, **options
    )
    if not isinstance(loss, nn.Module):
        raise ConfigError(f"loss '{name}' makes a {type(loss).__name__}, not a torch.nn.Module of logits and class ids")
    return loss


def list_losses() -> list[str]:
    """Return the names that :func:`create_loss` knows, sorted."""
    return LOSSES.names()


def pixel_weights(weights: Tensor | None, target: Tensor, valid: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the weight of every pixel ``(N, H, W)``: its class's, and 0 where it does not count."""
    return valid.to(dtype) if weights is None else weights.to(dtype)[target.masked_fill(~valid, 0)] * valid


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of ``values`` weighted by ``weights``, 0 where all weights are 0.

    >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0])).item()
    2.0
    >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.zeros(2)).item()
    0.0
    """
    return divide_by_total((values * weights).sum(), weights)


def divide_by_total(numerator: Tensor, weights: Tensor) -> Tensor:
    """Divide by the sum of the weights, or by 1 when they sum to 0: nothing counted is a loss of 0, not NaN."""
    total = weights.sum()
    return numerator / torch.where(total > 0, total, 1)


def two_classes(logits: Tensor) -> Tensor:
    """Return logits of two classes for one sigmoid channel: sigmoid(x) is the softmax of (0, x).

    Args:
        logits: ``(N, K, H, W)``; for K > 1 they are returned as they are.

    >>> x = torch.tensor(2.0)
    >>> torch.allclose(two_classes(x.reshape(1, 1, 1, 1)).softmax(dim=1)[0, 1], x.sigmoid())
    True
    """
    return torch.cat((torch.zeros_like(logits), logits), dim=1) if logits.shape[1] == 1 else logits


def refuse_binary_weights(name: str, num_classes: int, class_weights: object) -> None:
    """Raise a ConfigError for class weights that would change nothing: one sigmoid channel has one overlap."""
    if num_classes == 1 and class_weights is not None:
        raise ConfigError(
            f"loss '{name}' with num_classes=1 measures the overlap of the foreground alone, "
            f"so class_weights={class_weights} would change nothing: "
            f"leave class_weights null, use num_classes={label_classes(1)}, or take loss=cross_entropy or loss=focal"
        )
