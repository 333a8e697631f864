"""The 1×1 convolution where channels differ, and the checks of a number of channels and of groups."""

from torch import nn

from segup.errors import ConfigError


def project(in_channels: int, out_channels: int) -> nn.Conv2d | nn.Identity:
    """Return a 1×1 convolution, or nothing to do where the channels are the same.

    It keeps the variance of a rectified input at the start (He et al., arXiv 1502.01852); its bias starts at zero.

    >>> project(8, 8), project(8, 4)
    (Identity(), Conv2d(8, 4, kernel_size=(1, 1), stride=(1, 1)))
    """
    if in_channels == out_channels:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, kernel_size=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def check_count(name: str, count: int, option: str) -> None:
    """Raise a ConfigError unless ``count`` is an int of 1 or more."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(f"'{name}': {option}={count!r} must be an int of 1 or more")


def check_groups(name: str, groups: int, in_channels: int) -> None:
    """Raise a ConfigError unless ``groups`` is an int of 1 or more that divides ``in_channels``."""
    check_count(name, groups, "groups")
    if in_channels % groups:
        nearest = max(n for n in range(1, min(groups, in_channels) + 1) if in_channels % n == 0)
        raise ConfigError(
            f"'{name}': groups={groups} must divide in_channels={in_channels}: "
            f"{in_channels} mod {groups} = {in_channels % groups}\n  try: groups={nearest}"
        )
