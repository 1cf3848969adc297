"""Who did what: the capped log of what only admins may do, and of deletions, cancels and drains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from schema.access import AUDIT_ENTRIES, AuditEntry
from store.connection import Argument, Connection
from store.encoding import time_of_entry, to_text
from store.keys import Keys

_MAX_CHARACTERS: Final = 500
_SEARCHED_AT_ONCE: Final = 500
EntryList = list[AuditEntry]


class Audit:
    """A stream that keeps about the newest AUDIT_ENTRIES."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def record(
        self,
        *,
        who: str,
        address: str,
        action: str,
        target: str,
        status: int,
        detail: str = "",
        person: str = "",
    ) -> None:
        """Add what somebody did; no part of it is ever a secret."""
        fields = {
            "who": who,
            "person": person,
            "address": address,
            "action": action,
            "target": target,
            "status": str(status),
            "detail": detail,
        }
        cells: list[Argument] = [
            cell
            for name, text in fields.items()
            if text or name != "person"
            for cell in (name, to_text(text)[:_MAX_CHARACTERS])
        ]
        self._connection.call("XADD", self._keys.of("audit"), "MAXLEN", "~", AUDIT_ENTRIES, "*", *cells)

    def list(self, *, after: str | None = None, before: str | None = None, limit: int = 100) -> EntryList:
        """Return entries in their order: the first after ``after``, else the newest before ``before``."""
        entries = self._connection.read_stream(
            self._keys.of("audit"), after=after, before=before, limit=limit
        )
        return [_decode(entry_id, fields) for entry_id, fields in entries]

    def search(self, contains: str, *, before: str | None = None, limit: int = 100) -> EntryList:
        """Return the newest entries with a text in them, whether in capitals or not, oldest first.

        The whole log is looked through where so many do not match: AUDIT_ENTRIES, 0.1 s of CPU time.
        """
        wanted, found = contains.casefold(), []
        for entry in self._walk_back(before):
            if wanted in _text_of(entry):
                found.append(entry)
                if len(found) == limit:
                    break
        return found[::-1]

    def _walk_back(self, before: str | None) -> Iterator[AuditEntry]:
        while entries := self.list(before=before, limit=_SEARCHED_AT_ONCE):
            yield from reversed(entries)
            before = entries[0].entry_id


def _text_of(entry: AuditEntry) -> str:
    fields = (entry.who, entry.person, entry.address, entry.action, entry.target, entry.detail)
    return "\n".join((*fields, str(entry.status))).casefold()


def _decode(entry_id: str, fields: dict[str, Any]) -> AuditEntry:
    known = {name: text for name, text in fields.items() if name in AuditEntry.model_fields}
    return AuditEntry.model_validate({**known, "entry_id": entry_id, "time": time_of_entry(entry_id)})
