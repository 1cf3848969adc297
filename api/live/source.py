"""Live views as Redis has them now: what is new is read, not everything again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Final

from api.live.view import LiveView, points_of_each
from redis_db import RedisDB
from schema import Event
from schema.live import LiveEntry

# How long somebody counts as watching after it was last said.
WATCHED_S: Final = 3.0
_SAY_EVERY_S: Final = 1.0
# While broadcasts are delayed, no producer can fill the memory.
_MOST_HELD: Final = 20_000
_EVENTS_AT_ONCE: Final = 1_000
# A hash is read each time for each run of a script that is watched.
_METRICS_EVERY_S: Final = 0.2


class LiveSource:
    """The views that are watched; ``delay_s`` is how long updates are held back.

    Every method raises StoreUnavailable while Redis is away, and goes on where it was when it is back.
    """

    def __init__(self, db: RedisDB, *, delay_s: float = 0.0) -> None:
        self._db = db
        self._delay_s = delay_s
        self.views: dict[str, LiveView] = {}
        self._held: deque[tuple[float, str, LiveEntry]] = deque(maxlen=_MOST_HELD)
        self._next_said_s = self._next_metrics_s = 0.0
        self._last_event = ""

    def refresh(self, wanted: Collection[str], now_s: float, *, wait_s: float) -> None:
        """Bring the wanted views up to date and forget others; waits ``wait_s`` for the first news."""
        for view in self.views.keys() - set(wanted):
            del self.views[view]
        missing = [view for view in wanted if view not in self.views]
        if missing or now_s >= self._next_said_s:
            self._db.live.watch(wanted, ttl_s=WATCHED_S)
            self._next_said_s = now_s + _SAY_EVERY_S
        for view in missing:
            self.views[view] = self._open(view)
        self._read(now_s, wait_s)
        self._follow_runs()
        if now_s >= self._next_metrics_s:
            self._next_metrics_s = now_s + _METRICS_EVERY_S
            for shown in self.views.values():
                self._follow_metrics(shown)
        for view, shown in self.views.items():
            if shown.wants_mosaic(now_s):
                shown.take_mosaic(self._db.live.find_mosaic(view), now_s)

    def _open(self, view: str) -> LiveView:
        place, entries, mosaic = self._db.live.list_newest(view)
        opened = LiveView(view, place)
        opened.take(entries)
        opened.take_mosaic(mosaic, 0.0)
        if opened.run_id is not None:
            # Before the epochs are read: one that comes meanwhile is told again then.
            self._last_event = self._last_event or self._newest_event()
            opened.take_run(self._db.runs.find(view), self._db.runs.list_epochs(view))
            self._follow_metrics(opened)
        # Whoever watches it gets all of it first.
        opened.take_news()
        return opened

    def _follow_metrics(self, shown: LiveView) -> None:
        """Read the points that a script has sent since the last time."""
        if shown.run_id is not None and shown.is_external:
            found = self._db.metrics.list_new(shown.run_id, shown.metric_counts, most=points_of_each)
            shown.take_metrics(
                {
                    name: (count, list(zip(points["step"].tolist(), points["value"].tolist(), strict=True)))
                    for name, (count, points) in found.items()
                }
            )

    def _newest_event(self) -> str:
        newest = self._db.events.list(limit=1)
        return newest[-1].event_id if newest else "0-0"

    def _read(self, now_s: float, wait_s: float) -> None:
        places = {view: shown.place for view, shown in self.views.items()}
        for view, entries in self._db.live.read(places, wait_s=wait_s).items():
            self.views[view].place = entries[-1].entry_id
            if self._delay_s:
                self._held.extend((now_s + self._delay_s, view, entry) for entry in entries)
            else:
                self.views[view].take(entries)
        while self._held and self._held[0][0] <= now_s:
            _, view, entry = self._held.popleft()
            if view in self.views:
                self.views[view].take([entry])

    def _follow_runs(self) -> None:
        """Read what has happened to the runs that are watched."""
        if all(shown.run_id is None for shown in self.views.values()):
            self._last_event = ""
            return
        events = self._db.events.list(self._last_event, _EVENTS_AT_ONCE)
        if events:
            self._last_event = events[-1].event_id
        for run_id in {event.run_id for event in events} & self.views.keys():
            numbers = _epochs_in(event for event in events if event.run_id == run_id)
            epochs = self._db.live.find_epochs(run_id, numbers) if numbers else []
            self.views[run_id].take_run(self._db.runs.find(run_id), epochs)


def _epochs_in(events: Iterable[Event]) -> list[int]:
    return sorted({event.epoch for event in events if event.kind == "epoch" and event.epoch is not None})
