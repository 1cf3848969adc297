"""What is shown of sweeps: their trials and figures, from the same journals that drive them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from schema.sweeps import SweepFigures, Trial, TrialState
from sweeps.outcome import live_trial
from sweeps.ports import Store

if TYPE_CHECKING:
    from sweeps.study import Study

T = TypeVar("T")

# Of the last ones looked at the journals are kept in memory, so that only what is new is read.
_KEPT: Final = 8


class SweepViews:
    """Reads sweeps for those who look at them. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._studies: dict[str, Study] = {}
        self._lock = threading.Lock()
        self._drawn: dict[str, tuple[int, SweepFigures]] = {}
        self._drawing = threading.Lock()

    def list_trials(self, sweep_id: str) -> Sequence[Trial]:
        """Return all trials by number, those under way with what they used. Raises NotFound."""
        with self._lock:
            trials = self._study(sweep_id).list_trials()
        runs = self._store.runs.find_many(
            [trial.run_id for trial in trials if trial.state is TrialState.RUNNING]
        )
        return [
            live_trial(trial, runs[trial.run_id], ()) if trial.run_id in runs else trial for trial in trials
        ]

    def draw(self, sweep_id: str) -> SweepFigures:
        """Draw a sweep, which takes seconds of thousands of trials. Raises NotFound."""
        from sweeps.figures import draw

        with self._lock:
            study = self._study(sweep_id)
            trials = study.list_trials()
        # What ends otherwise is not drawn.
        complete = sum(trial.state is TrialState.COMPLETE for trial in trials)
        # Not within the other lock: who only lists trials does not wait for it.
        with self._drawing:
            known = self._drawn.pop(sweep_id, None)
            if known is None or known[0] != complete:
                known = (complete, draw(study.sweep, trials))
            _keep(self._drawn, sweep_id, known)
            return known[1]

    def _study(self, sweep_id: str) -> Study:
        from sweeps.study import Study

        # First of all, since it may have been deleted.
        sweep = self._store.sweeps.get(sweep_id)
        study = self._studies.pop(sweep_id, None) or Study(self._store.sweeps, sweep)
        _keep(self._studies, sweep_id, study)
        return study


def _keep(kept: dict[str, T], sweep_id: str, value: T) -> None:
    """Keep the value of the sweep that was looked at last, and those of a few before it."""
    kept[sweep_id] = value
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
