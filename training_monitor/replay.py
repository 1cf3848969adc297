"""Sends what processes that died had still to send: at the next monitor of this host, or by the command."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final, NamedTuple

from training_monitor.connection import Connection
from training_monitor.delivery import Delivery
from training_monitor.errors import MonitorError, ServerRefused
from training_monitor.histogram_log import HistogramLog
from training_monitor.orphans import give_back_memory
from training_monitor.spool import Spool, adopt_dead
from training_monitor.upload_box import UploadBox
from training_monitor.uploader import Uploader

log = logging.getLogger(__name__)

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 60.0


class Replayed(NamedTuple):
    """How many sessions were sent to their end, how many wait, and how many runs the server refused to begin.

    ``reason`` says why the last one waits.
    """

    sent: int
    left: int
    refused: int = 0
    reason: str = ""


def replay(
    root: Path, connection: Connection, *, any_host: bool = False, is_refused: bool = False
) -> Replayed:
    """Send every session of this server whose process is dead, and delete what the server has. Never raises
    MonitorError.

    is_refused: send those that the server refused to begin, instead of the others.
    """
    sent = left = refused = 0
    reason = ""
    for spool in adopt_dead(root, any_host=any_host, is_refused=is_refused):
        if spool.head.api_url != connection.api_url:
            spool.close()
            left, reason = left + 1, f"it belongs to {spool.head.api_url}"
            continue
        delivery = Delivery(spool, connection)
        if why := _send(spool, connection, delivery):
            left, reason = left + 1, why
        elif delivery.is_unwanted:
            refused += 1
        else:
            sent += 1
    return Replayed(sent, left, refused, reason)


def _send(spool: Spool, connection: Connection, delivery: Delivery) -> str:
    """Return why it is to be tried again; empty when it is not."""
    try:
        while delivery.send_next():
            pass
        if why := _send_files(spool, connection, delivery):
            spool.close()
            return why
    except ServerRefused:
        pass  # the server will never take it; said where it was refused
    except MonitorError as error:
        spool.close()
        return str(error)
    delivery.settle(has_all_sent=True)
    if not delivery.is_unwanted:
        log.info("sent what a process had left session=%s run_id=%s", spool.head.session, delivery.run_id)
    return ""


def _send_files(spool: Spool, connection: Connection, delivery: Delivery) -> str:
    """Return why not all files are sent; empty when they are. Raises what Connection raises."""
    histograms = HistogramLog(spool.folder, most_bytes=0)
    uploader = Uploader(
        spool.head.session, UploadBox(spool.folder, most_bytes=0), histograms, connection,
        run=lambda: delivery.run_id,
    )  # fmt: skip
    try:
        while delivery.refusal is None and uploader.send_next():
            pass
    except OSError as error:
        return f"a file cannot be read: {error}"
    finally:
        histograms.close()
    return "" if delivery.refusal or uploader.is_done else "a file does not go through"


class ReplayThread:
    """Replays beside a monitor, again until the server has answered."""

    def __init__(self, root: Path, api_url: str) -> None:
        """Begin."""
        self._root, self._connection = root, Connection(api_url)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._replay, name="training_monitor replay", daemon=True)
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Begin no further try; one that goes on is waited for."""
        self._stopped.set()
        self._thread.join(timeout_s)

    def _replay(self) -> None:
        wait_s = _FIRST_WAIT_S
        try:
            left = replay(self._root, self._connection).left
            give_back_memory()
            while left and not self._stopped.wait(wait_s):
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
                left = replay(self._root, self._connection).left
        except Exception:  # the outer edge: monitoring must never end a training
            log.exception("What an earlier process left cannot be sent.")
        finally:
            self._connection.close()
