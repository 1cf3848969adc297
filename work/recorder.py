"""What is written about one attempt: epochs with their cost, other costs, facts, log, power, the ending."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from functools import partial

from carbon_aware_trainer.energy import EnergyMonitor
from redis_db import RedisDB
from schema import EpochResult, Lease, Request, RunError, Scalar, Status
from settings import Settings
from work.budget import Budget
from work.charges import Charges, Grid
from work.failures import complete
from work.journal import Journal
from work.messages import Described, Ended, EpochEnded, Logged, Message, Spent
from work.metering import add_cost, cost_of, describe_epoch
from work.recording import RunLog
from work.rest import Rest
from work.run_energy import RunEnergy
from work.spool import FOLDER, Spool
from work.usage import EVERY_S, RunUsage, UsageMeter, UsageWatch
from work.writes import (
    Ending,
    EpochWrite,
    ExtraWrite,
    FactsWrite,
    FinishWrite,
    LinesWrite,
    PowerWrite,
    ReleaseWrite,
    UsageWrite,
    Write,
)

_ASKED: Mapping[Request | None, str] = {
    Request.CANCEL: "It was cancelled.",
    Request.PAUSE: "It was paused.",
    Request.PREEMPT: "It was preempted.",
}


class Recorder:
    """Turns what a child sends into writes, which ``journal`` makes."""

    def __init__(
        self, db: RedisDB, settings: Settings, lease: Lease, sampler: EnergyMonitor, grid: Grid
    ) -> None:
        self._lease = lease
        self._pue = settings.pue
        self._data_dir = settings.data_dir
        self._sampler = sampler
        self._energy = RunEnergy(sampler, lease.run, pue=settings.pue)
        self._usage: RunUsage | None = None
        self._rest = Rest(time.monotonic_ns())
        spool = Spool(settings.data_dir / FOLDER, lease)
        self.journal = Journal(db, lease, spool, on_interval=self._use_interval)
        self._log = RunLog(settings.data_dir / "results", lease.run_id, self._add_lines)
        if lease.run.started_at is not None:
            grid.keep_from(lease.run.started_at)
        self._charges = Charges(grid, lease.run, describe=self.describe, log=self.log)
        self._budget = Budget(lease.run)
        self.on_epoch: Callable[[EpochResult], None] | None = None
        """Told each epoch that was recorded."""
        self.over_budget: str | None = None
        """Why the run has to end before its last epoch."""
        self.epochs_done = lease.run.epochs_done
        # From when on what is used is not an epoch's yet.
        self._unrecorded_ns = time.monotonic_ns()

    def begin(self, facts: dict[str, Scalar]) -> None:
        """Record what is known before the training."""
        self.describe(facts | self._energy.begin())

    def take(self, message: Message) -> None:
        """Record what a child says."""
        match message:
            case EpochEnded():
                self._take_epoch(message)
            case Described(facts=facts):
                self.describe(facts)
            case Spent():
                self._charge(message)
                self._unrecorded_ns = message.span_ns[1]
            case Logged(text=text):
                self.log(text)

    def describe(self, facts: dict[str, Scalar]) -> None:
        """Record how the run is run."""
        self.journal.add(FactsWrite(facts=facts))

    def log(self, text: str) -> None:
        """Add to the run's log."""
        self._log.write(text)

    def watch(self, pid: int | None, *, every_s: float = EVERY_S) -> None:
        """Look from now on how busy the process is that trains, and its host; not that of a simulation."""
        if pid is not None and not self._lease.run.simulated:
            reader = partial(UsageMeter, pid, self._data_dir, lambda: self._sampler.gpu_facts)
            self._usage = RunUsage(UsageWatch(reader, every_s=every_s), every_s=every_s)

    def add_samples(self, *, is_last: bool = False) -> None:
        """Record the points of power and of usage that are due."""
        if self._usage is not None and (usage := self._usage.take_points(is_last=is_last)):
            self.journal.add(UsageWrite(points=tuple(usage), interval_s=self._usage.interval_s))
        if points := self._energy.take_points(is_last=is_last):
            self.journal.add(PowerWrite(points=tuple(points), interval_s=self._energy.interval_s))

    def end(
        self, ended: Ended, *, asked: Request | None = None, has_trained: bool = True, step: int | None = None
    ) -> None:
        """Record how the attempt ended.

        asked: what somebody wanted of the run. has_trained: there was a child, which used something.
        """
        self.add_samples(is_last=True)
        self.describe(self._energy.end())
        ending = self._end(ended, asked=asked, has_trained=has_trained, step=step)
        if has_trained and not self._lease.run.simulated:
            self._add_rest()
        self.journal.add(ending)

    def _end(self, ended: Ended, *, asked: Request | None, has_trained: bool, step: int | None) -> Ending:
        """Record what was used since the last epoch and log how it ended; return the write that says so."""
        if ended.outcome == "stopped":
            self._charge_unfinished(has_trained)
            reason = " ".join(filter(None, [_ASKED.get(asked), ended.reason])) or "The worker was stopped."
            self.log(reason if asked else f"{reason} The run goes back to the queue.")
            return ReleaseWrite(reason=reason)
        if ended.outcome == "failed" and ended.error is not None:
            self._charge_unfinished(has_trained)
            return self._fail(ended.error, step)
        return self._succeed(ended, has_trained)

    def close(self) -> None:
        """Close the log file, and say that the run is trained no more."""
        self._energy.close()
        if self._usage is not None:
            self._usage.close()
        self._log.close()

    def _use_interval(self, write: Write, interval_s: float) -> None:
        """Take the next points at the interval that the store wants."""
        if isinstance(write, PowerWrite):
            self._energy.use_interval(interval_s)
        elif self._usage is not None:
            self._usage.interval_s = interval_s

    def _take_epoch(self, message: EpochEnded) -> None:
        attempt, num_epochs = self._lease.attempt, self._lease.num_epochs
        result = add_cost(message, self._sampler, self._charges, attempt=attempt, pue=self._pue)
        self._unrecorded_ns = message.span_ns[1] if message.span_ns else self._unrecorded_ns
        self._rest.note_epoch(result)
        self.journal.add(EpochWrite(result=result))
        if self.on_epoch is not None:
            self.on_epoch(result)
        self.epochs_done = result.epoch
        self.log(describe_epoch(result, num_epochs))
        if result.epoch < num_epochs and self.over_budget is None:
            self.over_budget = self._budget.spend(result)

    def _fail(self, error: RunError, step: int | None) -> FinishWrite:
        self.log(f"failed: {error.message}\n{error.traceback or ''}")
        epoch = min(self.epochs_done + 1, self._lease.num_epochs)
        explained = complete(error, host=platform.node(), step=step, epoch=epoch)
        return FinishWrite(status=Status.FAILED, error=explained)

    def _succeed(self, ended: Ended, has_trained: bool) -> FinishWrite:
        reason = ended.reason if self.over_budget is None else self.over_budget
        self.log(f"done: {reason}" if reason else "done")
        if self.over_budget is not None:  # in mid-epoch, as it was asked to
            self._charge_unfinished(has_trained)
        return FinishWrite(status=Status.DONE, reason=reason, has_saved_models=ended.has_saved_models)

    def _charge_unfinished(self, has_trained: bool) -> None:
        """Add what was used since the last recorded epoch, whether or not a later attempt resumes it."""
        if self._lease.run.simulated or not has_trained:
            return
        span_ns = (self._unrecorded_ns, time.monotonic_ns())
        self._charge(Spent(name="unfinished_epoch", span_ns=span_ns))

    def _charge(self, spent: Spent) -> None:
        attempt = self._lease.attempt
        cost = cost_of(spent, self._sampler, self._charges, attempt=attempt, pue=self._pue)
        self._rest.note_extra(cost)
        self.journal.add(ExtraWrite(cost=cost))
        self._budget.note(cost)

    def _add_rest(self) -> None:
        """Add what the attempt used besides its epochs and what has been charged."""
        attempt = self._lease.attempt
        cost = self._rest.cost(
            time.monotonic_ns(),
            self._sampler,
            self._charges,
            attempt=attempt,
            pue=self._pue,
            started_at=self._lease.run.started_at,
        )
        if cost is not None:
            self.journal.add(ExtraWrite(cost=cost))

    def _add_lines(self, lines: list[str]) -> None:
        self.journal.add(LinesWrite(lines=tuple(lines)))
