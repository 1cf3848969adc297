"""Models in versions with a stage, and which runs made and used them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import from_json

from errors import FieldError, InvalidInput, NotFound
from schema import LineageNode, LineageReply, ModelArtifact, ModelVersion, Stage
from schema.external import MAX_INPUTS
from schema.retention import SILENT_FOR_GOOD_S
from store.cold import RunHashes
from store.connection import Argument, Connection
from store.encoding import to_json, to_pairs, to_text, to_time
from store.keys import Keys

MAX_MODELS: Final = 10_000
MAX_HISTORY: Final = 201
MAX_USERS: Final = 1_000
MAX_DEPTH: Final = 5
MAX_NODES: Final = 100
# One more than a page: whether there is another one is known at once.
_READ_AT_ONCE: Final = 501
_SAVED: Final = "saved:"

_Edges = set[tuple[str, str]]
_Nodes = list[str]
_Shown = list[LineageNode]
Versions = list[ModelVersion]


class NewModel(NamedTuple):
    """What a version of a model is made of."""

    run_id: str
    project: str
    artifact: ModelArtifact
    metrics: dict[str, float]


class Page(NamedTuple):
    """Versions, and the cursor that leads to the next ones; None behind the last."""

    versions: Sequence[ModelVersion]
    next_cursor: str | None


class Models:
    """The versions. All raise NotFound without the version, or the run.

    A file that a version needs cannot be deleted, nor can its run.
    """

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def record(self, name: str, new: NewModel) -> tuple[ModelVersion, bool]:
        """Register a file of a run as the next version of a model, and say whether it is new.

        Atomic (record_model.lua). Raises Conflict when there are MAX_MODELS versions.
        """
        run_parts = [self._keys.of(part, new.run_id) for part in ("run", "artifacts", "run_models")]
        parts = ("model_records", "model_history", "model_facts", "model_order")
        stored = {
            "run_id": new.run_id,
            "project": new.project,
            "artifact": new.artifact.model_dump(),
            "metrics": new.metrics,
        }
        version, is_new = self._connection.run(
            "record_model",
            [*run_parts, *map(self._keys.of, parts), self._keys.of("artifact_facts", new.run_id)],
            [new.run_id, source_of(new.artifact), name, to_json(stored), MAX_MODELS],
            is_replicated=True,
        )
        return self.get(name, version), bool(is_new)

    def get(self, name: str, version: int) -> ModelVersion:
        """Return a version."""
        found = self._fetch([f"{name}:{version}"])
        if not found:
            raise _no_model(name, version)
        return found[0]

    def next_version(self, name: str) -> int:
        """Return the number that the next version of a model will have, unless another one comes first."""
        last = self._connection.call("HGET", self._keys.of("model_facts"), f"last:{name}")
        return int(last or 0) + 1

    def list(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
        stage: Stage | None = None,
        project: str | None = None,
        limit: int,
        cursor: str | None = None,
    ) -> Page:
        """Return versions, newest first. Raises InvalidInput on a cursor."""
        before = _read_cursor(cursor)
        places = {
            model: score
            for model, score in self._order().items()
            if (before is None or (score, model) < before)
            and name in (None, model.rpartition(":")[0])
            and (version is None or model.rpartition(":")[2] == str(version))
        }
        names = list(places)
        found: list[ModelVersion] = []
        for first in range(0, len(names), _READ_AT_ONCE):
            found += [
                known
                for known in self._fetch(names[first : first + _READ_AT_ONCE])
                if stage in (None, known.stage) and project in (None, known.project)
            ]
            if len(found) > limit:
                last = f"{found[limit - 1].name}:{found[limit - 1].version}"
                return Page(found[:limit], f"{places[last]!r}:{last}")
        return Page(found, None)

    def list_of_run(self, run_id: str) -> Sequence[ModelVersion]:
        """Return the versions that were made of a run, newest first."""
        names = self._connection.call("HKEYS", self._keys.of("run_models", run_id))
        return sorted(self._fetch(names), key=lambda version: version.created_at, reverse=True)

    def list_needed(self, run_id: str) -> frozenset[str]:
        """Return what of a run versions need: artifacts as name:version, saved models as saved:best."""
        return frozenset(self._connection.call("HVALS", self._keys.of("run_models", run_id)))

    def drop_saved(self, run_id: str, name: str) -> None:
        """Mark a saved model as one whose files are about to be deleted: no version is made of it any more.

        Atomic (drop_saved.lua). Raises Conflict while a version needs it, or the run is not over for good.
        """
        keys = [self._keys.of(part, run_id) for part in ("run", "run_models", "artifact_facts")]
        self._connection.run("drop_saved", keys, [run_id, name, SILENT_FOR_GOOD_S])

    def set_stage(self, name: str, version: int, stage: Stage, note: str | None) -> ModelVersion:
        """Give a version a stage; a former production one of that name is archived in the same step."""
        keys = [self._keys.of("model_history"), self._keys.of("model_facts")]
        arguments: list[Argument] = [name, version, stage, to_text(note or ""), MAX_HISTORY]
        if self._connection.run("set_stage", keys, arguments, is_replicated=True) is None:
            raise _no_model(name, version)
        return self.get(name, version)

    def delete(self, name: str, version: int) -> None:
        """Forget a version. Raises Conflict for one in production."""
        parts = ("model_records", "model_history", "model_facts", "model_order")
        keys = [*map(self._keys.of, parts), self._keys.of("model_used", f"{name}:{version}")]
        if self._connection.run("delete_model", keys, [name, version]) is None:
            raise _no_model(name, version)

    def use(self, run_id: str, models: Sequence[str]) -> None:
        """Note that a run began with models, each name:version. Raises Conflict where they are too many."""
        keys = [
            self._keys.of("run", run_id),
            self._keys.of("run_inputs", run_id),
            self._keys.of("model_records"),
        ]
        self._connection.run("use_models", keys, [run_id, MAX_INPUTS, *models])

    def trace(self, run_id: str) -> LineageReply:
        """Return what a run came of and what came of it, within MAX_DEPTH steps and MAX_NODES nodes."""
        seen, edges = [run_id], _Edges()
        for is_forward in (False, True):
            level: Sequence[str] = [run_id]
            for _ in range(MAX_DEPTH):
                level = self._step(level, is_forward, seen, edges)
        return LineageReply(nodes=self._describe(seen), edges=sorted(edges))

    def _order(self) -> dict[str, float]:
        """Return when each version was registered, the newest first."""
        key = self._keys.of("model_order")
        flat: list[str] = self._connection.call("ZREVRANGE", key, 0, -1, "WITHSCORES")
        return {model: float(score) for model, score in to_pairs(flat).items()}

    def _step(self, level: Sequence[str], is_forward: bool, seen: _Nodes, edges: _Edges) -> Sequence[str]:
        """Add what is next to each node of a level to ``seen`` and ``edges``, and return what is new."""
        replies = self._connection.call_many([self._ask(node, is_forward) for node in level])
        news = []
        for node, stored in zip(level, replies, strict=True):
            if ":" in node and not is_forward:
                stored = [from_json(stored)["run_id"]] if stored else []
            for other in sorted(stored):
                if other not in seen:
                    if len(seen) >= MAX_NODES:
                        continue
                    seen.append(other)
                    news.append(other)
                edges.add((node, other) if is_forward else (other, node))
        return news

    def _ask(self, node: str, is_forward: bool) -> Sequence[str]:
        if ":" in node:
            used = ("SMEMBERS", self._keys.of("model_used", node))
            return used if is_forward else ("HGET", self._keys.of("model_records"), node)
        made = ("HKEYS", self._keys.of("run_models", node))
        return made if is_forward else ("SMEMBERS", self._keys.of("run_inputs", node))

    def _describe(self, nodes: Sequence[str]) -> _Shown:
        known = {
            f"{version.name}:{version.version}": version.stage
            for version in self._fetch([node for node in nodes if ":" in node])
        }
        runs = [node for node in nodes if ":" not in node]
        of_runs = dict(zip(runs, self._hashes.fetch_fields(runs, ("name", "status")), strict=True))
        found = []
        for node in nodes:
            if ":" in node:
                found.append(LineageNode(id=node, kind="model", label=node, state=known.get(node, "deleted")))
            else:
                name, status = of_runs[node]["name"], of_runs[node]["status"]
                found.append(
                    LineageNode(id=node, kind="run", label=name or node[:8], state=status or "deleted")
                )
        return found

    def _fetch(self, models: Sequence[str]) -> Versions:
        """Return those of the versions that exist, in their order."""
        if not models:
            return []
        records, histories, *users = self._connection.call_many(
            [
                ("HMGET", self._keys.of("model_records"), *models),
                ("HMGET", self._keys.of("model_history"), *models),
                *(("SMEMBERS", self._keys.of("model_used", model)) for model in models),
            ]
        )
        rows = zip(models, records, histories, users, strict=True)
        return [
            decode_model(model, record, history, used)
            for model, record, history, used in rows
            if record and history
        ]


def source_of(artifact: ModelArtifact) -> str:
    """Return what of its run a version needs, as ``list_needed`` does."""
    return f"{_SAVED}{artifact.name}" if artifact.version is None else f"{artifact.name}:{artifact.version}"


def decode_model(model: str, record: str, history: str, used: Iterable[str]) -> ModelVersion:
    """Read a version as it is kept, and the runs that began with it."""
    name, _, version = model.rpartition(":")
    values: dict[str, Any] = from_json(record)
    changes = [{**change, "time": to_time(change["time"])} for change in from_json(history)]
    known = {
        "name": name,
        "version": int(version),
        "created_at": to_time(values["created_at"]),
        "stage": changes[-1]["stage"],
        "history": changes,
        "used_by": sorted(used)[:MAX_USERS],
    }
    # Another version may have written more about it.
    return ModelVersion.model_validate({**values, **known}, extra="ignore")


def _read_cursor(cursor: str | None) -> tuple[float, str] | None:
    """Return when the last version of the page before was registered, and that version."""
    if cursor is None:
        return None
    time, _, model = cursor.partition(":")
    try:
        if not math.isfinite(float(time)):
            raise ValueError("no time")
        return float(time), model
    except ValueError as error:
        reason = "does not belong to this list"
        raise InvalidInput(
            f"The cursor {reason}. Start again without one.", details=[FieldError("cursor", reason)]
        ) from error


def _no_model(name: str, version: int) -> NotFound:
    return NotFound(f"There is no model {name[:100]}:{version}. GET /api/models lists those there are.")
