"""Runs that are done, as the leaderboard reads them: few fields of very many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from schema import DEFAULT_PROJECT, SortField, Status
from schema.leaderboard import Changes, FinishedRun, StatedResult
from store.connection import Connection
from store.events import Events
from store.external import encode_params
from store.keys import Keys
from store.paging import name_key

# What is said of a run that may be done, was, or is from now on. The others are of runs that are not.
CHANGING: Final = frozenset({"done", "deleted", "recomputed", "reopened", "amended", "imported"})
_IDS_AT_ONCE: Final = 1_000
_FIELDS: Final = (
    *("status", "simulated", "is_external", "name", "hyper_params", "options", "environment"),
    *("best_accuracy", "last_loss", "energy_kwh", "energy_quality", "co2_g", "duration_s", "epochs_done"),
    "ended_at",
)
# How scripts call the network they train; the first that is there counts.
_NETWORKS: Final = ("network", "model", "architecture", "arch")
_MAX_CHARACTERS: Final = 250
_LARGEST: Final = 2**53
_NAMELESS: Final = "imported"
_REASON: Final = "imported from a file of results"


class Finished:
    """The runs that are done and reached an accuracy."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._events = Events(connection, keys)

    def read_cursor(self) -> str:
        """Return the place of the newest event, for ``list_changes`` to go on from; empty without any."""
        return self._events.read_cursor()

    def list_ids(self) -> Iterator[str]:
        """Yield the runs that are done and have used or achieved something.

        In parts: those that are done all the while are among them once at least; of others there are events.
        """
        key = self._keys.of("by", SortField.TIME_ADDED, Status.DONE)
        place = "0"
        while True:
            place, found = self._connection.call("ZSCAN", key, place, "COUNT", _IDS_AT_ONCE)
            yield from (member for member, _ in found)
            if str(place) == "0":
                return

    def find_many(self, run_ids: Sequence[str]) -> Sequence[FinishedRun]:
        """Return those of the runs that are done and reached an accuracy, in one round trip."""
        replies = self._connection.call_many(
            [("HMGET", self._keys.of("run", run_id), *_FIELDS) for run_id in run_ids]
        )
        stored = (dict(zip(_FIELDS, reply, strict=True)) for reply in replies)
        return [
            _decode(run_id, fields)
            for run_id, fields in zip(run_ids, stored, strict=True)
            if fields["status"] == Status.DONE and fields["best_accuracy"] is not None
        ]

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
    device = device_of(environment)
    project = options.get("project", DEFAULT_PROJECT)
    is_external, simulated = bool(stored["is_external"]), bool(stored["simulated"])
    # What scripts do not say of their runs may differ: only those of one name are taken for the same.
    own = (stored["name"], project) if is_external else None
    return FinishedRun(
        run_id=run_id,
        name=stored["name"],
        network=network_of(hyper_params),
        dataset=text_of(hyper_params.get("dataset")),
        device=device,
        project=project,
        tags=tuple(options.get("tags", ())),
        configuration=_configuration(hyper_params, (device, simulated, own)),
        seed=_number(hyper_params.get("seed")),
        accuracy=float(stored["best_accuracy"] or 0),
        last_loss=stored_number(stored["last_loss"]),
        energy_kwh=stored_number(stored["energy_kwh"]),
        energy_quality=stored["energy_quality"],
        co2_g=stored_number(stored["co2_g"]),
        duration_s=stored_number(stored["duration_s"]),
        parameters=_number(environment.get("parameters")),
        epochs_done=float(stored["epochs_done"] or 0),
        ended_at_s=stored_number(stored["ended_at"]),
        simulated=simulated,
        is_external=is_external,
    )


def network_of(hyper_params: Mapping[str, Any]) -> str | None:
    """Return the network that hyperparameters name, as a script may call it."""
    return next((text for name in _NETWORKS if (text := text_of(hyper_params.get(name)))), None)


def device_of(environment: Mapping[str, Any]) -> str | None:
    """Return the name of the GPU, else the kind of device: which of equal GPUs it was is no matter."""
    device = text_of(environment.get("gpu_name")) or text_of(environment.get("device"))
    return device and device.partition(":")[0]


def _configuration(hyper_params: Mapping[str, Any], *more: object) -> int:
    """Return what is the same for runs that differ in their seed alone."""
    fixed = sorted((name, value) for name, value in hyper_params.items() if name != "seed")
    text = to_json((fixed, more), inf_nan_mode="constants")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big", signed=True)


def text_of(value: object) -> str | None:
    """Return the first characters of a text; None for an empty one, and for what is none."""
    return value[:_MAX_CHARACTERS] if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    """Return a whole number that a float holds exactly."""
    return float(value) if type(value) is int and abs(value) <= _LARGEST else None


def stored_number(text: str | None) -> float | None:
    """Return a number that was written as a text."""
    return None if text is None else float(text)
