"""What an operator costs, worked out from integers by the size calculus."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from segup.shapes import Conv, Cost, cost
from segup.upsamplers.fitting import Size

if TYPE_CHECKING:
    from segup.upsamplers.contract import Upsampler

FREE = Cost(0, 0)


@dataclass(frozen=True)
class UpStep:
    """One upsampling step of one image, as far as its cost goes.

    Args:
        in_channels, out_channels: Before and after.
        scale: Factor between the two sizes.
        low, high: (height, width) before, and the size asked for.
        skip_channels: Of the skip; None where there is none.
    """

    in_channels: int
    out_channels: int
    scale: int
    low: Size
    high: Size
    skip_channels: int | None = None

    @property
    def grid(self) -> Size:
        """``scale`` times ``low``, on which most operators work before they cut or repeat."""
        return self.scale * self.low[0], self.scale * self.low[1]

    @property
    def positions(self) -> int:
        """Pixels of the low-resolution map."""
        return self.low[0] * self.low[1]


def conv_cost(size: Size, in_channels: int, out_channels: int, kernel_size: int = 1, bias: bool = True) -> Cost:
    """Return the cost of a convolution that keeps ``size``.

    >>> conv_cost((4, 4), 8, 2, kernel_size=3)
    Cost(parameters=146, macs=2304)
    """
    return cost(Conv(kernel_size, padding=kernel_size // 2), size, in_channels, out_channels, bias=bias)


def project_cost(size: Size, in_channels: int, out_channels: int) -> Cost:
    """Return the cost of :func:`segup.upsamplers.projection.project`: nothing where the channels are the same."""
    return FREE if in_channels == out_channels else conv_cost(size, in_channels, out_channels)


def reassembly_cost(step: UpStep, kernel_size: int) -> Cost:
    """Return the cost of weighting ``kernel_size²`` neighbours for every output pixel, all channels alike."""
    return Cost(0, step.positions * step.scale**2 * kernel_size**2 * step.in_channels)


def counted(operator: "type[Upsampler]", step: UpStep, options: dict[str, Any]) -> Cost:
    """Return the cost of an operator that does not say it: built without memory (on the meta device) and counted.

    Raises:
        ConfigError: The operator cannot have these channels or options.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    skip_channels = step.skip_channels
    with torch.device("meta"), torch.no_grad():
        up = operator(step.in_channels, step.out_channels, step.scale, skip_channels=skip_channels, **options)
        x = torch.empty(1, step.in_channels, *step.low)
        skip = torch.empty(1, skip_channels or 1, *step.high) if "skip" in up.requires else None
        pooled = (1, skip_channels or step.in_channels, *step.low)
        indices = torch.empty(pooled, dtype=torch.int64) if "indices" in up.requires else None
        with FlopCounterMode(display=False) as counter:
            up(x, step.high, skip=skip, indices=indices)
    return Cost(sum(p.numel() for p in up.parameters()), counter.get_total_flops() // 2)
