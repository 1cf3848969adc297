"""The trace of an attempt: how long its run had waited, the attempt itself, and each of its epochs."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from errors import StoreUnavailable
from schema import EpochResult, Lease
from traces import Span
from work.workplace import Workplace

log = logging.getLogger(__name__)


class AttemptTrace:
    """What is told of one attempt; nothing where nobody traces."""

    def __init__(self, place: Workplace, lease: Lease) -> None:
        self._traces = place.traces
        self._outcome: str | None = None
        parent = self._tell_waiting(place, lease) if self._traces.is_on else None
        self._span: Span = self._traces.begin(
            "attempt",
            parent=parent,
            attributes={
                "wattle.run_id": lease.run_id,
                "wattle.attempt": lease.attempt,
                "wattle.worker_id": place.worker_id,
                "wattle.trainer": str(lease.run.hyper_params.get("trainer")),
            },
        )

    def note_epoch(self, result: EpochResult) -> None:
        """Tell an epoch that was recorded."""
        if not self._traces.is_on:
            return
        end = datetime.now(UTC)  # what is recorded of it is in whole seconds
        duration_s = result.duration_s - (result.resumed_after_s or 0.0)
        span = self._traces.begin(
            "epoch", parent=self._span.traceparent, at=end - timedelta(seconds=max(0.0, duration_s))
        )
        span.end(
            {
                "wattle.epoch": result.epoch,
                "wattle.train_loss": result.train_loss,
                "wattle.test_accuracy": result.test_accuracy,
                "wattle.energy_kwh": result.energy_kwh,
                "wattle.co2_g": result.co2_g,
            },
            at=end,
        )

    def note_outcome(self, outcome: str) -> None:
        """Take over how the attempt ends."""
        self._outcome = outcome

    def end(self) -> None:
        """End the attempt; one without an outcome has lost its lease, or its worker ends."""
        outcome = self._outcome or "lost"
        error = outcome if outcome in ("failed", "lost") else None
        self._span.end({"wattle.outcome": outcome}, error=error)

    def _tell_waiting(self, place: Workplace, lease: Lease) -> str | None:
        """Tell how long the run has waited; returns the trace it carries, None without one."""
        try:
            origin = place.db.runs.find_origin(lease.run_id)
        except StoreUnavailable as error:
            log.debug("the attempt begins a trace of its own run_id=%s: %s", lease.run_id, error)
            return None
        began, ended = origin.waiting_since or lease.run.time_added, lease.run.started_at
        if ended is not None:
            span = self._traces.begin(
                "queued",
                parent=origin.traceparent,
                at=began,
                attributes={"wattle.run_id": lease.run_id, "wattle.attempt": lease.attempt},
            )
            span.end(at=max(began, ended))
        return origin.traceparent
