"""One run on one worker: start the child, keep the lease, record what it sends, finish."""

from __future__ import annotations

import contextlib
import logging
import time

from errors import InvalidInput, LeaseLost, StoreUnavailable, TrainingFailed, WattleError
from schema import Lease, Request, RunError
from trainers import needs_torch
from work.child import Job
from work.finished import finish_files
from work.holding import Hold
from work.live_feed import LiveFeed
from work.messages import Ended, Message, Shown, SpanAsked
from work.metering import read_span
from work.process import Child, start_training
from work.recorder import Recorder
from work.stacks import Stacks
from work.steering import Steering
from work.tracing import AttemptTrace
from work.workplace import Workplace

log = logging.getLogger(__name__)

# How soon a write is tried again while Redis is away.
RETRY_S = 0.2


def execute(place: Workplace, lease: Lease) -> None:
    """Train the run that ``lease`` holds and record it; returns when another run may be claimed.

    Ends the run done or failed, or puts it back when the worker is to stop or somebody asked for it. A lost
    lease ends the child and writes nothing more; an unreachable Redis delays the recording, never the
    training. Raises TrainingFailed or InvalidInput, after putting the run back, when this worker cannot
    start a child at all, or lacks the torch that the run needs.
    """
    trace = AttemptTrace(place, lease)
    execution = _Execution(place, lease, trace)
    try:
        execution.train()
    except LeaseLost as error:
        execution.forget()
        log.warning(
            "lease lost, the child is ended run_id=%s attempt=%d: %s", lease.run_id, lease.attempt, error
        )
    finally:
        execution.close()
        trace.end()


class _Execution:
    """The state of one attempt."""

    def __init__(self, place: Workplace, lease: Lease, trace: AttemptTrace) -> None:
        self._trace = trace
        self._place = place
        self._lease = lease
        self._recorder = Recorder(place.db, place.settings, lease, place.sampler, place.grid)
        self._recorder.on_epoch = trace.note_epoch
        self._hold = Hold(place, lease)
        self._feed = LiveFeed(place.db, lease.run_id)
        self._stacks = Stacks()
        self._child: Child | None = None
        self._steering: Steering | None = None

    def train(self) -> None:
        """Run the child to its end, or until it is no longer waited for, and write the ending."""
        try:
            _check_torch(self._place, self._lease)
            child = self._child = self._start()
            self._recorder.watch(child.pid)
        except (TrainingFailed, InvalidInput) as error:
            self._deliver(Ended(outcome="stopped", reason=str(error)))
            raise
        try:
            ended = self._follow(child)
        except LeaseLost:
            raise
        except WattleError as error:
            # Something of this run cannot be recorded: its failure, not the worker's.
            log.exception("the run cannot be recorded run_id=%s", self._lease.run_id)
            failure = RunError(kind=type(error).__name__, message=str(error))
            ended = Ended(outcome="failed", error=failure)
        self._deliver(ended)

    def forget(self) -> None:
        """Write nothing more: the run is another worker's."""
        # First of all, so that it ends within the second that finding out may have taken.
        if self._child is not None:
            self._child.kill()
        self._recorder.journal.discard()

    def close(self) -> None:
        """End the child and close the log file."""
        if self._child is not None:
            self._child.end()
        self._stacks.close()
        self._recorder.close()

    def _start(self) -> Child:
        settings, lease = self._place.settings, self._lease
        self._recorder.begin(self._place.facts)
        device = self._place.worker.device
        self._recorder.log(f"attempt {lease.attempt} on {self._place.worker_id}, {device}")
        job = Job(
            run_id=lease.run_id,
            hyper_params=dict(lease.run.hyper_params),
            device=device,
            threads=self._place.threads.choose(),
            datasets_dir=settings.data_dir / "datasets",
            scripts_dir=settings.scripts_dir,
            api_url=settings.api_url,
            checkpoint_url=settings.effective_checkpoint_url,
            checkpoint_every_s=settings.checkpoint_every_s,
            model_url=settings.effective_model_url,
            model_licence=settings.model_licence,
            recorded_epochs=self._list_recorded(),
            stacks=self._stacks.path,
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

    def _left_s(self) -> float | None:
        """Return how long the run may still train; None for any time."""
        timeout_s = self._lease.run.options.timeout_s
        while timeout_s is not None:
            try:
                attempts = self._place.db.runs.list_attempts(self._lease.run_id)
                spans = [item.ended_at - item.started_at for item in attempts if item.ended_at is not None]
                return timeout_s - sum(span.total_seconds() for span in spans)
            except StoreUnavailable:
                time.sleep(RETRY_S)
        return None

    def _follow(self, child: Child) -> Ended:
        """Record what the child sends until its last word, or until it is no longer waited for."""
        steering = self._steering = Steering(
            child,
            self._lease.run,
            self._place.stop,
            self._stacks,
            stall_s=self._place.settings.stall_s,
            left_s=self._left_s(),
        )
        is_delivered = True
        while True:
            is_patient = is_delivered and not steering.is_stopping
            messages = child.receive(self._hold.until_renewal_s() if is_patient else RETRY_S)
            for message in messages:
                if isinstance(message, Ended):
                    return steering.judge(message)
                self._take(child, message)
            steering.note_life(has_spoken=bool(messages))
            wish = self._keep_lease()
            if (ended := steering.steer(wish, self._recorder.over_budget)) is not None:
                return ended
            is_delivered = self._flush()

    def _take(self, child: Child, message: Message) -> None:
        if isinstance(message, SpanAsked):
            child.answer(read_span(message.span_ns, self._place.sampler))
        elif isinstance(message, Shown):
            if not self._hold.is_hanging:
                self._feed.show(message)
        else:
            self._recorder.take(message)

    def _keep_lease(self) -> Request | None:
        if self._hold.until_renewal_s() == 0:
            self._recorder.add_samples()
        pulse = None if self._child is None else self._child.pulse
        if pulse is not None and not self._hold.is_hanging:
            self._feed.look(pulse)
        return self._hold.keep(pulse, self._recorder.epochs_done)

    def _flush(self) -> bool:
        journal = self._recorder.journal
        if journal.is_empty:
            return True
        if self._hold.is_hanging:
            # Each call would keep the child's messages waiting, and a signal; the next renewal tells.
            journal.set_aside()
            return False
        is_delivered = journal.flush()
        if is_delivered:
            self._place.stop.contact.note()
        return is_delivered

    def _deliver(self, ended: Ended) -> None:
        """Write how the attempt ended, waiting for Redis without limit; a stopping worker has its own."""
        child, steering = self._child, self._steering
        self._trace.note_outcome(ended.outcome)
        self._recorder.end(
            ended,
            asked=None if steering is None else steering.asked,
            has_trained=child is not None,
            step=None if child is None else child.pulse.step,
        )
        while not self._flush_ending():
            time.sleep(RETRY_S)
            # Also refused where the ending is recorded and its reply was lost: its repetition will tell.
            with contextlib.suppress(LeaseLost):
                self._keep_lease()
        # Only once this attempt's finish is recorded: until then the run may be another worker's, and a place
        # that is slow would cost the lease.
        if ended.outcome == "done" and ended.has_saved_models:
            self._finish_files()
            self._recorder.journal.discard()

    def _flush_ending(self) -> bool:
        """As ``_flush``; what is refused now is left out, since the ending behind it has to be written."""
        try:
            return self._flush()
        except LeaseLost:
            raise
        except WattleError as error:
            log.warning("a write is refused and left out run_id=%s: %s", self._lease.run_id, error)
            return False

    def _finish_files(self) -> None:
        while True:
            try:
                # A slow place is no silent Redis: it gets the longer limit of a worker that stops.
                with self._place.stop.contact.unneeded():
                    finish_files(self._place.db, self._place.settings, self._lease.run_id)
            except StoreUnavailable:
                time.sleep(RETRY_S)
            else:
                return


def _check_torch(place: Workplace, lease: Lease) -> None:
    trainer = str(lease.run.hyper_params.get("trainer"))
    if place.worker.torch is None and needs_torch(trainer):
        raise InvalidInput(
            f"Run {lease.run_id} trains with {trainer}, which needs torch, and torch is not installed here; "
            "it was put back. Install torch, or give this worker, with --queues, queues whose runs need none."
        )
