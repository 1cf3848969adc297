"""Sweeps: what was asked for, how they stand, and the journals of their trials."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal
from uuid import uuid4

from pydantic_core import from_json

from errors import Conflict, NotFound
from schema.sweeps import MAX_SWEEPS, Sweep, SweepRequest, SweepState, SweepSummary
from store.connection import Argument, Connection
from store.encoding import to_json, to_pairs, to_text, to_time
from store.keys import Keys
from store.submission import digest, hashed_key

Entry = dict[str, Any]
Entries = Sequence[Entry]
_ENTRIES_PER_CALL: Final = 2_000
_IDEMPOTENCY_TTL_S: Final = 24 * 3600
_MAX_REASON_CHARACTERS: Final = 1_000


Texts = Sequence[str]
SweepList = Sequence[Sweep]


class Sweeps:
    """Everything about sweeps that outlives who drives them."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def create(self, request: SweepRequest, *, idempotency_key: str | None = None) -> Sweep:
        """Keep a new sweep, which is driven from now on. (create_sweep.lua)

        An idempotency_key of the last 24 h answers with its sweep. Raises Conflict when there are MAX_SWEEPS
        already, or the key was used for another request.
        """
        sweep_id = uuid4().hex
        stored = to_text(request.model_dump_json())
        keys = [self._keys.of("sweep", sweep_id)]
        if idempotency_key is not None:
            # Of its own kind: a script's keys are not to meet those of submissions.
            keys.append(self._keys.of("idempotency", digest(f"sweep {hashed_key(idempotency_key)}")))
        arguments: Sequence[Argument] = [sweep_id, stored, MAX_SWEEPS, digest(stored), _IDEMPOTENCY_TTL_S]
        reply = self._connection.run("create_sweep", keys, arguments, is_replicated=True)
        if reply is None:
            raise Conflict(
                f"There are {MAX_SWEEPS} sweeps already. Delete some that have ended: wattle sweep delete "
                "SWEEP, or DELETE /api/sweeps/{sweep_id}. Their runs stay."
            )
        return decode_sweep(reply[0], to_pairs(reply[1]))

    def get(self, sweep_id: str) -> Sweep:
        """Return a sweep. Raises NotFound when there is none of that id."""
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("sweep", sweep_id))
        if not stored:
            raise no_sweep(sweep_id)
        return decode_sweep(sweep_id, stored)

    def list(self, limit: int = MAX_SWEEPS) -> SweepList:
        """Return the newest ``limit`` sweeps, newest first."""
        place = self._keys.of("sweep_order")
        sweep_ids: Texts = self._connection.call("ZREVRANGE", place, 0, limit - 1)
        replies = self._connection.call_many(
            [("HGETALL", self._keys.of("sweep", sweep_id)) for sweep_id in sweep_ids]
        )
        return [
            decode_sweep(sweep_id, stored)
            for sweep_id, stored in zip(sweep_ids, replies, strict=True)
            if stored
        ]

    def list_active(self) -> Texts:
        """Return the ids of the sweeps that have not ended, in no order."""
        sweep_ids: Texts = sorted(self._connection.call("SMEMBERS", self._keys.of("sweep_active")))
        return sweep_ids

    def has_active(self) -> bool:
        """Tell whether any sweep has not ended."""
        count: int = self._connection.call("SCARD", self._keys.of("sweep_active"))
        return count > 0

    def lead(self, owner: str, *, ttl_s: float) -> bool:
        """Tell whether ``owner`` is the one to drive the sweeps until ``ttl_s`` from now. (lead.lua)

        Who is, stays it by asking again in time.
        """
        arguments: Sequence[Argument] = [owner, math.ceil(1000 * ttl_s)]
        return bool(self._connection.run("lead", [self._keys.of("lock", "sweeps")], arguments))

    def steer(
        self, sweep_id: str, to: Literal[SweepState.RUNNING, SweepState.PAUSED, SweepState.STOPPING]
    ) -> Sweep:
        """Resume, pause or stop a sweep; what that means for its trials is up to who drives it.

        Atomic (steer_sweep.lua), a no-op when it is so already. Raises NotFound, and Conflict when it has
        ended or is being stopped.
        """
        stored = self._connection.run("steer_sweep", [self._keys.of("sweep", sweep_id)], [sweep_id, to.value])
        if stored is None:
            raise no_sweep(sweep_id)
        return decode_sweep(sweep_id, to_pairs(stored))

    def note(
        self, sweep_id: str, summary: SweepSummary, *, end: SweepState | None = None, reason: str = ""
    ) -> bool:
        """Keep what a sweep has achieved, and where ``end`` is given that it has ended.

        Atomic (note_sweep.lua). False when it had ended before, or there is none.
        """
        arguments: Sequence[Argument] = [
            *(sweep_id, to_text(summary.model_dump_json()), "" if end is None else end.value),
            to_text(reason)[:_MAX_REASON_CHARACTERS],
        ]
        return bool(self._connection.run("note_sweep", [self._keys.of("sweep", sweep_id)], arguments))

    def delete(self, sweep_id: str) -> Sweep:
        """Forget a sweep that has ended; its runs stay. (delete_sweep.lua) Raises NotFound and Conflict."""
        stored = self._connection.run("delete_sweep", self._places(sweep_id), [sweep_id])
        if stored is None:
            raise no_sweep(sweep_id)
        return decode_sweep(sweep_id, to_pairs(stored))

    def read_journal(self, sweep_id: str, after: int) -> Iterator[Entry]:
        """Yield the entries of a sweep's journal behind the first ``after``, in the order they came."""
        place = self._keys.of("sweep_journal", sweep_id)
        while True:
            stored: Texts = self._connection.call("LRANGE", place, after, after + _ENTRIES_PER_CALL - 1)
            for text in stored:
                yield from_json(text)
            after += len(stored)
            if len(stored) < _ENTRIES_PER_CALL:
                return

    def append_journal(self, sweep_id: str, after: int, entries: Entries) -> None:
        """Add entries behind the first ``after``, which are all there are; all or none. (append_sweep.lua)

        Raises Conflict when there are others, such as another program's: nothing is decided by a journal
        that has gone on meanwhile. Raises NotFound when the sweep is gone, and InvalidInput on a value that
        is not finite.
        """
        if not entries:
            return
        arguments: Sequence[Argument] = [after, *(to_json(entry) for entry in entries)]
        reply = self._connection.run("append_sweep", self._places(sweep_id), arguments)
        if reply is None:
            raise no_sweep(sweep_id)
        if reply < 0:
            raise Conflict(f"Another program wrote to the journal of sweep {sweep_id} first.")

    def _places(self, sweep_id: str) -> Texts:
        return [self._keys.of("sweep", sweep_id), self._keys.of("sweep_journal", sweep_id)]


def decode_sweep(sweep_id: str, stored: Mapping[str, str]) -> Sweep:
    """Read the hash of a sweep; another version may have written more about it."""
    values: dict[str, Any] = {"sweep_id": sweep_id, "state": stored["state"]}
    values["request"] = SweepRequest.model_validate_json(stored["request"], extra="ignore")
    if "summary" in stored:
        values["summary"] = SweepSummary.model_validate_json(stored["summary"], extra="ignore")
    values |= {name: to_time(stored[name]) for name in ("created_at", "ended_at") if name in stored}
    if stored.get("reason"):
        values["reason"] = stored["reason"]
    return Sweep.model_validate(values)


def no_sweep(sweep_id: str) -> NotFound:
    """Say that there is no sweep of that id."""
    return NotFound(f"There is no sweep {sweep_id[:80]!r}. GET /api/sweeps lists those that exist.")
