"""The threads of a monitor: one keeps what the loop wrote, one sends it."""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from typing import Final

from training_monitor.delivery import Delivery
from training_monitor.errors import KeyNeeded, MonitorError, ServerAway
from training_monitor.spool import Spool

log = logging.getLogger(__name__)

KEEP_S: Final = 0.2
SEND_S: Final = 0.5
# A run that says nothing for long is taken for dead; and so a cancel is heard in time.
BEAT_S: Final = 15.0
# While the server is away the machine may die, too.
SYNC_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0


class Engine:
    """Moves the windows to the journals every 0.2 s, or when rung for, and sends them every 0.5 s."""

    def __init__(
        self,
        spool: Spool,
        delivery: Delivery,
        *,
        most_bytes: int,
        others: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take what is kept and how it is sent; ``start`` begins.

        others: waits until who else uses the spool's folder has ended, and tells whether that has sent all.
        """
        self._spool, self._delivery, self._most_bytes = spool, delivery, most_bytes
        # An Event's lock would never be given back to a signal handler that logs within a call that rings.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._is_closing = threading.Event()
        self._give_up_at = float("inf")
        self._others = others
        self._has_sent_all = False
        self._last = b""
        self._keeper = threading.Thread(target=self._keep, name="training_monitor keeper", daemon=True)
        self._sender = threading.Thread(target=self._send, name="training_monitor sender", daemon=True)
        self._away_since: float | None = None
        self._wait_s = _FIRST_WAIT_S

    def start(self) -> None:
        """Begin."""
        self._keeper.start()
        self._sender.start()

    def ring(self) -> None:
        """Have the windows emptied at once; also from within itself."""
        if self._bell.empty():
            self._bell.put(None)

    def close(self, timeout_s: float, last: bytes = b"") -> bool:
        """Keep all, send what can be sent in that time, and end; False when something is still to be sent.

        The spool is given up then, or deleted when the server has all of it, by the thread that sends: at
        once, or when the request that it waits for ends.
        last: an act that is kept behind everything else, so that nothing reaches the server after it.
        """
        self._last = last
        self._give_up_at = time.monotonic() + timeout_s
        self._is_closing.set()
        self.ring()
        self._hurry.set()
        self._sender.join(timeout_s + 1.0)
        return self.is_closed and self._has_sent_all

    @property
    def is_closed(self) -> bool:
        """Whether no thread uses the spool any more."""
        return not self._sender.is_alive()

    def _is_nothing_left(self) -> bool:
        if self._delivery.refusal is not None:
            return not self._delivery.is_unwanted
        return self._delivery.is_done and self._spool.is_empty

    def _keep(self) -> None:
        synced_at = time.monotonic()
        while True:
            is_last = self._is_closing.is_set()
            if is_last:
                # Behind all points: what came after it would open the run again.
                self._spool.last = self._last
            is_kept = _guarded(lambda: self._spool.drain(self._most_bytes), "keep what was logged")
            if self._away_since is not None and time.monotonic() - synced_at > SYNC_S:
                synced_at = time.monotonic()
                _guarded(self._spool.sync, "put the spool on the disk")
            if is_last and (is_kept or time.monotonic() >= self._give_up_at):
                break
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=KEEP_S)
        _guarded(self._spool.give_memory_back, "give memory back")

    def _send(self) -> None:
        try:
            self._send_until_closed()
        finally:
            self._delivery.close()
            self._keeper.join()
            self._has_sent_all = self._others() and self._is_nothing_left()
            self._delivery.settle(has_all_sent=self._has_sent_all)

    def _send_until_closed(self) -> None:
        beaten_at = time.monotonic()
        while True:
            is_last = self._is_closing.is_set()
            if is_last:
                # On a full disk it waits for room, which sending makes.
                self._keeper.join(max(0.0, min(KEEP_S, self._give_up_at - time.monotonic())))
            is_kept = not self._keeper.is_alive()
            if self._try(self._send_all):
                beaten_at = time.monotonic()
            elif time.monotonic() - beaten_at > BEAT_S and self._away_since is None:
                self._try(self._beat)
                beaten_at = time.monotonic()
            if is_last and ((is_kept and self._delivery.is_done) or time.monotonic() > self._give_up_at):
                return
            pause_s = SEND_S if self._away_since is None else self._wait_s
            if is_last:
                # Closing is hurried once: a server that is away gets no storm of requests.
                time.sleep(min(pause_s, _FIRST_WAIT_S, max(0.0, self._give_up_at - time.monotonic())))
            else:
                self._hurry.wait(pause_s)

    def _send_all(self) -> bool:
        has_sent = False
        while self._delivery.send_next():
            has_sent = True
            if time.monotonic() > self._give_up_at:
                break
        return has_sent

    def _beat(self) -> bool:
        self._delivery.beat()
        return True

    def _try(self, send: Callable[[], bool]) -> bool:
        """Send; note whether the server is away, and say so once each time it goes or comes."""
        try:
            has_sent = send()
        except (ServerAway, KeyNeeded) as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                log.warning("%s Training goes on; what is logged is kept in %s", error, self._spool.folder)
                self._wait_s = _FIRST_WAIT_S
            else:
                spread = random.uniform(0.7, 1.0)  # noqa: S311 - so that scripts do not knock together
                self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S) * spread
            return False
        except MonitorError:
            return False  # said where it was refused
        except Exception:  # the outer edge: monitoring must never end a training
            log.exception("Sending failed, it is tried again.")
            self._away_since = self._away_since or time.monotonic()
            self._wait_s = _LONGEST_WAIT_S
            return False
        if self._away_since is not None:
            log.warning("Wattle is back after %.0f s.", time.monotonic() - self._away_since)
            self._away_since = None
        return has_sent


_said: set[str] = set()


def _guarded(act: Callable[[], None], what: str) -> bool:
    """Do what must not end its thread, and say once why it fails; False when it did."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 the outer edge: monitoring must never end a training
        if what not in _said:
            _said.add(what)
            log.warning("Could not %s, it is tried again: %s", what, error)
        return False
    return True
