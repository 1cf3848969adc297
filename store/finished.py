"""Runs that are done, as the leaderboard reads them: few fields of very many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import JsonValue
from pydantic_core import from_json

from schema import DEFAULT_PROJECT, SortField, Status
from schema.configurations import configuration_of, device_of, text_of
from schema.leaderboard import Changes, FinishedRun, StatedResult
from store.cold import RunHashes
from store.connection import Connection
from store.events import Events
from store.external import encode_params
from store.keys import Keys
from store.paging import keys_of_status, name_key

# What is said of a run that may be done, was, or is from now on. The others are of runs that are not.
CHANGING: Final = frozenset({"done", "deleted", "recomputed", "reopened", "amended", "imported"})
_FIELDS: Final = (
    *("status", "simulated", "is_external", "name", "hyper_params", "options", "environment"),
    *("best_accuracy", "last_loss", "energy_kwh", "energy_quality", "co2_g", "duration_s", "epochs_done"),
    "ended_at",
)
# How scripts call the network they train; the first that is there counts.
_NETWORKS: Final = ("network", "model", "architecture", "arch")
_LARGEST: Final = 2**53
# Those that are in no ranking and yet were chosen by somebody.
_BEGUN: Final = (Status.DEFERRED, Status.WAITING, Status.RUNNING, Status.PAUSED, Status.FAILED)
_MOST_BEGUN: Final = 5_000
_NAMELESS: Final = "imported"
_REASON: Final = "imported from a file of results"


class Finished:
    """The runs that are done and reached an accuracy."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._hashes = hashes
        self._keys = keys
        self._events = Events(connection, keys)

    def read_cursor(self) -> str:
        """Return the place of the newest event, for ``list_changes`` to go on from; empty without any."""
        return self._events.read_cursor()

    def list_ids(self) -> Iterator[str]:
        """Yield the runs that are done and have used or achieved something.

        In parts: those that are done all the while are among them once at least; of others there are events.
        """
        return self._connection.list_members(self._keys.of("by", SortField.TIME_ADDED, Status.DONE))

    def find_many(self, run_ids: Sequence[str]) -> Sequence[FinishedRun]:
        """Return those of the runs that are done and reached an accuracy, in one round trip."""
        stored = self._hashes.fetch_fields(run_ids, _FIELDS)
        return [
            _decode(run_id, fields)
            for run_id, fields in zip(run_ids, stored, strict=True)
            if fields["status"] == Status.DONE and fields["best_accuracy"] is not None
        ]

    def find_params(self, run_ids: Sequence[str]) -> list[dict[str, JsonValue] | None]:
        """Return the hyper_params of each run, None where there is none of that id, in one round trip."""
        found = self._hashes.fetch_fields(run_ids, ("status", "hyper_params"))
        params = (stored["hyper_params"] for stored in found)
        return [None if text is None else from_json(text) for text in params]

    def list_begun(self) -> list[str]:
        """Return the ids of runs that are queued, running, or failed: the newest of each kind."""
        wanted = [key for status in _BEGUN for key in keys_of_status(self._keys, status)]
        found = self._connection.call_many([("ZRANGE", key, 0, _MOST_BEGUN - 1, "REV") for key in wanted])
        return [run_id for run_ids in found for run_id in run_ids]

    def list_known(self, run_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that a run has."""
        replies = self._connection.call_many([("EXISTS", self._keys.of("run", run_id)) for run_id in run_ids])
        here = {run_id for run_id, is_known in zip(run_ids, replies, strict=True) if is_known}
        return here | self._hashes.list_archived(run_ids)

    def configuration_of(
        self, hyper_params: Mapping[str, JsonValue], *, device: str | None, simulated: bool
    ) -> int:
        """Return the ``configuration`` of finished runs of these hyper_params on that device."""
        return configuration_of(hyper_params, {"device": device}, simulated=simulated, script=None)

    def add(self, result: StatedResult) -> bool:
        """Add a run that ended elsewhere, as a file states it; False where there is a run of its id already.

        Atomic (import_run.lua). It is in no total: nobody says on which day it used what.
        """
        params = {"network": result.network, "dataset": result.dataset}
        figures = {
            "best_accuracy": result.accuracy,
            "energy_kwh": result.energy_kwh,
            "co2_g": result.co2_g,
            "duration_s": result.duration_s,
            "accuracy_per_kwh": result.accuracy_per_kwh,
        }
        name = result.network or _NAMELESS
        fields = {
            "name": name,
            "hyper_params": encode_params({key: text for key, text in params.items() if text}),
            "status_reason": _REASON,
            **{field: repr(figure) for field, figure in figures.items() if figure is not None},
        }
        keys = [self._keys.of("run", result.run_id), self._keys.of("named", name_key(name))]
        cells = [cell for pair in fields.items() for cell in pair]
        simulated = "1" if result.simulated else ""
        return bool(self._connection.run("import_run", keys, [result.run_id, simulated, *cells]))

    def list_changes(self, cursor: str) -> Changes | None:
        """Return which finished runs may have changed since, and the place to go on from.

        None when the stream no longer has the entry at the cursor: then nobody knows what came after it.
        """
        return self._events.list_changes(cursor, kinds=CHANGING)


def _decode(run_id: str, stored: Mapping[str, str | None]) -> FinishedRun:
    hyper_params: dict[str, Any] = from_json(stored["hyper_params"] or "{}")
    options: dict[str, Any] = from_json(stored["options"] or "{}")
    environment: dict[str, Any] = from_json(stored["environment"] or "{}")
    project = options.get("project", DEFAULT_PROJECT)
    is_external, simulated = bool(stored["is_external"]), bool(stored["simulated"])
    return FinishedRun(
        run_id=run_id,
        name=stored["name"],
        network=network_of(hyper_params),
        dataset=text_of(hyper_params.get("dataset")),
        device=device_of(environment),
        project=project,
        tags=tuple(options.get("tags", ())),
        configuration=configuration_of(
            hyper_params,
            environment,
            simulated=simulated,
            script=(stored["name"], project) if is_external else None,
        ),
        seed=whole_number(hyper_params.get("seed")),
        accuracy=float(stored["best_accuracy"] or 0),
        last_loss=stored_number(stored["last_loss"]),
        energy_kwh=stored_number(stored["energy_kwh"]),
        energy_quality=stored["energy_quality"],
        co2_g=stored_number(stored["co2_g"]),
        duration_s=stored_number(stored["duration_s"]),
        parameters=whole_number(environment.get("parameters")),
        epochs_done=float(stored["epochs_done"] or 0),
        ended_at_s=stored_number(stored["ended_at"]),
        simulated=simulated,
        is_external=is_external,
    )


def network_of(hyper_params: Mapping[str, Any]) -> str | None:
    """Return the network that hyperparameters name, as a script may call it."""
    return next((text for name in _NETWORKS if (text := text_of(hyper_params.get(name)))), None)


def whole_number(value: object) -> float | None:
    """Return a whole number that a float holds exactly."""
    return float(value) if type(value) is int and abs(value) <= _LARGEST else None


def stored_number(text: str | None) -> float | None:
    """Return a number that was written as a text."""
    return None if text is None else float(text)
