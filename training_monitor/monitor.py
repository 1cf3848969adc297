"""Logs a training to Wattle without ever slowing or ending it."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeVar

from training_monitor.comparison import Comparison, compare
from training_monitor.connection import Connection, default_url
from training_monitor.delivery import Delivery
from training_monitor.ending import describe, to_status, what_ended_the_program
from training_monitor.engine import Engine
from training_monitor.errors import MonitorError
from training_monitor.facts import Lookout, describe_environment
from training_monitor.media_calls import MediaCalls, check_step
from training_monitor.media_log import MediaLog
from training_monitor.plain import to_json
from training_monitor.points import PointLog
from training_monitor.ranks import find_rank
from training_monitor.replay import ReplayThread
from training_monitor.samples import SampleFeed
from training_monitor.silence import Silence
from training_monitor.spool import Spool, default_folder, most_bytes, open_spool
from training_monitor.system import EVERY_S as SYSTEM_EVERY_S
from training_monitor.system import SystemWatch
from training_monitor.texts import TextLog
from training_monitor.wire import pack_text

log = logging.getLogger(__name__)

Result = TypeVar("Result")

FINISH_S: Final = 30.0
_EXIT_S: Final = 10.0
_MOST_LINE: Final = 4_000


class _Energy(Protocol):
    """What energy.py has, where it is asked for."""

    @property
    def quality(self) -> str | None: ...

    def end_epoch(self, epoch: int) -> None: ...

    def close(self) -> None: ...


class TrainingMonitor(MediaCalls):
    """A run on Wattle, from any training script. Safe to use from several threads.

    But for the constructor with ``strict=True`` and ``use_model``, nothing here raises into the training or
    waits for the network, ``finish`` and ``compare_experiments`` aside, which wait for a bounded time. What
    cannot be sent is kept on disk and sent later, also after the process was killed; in a forked process it
    is silent.
    """

    _points: PointLog | Silence
    _lines: TextLog | Silence
    _acts: TextLog | Silence
    _engine: Engine | None = None
    _feed: SampleFeed | None = None
    _files: MediaLog | None = None
    _energy: _Energy | None = None
    _spool: Spool | None = None
    _replay: ReplayThread | None = None
    _request = ""
    _step = -1
    _is_finished = False

    def __init__(
        self,
        experiment_name: str,
        project_name: str = "default",
        *,
        params: Any = None,
        tags: Iterable[str] = (),
        resume: str | None = None,
        energy: bool = False,
        system_metrics: bool = True,
        strict: bool = False,
        all_ranks: bool = False,
        api_url: str | None = None,
        spool_dir: str | Path | None = None,
    ) -> None:
        """Begin a run, or go on with the one whose id is ``resume``.

        params: nested mappings, a dataclass or a Namespace. energy: measure epochs, see ``end_epoch``.
        api_url: else WATTLE_API_URL, else this host's port 5000. all_ranks: not rank 0 alone reports.
        With strict, raises MonitorError when the server does not answer or does not take the run.
        """
        self.api_url = (api_url or default_url()).rstrip("/")
        self._run_id = resume
        if not all_ranks and self._leaves_to_first(find_rank()):
            return
        self._silence("there is nowhere to keep what is logged.")
        self._system = SystemWatch(self._take, every_s=SYSTEM_EVERY_S)
        stated: dict[str, Any] = {"name": experiment_name, "project": project_name}
        try:
            if energy:
                self._energy = self._guarded(self._open_energy)
            stated |= {"params": to_json(params or {}), "tags": list(tags)} | _resuming(resume)
            self._open(Path(spool_dir or default_folder()), stated, is_strict=strict)
        except Exception as error:  # the outer edge: monitoring must never end a training
            if strict:
                raise
            log.warning("Nothing is logged: %s: %s", type(error).__name__, error)
        if system_metrics:
            self._system.start()
        _OPEN.add(self)

    def _environment(self) -> dict[str, Any]:
        quality = self._energy.quality if self._energy else None
        return describe_environment() | ({"energy_quality": quality} if quality else {})

    def _open(self, root: Path, experiment: dict[str, Any], *, is_strict: bool) -> None:
        """Begin to keep and to send; nothing is kept when there is nowhere to."""
        experiment["environment"] = self._environment()
        spool = open_spool(root, self.api_url, experiment, is_strict=is_strict)
        if spool is None:
            return
        delivery = Delivery(
            spool,
            Connection(self.api_url),
            on_request=self._note_request,
            on_refusal=self._silence,
            facts=Lookout().facts,
        )
        if is_strict:
            try:
                delivery.open()
            except MonitorError:
                delivery.close()
                spool.discard()
                raise
        files = MediaLog(spool, run=lambda: delivery.run_id, is_refused=lambda: delivery.refusal is not None)
        engine = Engine(spool, delivery, most_bytes=most_bytes(), others=files.close)
        points = PointLog(spool.windows["points"], ring=engine.ring)
        lines = TextLog(spool.windows["lines"], ring=engine.ring)
        acts = TextLog(spool.windows["acts"], ring=engine.ring)
        spool.definitions = points.definitions
        spool.asides = {"points": points.take_aside, "lines": lines.take_aside, "acts": acts.take_aside}
        self._points, self._lines, self._acts = points, lines, acts
        self._spool, self._delivery, self._engine, self._files = spool, delivery, engine, files
        engine.start()
        self._replay = ReplayThread(root, self.api_url)

    @property
    def run_id(self) -> str | None:
        """The run's id; None until the server has answered for the first time."""
        return self._delivery.run_id if self._engine is not None else self._run_id

    @property
    def is_cancelled(self) -> bool:
        """Whether someone has asked on the page that this run end. A loop that looks can do so."""
        return self._request == "cancel"

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log the values of a step, numbers or scalars of any library; NaN and infinities are values, too.

        step: an integer from 0, in any order and as often as you like; else one more than that before.
        """
        try:
            self._step = number = self._step + 1 if step is None else check_step(step)
            self._points.add(metrics, number, time.time())
        except Exception as error:  # noqa: BLE001 the outer edge: monitoring must never end a training
            log.warning("Not logged: %s: %s", type(error).__name__, error)

    def log_params(self, params: Any) -> None:
        """Add parameters; of one that is there already the new value counts."""
        self._guarded(lambda: self._act("params", {"params": to_json(params)}))

    def log_text(self, text: str) -> None:
        """Add lines to the run's log."""
        self._guarded(lambda: self._add_lines(text))

    def log_samples(
        self,
        samples: Sequence[Mapping[str, Any]],
        *,
        step: int,
        loss: float,
        batch_size: int | None = None,
    ) -> None:
        """Show samples of a batch in the live mosaic, at most 16 of them and 20 times a second.

        Each has ``image`` (PNG or JPEG bytes, or an array or tensor), ``prediction``, ``ground_truth`` and
        ``confidence``, and may have a ``sample_id``. They are shown, not kept.
        """
        self._guarded(lambda: self._show(samples, step, loss, batch_size))

    def add_tag(self, key: str, value: object = None) -> None:
        """Add a tag, or one with a value."""
        self._guarded(lambda: self._act("tags", {"add": [_tag(key, value)], "remove": []}))

    def remove_tag(self, key: str, value: object = None) -> None:
        """Take a tag away."""
        self._guarded(lambda: self._act("tags", {"add": [], "remove": [_tag(key, value)]}))

    def add_note(self, text: str) -> None:
        """Add a note."""
        self._guarded(lambda: self._act("notes", {"text": str(text)}))

    def end_epoch(self, epoch: int | None = None) -> None:
        """Log energy_kwh, co2_g and duration_s since the epoch before; nothing without ``energy``.

        epoch: the step of these metrics; else that of the last call of ``log_metrics``.
        """
        self._guarded(lambda: self._end_epoch(epoch))

    def _end_epoch(self, epoch: int | None) -> None:
        if self._energy is not None:
            self._energy.end_epoch(max(self._step, 0) if epoch is None else check_step(epoch))

    def compare_experiments(self, experiments: Iterable[str]) -> Comparison:
        """Compare runs by their ids or names, print the comparison, and return it."""
        comparison = compare(self.api_url, experiments)
        print(comparison)
        return comparison

    def finish(self, status: str = "done", *, timeout_s: float = FINISH_S) -> bool:
        """End the run and send what is left; False when that did not succeed in time, and is sent later.

        status: completed, done, failed or cancelled; anything else is taken as failed, and said.
        """
        try:
            ending: dict[str, Any] = {"status": to_status(status)}
        except MonitorError as error:
            log.warning("%s It is noted as failed.", error)
            ending = {"status": "failed", "reason": str(error)}
        return bool(self._guarded(lambda: self._finish(ending, timeout_s)))

    def __enter__(self) -> Self:
        """Return this monitor."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish: done, failed with the traceback, or cancelled by the keyboard."""
        self.finish_with(error)

    def finish_with(self, error: BaseException | None, *, timeout_s: float = FINISH_S) -> bool:
        """End the run as what ended the training says; None is done."""
        return bool(self._guarded(lambda: self._finish(describe(error), timeout_s)))

    def _finish(self, ending: Mapping[str, Any], timeout_s: float) -> bool:
        if self._is_finished:
            return True
        self._is_finished = True
        _OPEN.discard(self)
        self._system.stop()
        if self._energy is not None:
            self._energy.close()
        if self._feed is not None:
            self._feed.close()
        self._silence("the run is finished.")
        if self._engine is None or self._spool is None:
            return False
        if self._files is not None:
            self._files.hurry(time.monotonic() + timeout_s)
        is_sent = self._engine.close(timeout_s, pack_text({"act": "status", "body": ending}))
        if self._replay is not None:
            self._replay.close(0.0)
        if not is_sent and not self._delivery.is_unwanted:
            log.warning(
                "Not all was sent; the rest is in %s and goes with the next monitor, or with "
                "python -m training_monitor replay",
                self._spool.folder,
            )
        return is_sent

    def _silence(self, reason: str) -> None:
        self._points = self._lines = self._acts = Silence(reason)

    def _note_request(self, request: str) -> None:
        if request != self._request:
            self._request = request
            log.warning("The page asks this run to %s; monitor.is_cancelled says so.", request)

    def _take(self, metrics: Mapping[str, float], step: int) -> None:
        self._points.add(metrics, step, time.time())

    def _media(self) -> MediaLog | None:
        if isinstance(self._acts, Silence):
            self._acts.add({})  # nothing is kept, which says why
            return None
        return self._files

    def _act(self, act: str, body: Mapping[str, Any]) -> None:
        self._acts.add({"act": act, "body": body})

    def _add_lines(self, text: str) -> None:
        now_s = time.time()
        for line in str(text).splitlines():
            self._lines.add({"time": now_s, "text": line[:_MOST_LINE]})

    def _show(
        self, samples: Sequence[Mapping[str, Any]], step: int, loss: float, batch_size: int | None
    ) -> None:
        if self._is_finished:
            return
        if self._feed is None:
            self._feed = SampleFeed(Connection(self.api_url), lambda: self.run_id)
        size = len(samples) if batch_size is None else batch_size
        self._feed.add(samples, iteration=step, loss=loss, batch_size=size)

    def _open_energy(self) -> _Energy:
        from training_monitor.energy import EpochEnergy

        torch = sys.modules.get("torch")
        device = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
        return EpochEnergy(self._take, device=device, say=self.log_text)

    def _guarded(self, act: Callable[[], Result]) -> Result | None:
        """Do what must not end a training."""
        try:
            return act()
        except Exception as error:  # noqa: BLE001 the outer edge: monitoring must never end a training
            log.warning("The monitor could not do that: %s: %s", type(error).__name__, error)
            return None

    def _leaves_to_first(self, rank: int) -> bool:
        """Be silent where this is not the first process of a distributed training; False where it is."""
        if not rank:
            return False
        reason = f"this process has rank {rank}, and that with rank 0 reports the run."
        self._points = self._lines = self._acts = Silence(reason, level=logging.INFO)
        self._is_finished = True
        return True

    def _leave_to_parent(self) -> None:
        """In a forked process: the run, its files and its memory are the parent's."""
        self._is_finished = True
        self._silence("this process was forked; give it a monitor of its own, with resume=<run id>.")
        self._energy = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None


def _resuming(run_id: str | None) -> dict[str, str]:
    return {"resume": run_id} if run_id else {}


def _tag(key: str, value: object) -> str:
    return str(key) if value is None else f"{key}={value}"


_OPEN: weakref.WeakSet[TrainingMonitor] = weakref.WeakSet()


def _finish_all() -> None:
    for monitor in list(_OPEN):
        monitor.finish_with(what_ended_the_program(), timeout_s=_EXIT_S)


def _leave_all_to_parent() -> None:
    for monitor in list(_OPEN):
        monitor._leave_to_parent()
    _OPEN.clear()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all_to_parent)
