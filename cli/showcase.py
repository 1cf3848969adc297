"""What ``make demo`` shows: four real runs, a line per epoch, and the table at the end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from pydantic import JsonValue

from client import Client
from errors import ApiError, ApiUnavailable
from schema import EpochResult, RunReply, Status

START_TIMEOUT_S = 60.0
POLL_S = 0.3

RUNS: tuple[dict[str, JsonValue], ...] = (
    {"network": "small_cnn", "optimizer": "adam", "learning_rate": 0.002, "num_epochs": 12},
    {"network": "small_cnn", "optimizer": "sgd", "learning_rate": 0.05, "num_epochs": 12},
    {"network": "resnet9", "optimizer": "adamw", "learning_rate": 0.002, "num_epochs": 3},
    {"network": "resnet9", "optimizer": "rmsprop", "learning_rate": 0.001, "num_epochs": 3},
)


class Showcase:
    """The demo's script, played in a thread beside the programs."""

    def __init__(self, api: Client, *, page_url: str, say: Callable[[str], None]) -> None:
        self._api = api
        self._page_url = page_url
        self._say = say
        self._cancelled = threading.Event()
        self.has_failed = False
        """True once a program or a run did not do what it should; stopping is no failure."""

    def cancel(self) -> None:
        """End the play at its next pause."""
        self._cancelled.set()

    def play(self, *, with_runs: bool, stays: bool) -> None:
        """Wait for the programs, show the runs, say where the page is.

        stays: the programs go on serving afterwards.
        """
        try:
            self._wait_for_programs()
            if with_runs:
                self._show_runs()
        except ApiError as error:
            if not self._cancelled.is_set():
                self.has_failed = True
                self._say(f"The demo stopped: {error}")
        if stays and not self._cancelled.is_set():
            self._say(f"The page is at {self._page_url} (Ctrl-C stops everything)")

    def _wait_for_programs(self) -> None:
        self._say("Starting Redis, the API, a worker and the page ...")
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (self._has_worker() and self._page_answers()):
            if time.monotonic() > deadline:
                raise ApiUnavailable(
                    f"Not everything started within {START_TIMEOUT_S:.0f} s; the lines above say why."
                )
            self._pause()

    def _has_worker(self) -> bool:
        try:
            return bool(self._api.get_health().workers)
        except ApiError:
            return False

    def _page_answers(self) -> bool:
        address = urlsplit(self._page_url)
        try:
            socket.create_connection((address.hostname or "", address.port or 80), timeout=1).close()
        except OSError:
            return False
        return True

    def _show_runs(self) -> None:
        run_ids = [self._api.submit({"dataset": "digits", **hyper_params}).iid for hyper_params in RUNS]
        self._say(f"Queued {len(run_ids)} runs on the digits of scikit-learn; watch them at {self._page_url}")
        runs = [self._follow(run_id) for run_id in run_ids]
        self.has_failed = any(run.status is not Status.DONE for run in runs)
        self._say(render_table(runs))

    def _follow(self, run_id: str) -> RunReply:
        """Print each epoch of a run once; returns the run when it has ended."""
        shown = 0
        while True:
            run = self._api.get_run(run_id)
            epochs = self._api.list_epochs(run_id).epochs
            for result in epochs[shown:]:
                self._say(render_epoch(run, result))
            shown = max(shown, len(epochs))
            if run.status.is_final and shown == run.epochs_done:
                if run.error is not None:
                    self._say(f"{name_of(run)}: {run.status}: {run.error.message}")
                return run
            self._pause()

    def _pause(self) -> None:
        if self._cancelled.wait(POLL_S):
            raise ApiUnavailable("it was stopped.")


def name_of(run: RunReply) -> str:
    """Return the run's network and optimizer, which is what the demo varies."""
    return f"{run.hyper_params.get('network')} {run.hyper_params.get('optimizer')}"


def render_epoch(run: RunReply, result: EpochResult) -> str:
    """Return the progress line of an epoch."""
    name = f"{name_of(run):<18} epoch {result.epoch:>2}/{run.num_epochs}"
    quality = f"loss {result.test_loss:.4f}  accuracy {result.test_accuracy:7.2%}"
    return f"{name}  {quality}  {_amount(result.energy_kwh, 1000)} Wh  {_amount(result.co2_g)} g CO2"


def render_table(runs: Sequence[RunReply]) -> str:
    """Return the closing table; ~ marks estimated energy, – what is unknown."""
    rows = [("run", "best accuracy", "Wh", "g CO2", "seconds", "status")]
    for run in runs:
        mark = "~" if run.energy_quality == "estimated" else ""
        accuracy = "–" if run.best_accuracy is None else f"{run.best_accuracy:.2%}"
        energy, co2 = mark + _amount(run.energy_kwh, 1000), mark + _amount(run.co2_g)
        rows.append((name_of(run), accuracy, energy, co2, _amount(run.duration_s), run.status.value))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    notes = {run.environment.get("energy_source") for run in runs if run.energy_quality == "estimated"}
    return "\n".join(["", *lines, *(f"~ estimated: {note}" for note in sorted(map(str, notes))), ""])


def _amount(value: float | None, factor: float = 1.0) -> str:
    return "–" if value is None else f"{factor * value:.3g}"
