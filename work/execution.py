"""One run on one worker: start the child, keep the lease, record what it sends, finish."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carbon_aware_trainer.energy import PowerSampler
from carbon_aware_trainer.records import Intensity
from errors import LeaseLost, StoreUnavailable
from redis_db import RedisDB
from schema import Lease, Request, Scalar, Status
from work.child import Job
from work.messages import Described, Ended, EpochEnded, Logged, Message
from work.metering import add_cost, describe_epoch
from work.process import Child, start_training
from work.recording import Outbox, RunLog

log = logging.getLogger(__name__)

# How long a child may take to reach its next step boundary after SIGTERM; process managers kill soon after.
STOP_GRACE_S = 2.0
# How long a stopping worker waits for Redis; after that the lease does the rest.
REDIS_GRACE_S = 3.0
REDIS_RETRY_S = 0.2


@dataclass(frozen=True)
class Workplace:
    """What every run of this worker has in common."""

    db: RedisDB
    worker_id: str
    device: str
    threads: int
    data_dir: Path
    scripts_dir: Path | None
    api_url: str
    lease_s: float
    sampler: PowerSampler
    intensity: Intensity
    facts: dict[str, Scalar]
    on_beat: Callable[[str | None], None]
    """Called about once a second with the run's id: heartbeat and housekeeping."""


def execute(place: Workplace, lease: Lease, stop: threading.Event) -> None:
    """Train the run that ``lease`` holds and record it; returns when another run may be claimed.

    Ends the run done or failed, or puts it back when ``stop`` is set. A lost lease ends the child and writes
    nothing more; an unreachable Redis delays the recording, never the training.
    """
    execution = _Execution(place, lease)
    try:
        execution.train(stop)
        execution.deliver(stop)
    except LeaseLost as error:
        log.warning(
            "lease lost, the child is ended run_id=%s attempt=%d: %s", lease.run_id, lease.attempt, error
        )
    finally:
        execution.close()


class _Execution:
    """The state of one attempt."""

    def __init__(self, place: Workplace, lease: Lease) -> None:
        self._place = place
        self._lease = lease
        self._outbox = Outbox()
        self._log = RunLog(place.data_dir / "results", lease.run_id, self._send_lines)
        self._ended: Ended | None = None
        self._child: Child | None = None
        self._next_renewal_s = 0.0

    def train(self, stop: threading.Event) -> None:
        """Run the child to its end, or until ``stop`` and its grace."""
        self._describe(self._place.facts)
        self._log.write(f"attempt {self._lease.attempt} on {self._place.worker_id}, {self._place.device}")
        job = Job(
            hyper_params=dict(self._lease.run.hyper_params),
            device=self._place.device,
            threads=self._place.threads,
            datasets_dir=self._place.data_dir / "datasets",
            run_id=self._lease.run_id,
            scripts_dir=self._place.scripts_dir,
            api_url=self._place.api_url,
        )
        self._child = start_training(job)
        give_up_s: float | None = None
        while self._ended is None:
            if stop.is_set() and give_up_s is None:
                self._child.ask(Request.PREEMPT)
                give_up_s = time.monotonic() + STOP_GRACE_S
            if give_up_s is not None and time.monotonic() > give_up_s:
                self._ended = Ended(outcome="stopped")
                break
            for message in self._child.receive(timeout_s=0.1 if stop.is_set() else self._until_renewal_s()):
                self._take(message)
            self._keep_lease()
            self._outbox.flush()

    def deliver(self, stop: threading.Event) -> None:
        """Write how the attempt ended, waiting for Redis without limit unless the worker is stopping."""
        if self._ended is not None:
            self._add_ending(self._ended)
        waited_until_s: float | None = None
        while not self._outbox.flush():
            if stop.is_set():
                waited_until_s = waited_until_s or time.monotonic() + REDIS_GRACE_S
                if time.monotonic() > waited_until_s:
                    log.warning("Redis is away, the lease will expire run_id=%s", self._lease.run_id)
                    return
            time.sleep(REDIS_RETRY_S)
            self._keep_lease()

    def close(self) -> None:
        """End the child and close the log file."""
        if self._child is not None:
            self._child.end()
        self._log.close()

    def _take(self, message: Message) -> None:
        match message:
            case EpochEnded():
                result = add_cost(
                    message, self._place.sampler, self._place.intensity, attempt=self._lease.attempt
                )
                self._outbox.add(lambda: self._place.db.runs.record_epoch(self._lease, result))
                self._log.write(describe_epoch(result, self._lease.run.num_epochs))
            case Described(facts=facts):
                self._describe(facts)
            case Logged(text=text):
                self._log.write(text)
            case Ended():
                self._ended = message

    def _add_ending(self, ended: Ended) -> None:
        queue = self._place.db.queue
        if ended.outcome == "stopped":
            self._log.write("the worker is stopping; the run goes back to the queue")
            self._outbox.add(lambda: queue.release(self._lease, reason="The worker was stopped."))
        elif ended.outcome == "failed" and ended.error is not None:
            error = ended.error
            self._log.write(f"failed: {error.message}\n{error.traceback or ''}")
            self._outbox.add(lambda: queue.finish(self._lease, Status.FAILED, error=error))
        else:
            self._log.write(f"done: {ended.reason}" if ended.reason else "done")
            self._outbox.add(lambda: queue.finish(self._lease, Status.DONE, reason=ended.reason))

    def _describe(self, facts: dict[str, Scalar]) -> None:
        self._outbox.add(lambda: self._place.db.runs.describe(self._lease, facts))

    def _send_lines(self, lines: list[str]) -> None:
        self._outbox.add(lambda: self._place.db.log.append(self._lease, lines))

    def _until_renewal_s(self) -> float:
        return max(0.0, self._next_renewal_s - time.monotonic())

    def _keep_lease(self) -> None:
        """Renew when it is time, and only then beat and reap, so that no worker reaps itself."""
        if time.monotonic() < self._next_renewal_s:
            return
        self._next_renewal_s = time.monotonic() + min(self._place.lease_s / 3, 1.0)
        try:
            self._place.db.queue.renew(self._lease, lease_s=self._place.lease_s)
            self._place.on_beat(self._lease.run_id)
        except StoreUnavailable as error:
            log.debug("cannot renew now run_id=%s: %s", self._lease.run_id, error)
