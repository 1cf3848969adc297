"""The epochs of a sweep's trials as who drives it knows them: a look each second reads what is new alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from schema import EpochResult, Run
from sweeps.ports import Runs

_Version: TypeAlias = tuple[int, int, float | None, int]


class KnownEpochs:
    """Keeps the epochs of the runs that were last asked for."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[_Version, Sequence[EpochResult]]] = {}

    def read(self, store: Runs, runs: Mapping[str, Run]) -> Mapping[str, Sequence[EpochResult]]:
        """Return the epochs of each run, oldest first; of those alone they are read that have others now.

        runs: as they are in the store, read before this call, so that epochs are never older than their run.
        """
        versions = {run_id: _version_of(run) for run_id, run in runs.items()}
        known = {run_id: kept for run_id, kept in self._known.items() if versions.get(run_id) == kept[0]}
        changed = [run_id for run_id in runs if run_id not in known]
        if changed:
            found = store.list_epochs_of(changed)
            known |= {run_id: (versions[run_id], found[run_id]) for run_id in changed}
        self._known = known
        return {run_id: epochs for run_id, (_, epochs) in known.items()}


def _version_of(run: Run) -> _Version:
    # An attempt that goes on from a checkpoint writes an epoch again: the count is the same, the time is not.
    return run.attempt, run.epochs_done, run.duration_s, run.recomputations
