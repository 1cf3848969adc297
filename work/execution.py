"""One run on one worker: start the child, keep the lease, record what it sends, finish."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from carbon_aware_trainer.energy import EnergyMonitor
from carbon_aware_trainer.records import Intensity
from errors import LeaseLost, StoreUnavailable, TrainingFailed, WattleError
from redis_db import RedisDB
from schema import Lease, Request, RunError, Scalar, Status
from settings import Settings
from work.budget import Budget
from work.child import Job
from work.finished import complete_cards, delete_checkpoints
from work.messages import Described, Ended, EpochEnded, Logged, Message, SpanAsked, Spent
from work.metering import add_cost, cost_of, describe_epoch, read_span
from work.process import Child, start_training
from work.recording import Outbox, RunLog
from work.run_energy import RunEnergy
from work.threads import ThreadShare

log = logging.getLogger(__name__)

# How long a child may take to reach its next step boundary and save a checkpoint; then it is killed.
STOP_GRACE_S = 2.0
# How soon a write is tried again while Redis is away.
RETRY_S = 0.2


@dataclass(frozen=True)
class Workplace:
    """What every run of this worker has in common."""

    db: RedisDB
    settings: Settings
    worker_id: str
    device: str
    threads: ThreadShare
    sampler: EnergyMonitor
    intensity: Intensity
    facts: dict[str, Scalar]
    on_beat: Callable[[str | None], None]
    """Called about once a second with the run's id: heartbeat and housekeeping."""


def execute(place: Workplace, lease: Lease, stop: threading.Event) -> None:
    """Train the run that ``lease`` holds and record it; returns when another run may be claimed.

    Ends the run done or failed, or puts it back when ``stop`` is set. A lost lease ends the child and writes
    nothing more; an unreachable Redis delays the recording, never the training. Raises TrainingFailed, after
    putting the run back, when this worker cannot start a child at all.
    """
    execution = _Execution(place, lease)
    try:
        execution.train(stop)
    except LeaseLost as error:
        _log_lost(lease, error)
    finally:
        execution.close()


def _log_lost(lease: Lease, error: LeaseLost) -> None:
    log.warning("lease lost, the child is ended run_id=%s attempt=%d: %s", lease.run_id, lease.attempt, error)


class _Execution:
    """The state of one attempt."""

    def __init__(self, place: Workplace, lease: Lease) -> None:
        self._place = place
        self._lease = lease
        self._outbox = Outbox()
        self._log = RunLog(place.settings.data_dir / "results", lease.run_id, self._send_lines)
        self._child: Child | None = None
        self._next_renewal_s = 0.0
        self._budget = Budget(lease.run)
        self._over_budget: str | None = None
        self._energy = RunEnergy(place.sampler, lease.run, pue=place.settings.pue)
        # From when on what is used is not an epoch's yet.
        self._unrecorded_ns = time.monotonic_ns()

    def train(self, stop: threading.Event) -> None:
        """Run the child to its end, or until ``stop`` and its grace, and write how it ended."""
        try:
            self._child = self._start()
        except TrainingFailed as error:
            self._deliver(Ended(outcome="stopped", reason=str(error)))
            raise
        try:
            ended = self._follow(self._child, stop)
        except LeaseLost:
            raise
        except WattleError as error:
            # Something of this run cannot be recorded: its failure, not the worker's.
            log.exception("the run cannot be recorded run_id=%s", self._lease.run_id)
            failure = RunError(kind=type(error).__name__, message=str(error))
            ended = Ended(outcome="failed", error=failure)
        self._deliver(ended)

    def _start(self) -> Child:
        settings = self._place.settings
        self._describe(self._place.facts | self._energy.begin())
        self._log.write(f"attempt {self._lease.attempt} on {self._place.worker_id}, {self._place.device}")
        job = Job(
            run_id=self._lease.run_id,
            hyper_params=dict(self._lease.run.hyper_params),
            device=self._place.device,
            threads=self._place.threads.choose(),
            datasets_dir=settings.data_dir / "datasets",
            scripts_dir=settings.scripts_dir,
            api_url=settings.api_url,
            checkpoint_url=settings.effective_checkpoint_url,
            checkpoint_every_s=settings.checkpoint_every_s,
            model_url=settings.effective_model_url,
            model_licence=settings.model_licence,
            recorded_epochs=self._list_recorded(),
        )
        return start_training(job)

    def _list_recorded(self) -> frozenset[int]:
        """Return the epochs the store has of earlier attempts, waiting for Redis without limit."""
        while self._lease.attempt > 1:
            try:
                epochs = self._place.db.runs.list_epochs(self._lease.run_id)
                return frozenset(result.epoch for result in epochs)
            except StoreUnavailable:
                time.sleep(RETRY_S)
        return frozenset()

    def _follow(self, child: Child, stop: threading.Event) -> Ended:
        """Record what the child sends until its last word, or until it was told to stop long enough ago."""
        give_up_s: float | None = None
        is_delivered, has_asked = True, False
        while True:
            if stop.is_set() and give_up_s is None:
                child.ask(Request.PREEMPT)
                give_up_s = time.monotonic() + STOP_GRACE_S
            if give_up_s is not None and time.monotonic() > give_up_s:
                return Ended(outcome="stopped", reason="The training did not stop in time.")
            is_patient = is_delivered and give_up_s is None
            for message in child.receive(self._until_renewal_s() if is_patient else RETRY_S):
                if isinstance(message, Ended):
                    is_cut_short = message.outcome == "done" and self._over_budget is not None
                    update = {"reason": self._over_budget} if is_cut_short else {}
                    return message.model_copy(update=update)
                self._take(message)
            if self._over_budget is not None and not has_asked:
                child.ask(Request.FINISH)
                has_asked = True
            self._keep_lease()
            is_delivered = self._outbox.flush()

    def _deliver(self, ended: Ended) -> None:
        """Write how the attempt ended, waiting for Redis without limit: STOP_LIMIT_S ends the worker."""
        self._add_power(is_last=True)
        self._describe(self._energy.end())
        self._add_ending(ended)
        while not self._outbox.flush():
            time.sleep(RETRY_S)
            self._keep_lease()
        if ended.outcome == "done" and ended.has_saved_models:
            self._finish_files()

    def _finish_files(self) -> None:
        """Complete the cards, then delete the checkpoints.

        Only once this attempt's finish is recorded: until then the run may be another worker's, and a place
        that is slow would cost the lease.
        """
        db, settings, run_id = self._place.db, self._place.settings, self._lease.run_id
        self._outbox.add(lambda: complete_cards(db, settings, run_id))
        while not self._outbox.flush():
            time.sleep(RETRY_S)
        delete_checkpoints(settings, run_id)

    def close(self) -> None:
        """End the child and close the log file."""
        if self._child is not None:
            self._child.end()
        self._energy.close()
        self._log.close()

    def _take(self, message: Message) -> None:
        match message:
            case EpochEnded():
                result = add_cost(
                    message,
                    self._place.sampler,
                    self._place.intensity,
                    attempt=self._lease.attempt,
                    pue=self._place.settings.pue,
                )
                self._unrecorded_ns = message.span_ns[1] if message.span_ns else self._unrecorded_ns
                self._outbox.add(lambda: self._place.db.runs.record_epoch(self._lease, result))
                self._log.write(describe_epoch(result, self._lease.run.num_epochs))
                if result.epoch < self._lease.run.num_epochs and self._over_budget is None:
                    self._over_budget = self._budget.spend(result)
            case Described(facts=facts):
                self._describe(facts)
            case Spent():
                self._charge(message)
                self._unrecorded_ns = message.span_ns[1]
            case SpanAsked(span_ns=span_ns) if self._child is not None:
                self._child.answer(read_span(span_ns, self._place.sampler))
            case Logged(text=text):
                self._log.write(text)

    def _add_ending(self, ended: Ended) -> None:
        queue = self._place.db.queue
        if ended.outcome == "stopped":
            # Without a reason it is the child's own word: its state is saved, and what it trained goes on.
            self._charge_unfinished(is_resumed=ended.reason is None)
            reason = ended.reason or "The worker was stopped."
            self._log.write(f"{reason} The run goes back to the queue.")
            self._outbox.add(lambda: queue.release(self._lease, reason=reason))
        elif ended.outcome == "failed" and ended.error is not None:
            error = ended.error
            self._log.write(f"failed: {error.message}\n{error.traceback or ''}")
            self._charge_unfinished(is_resumed=False)
            self._outbox.add(lambda: queue.finish(self._lease, Status.FAILED, error=error))
        else:
            self._log.write(f"done: {ended.reason}" if ended.reason else "done")
            if self._over_budget is not None:  # in mid-epoch, as it was asked to
                self._charge_unfinished(is_resumed=False)
            self._outbox.add(lambda: queue.finish(self._lease, Status.DONE, reason=ended.reason))

    def _charge_unfinished(self, *, is_resumed: bool) -> None:
        """Add what was used since the last recorded epoch; its time is the resumed epoch's, if any."""
        if self._lease.run.simulated or self._child is None:
            return
        span_ns = (self._unrecorded_ns, time.monotonic_ns())
        self._charge(Spent(name="unfinished_epoch", span_ns=span_ns, is_in_an_epoch=is_resumed))

    def _charge(self, spent: Spent) -> None:
        place, attempt = self._place, self._lease.attempt
        cost = cost_of(spent, place.sampler, place.intensity, attempt=attempt, pue=place.settings.pue)
        self._outbox.add(lambda: place.db.runs.record_extra(self._lease, cost))
        self._budget.note(cost)

    def _describe(self, facts: dict[str, Scalar]) -> None:
        self._outbox.add(lambda: self._place.db.runs.describe(self._lease, facts))

    def _add_power(self, *, is_last: bool = False) -> None:
        if points := self._energy.take_points(is_last=is_last):
            self._outbox.add(lambda: self._energy.send(points, self._lease, self._place.db.power))

    def _send_lines(self, lines: list[str]) -> None:
        self._outbox.add_lines(lines, lambda lines: self._place.db.log.append(self._lease, lines))

    def _until_renewal_s(self) -> float:
        return max(0.0, self._next_renewal_s - time.monotonic())

    def _keep_lease(self) -> None:
        """Renew when it is time, and only then beat and reap, so that no worker reaps itself."""
        if time.monotonic() < self._next_renewal_s:
            return
        self._next_renewal_s = time.monotonic() + min(self._place.settings.lease_s / 3, 1.0)
        self._add_power()
        try:
            self._place.db.queue.renew(self._lease, lease_s=self._place.settings.lease_s)
            self._place.on_beat(self._lease.run_id)
        except StoreUnavailable as error:
            log.debug("cannot renew now run_id=%s: %s", self._lease.run_id, error)
