"""All runs, as a search needs them: few fields of very many."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from pydantic_core import from_json

from schema import DEFAULT_PROJECT, DEFAULT_QUEUE, Scalar, Status
from schema.configurations import device_of, text_of
from schema.leaderboard import Changes
from schema.listed import ListedRun, Params
from store.cold import RunHashes
from store.connection import Connection
from store.events import Events
from store.finished import network_of, stored_number, whole_number
from store.keys import Keys

_MAX_PARAMS: Final = 200
_NUMBERS: Final = (
    *("best_accuracy", "last_accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s"),
    "accuracy_per_kwh",
)
_COUNTS: Final = ("epochs_done", "attempt", "failures")
_FIELDS: Final = (
    *("status", "name", "hyper_params", "options", "environment", "error", "worker", "energy_quality"),
    *("starred", "simulated", "is_external", "time_added", "started_at", "ended_at"),
    *_NUMBERS,
    *_COUNTS,
)


class Listed:
    """Every run there is."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._hashes = hashes
        self._keys = keys
        self._events = Events(connection, keys)

    def read_cursor(self) -> str:
        """Return the place of the newest event, for ``list_changes`` to go on from; empty without any."""
        return self._events.read_cursor()

    def list_ids(self) -> Iterator[str]:
        """Yield the runs there are, in parts: those that are there all the while once at least."""
        return self._connection.list_members(self._keys.of("by_time"))

    def find_many(self, run_ids: Sequence[str]) -> Sequence[ListedRun]:
        """Return those of the runs that exist, in one round trip."""
        stored = self._hashes.fetch_fields(run_ids, _FIELDS)
        return [
            _decode(run_id, fields)
            for run_id, fields in zip(run_ids, stored, strict=True)
            if fields["status"] is not None
        ]

    def list_changes(self, cursor: str) -> Changes | None:
        """Return which runs something has happened to since, and the place to go on from.

        None when the stream no longer has the entry at the cursor: then nobody knows what came after it.
        """
        return self._events.list_changes(cursor)


def _decode(run_id: str, stored: Mapping[str, str | None]) -> ListedRun:
    hyper_params: dict[str, Any] = from_json(stored["hyper_params"] or "{}")
    options: dict[str, Any] = from_json(stored["options"] or "{}")
    environment: dict[str, Any] = from_json(stored["environment"] or "{}")
    error: dict[str, Any] = from_json(stored["error"] or "{}")
    return ListedRun(
        run_id=run_id,
        status=Status(stored["status"] or ""),
        name=stored["name"],
        network=network_of(hyper_params),
        dataset=text_of(hyper_params.get("dataset")),
        project=options.get("project", DEFAULT_PROJECT),
        queue=options.get("queue", DEFAULT_QUEUE),
        host=text_of(environment.get("host")),
        worker=_shared(stored["worker"]),
        device=device_of(environment),
        energy_quality=_shared(stored["energy_quality"]),
        error=text_of(error.get("kind")),
        tags=tuple(options.get("tags", ())),
        params=Params(_flat(hyper_params)),
        starred=bool(stored["starred"]),
        simulated=bool(stored["simulated"]),
        external=bool(stored["is_external"]),
        parameters=whole_number(environment.get("parameters")),
        added=float(stored["time_added"] or 0),
        started=stored_number(stored["started_at"] or None),
        ended=stored_number(stored["ended_at"] or None),
        **_numbers(stored),
    )


def _numbers(stored: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        **{name: stored_number(stored[name] or None) for name in _NUMBERS},
        **{name: _count(stored[name] or "0") for name in _COUNTS},
    }


def _shared(text: str | None) -> str | None:
    """Return a text that very many runs have, once for all of them."""
    return sys.intern(text) if text else None


@lru_cache(maxsize=1_000)
def _count(text: str) -> float:
    return float(text)


def _flat(params: dict[str, Any]) -> dict[str, Scalar]:
    """Return hyperparameters by name, those within others as outer.inner; of a list each is the inner one.

    Of those of a script, which may be very many, the first ones.
    """
    flat: dict[str, Scalar] = {}
    waiting: list[tuple[str, Any]] = list(params.items())[::-1]
    while waiting and len(flat) < _MAX_PARAMS:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{inner}", part) for inner, part in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(f"{name}.{place}", value[place]) for place in reversed(range(len(value)))]
        else:
            flat[name] = value[:250] if isinstance(value, str) else value
    return flat
