"""Telling channels: one message at a time to each, tried again with growing pauses, and logged."""

from __future__ import annotations

import logging
import random
from datetime import datetime, timedelta
from typing import Final, Protocol

from alerts.channels import Channel
from alerts.ports import AlertStore
from alerts.quiet import QuietHours
from alerts.sending import Message, Send
from alerts.texts import compose
from schema import Alert, Batch, Delivery

log = logging.getLogger(__name__)

# Longer than a try of a slow channel takes. When its program dies, others wait for so long.
HOLD_S: Final = 60.0
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 900.0
# With these pauses, in a little less than an hour.
MAX_TRIES: Final = 10
BURST: Final = 5
# Who hears of something a day late is told how much, not what.
MAX_AGE: Final = timedelta(hours=24)
TEST: Final = Message("[Wattle] Test", "This channel works: alerts of Wattle arrive here.")


class Clock(Protocol):
    """The clock of Redis."""

    def __call__(self) -> datetime:
        """Return the time."""


class Courier:
    """Tells one program's channels what waits for them."""

    def __init__(
        self,
        store: AlertStore,
        now: Clock,
        send: Send,
        *,
        page_url: str,
        messages_per_hour: int,
        quiet_hours: QuietHours | None,
    ) -> None:
        self._store = store
        self._now = now
        self._send = send
        self._page_url = page_url
        self._burst = min(BURST, messages_per_hour)
        self._refill_s = 3600.0 / messages_per_hour
        self._quiet_hours = quiet_hours

    def is_quiet(self) -> bool:
        """Tell whether only urgent rules are told now."""
        return self._quiet_hours is not None and self._quiet_hours.holds(self._now())

    def tell(self, channel: Channel) -> Delivery | None:
        """Tell a channel what waits for it; None when nothing is to be told now.

        It waits for the channel as long as its sender does. Raises StoreUnavailable; what was sent before may
        be sent once more then.
        """
        batch = self._store.take(
            channel.name,
            hold_s=HOLD_S,
            burst=self._burst,
            refill_s=self._refill_s,
            is_quiet=self.is_quiet(),
        )
        if batch is None:
            return None
        fresh = [alert for alert in batch.alerts if self._now() - alert.time < MAX_AGE]
        left_out = batch.left_out + len(batch.alerts) - len(fresh)
        message = compose(fresh, left_out, self._page_url)
        reason = self._send(channel, message)
        pause_s = None if reason is None else pause_after(batch.failures + 1)
        delivery = self._describe(batch, fresh, left_out, message, reason, pause_s)
        if not self._store.settle(batch, delivery, retry_in_s=pause_s):
            log.warning("a channel took too long and may be told the same again channel=%s", channel.name)
        return delivery

    def test(self, channel: Channel) -> Delivery:
        """Send a test message and log how that ended. It waits for the channel."""
        reason = self._send(channel, TEST)
        delivery = Delivery(
            time=self._now(),
            channel=channel.name,
            outcome="sent" if reason is None else "failed",
            is_test=True,
            title=TEST.title,
            reason=reason,
        )
        self._store.note_delivery(delivery)
        return delivery

    def _describe(
        self,
        batch: Batch,
        fresh: list[Alert],
        left_out: int,
        message: Message,
        reason: str | None,
        pause_s: float | None,
    ) -> Delivery:
        now, tries = self._now(), batch.failures + 1
        is_over = reason is not None and tries >= MAX_TRIES
        if reason is not None:
            log.warning("a channel could not be told channel=%s try=%d: %s", batch.channel, tries, reason)
        return Delivery(
            time=now,
            channel=batch.channel,
            outcome="sent" if reason is None else "given_up" if is_over else "retrying",
            alerts=len(fresh),
            left_out=left_out,
            title=message.title,
            tries=tries,
            reason=reason,
            retry_at=now + timedelta(seconds=pause_s) if pause_s is not None and not is_over else None,
        )


def pause_after(tries: int, draw: float | None = None) -> float:
    """Return how long to wait after so many failed tries, in seconds: doubled each time, ± 20 %."""
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20), LONGEST_PAUSE_S)
    spread = random.random() if draw is None else draw  # noqa: S311 - so that programs do not knock together
    return pause_s * (0.8 + 0.4 * spread)
