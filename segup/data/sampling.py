"""Which image is drawn when: decided by seed, epoch and position alone, so that all models see the same batches."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """One training sample to make: the image's number and the seed of its random transform."""

    image: int
    seed: int

    def of(self, views: int | None) -> "Draw":
        """Return the draw of the one of ``views`` views of the image that :meth:`view` names; None: this draw.

        >>> Draw(0, 7).of(4) == Draw(0, 3).of(4), Draw(0, 7).of(4) == Draw(0, 2).of(4), Draw(0, 7).of(None)
        (True, False, Draw(image=0, seed=7))
        """
        if views is None:
            return self
        own = np.random.SeedSequence([self.image, self.view(views)])
        return Draw(self.image, int(own.generate_state(1)[0]))

    def view(self, views: int) -> int:
        """Return the number of the view that the draw chooses among ``views``."""
        return self.seed % views


def epoch_draws(images: int, count: int, seed: int, epoch: int) -> list[Draw]:
    """Return the first ``count`` draws of an epoch: permutations of all images, one after the other.

    The draw at a position depends on (images, seed, epoch, position), not on ``count``.

    >>> [draw.image for draw in epoch_draws(images=3, count=5, seed=0, epoch=0)]
    [2, 0, 1, 2, 1]
    """
    return list(_draws(images, count, seed, epoch, slice(None)))


def _draws(images: int, count: int, seed: int, epoch: int, part: slice) -> Iterator[Draw]:
    """Return a part of an epoch's draws, each made when it is asked for: an epoch may have a million."""
    order, seeds = (np.random.default_rng([seed, epoch, stream]) for stream in range(2))
    rounds = -(-count // images)
    indices = np.concatenate([order.permutation(images) for _ in range(rounds)])[:count]
    return map(Draw, indices[part].tolist(), seeds.integers(2**32, size=count)[part].tolist())


class DrawSampler(Sampler[Draw]):
    """The training draws of one process, in equal numbers for each process and in full batches only.

    An epoch has max(1, samples // (batch_size · world_size)) batches per process. The draws are dealt one by one
    over the processes, so that batch b of all processes together holds the same draws as batch b of one process
    with a batch world_size times as large.

    Args:
        images: Number of training images, at least 1.
        batch_size: Samples per batch and process.
        seed: Of the order and of the transforms, at least 0.
        samples: Draws per epoch over all processes; None for one per image.
        rank: This process's number.
        world_size: Number of processes.

    Example:
        >>> sampler = DrawSampler(images=7, batch_size=2, seed=0)
        >>> sampler.batches, len(sampler)
        (3, 6)
        >>> whole = list(sampler)
        >>> sampler.skip(2)
        >>> list(sampler) == whole[4:], list(sampler) == whole
        (True, True)
    """

    def __init__(
        self, images: int, batch_size: int, seed: int, samples: int | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        self.images = images
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.batches = max(1, (samples or images) // (batch_size * world_size))
        self.epoch = 0
        self.skipped = 0

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``; Lightning calls it before each epoch."""
        self.epoch = epoch

    def skip(self, batches: int) -> None:
        """Leave out the first ``batches`` batches of the next iteration, and of no other."""
        self.skipped = batches

    def __iter__(self) -> Iterator[Draw]:
        first, self.skipped = self.skipped * self.batch_size, 0
        part = slice(self.rank + first * self.world_size, None, self.world_size)
        return _draws(self.images, len(self) * self.world_size, self.seed, self.epoch, part)

    def __len__(self) -> int:
        return self.batches * self.batch_size


def dealt_batches(images: int, batch_size: int, rank: int = 0, world_size: int = 1) -> list[list[int]]:
    """Return the validation batches of one process: every image is in exactly one batch of one process.

    A process that is dealt fewer images ends with empty batches, so that all have the same number of batches.

    >>> dealt_batches(5, 2, rank=0, world_size=2), dealt_batches(5, 2, rank=1, world_size=2)
    ([[0, 2], [4]], [[1, 3], []])
    """
    mine = list(range(images))[rank::world_size]
    most = -(-images // world_size)
    return [mine[start : start + batch_size] for start in range(0, most, batch_size)]
