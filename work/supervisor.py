"""One worker process per GPU: started, watched, started again when it died, and ended together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from carbon_aware_trainer.energy import list_visible_gpus
from carbon_aware_trainer.errors import MeterUnavailable
from errors import InvalidInput
from work import SUPERVISOR_PID_VARIABLE
from work.arguments import Arguments

log = logging.getLogger(__name__)

EXIT_USAGE = 2
FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 1.0, 60.0
# A worker that has lived so long had no trouble at its start: the back-off begins anew.
SOUND_S = 60.0
_POLL_S = 0.1
_PROGRAM = Path(__file__).resolve().parent.parent / "worker.py"


class Process(Protocol):
    """The part of a process that a supervisor needs."""

    @property
    def pid(self) -> int:
        """Its id."""

    def poll(self) -> int | None:
        """Return its exit code, below 0 for a signal; None while it runs."""

    def send_signal(self, sig: int, /) -> None:
        """Send it a signal, unless it has ended."""


Start = Callable[[Mapping[str, str]], Process]


@dataclass
class Place:
    """Where one worker runs, and how it has fared."""

    title: str
    environment: Mapping[str, str]
    process: Process | None = None
    started_s: float = 0.0
    start_at_s: float = 0.0
    back_off_s: float = FIRST_BACK_OFF_S
    exit_code: int | None = None
    """Set once it is not to be started again."""


def list_places(arguments: Arguments, environ: Mapping[str, str]) -> list[Place]:
    """Return a place for each worker. Raises InvalidInput when a GPU is wanted that is not there."""
    if arguments.processes is not None:
        return [Place(f"worker {number + 1}", {}) for number in range(arguments.processes)]
    try:
        gpus = list_visible_gpus(environ=environ)
    except MeterUnavailable as error:
        raise InvalidInput(f"--gpus: {error} Start workers of the CPU with --processes N instead.") from error
    wanted = (
        range(len(gpus)) if arguments.gpus == "all" else [int(n) for n in (arguments.gpus or "").split(",")]
    )
    missing = [number for number in wanted if number >= len(gpus)]
    if missing or not gpus:
        raise InvalidInput(f"--gpus {arguments.gpus}: this host shows {len(gpus)} GPUs, numbered from 0.")
    return [
        Place(f"GPU {number}", {"CUDA_VISIBLE_DEVICES": gpus[number]}) for number in dict.fromkeys(wanted)
    ]


class Supervisor:
    """Keeps one worker at each place alive until all have ended by themselves, or it is told to stop."""

    def __init__(self, places: Sequence[Place], start: Start) -> None:
        self._places = places
        self._start = start
        self._is_stopping = False
        self._signals: list[int] = []

    def pass_on(self, number: int, _frame: object = None) -> None:
        """Have a signal sent to every worker with the next ``tick``; none is started any more."""
        self._is_stopping = True
        self._signals.append(number)

    def tick(self, now_s: float) -> bool:
        """Look after every worker; False once all have ended for good."""
        signals, self._signals = self._signals, []
        for place in self._places:
            if place.process is not None:
                for number in signals:
                    place.process.send_signal(number)
            self._look_after(place, now_s)
        return any(place.exit_code is None for place in self._places)

    @property
    def exit_code(self) -> int:
        """0 when every worker has ended with 0, else the first other code."""
        return next((place.exit_code for place in self._places if place.exit_code), 0)

    def _look_after(self, place: Place, now_s: float) -> None:
        if place.exit_code is not None:
            return
        if place.process is None:
            if self._is_stopping:
                place.exit_code = 0
            elif now_s >= place.start_at_s:
                self._begin(place, now_s)
            return
        code = place.process.poll()
        if code is not None:
            self._note_end(place, code, now_s)

    def _begin(self, place: Place, now_s: float) -> None:
        place.started_s = now_s
        try:
            place.process = self._start(place.environment)
        except OSError as error:  # no process or no memory to be had now: no matter of the other workers
            self._back_off(place, f"could not be started ({error})", now_s)
        else:
            log.info("%s started pid=%d", place.title, place.process.pid)

    def _note_end(self, place: Place, code: int, now_s: float) -> None:
        place.process = None
        if code in (0, EXIT_USAGE) or self._is_stopping:
            # One that had no time to listen to a signal was ended by it, as it was asked to.
            is_asked = self._is_stopping and -code in (signal.SIGTERM, signal.SIGINT)
            place.exit_code = 0 if is_asked else code if code >= 0 else 128 - code
            return
        if now_s - place.started_s >= SOUND_S:
            place.back_off_s = FIRST_BACK_OFF_S
        self._back_off(place, f"died ({_name(code)})", now_s)

    def _back_off(self, place: Place, what: str, now_s: float) -> None:
        log.warning("%s %s and starts again in %.0f s", place.title, what, place.back_off_s)
        place.start_at_s = now_s + place.back_off_s
        place.back_off_s = min(2 * place.back_off_s, LONGEST_BACK_OFF_S)


def _name(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"


def supervise(arguments: Arguments) -> int:
    """Run the workers until all have ended; return the exit code. Raises InvalidInput as list_places does."""
    command = [sys.executable, str(_PROGRAM), *arguments.others]

    def start(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            env={**os.environ, SUPERVISOR_PID_VARIABLE: str(os.getpid()), **environment},
            # Ctrl-C reaches the workers through this process alone: two would mean at once.
            process_group=0,
        )

    supervisor = Supervisor(list_places(arguments, os.environ), start)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, supervisor.pass_on)
    pause = threading.Event()
    while supervisor.tick(time.monotonic()):
        pause.wait(_POLL_S)
    return supervisor.exit_code
