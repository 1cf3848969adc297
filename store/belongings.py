"""What a store has besides runs, on its way to another store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic_core import from_json

from errors import Conflict
from schema.alerts import MAX_RULES
from schema.archive import Belonging
from schema.marks import MAX_VIEWS
from schema.sweeps import MAX_SWEEPS, Sweep
from store.belongings_check import check_belonging
from store.connection import Argument, Connection
from store.encoding import to_json, to_pairs, to_time
from store.keys import Keys
from store.models import MAX_MODELS
from store.sweeps import decode_sweep

# Kinds that are one hash, name → JSON: its key, and the most there may be; 0 for any number.
_HASHES: Final[Mapping[str, tuple[str, int]]] = {
    "views": ("views", MAX_VIEWS),
    "rules": ("alert_rules", MAX_RULES),
    "retention": ("retention", 0),
    "quotas": ("quota_limits", 0),
}
_TOKEN: Final = "token:"  # noqa: S105 - a quota of a token, which is not taken along
# Ten years: which days there are, no key says.
_DAYS: Final = 3_660
_TOTALS: Final[Mapping[str, str]] = {"day": "total_day", "project": "total_project", "saved": "saved"}


class Belongings:
    """Everything of a store that people have made, but for runs, tokens and the audit log."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def list(self) -> Iterator[tuple[str, Sequence[Belonging]]]:
        """Yield the names of files, and what is to be in them."""
        for kind, (key, _) in _HASHES.items():
            stored: Mapping[str, str] = self._connection.call("HGETALL", self._keys.of(key))
            yield (
                kind,
                [
                    Belonging(kind, name, from_json(text))
                    for name, text in sorted(stored.items())
                    if kind != "quotas" or not name.startswith(_TOKEN)
                ],
            )
        yield from self._sweeps()
        yield "models", list(self._models())
        yield "totals", list(self._totals())

    def check(self, found: Sequence[Belonging]) -> None:
        """Raise InvalidInput for anything that is not as the store keeps it."""
        for belonging in found:
            check_belonging(belonging)

    def read_sweep(self, own: Belonging) -> Sweep:
        """Return a sweep that was checked, without its journal."""
        return decode_sweep(own.name, own.content["fields"])

    def take_in(self, found: Sequence[Belonging]) -> Mapping[str, int]:
        """Keep what is not known by its name yet; returns how many of each kind, of models how many versions.

        Whoever repeats it changes nothing. Raises Conflict where there would be too many of a kind: nothing
        is kept then, unless others make some at that moment.
        """
        self._check_room(found)
        kinds = dict.fromkeys(belonging.kind for belonging in found)
        return {
            kind: self._take_in(kind, [belonging for belonging in found if belonging.kind == kind])
            for kind in kinds
        }

    def _take_in(self, kind: str, found: Sequence[Belonging]) -> int:
        if kind in _HASHES:
            key, most = _HASHES[kind]
            found = self._begin_anew(found) if kind == "rules" else found
            cells = [cell for own in found for cell in (own.name, to_json(own.content))]
            return self._run(kind, "take_in_fields", [self._keys.of(key)], [most, *cells])
        if kind == "sweeps":
            return sum(map(self._take_in_sweep, found))
        if kind == "models":
            return sum(map(self._take_in_model, found))
        totals = [[*_key_of(own.name), own.content] for own in found]
        keys = [self._keys.of("total_all"), self._keys.of("total_projects")]
        return self._run(kind, "take_in_totals", keys, [to_json(totals)])

    def _begin_anew(self, rules: Sequence[Belonging]) -> Sequence[Belonging]:
        """Have rules begin now: what happened here before they came raises nothing."""
        seconds, microseconds = self._connection.call("TIME")
        since = to_time(f"{seconds}.{int(microseconds):06d}").isoformat()
        return [replace(own, content={**own.content, "active_since": since}) for own in rules]

    def _take_in_sweep(self, own: Belonging) -> int:
        fields, journal = own.content["fields"], own.content["journal"]
        keys = [self._keys.of("sweep", own.name), self._keys.of("sweep_journal", own.name)]
        cells = [cell for pair in fields.items() for cell in pair]
        arguments = [own.name, MAX_SWEEPS, len(fields), *cells, *map(to_json, journal)]
        return self._run(own.kind, "take_in_sweep", keys, arguments)

    def _take_in_model(self, own: Belonging) -> int:
        versions = [
            {
                **known,
                # As texts: Lua would write fewer digits.
                **{name: to_json(known[name]) for name in ("version", "record", "history", "registered_at")},
            }
            for known in own.content["versions"]
        ]
        parts = ("model_records", "model_history", "model_facts", "model_order")
        arguments: list[Argument] = [own.name, own.content["last"], to_json(versions), MAX_MODELS]
        return self._run(own.kind, "take_in_model", [*map(self._keys.of, parts)], arguments)

    def _run(self, kind: str, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> int:
        added = int(self._connection.run(script, keys, arguments, is_replicated=True))
        if added < 0:
            raise _too_many(kind)
        return added

    def _check_room(self, found: Sequence[Belonging]) -> None:
        """Raise Conflict where there would be too many of a kind."""
        bounded: list[tuple[str, int, Sequence[Argument]]] = [
            (kind, most, ("HKEYS", self._keys.of(key))) for kind, (key, most) in _HASHES.items() if most
        ]
        bounded.append(("sweeps", MAX_SWEEPS, ("ZRANGE", self._keys.of("sweep_order"), 0, -1)))
        for kind, most, command in bounded:
            known = set(self._connection.call(*command))
            new = {own.name for own in found if own.kind == kind} - known
            if new and len(known) + len(new) > most:
                raise _too_many(kind)
        more = self._count_new_versions([own for own in found if own.kind == "models"])
        if more and self._connection.call("ZCARD", self._keys.of("model_order")) + more > MAX_MODELS:
            raise _too_many("models")

    def _count_new_versions(self, found: Sequence[Belonging]) -> int:
        """Return how many versions there are of models whose names are not known, of runs that are here."""
        known = set(self._connection.call("HKEYS", self._keys.of("model_facts")))
        new = {own.name: own.content["versions"] for own in found if f"last:{own.name}" not in known}
        run_ids = [version["run_id"] for versions in new.values() for version in versions]
        if not run_ids:
            return 0
        archived = self._connection.call("HMGET", self._keys.of("archived"), *run_ids)
        here = self._connection.call_many([("EXISTS", self._keys.of("run", run_id)) for run_id in run_ids])
        return sum(place is not None or bool(is_here) for place, is_here in zip(archived, here, strict=True))

    def _sweeps(self) -> Iterator[tuple[str, Sequence[Belonging]]]:
        """Yield sweeps that have ended; of others the runs mean nothing elsewhere."""
        active = set(self._connection.call("SMEMBERS", self._keys.of("sweep_active")))
        for sweep_id in self._connection.call("ZRANGE", self._keys.of("sweep_order"), 0, -1):
            fields, journal = self._connection.call_many(
                [
                    ("HGETALL", self._keys.of("sweep", sweep_id)),
                    ("LRANGE", self._keys.of("sweep_journal", sweep_id), 0, -1),
                ]
            )
            if fields and sweep_id not in active:
                content = {"fields": fields, "journal": [from_json(entry) for entry in journal]}
                yield f"sweeps/{sweep_id}", [Belonging("sweeps", sweep_id, content)]

    def _models(self) -> Iterator[Belonging]:
        parts = ("model_records", "model_history", "model_facts")
        records, histories, facts, order = self._connection.call_many(
            [
                *(("HGETALL", self._keys.of(part)) for part in parts),
                ("ZRANGE", self._keys.of("model_order"), 0, -1, "WITHSCORES"),
            ]
        )
        versions: dict[str, list[dict[str, Any]]] = {}
        for model, registered_at in to_pairs(order).items():
            if model in records and model in histories:
                name, _, version = model.rpartition(":")
                record, history = from_json(records[model]), from_json(histories[model])
                versions.setdefault(name, []).append(
                    {
                        "version": int(version),
                        "run_id": record["run_id"],
                        "is_production": history[-1]["stage"] == "production",
                        "record": record,
                        "history": history,
                        "registered_at": float(registered_at),
                        "source": self._connection.call(
                            "HGET", self._keys.of("run_models", record["run_id"]), model
                        ),
                        "used_by": sorted(
                            self._connection.call("SMEMBERS", self._keys.of("model_used", model))
                        ),
                    }
                )
        for name, own in sorted(versions.items()):
            yield Belonging("models", name, {"last": int(facts[f"last:{name}"]), "versions": own})

    def _totals(self) -> Iterator[Belonging]:
        projects = sorted(self._connection.call("SMEMBERS", self._keys.of("total_projects")))
        today = datetime.now(UTC).date() + timedelta(days=1)
        names = ["all", *(f"day:{today - timedelta(days=back)}" for back in range(_DAYS))]
        names += [f"{kind}:{project}" for kind in ("project", "saved") for project in projects]
        places = [self._keys.of(kind, *([own] if own else [])) for kind, own in map(_key_of, names)]
        replies = self._connection.call_many([("HGETALL", place) for place in places])
        for name, fields in zip(names, replies, strict=True):
            if fields:
                yield Belonging("totals", name, fields)


def _key_of(name: str) -> tuple[str, str]:
    """Return the kind of key that a total has, and of what it is."""
    kind, _, own = name.partition(":")
    return (_TOTALS[kind], own) if own else ("total_all", "")


def _too_many(kind: str) -> Conflict:
    return Conflict(f"There would be more {kind} than are kept. Delete some, and import the file again.")
