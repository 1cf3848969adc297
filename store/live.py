"""Live views: the newest losses and tiles of the default run and of others, and who is watching."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from schema import EpochResult
from schema.live import (
    DEFAULT_VIEW,
    MAX_POINTS,
    MOSAIC_TILES,
    LiveEntry,
    LiveOutcome,
    LivePoint,
    LiveUpdate,
    Mosaic,
)
from store.connection import Connection
from store.encoding import decode_epochs, to_json
from store.keys import Keys

QUIET_S: Final = 10.0
# The view of a run is for who watches: its epochs and log stay with the run.
_KEPT_S: Final = 24 * 3600
_START: Final = "0-0"
# An entry has 1 to MAX_POINTS points, and no more are shown.
_ENTRIES_AT_ONCE: Final = 64

EntryList = list[LiveEntry]


class Live:
    """One view per run, and one that belongs to no run. ``view`` is a run id or DEFAULT_VIEW."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def update(self, view: str, update: LiveUpdate, *, is_new: bool = False) -> LiveOutcome:
        """Add points and tiles to a view; with ``is_new`` it starts anew with them.

        Fewer than MOSAIC_TILES tiles are gathered until there are as many; so many make a mosaic at once. The
        default view starts anew by itself when an iteration of 0 or 1 comes QUIET_S or more after its last
        update. Atomic (live_update.lua); points that are not newer than the newest are left out, so it may be
        repeated.
        """
        rest = {"batch_size": update.batch_size, "delay_ms": update.delay_ms}
        points = [text for point in update.points for text in (point.iteration, json.dumps(point.loss))]
        tiles = [tile.model_dump_json() for tile in update.tiles]
        is_default = view == DEFAULT_VIEW
        limits = (QUIET_S if is_default else "", "" if is_default else _KEPT_S, MAX_POINTS, MOSAIC_TILES)
        accepted, completed = self._connection.run(
            "live_update",
            [self._keys.of(name, view) for name in ("live", "live_updates", "live_pending", "live_mosaic")],
            [int(is_new), *limits, to_json(rest), len(update.points), *points, *tiles],
        )
        return LiveOutcome(accepted, completed == 1)

    def reset(self, view: str) -> None:
        """Empty a view; who watches it sees that."""
        self.update(view, LiveUpdate(points=()), is_new=True)

    def list_newest(self, view: str) -> tuple[str, EntryList, Mosaic | None]:
        """Return where ``read`` goes on, the newest updates of a view, oldest first, and its mosaic.

        They have the newest MAX_POINTS points, or all since the view started.
        """
        key = self._keys.of("live_updates", view)
        page, mosaic = self._connection.call_many(
            [
                ("XREVRANGE", key, "+", "-", "COUNT", _ENTRIES_AT_ONCE),
                ("GET", self._keys.of("live_mosaic", view)),
            ]
        )
        found: EntryList = []
        points = 0
        for entry in self._walk_back(key, page):
            found.append(entry)
            points += len(entry.points)
            if entry.is_start or points >= MAX_POINTS:
                break
        return found[0].entry_id if found else _START, found[::-1], _decode_mosaic(mosaic)

    def read(self, places: Mapping[str, str], *, wait_s: float) -> dict[str, EntryList]:
        """Return what came into views after those places, waiting ``wait_s`` for the first.

        wait_s: above 0 and below 2. A view without news is left out.
        """
        keys = {self._keys.of("live_updates", view): view for view in places}
        milliseconds = max(1, round(1000 * wait_s))
        limits = ("COUNT", MAX_POINTS, "BLOCK", milliseconds)
        replies = self._connection.call("XREAD", *limits, "STREAMS", *keys, *places.values())
        found = replies.items() if isinstance(replies, dict) else replies or ()
        return {keys[key]: [_decode(*entry) for entry in entries] for key, entries in found}

    def find_mosaic(self, view: str) -> Mosaic | None:
        """Return the newest complete mosaic of a view; None before the first."""
        return _decode_mosaic(self._connection.call("GET", self._keys.of("live_mosaic", view)))

    def find_epochs(self, run_id: str, epochs: Sequence[int]) -> list[EpochResult]:
        """Return those of the epochs of a run that are recorded, oldest first."""
        stored = self._connection.call("HMGET", self._keys.of("epochs", run_id), *epochs)
        return decode_epochs(
            {str(epoch): text for epoch, text in zip(epochs, stored, strict=True) if text is not None}
        )

    def watch(self, views: Iterable[str], *, ttl_s: float) -> None:
        """Say that somebody watches those views, for the next ``ttl_s``. (watch.lua)"""
        self._connection.run("watch", [self._keys.of("live_watched")], [ttl_s, *views])

    def is_watched(self, view: str) -> bool:
        """Tell whether somebody watches a view."""
        until_s, (seconds, _) = self._connection.call_many(
            [("ZSCORE", self._keys.of("live_watched"), view), ("TIME",)]
        )
        return until_s is not None and float(until_s) > float(seconds)

    def issue_ticket(self, view: str, *, ttl_s: int) -> str:
        """Return a ticket that lets somebody watch a view, once, within ``ttl_s``."""
        ticket = secrets.token_urlsafe(24)
        self._connection.call("SET", self._keys.of("live_ticket", ticket), view, "EX", ttl_s)
        return ticket

    def redeem_ticket(self, ticket: str) -> str | None:
        """Return the view a ticket is for and make it void; None when it is not, or no more, valid."""
        view: str | None = self._connection.call("GETDEL", self._keys.of("live_ticket", ticket))
        return view

    def issue_pass(self, view: str, *, ttl_s: int) -> str:
        """Return a pass that lets a page watch a view, as often as it comes back within ``ttl_s``."""
        made = secrets.token_urlsafe(24)
        self._connection.call("SET", self._keys.of("live_pass", made), view, "EX", ttl_s)
        return made

    def find_pass(self, shown: str) -> str | None:
        """Return the view a pass is for; None when it is not, or no more, valid."""
        view: str | None = self._connection.call("GET", self._keys.of("live_pass", shown))
        return view

    def _walk_back(self, key: str, page: Sequence[tuple[str, Mapping[str, str]]]) -> Iterator[LiveEntry]:
        """Yield a page of updates, newest first, and those before it."""
        while page:
            for entry in page:
                yield _decode(*entry)
            page = self._connection.call("XREVRANGE", key, f"({page[-1][0]}", "-", "COUNT", _ENTRIES_AT_ONCE)


def _decode(entry_id: str, fields: Mapping[str, str]) -> LiveEntry:
    at_s = int(entry_id.partition("-")[0]) / 1000
    if "points" not in fields:
        return LiveEntry(entry_id=entry_id, at_s=at_s, is_start=True)
    rest: dict[str, Any] = json.loads(fields["rest"])
    points = tuple(LivePoint(*point) for point in json.loads(fields["points"]))
    # Two hundred come in a second, and live_update.lua wrote them.
    return LiveEntry.model_construct(
        entry_id=entry_id,
        at_s=at_s,
        points=points,
        batch_size=rest["batch_size"],
        delay_ms=rest["delay_ms"],
        aggregated=int(fields["aggregated"]),
        is_ready=fields["is_ready"] == "1",
        mosaic=int(fields["mosaic"]),
    )


def _decode_mosaic(text: str | None) -> Mosaic | None:
    return None if text is None else Mosaic.model_validate_json(text)
