"""A run's files and histograms: kept on disk in the call, sent by a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from training_monitor.connection import Connection
from training_monitor.errors import KeyNeeded, MonitorError, ServerAway
from training_monitor.histogram_log import HistogramLog
from training_monitor.spool import Spool, most_bytes
from training_monitor.upload_box import WEIGHTS, Registration, Upload, UploadBox, most_file_bytes
from training_monitor.uploader import Uploader

log = logging.getLogger(__name__)

_EVERY_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0


class MediaLog:
    """What a monitor has beside points. Its thread leaves that of the points alone: a file may take long.

    run: what tells the run, once there is one. is_refused: whether the server takes nothing of it any more.
    """

    def __init__(
        self, spool: Spool, *, run: Callable[[], str | None], is_refused: Callable[[], bool] = bool
    ) -> None:
        """Begin; until there is something to send, its thread sleeps."""
        self._session, self._api_url, self._run = spool.head.session, spool.head.api_url, run
        self._box = UploadBox(spool.folder, most_bytes=most_file_bytes())
        self._histograms = HistogramLog(spool.folder, most_bytes=most_bytes())
        self._is_refused = is_refused
        self._weights: dict[str, int] = {}
        self._said: set[str] = set()
        self._uploader: Uploader | None = None
        self._is_closing = False
        self._give_up_at = float("inf")
        # An Event's lock would never be given back to a signal handler that logs within a call that rings.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_away = False
        self._wait_s = _EVERY_S
        self._thread = threading.Thread(target=self._send, name="training_monitor uploads", daemon=True)
        self._thread.start()

    def add(self, upload: Upload, size_bytes: int, write: Callable[[BinaryIO], object]) -> None:
        """Keep a file. Raises MonitorError or OSError; then nothing of it is kept."""
        number = self._box.put(upload, size_bytes, write)
        if upload.kind in WEIGHTS:
            self._weights[upload.name] = number
        self._ring()

    def add_histogram(self, histogram: dict[str, Any]) -> None:
        """Keep a histogram. Raises MonitorError or OSError."""
        self._histograms.add(histogram)
        if self._uploader is None:
            self._ring()

    def register(self, model: str, artifact: str, version: int | None) -> None:
        """Have a version of a model made of weights: without a version, of those added last by that name.

        Raises MonitorError or OSError.
        """
        number = self._weights.get(artifact) if version is None else None
        self._box.put_registration(Registration(model, artifact, version, number))
        self._ring()

    def say(self, text: str) -> None:
        """Warn of something, and of the same never again."""
        if text not in self._said:
            self._said.add(text)
            log.warning("%s", text)

    def hurry(self, give_up_at: float) -> None:
        """Take nothing more, and send what can be sent until then, in seconds of the monotonic clock."""
        self._give_up_at = give_up_at
        self._is_closing = True
        self._ring()

    def close(self) -> bool:
        """Wait for the end of what ``hurry`` began; False when something is still to be sent.

        It comes at the time given there, or when the request that is waited for then ends.
        """
        self._thread.join()
        return self._is_refused() or self._is_done

    @property
    def _is_done(self) -> bool:
        if self._uploader is None:
            return self._box.is_empty and self._histograms.is_empty
        return self._uploader.is_done

    def _ring(self) -> None:
        if self._bell.empty():
            self._bell.put(None)

    def _send(self) -> None:
        self._bell.get()
        if self._is_closing and self._is_done:
            return
        connection = Connection(self._api_url)
        uploader = Uploader(
            self._session, self._box, self._histograms, connection, run=self._run, give_up=self._is_late
        )
        self._uploader = uploader
        try:
            self._send_until_closed(uploader)
        finally:
            connection.close()
            self._histograms.close()

    def _send_until_closed(self, uploader: Uploader) -> None:
        while True:
            is_last = self._is_closing
            self._try(uploader)
            if is_last and (uploader.is_done or self._is_refused() or self._is_late()):
                return
            self._pause(is_last=is_last)

    def _pause(self, *, is_last: bool) -> None:
        if is_last:
            time.sleep(min(_EVERY_S, max(0.0, self._give_up_at - time.monotonic())))
        elif self._is_away:
            # The bell rings with each file: a server that is away gets no storm of requests.
            until = time.monotonic() + self._wait_s
            while not self._is_closing and time.monotonic() < until:
                time.sleep(min(_EVERY_S, self._wait_s))
        else:
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=_EVERY_S)

    def _is_late(self) -> bool:
        return time.monotonic() > self._give_up_at

    def _try(self, uploader: Uploader) -> None:
        """Send what waits; of a server that is away the points' thread says so."""
        try:
            while not self._is_late() and uploader.send_next():
                pass
            self._is_away, self._wait_s = False, _EVERY_S
        except (ServerAway, KeyNeeded) as error:
            log.debug("files wait: %s", error)
            spread = random.uniform(0.7, 1.0)  # noqa: S311 - so that scripts do not knock together
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S) * spread
            self._is_away = True
        except MonitorError as error:
            log.debug("files wait: %s", error)
        except Exception:  # the outer edge: monitoring must never end a training
            log.exception("Sending files failed, it is tried again.")
            self._is_away, self._wait_s = True, _LONGEST_WAIT_S
