"""Runs that people's own scripts report, from beginning to end; tags and notes of any run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple
from uuid import uuid4

from pydantic import JsonValue
from pydantic_core import from_json

from errors import Conflict, FieldError, InvalidInput, NotFound
from schema import (
    BatchReply,
    ExperimentRequest,
    LinesRequest,
    Note,
    Run,
    RunError,
    RunOptions,
    Status,
)
from store.cold import RunHashes
from store.connection import Argument, Connection
from store.encoding import decode_run, encode_error, time_of_entry, to_json, to_pairs, to_text, to_time
from store.keys import Keys
from store.log import MAX_LINES, bounded
from store.metrics import MAX_SESSIONS
from store.paging import name_key
from store.runs import no_run
from store.submission import digest, hashed_key

MAX_NOTES: Final = 1_000
# As Redis gives them; it refuses others as broken commands.
_NOTE_ID: Final = re.compile(r"[0-9]{1,19}-[0-9]{1,19}", re.ASCII)
MAX_PARAMS_BYTES: Final = 64 * 1024
MAX_PARAMS_DEPTH: Final = 8
_MAX_REASON_CHARACTERS: Final = 1_000
_IDEMPOTENCY_TTL_S: Final = 24 * 3600
# How often a change of a field is tried that somebody else changes at the same time.
_TRIES: Final = 20
_MAX_SHOWN_CHARACTERS: Final = 200
_QUALITIES: Final = ("measured", "estimated")
_SILENT_REASON: Final = "cancelled on request; its script did not answer"

Notes = list[Note]


class Begun(NamedTuple):
    """A run that its script may report now."""

    run: Run
    is_new: bool


class Added(NamedTuple):
    """A note of a run."""

    note: Note
    is_new: bool


class External:
    """What the scripts of such runs say. All raise NotFound without a run, Conflict for one of the queue."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def begin(
        self, request: ExperimentRequest, *, run_id: str | None = None, idempotency_key: str | None = None
    ) -> Begun:
        """Add a run, which runs from now on; an idempotency_key of the last 24 h answers with its run.

        Atomic (begin_external.lua). Raises Conflict when the key was used for another request, InvalidInput
        on params that are too large or too deep, NotFound where a new run began with a model there is not.
        """
        own_id = run_id or uuid4().hex
        keys = [self._keys.of("run", own_id), self._keys.of("named", name_key(request.name))]
        if idempotency_key is not None:
            keys.append(self._keys.of("idempotency", hashed_key(idempotency_key)))
        body = json.dumps(request.model_dump(mode="json", exclude={"session"}), sort_keys=True)
        arguments: list[Argument] = [own_id, digest(body), _IDEMPOTENCY_TTL_S, request.session or ""]
        arguments += [to_json(request.from_models), *_fields(request)]
        stored_id, stored, is_new = self._connection.run(
            "begin_external", keys, arguments, is_replicated=True
        )
        known = to_pairs(stored) or self._hashes.get_known(stored_id)
        return Begun(decode_run(stored_id, known), bool(is_new))

    def reopen(self, run_id: str, *, session: str | None = None) -> Run:
        """Let a script go on with its run, also after it has ended.

        Atomic (reopen_external.lua). A session that opened the run before another one did is a no-op. Raises
        InvalidInput where the run has had MAX_SESSIONS.
        """
        keys = [self._keys.of(part, run_id) for part in ("run", "sources")]
        stored = self._connection.run("reopen_external", keys, [run_id, session or "", MAX_SESSIONS])
        return decode_run(run_id, to_pairs(stored))

    def end(
        self,
        run_id: str,
        status: Literal[Status.DONE, Status.FAILED, Status.CANCELLED],
        *,
        reason: str | None = None,
        error: RunError | None = None,
        session: str | None = None,
    ) -> Run:
        """End a run as its script says. The same status again is a no-op, another one then a Conflict.

        Atomic (end_external.lua). Also a no-op where another session than this one has opened the run since.
        """
        texts = [to_text(reason or "")[:_MAX_REASON_CHARACTERS], encode_error(error) if error else ""]
        arguments: list[Argument] = [run_id, status.value, *texts, session or ""]
        stored = self._connection.run("end_external", [self._keys.of("run", run_id)], arguments)
        return decode_run(run_id, to_pairs(stored))

    def end_silent(self, silent_s: float, *, limit: int = 100) -> Sequence[str]:
        """End the runs whose scripts were not heard of for ``silent_s``, and return their ids.

        Atomic (end_silent.lua). They fail, or are cancelled where that was asked for; what a script says
        later lets its run go on.
        """
        error = RunError(
            kind="Silent",
            message=f"Its script was not heard of for more than {silent_s:.0f} s.",
            is_retryable=False,
            hint="It may have been killed: see whether it still runs. What it sends later lets the run go "
            "on; a script that needs longer between two signs of life needs a higher WATTLE_SILENT_S.",
        )
        ended: list[str] = self._connection.run(
            "end_silent",
            [self._keys.of("external")],
            [limit, silent_s, encode_error(error), _SILENT_REASON],
        )
        return ended

    def silent_since(self, run_id: str) -> datetime | None:
        """Return when the script of a run was last heard of that has ended for its silence alone; else None.

        It may still go on; after schema.retention.SILENT_FOR_GOOD_S it is not expected to.
        """
        is_silent, heard_at = self._connection.call(
            "HMGET", self._keys.of("run", run_id), "is_silent", "heard_at"
        )
        return to_time(float(heard_at)) if is_silent and heard_at else None

    def append_log(self, run_id: str, batch: LinesRequest) -> BatchReply:
        """Add a batch of lines to a run's log; very long ones are cut, about the newest MAX_LINES are kept.

        Atomic (append_stated_log.lua). A batch whose number is not above the last one of its session is a
        no-op; lines are counted apart from points.
        """
        keys = [self._keys.of("log", run_id), self._keys.of("sources", run_id)]
        lines = [cell for line in batch.lines for cell in (repr(line.time), bounded(line.text))]
        numbers = [batch.seq, MAX_LINES, MAX_SESSIONS]
        arguments: list[Argument] = [run_id, batch.session, *numbers, *lines]
        accepted, request = self._connection.run("append_stated_log", keys, arguments)
        return BatchReply(seq=batch.seq, accepted=accepted, request=request or None)

    def set_params(self, run_id: str, params: Mapping[str, JsonValue]) -> None:
        """Add params to a run, in place of those of the same names; what changes is told in its log.

        Raises InvalidInput where all of them together are too large or too deep; nothing is written then.
        """

        def change(stored: str) -> tuple[str, Sequence[str]]:
            old: dict[str, JsonValue] = from_json(stored or "{}")
            changed = [name for name in params if name in old and old[name] != params[name]]
            lines = [f"param {name}: {_shown(old[name])} → {_shown(params[name])}" for name in changed]
            return encode_params({**old, **params}), [bounded(line) for line in lines]

        self._amend(run_id, "hyper_params", change)

    def set_tags(self, run_id: str, *, add: Sequence[str], remove: Sequence[str]) -> None:
        """Add and remove tags of any run. Raises InvalidInput where it would have too many.

        A tag key=value takes the place of another one of that key.
        """

        def change(stored: str) -> tuple[str, Sequence[str]]:
            options: dict[str, JsonValue] = from_json(stored or "{}")
            kept = RunOptions.model_validate(options, extra="ignore").tags
            tags = retagged(kept, add=add, remove=remove)
            options.pop("tags", None)
            if tags:
                options["tags"] = list(tags)
            return to_json(options) if options else "", []

        self._amend(run_id, "options", change)

    def set_star(self, run_id: str, is_starred: bool) -> None:
        """Give any run a star, or take it away."""
        self._amend(run_id, "starred", lambda _: ("1" if is_starred else "", []))

    def add_note(self, run_id: str, text: str, *, idempotency_key: str | None = None) -> Added:
        """Add a note to any run; an idempotency_key of the last 24 h answers with its note.

        Atomic (add_note.lua). Raises Conflict when the run has MAX_NOTES, or the key was another note's.
        """
        keys = [self._keys.of("run", run_id), self._keys.of("notes", run_id)]
        if idempotency_key is not None:
            # Of its own for each run: a script's keys are not to meet those of submissions.
            keys.append(self._keys.of("idempotency", digest(f"note {run_id} {hashed_key(idempotency_key)}")))
        stored = to_text(text)
        arguments: list[Argument] = [run_id, stored, MAX_NOTES, digest(stored), _IDEMPOTENCY_TTL_S]
        reply = self._connection.run("add_note", keys, arguments)
        if reply is None:
            raise no_run(run_id)
        note_id, is_new = reply
        return Added(Note(note_id=note_id, time=time_of_entry(note_id), text=stored), bool(is_new))

    def list_notes(self, run_id: str) -> Notes:
        """Return the notes of any run, oldest first."""
        entries = self._connection.read_stream(self._keys.of("notes", run_id), after=None, limit=MAX_NOTES)
        edits: dict[str, str] = self._connection.call("HGETALL", self._keys.of("note_edits", run_id))
        return [decode_note(note_id, fields["text"], edits.get(note_id)) for note_id, fields in entries]

    def edit_note(self, run_id: str, note_id: str, text: str) -> Note:
        """Replace the text of a note, which keeps its id and its time; the last one to do so wins.

        Atomic (edit_note.lua). Raises NotFound when the run has no such note.
        """
        keys = [self._keys.of(part, run_id) for part in ("notes", "note_edits")]
        is_id = _NOTE_ID.fullmatch(note_id) is not None
        if not is_id or not self._connection.run("edit_note", keys, [note_id, to_text(text)]):
            raise NotFound(f"Run {run_id} has no note {note_id[:50]!r}.")
        edit: str | None = self._connection.call("HGET", keys[1], note_id)
        return decode_note(note_id, to_text(text), edit)

    def delete_note(self, run_id: str, note_id: str) -> bool:
        """Delete a note of a run; False when there is none with that id. Atomic (delete_note.lua)."""
        keys = [self._keys.of(part, run_id) for part in ("notes", "note_edits")]
        is_id = _NOTE_ID.fullmatch(note_id) is not None
        return is_id and bool(self._connection.run("delete_note", keys, [note_id]))

    def _amend(self, run_id: str, field: str, change: Callable[[str], tuple[str, Sequence[str]]]) -> None:
        """Change a JSON field, and try again where somebody else changed it in between.

        change: what is stored, or empty → what is to be, and lines for the log.
        """
        key = self._keys.of("run", run_id)
        for _ in range(_TRIES):
            stored: str = self._connection.call("HGET", key, field) or ""
            text, lines = change(stored)
            is_done = self._connection.run("amend", [key], [run_id, field, stored, text, *lines])
            if is_done is None:
                raise no_run(run_id)
            if is_done:
                return
        raise Conflict(f"Run {run_id} is being changed by others all the time. Try again in a moment.")


def encode_params(params: Mapping[str, JsonValue]) -> str:
    """Write params. Raises InvalidInput where they are too large or too deep."""
    text = to_json(dict(params))
    if len(text.encode()) > MAX_PARAMS_BYTES:
        raise _invalid("params", f"have at most {MAX_PARAMS_BYTES} bytes as JSON, all together")
    if _depth(dict(params)) > MAX_PARAMS_DEPTH:
        raise _invalid("params", f"are nested at most {MAX_PARAMS_DEPTH} deep")
    return text


def decode_note(note_id: str, text: str, edit: str | None) -> Note:
    """Read a note; its edit, if there is one, is an array of the new text and when that came."""
    if edit is None:
        return Note(note_id=note_id, time=time_of_entry(note_id), text=text)
    new_text, at = from_json(edit)
    return Note(note_id=note_id, time=time_of_entry(note_id), text=new_text, edited_at=to_time(at))


def retagged(tags: Sequence[str], *, add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """Return tags without those to remove and with those to add, in their order, each once.

    Raises InvalidInput where there are too many.
    """
    kept = [tag for tag in tags if tag not in remove]
    for tag in add:
        label, is_pair, _ = tag.partition("=")
        kept = [
            old for old in kept if old != tag and not (is_pair and old.partition("=")[:2] == (label, "="))
        ]
        kept.append(tag)
    most = next(item.max_length for item in RunOptions.model_fields["tags"].metadata)
    if len(kept) > most:
        raise _invalid("add", f"would give the run more than {most} tags")
    return tuple(kept)


def _fields(request: ExperimentRequest) -> Sequence[str]:
    """Return names and values of the hash of a new run in turn."""
    tags = retagged((), add=request.tags, remove=())
    options = RunOptions(project=request.project, tags=tags).model_dump(mode="json", exclude_defaults=True)
    fields = {"name": request.name, "hyper_params": encode_params(request.params)}
    if options:
        fields["options"] = to_json(options)
    if request.environment:
        fields["environment"] = to_json(request.environment)
    quality = request.environment.get("energy_quality")
    if quality is not None:
        if quality not in _QUALITIES:
            raise _invalid("environment.energy_quality", f"is one of {', '.join(_QUALITIES)}")
        fields["energy_quality"] = str(quality)
    return [cell for pair in fields.items() for cell in pair]


def _depth(value: JsonValue) -> int:
    """Return how deep a value is nested; 0 for a scalar. The parser of requests bounds it."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if parts is None else 1 + max(map(_depth, parts), default=0)


def _shown(value: JsonValue) -> str:
    text = to_json(value)
    return text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"


def _invalid(field: str, reason: str) -> InvalidInput:
    return InvalidInput(f"{field} {reason}.", details=[FieldError(field, reason)])
