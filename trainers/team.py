"""The processes that train one network together: what each of them takes, and what they add up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from trainers.augmentation import Draw
from trainers.data import Split

Forward = Callable[[Tensor], Tensor]


class Team(Protocol):
    """The ranks of a training. All make the same calls in the same order: most wait for the others."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def size(self) -> int:
        """The number of processes."""

    def share(self, drawn: Draw) -> Draw:
        """Return what this rank takes of a batch; nothing where there are fewer images than ranks."""

    def part(self, split: Split) -> Split:
        """Return what this rank evaluates of a split."""

    def join(self, network: nn.Module) -> Forward:
        """Return the forward pass, whose gradients are the mean over the ranks; rank 0's weights are taken.

        The network itself stays what is saved; where it normalises over a batch it does so over all ranks'.
        """

    def add(self, figures: Tensor) -> Tensor:
        """Return the sum over the ranks, the same bits on each."""

    def gather(self, values: Tensor) -> Tensor:
        """Return every rank's values of the same shape, on the CPU, one row for each."""

    def clock(self) -> float:
        """Return rank 0's monotonic time: what is decided by it is decided alike everywhere."""


class Alone:
    """One process that does everything."""

    rank = 0
    size = 1
    clock = staticmethod(time.monotonic)

    def share(self, drawn: Draw) -> Draw:
        """Return the whole batch."""
        return drawn

    def part(self, split: Split) -> Split:
        """Return the whole split."""
        return split

    def join(self, network: nn.Module) -> Forward:
        """Return the network."""
        return network

    def add(self, figures: Tensor) -> Tensor:
        """Return the figures: there are no others."""
        return figures

    def gather(self, values: Tensor) -> Tensor:
        """Return the values as the one row."""
        return values.unsqueeze(0)


ALONE = Alone()


def take_share(drawn: Draw, rank: int, size: int) -> Draw:
    """Return every ``size``-th entry of a batch: shares differ by one image at most, and may be empty."""
    return drawn.every(size, start=rank)


def take_part(split: Split, rank: int, size: int) -> Split:
    """Return the ``rank``-th of ``size`` runs of images, which lie together in memory; it may be empty."""
    return split.narrow(rank * len(split) // size, (rank + 1) * len(split) // size)
