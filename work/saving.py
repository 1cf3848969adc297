"""Places that a child saves to only as long as the run is its worker's."""

from __future__ import annotations

from schema import Checkpoint, CheckpointStore
from trainers.saved_models import SavedModels
from work.pulse import Pulse


class HeldCheckpoints:
    """A run's checkpoints. They are saved while Redis is away, too: each is a state of the same run."""

    def __init__(self, checkpoints: CheckpointStore, pulse: Pulse) -> None:
        self._checkpoints = checkpoints
        self._pulse = pulse

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint; waits while the worker is stopped for longer than its lease. Raises OSError."""
        with self._pulse.saving():
            self._pulse.wait_until_uncontested()
            self._checkpoints.save(checkpoint)

    def find_newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint."""
        return self._checkpoints.find_newest()


class HeldModels:
    """A run's models. They would replace those of a later attempt, so the lease has to be certain."""

    def __init__(self, models: SavedModels, pulse: Pulse) -> None:
        self._models = models
        self._pulse = pulse

    @property
    def are_written(self) -> bool:
        """Whether all of them have been written by this attempt."""
        return self._models.are_written

    def write(self, name: str, files: dict[str, bytes]) -> None:
        """Write a model; waits until the lease is confirmed, also while Redis is away. Raises OSError."""
        with self._pulse.saving():
            self._pulse.wait_until_ours()
            self._models.write(name, files)

    def clear(self) -> None:
        """Delete the models of an attempt before, as soon as a checkpoint would be saved. Raises OSError."""
        self._pulse.wait_until_uncontested()
        self._models.clear()
