"""A block: what makes runs of several decoders a pair, the seed and the fold of the data."""

from typing import NamedTuple


class Block(NamedTuple):
    """A seed, and the fold that its run validates on where the data is in folds.

    >>> str(Block(3)), Block(3).folder, str(Block(3, 1)), Block(3, 1).folder
    ('seed 3', '3', 'seed 3 fold 1', '3-fold1')
    """

    seed: int
    fold: int | None = None

    def __str__(self) -> str:
        return f"seed {self.seed}" if self.fold is None else f"seed {self.seed} fold {self.fold}"

    @property
    def short(self) -> str:
        """Below a heading that says seed."""
        return str(self).removeprefix("seed ")

    @property
    def folder(self) -> str:
        """The name of its run's folder."""
        return str(self.seed) if self.fold is None else f"{self.seed}-fold{self.fold}"

    @property
    def order(self) -> tuple[int, int]:
        """By which blocks are sorted."""
        return self.seed, -1 if self.fold is None else self.fold

    @property
    def stored(self) -> list[int]:
        """What ``study.yaml`` has of it."""
        return [self.seed] if self.fold is None else [self.seed, self.fold]
