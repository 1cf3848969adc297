"""What goes wrong in bench.faults: each scene does it to one queue and tells what became of the job."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench.contestants import START_LIMIT_S, Stage, wait_for

LEASE_S = 15.0
"""Ours by default, as in every scene but ``longer_than_lease``."""
SHORT_LEASE_S = 5
REDIS_AWAY_S = 8.0
LONG_JOB_S = 25.0
SETTLED_S = 3.0
# What the queues call a job whose end they have recorded; Dramatiq keeps none of those.
RECORDED = frozenset({"done", "finished", "SUCCESS", "acknowledged"})
_ASK_EVERY_S = 0.2


class Event(NamedTuple):
    """A line of a job's journal."""

    kind: str
    start: int
    at_s: float


class Journal:
    """What the job wrote down, in every process that ran it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Event]:
        """Return the events, oldest first."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        events = [Event(kind, int(start), float(at_s)) for kind, start, at_s in map(str.split, lines)]
        return sorted(events, key=lambda event: event.at_s)

    def times_of(self, kind: str) -> list[float]:
        """Return when it began, or ended."""
        return [event.at_s for event in self.read() if event.kind == kind]

    def was_run_twice_at_once(self) -> bool:
        """True when it began once more before a start of it that was not killed had ended."""
        spans = []
        for start in {event.start for event in self.read()}:
            own = [event for event in self.read() if event.start == start]
            spans += [(a.at_s, b.at_s) for a, b in pairwise(own) if (a.kind, b.kind) == ("began", "ended")]
        return any(
            start_s < began_s < end_s for start_s, end_s in spans for began_s in self.times_of("began")
        )


@dataclass(frozen=True)
class Outcome:
    """What became of a job. seconds: until it was put right, None when that was not seen."""

    words: str
    status: str
    starts: int
    ends: int
    seconds: float | None
    is_recorded: bool
    was_run_twice_at_once: bool

    @property
    def is_whole(self) -> bool:
        """True when the job ended once, that is recorded, and it was nowhere run beside itself."""
        return self.is_recorded and self.ends == 1 and not self.was_run_twice_at_once

    def figures(self) -> dict[str, Any]:
        """Return it for the last line."""
        rounded = None if self.seconds is None else round(self.seconds, 1)
        return asdict(self) | {"seconds": rounded, "is_whole": self.is_whole}


class Job:
    """One nap in a queue."""

    def __init__(self, stage: Stage, seconds: float) -> None:
        self._stage = stage
        self.journal = Journal(stage.journal)
        self._job_id = stage.producer.ask(json.dumps({"nap": seconds}))["job"]

    def has_begun(self, times: int = 1) -> bool:
        """True when it has begun so often."""
        return len(self.journal.times_of("began")) >= times

    def has_ended(self) -> bool:
        """True when it has ended by itself."""
        return bool(self.journal.times_of("ended"))

    def rests_for_s(self) -> float:
        """Return for how long nothing has begun or ended, while none runs; 0 while one does."""
        events = self.journal.read()
        is_running = 2 * sum(event.kind == "began" for event in events) > len(events)
        return 0.0 if is_running else time.monotonic() - events[-1].at_s

    def status(self) -> str:
        """Return the queue's word, or why it has none."""
        answer = self._stage.producer.ask(json.dumps({"status_of": self._job_id}))
        return str(answer.get("status") or self._stage.producer.reason)

    def is_recorded(self) -> bool:
        """True when the queue says that it is over and well."""
        return self.status() in RECORDED

    def outcome(self, words: str, seconds: float | None) -> Outcome:
        """Return what became of it by now."""
        status = self.status()
        return Outcome(
            words=words,
            status=status,
            starts=len(self.journal.times_of("began")),
            ends=len(self.journal.times_of("ended")),
            seconds=seconds,
            is_recorded=status in RECORDED,
            was_run_twice_at_once=self.journal.was_run_twice_at_once(),
        )


def worker_killed(stage: Stage, limit_s: float) -> Outcome:
    """The whole worker is killed while a job runs; another one is started at once."""
    job = Job(stage, 3.0)
    worker = _start(stage, job)
    time.sleep(0.5)
    stage.kill(worker)
    return _see_rerun(stage, job, time.monotonic(), starts=2, limit_s=limit_s)


def killed_after_pop(stage: Stage, limit_s: float) -> Outcome:
    """A worker of two queues is killed between taking a job and starting it; another one is started."""
    job = Job(stage, 1.0)
    worker = stage.start_worker(dies_after_pop=True)
    if not wait_for(lambda: stage.exit_code_of(worker) is not None, limit_s=START_LIMIT_S):
        raise SystemExit(f"{stage.contestant.title}: its worker did not die.\n{stage.last_words()}")
    stage.kill(worker)
    return _see_rerun(stage, job, time.monotonic(), starts=1, limit_s=limit_s)


def redis_away(stage: Stage, limit_s: float) -> Outcome:
    """Redis is killed while a job runs and comes back after it has ended."""
    job = Job(stage, 4.0)
    worker = _start(stage, job)
    time.sleep(2.0)
    server = stage.redis
    assert server.process is not None
    server.process.kill()
    server.process.wait()
    time.sleep(REDIS_AWAY_S)
    server.start()
    back_s = time.monotonic()
    exit_code = stage.exit_code_of(worker)
    if exit_code is not None:
        stage.start_worker()
    is_recorded = wait_for(job.is_recorded, limit_s=limit_s, every_s=_ASK_EVERY_S)
    seconds = time.monotonic() - back_s if is_recorded else None
    words = f"not recorded within {limit_s:g} s, still {job.status()}"
    if seconds is not None:
        words = f"recorded {seconds:.1f} s after Redis was back"
    if exit_code is not None:
        words = f"its worker exits with {exit_code}; {words}"
    return job.outcome(words, seconds)


def longer_than_lease(stage: Stage, limit_s: float) -> Outcome:
    """A job runs five times as long as a worker may be silent; a second worker is added meanwhile."""
    job = Job(stage, LONG_JOB_S)
    _start(stage, job)
    time.sleep(SHORT_LEASE_S + 1)
    stage.start_worker()
    wait_for(job.has_ended, limit_s=LONG_JOB_S + limit_s)
    wait_for(job.is_recorded, limit_s=limit_s, every_s=_ASK_EVERY_S)
    # One that began late is still at it, or begins only now.
    wait_for(lambda: job.rests_for_s() > SETTLED_S, limit_s=LONG_JOB_S + SETTLED_S)
    outcome = job.outcome("", None)
    if outcome.was_run_twice_at_once:
        words = f"started {outcome.starts} times, twice at once"
    else:
        words = "ran once" if outcome.starts == 1 else f"ran {outcome.starts} times, one after the other"
    return job.outcome(words, None)


Scene = Callable[[Stage, float], Outcome]
SCENES: Sequence[tuple[str, Scene]] = (
    ("worker_killed", worker_killed),
    ("redis_away", redis_away),
    ("killed_after_pop", killed_after_pop),
    ("longer_than_lease", longer_than_lease),
)


def _start(stage: Stage, job: Job) -> psutil.Process:
    """Start a worker and wait until it runs the job."""
    worker = stage.start_worker()
    if not wait_for(job.has_begun, limit_s=START_LIMIT_S):
        raise SystemExit(f"{stage.contestant.title}: the job did not begin.\n{stage.last_words()}")
    return worker


def _see_rerun(stage: Stage, job: Job, killed_s: float, *, starts: int, limit_s: float) -> Outcome:
    """Start another worker, and see how long after the death it runs the job, and that it ends."""
    stage.start_worker()
    if not wait_for(lambda: job.has_begun(starts), limit_s=limit_s):
        return job.outcome(f"not rerun within {limit_s:g} s, still {job.status()}", None)
    seconds = job.journal.times_of("began")[starts - 1] - killed_s
    wait_for(job.is_recorded, limit_s=START_LIMIT_S, every_s=_ASK_EVERY_S)
    return job.outcome(f"rerun after {seconds:.1f} s", seconds)
