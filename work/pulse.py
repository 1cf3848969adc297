"""What a worker and its training child see of each other without a message: a few shared numbers.

The child says how far it is, so that a hung one is noticed; the worker says until when the run is known to
be theirs, so that the child of a worker that was stopped, or cut off, saves nothing over a later attempt's.
Times are of ``time.monotonic``, which processes share. Each number is written by one side, in one store.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, MutableSequence
from contextlib import contextmanager

_POLL_S = 0.02


# Plain numbers: an enum's would cost several times as much, at every step.
CELLS = 6
(
    _BEATS,
    _STEP,
    _SAVING,
    _OURS_UNTIL_S,
    _UNCONTESTED_UNTIL_S,
    _WATCHED,
) = range(CELLS)
Cells = MutableSequence[float]


class Pulse:
    """The child's side and the worker's side of the shared numbers."""

    def __init__(self, cells: Cells) -> None:
        self.cells = cells

    def note_step(self, step: int) -> None:
        """Say that the child lives and how far it is; below 1 µs.

        A step that is not new is no sign of life, nor is LOOK; step 0 is none and always one.
        """
        cells = self.cells
        if step and (step == cells[_STEP] or step < 0):
            return
        if step:
            cells[_STEP] = step
        cells[_BEATS] += 1

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Say that something is being saved, which is worth waiting for."""
        self.cells[_SAVING] += 1
        try:
            yield
        finally:
            self.cells[_SAVING] -= 1
            self.cells[_BEATS] += 1

    def wait_until_ours(self) -> None:
        """Wait until the run is known to be held under the lease: nobody else can have it now."""
        self._wait_for(_OURS_UNTIL_S)

    def wait_until_uncontested(self) -> None:
        """Wait until nothing speaks against it that the run is held: also while Redis is away."""
        self._wait_for(_UNCONTESTED_UNTIL_S)

    def _wait_for(self, cell: int) -> None:
        while self.cells[cell] <= time.monotonic():
            time.sleep(_POLL_S)
            self.cells[_BEATS] += 1

    def note_watched(self, *, is_watched: bool) -> None:
        """Say whether somebody watches the run live."""
        self.cells[_WATCHED] = is_watched

    def is_watched(self) -> bool:
        """Whether somebody watches the run live; below 1 µs."""
        return self.cells[_WATCHED] > 0

    @property
    def beats(self) -> float:
        """Changes with every sign of life of the child."""
        return self.cells[_BEATS]

    @property
    def step(self) -> int | None:
        """The last optimiser step; None before the first."""
        return int(self.cells[_STEP]) or None

    @property
    def is_saving(self) -> bool:
        """Whether the child is saving a checkpoint or a model."""
        return self.cells[_SAVING] > 0

    def confirm(self, until_s: float) -> None:
        """Say that the lease holds until then."""
        self.cells[_OURS_UNTIL_S] = until_s

    def extend(self, until_s: float) -> None:
        """Say that until then nothing is known to speak against holding the run."""
        self.cells[_UNCONTESTED_UNTIL_S] = until_s
