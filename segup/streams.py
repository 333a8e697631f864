"""Random streams: each part of a model draws its initial weights from one of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch


@contextmanager
def own_stream() -> Iterator[None]:
    """Let what is built inside draw from a stream of its own, which takes one number from torch's CPU generator.

    However many weights a part draws, the parts built after it start from the same values: two models that differ in
    one operator, built after the same ``torch.manual_seed``, agree in all other layers of the same shape. Also a
    decorator of a function that builds. What is drawn on another device is not affected.

    >>> def pair(first_channels):
    ...     _ = torch.manual_seed(0)
    ...     with own_stream():
    ...         first = torch.nn.Conv2d(1, first_channels, 1)
    ...     with own_stream():
    ...         return first, torch.nn.Conv2d(1, 8, 3)
    >>> torch.equal(pair(1)[1].weight, pair(64)[1].weight)
    True
    """
    before = torch.get_rng_state()
    # a hash of the state and not a drawn number, which fake and meta tensors do not hold
    seed = int.from_bytes(blake2b(bytes(before.tolist()), digest_size=8).digest(), "little")
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        torch.rand((), device="cpu")
