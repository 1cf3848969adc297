"""Alerts as a job of the housekeeping: whatever may take long runs in threads of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final

from alerts.channels import Channels
from alerts.delivery import Courier
from alerts.ports import Store
from alerts.quiet import QuietHours
from alerts.rounds import Rounds
from alerts.sending import PatientSender, Send, can_send, send
from alerts.tails import StoreTail
from errors import Conflict, StoreUnavailable, WattleError
from schema import Delivery, MetricTail
from settings import Settings

log = logging.getLogger(__name__)

RHYTHM_S: Final = 1.0


class Alerting:
    """Evaluates the rules of the store, and tells the channels of this program's settings.

    Any program may evaluate. Only one whose settings have a channel, and that has apprise, can tell it.
    """

    def __init__(
        self, store: Store, settings: Settings, *, tail: MetricTail | None = None, sender: Send | None = None
    ) -> None:
        """Read the channels. Raises InvalidInput when a setting of theirs is not valid."""
        self.channels = Channels(settings)
        self.quiet_hours = settings.quiet_hours
        self.is_enabled = settings.enable_notifications
        quiet = QuietHours.parse(settings.quiet_hours) if settings.quiet_hours else None
        self._store = store
        self._rounds = Rounds(store, tail or StoreTail(store.runs, store.metrics), settings.page_url)
        self._courier = Courier(
            store.alerts,
            store.now,
            sender or PatientSender(send),
            page_url=settings.page_url,
            messages_per_hour=settings.alert_messages_per_hour,
            quiet_hours=quiet,
        )
        self._told = self.channels.names if self.is_enabled and can_send() else ()
        self._round: threading.Thread | None = None
        self._tellers: dict[str, threading.Thread] = {}
        self._testers: dict[str, threading.Thread] = {}

    def is_quiet(self) -> bool:
        """Tell whether only urgent rules are told now."""
        return self._courier.is_quiet()

    def deliver(self) -> None:
        """Begin to tell every channel for which something waits; one round trip, none without channels.

        A channel that hangs has a thread of its own, and only one. Raises StoreUnavailable.
        """
        idle = [name for name in self._told if not _is_alive(self._tellers.get(name))]
        if not idle:
            return
        for name, state in self._store.alerts.describe_channels(idle).items():
            if state.waiting:
                tell = partial(self._courier.tell, self.channels.get(name))
                self._tellers[name] = _start(tell, f"alerts to {name}")

    def watch(self) -> None:
        """Begin a round of the rules if there are any and none runs. Raises StoreUnavailable."""
        if _is_alive(self._round) or not self._store.locks.acquire("alerts", ttl_s=RHYTHM_S):
            return
        if self._store.alerts.has_rules():
            self._round = _start(self._rounds.run, "alert rules")

    def wait(self, timeout_s: float) -> None:
        """Wait for the round and the deliveries that run, each for ``timeout_s`` at most."""
        for thread in (self._round, *self._tellers.values()):
            if thread is not None:
                thread.join(timeout_s)

    def test(self, name: str, *, timeout_s: float) -> Delivery | None:
        """Send a test message now; None when the channel has not answered within ``timeout_s``.

        It is then still under way. Raises NotFound for an unknown channel, Conflict while one is under way.
        """
        channel = self.channels.get(name)
        if _is_alive(self._testers.get(name)):
            raise Conflict(
                f"A test of the channel {name} is under way. Its end will be in the log of deliveries."
            )
        ended: SimpleQueue[Delivery] = SimpleQueue()
        self._testers[name] = _start(lambda: ended.put(self._courier.test(channel)), f"test of {name}")
        try:
            return ended.get(timeout=timeout_s)
        except Empty:
            return None


def _is_alive(thread: threading.Thread | None) -> bool:
    return thread is not None and thread.is_alive()


def _start(work: Callable[[], object], name: str) -> threading.Thread:
    """Do something in a thread that holds nobody up, the end of the program neither."""

    def run() -> None:
        try:
            work()
        except StoreUnavailable as error:
            log.warning("%s: waiting for Redis: %s", name, error)
        except WattleError as error:
            log.warning("%s: failed and will be tried again: %s", name, error)
        except Exception:  # around all rules or a channel: whatever it is, the program's log has to say it
            log.exception("%s: failed and will be tried again", name)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread
