"""Checkpoints that also hold the epochs handed out before them.

Between a child that has checkpointed an epoch and the store that has recorded it, both may die. The next
attempt goes on after that epoch; from here it learns what the store may have missed.
"""

from __future__ import annotations

from schema import Checkpoint, CheckpointStore, EpochResult


class HandedOut:
    """A run's checkpoints, each with all epochs so far in ``results``."""

    def __init__(self, checkpoints: CheckpointStore) -> None:
        self._checkpoints = checkpoints
        self._newest = checkpoints.find_newest()
        stored = self._newest.state["results"] if self._newest else []
        self.results = [EpochResult.model_validate(result) for result in stored]

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a trainer's checkpoint together with the results. Raises OSError."""
        # The trainer has resumed: what it resumed from need not stay in memory, too.
        self._newest = None
        results = [result.model_dump(exclude_none=True) for result in self.results]
        state = {"trainer": checkpoint.state, "results": results}
        self._checkpoints.save(Checkpoint(checkpoint.step, state))

    def find_newest(self) -> Checkpoint | None:
        """Return what the trainer saved last; None when it starts anew."""
        newest = self._newest or self._checkpoints.find_newest()
        return newest and Checkpoint(newest.step, newest.state["trainer"])
