"""Who did what: the capped log of what only admins may do, and of deletions, cancels and drains."""

from __future__ import annotations

from typing import Any, Final

from schema.access import AUDIT_ENTRIES, AuditEntry
from store.connection import Argument, Connection
from store.encoding import time_of_entry, to_text
from store.keys import Keys

_MAX_CHARACTERS: Final = 500
EntryList = list[AuditEntry]


class Audit:
    """A stream that keeps about the newest AUDIT_ENTRIES."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def record(
        self, *, who: str, address: str, action: str, target: str, status: int, detail: str = ""
    ) -> None:
        """Add what somebody did; no part of it is ever a secret."""
        fields = {
            "who": who,
            "address": address,
            "action": action,
            "target": target,
            "status": str(status),
            "detail": detail,
        }
        cells: list[Argument] = [
            cell for name, text in fields.items() for cell in (name, to_text(text)[:_MAX_CHARACTERS])
        ]
        self._connection.call("XADD", self._keys.of("audit"), "MAXLEN", "~", AUDIT_ENTRIES, "*", *cells)

    def list(self, *, after: str | None = None, limit: int = 100) -> EntryList:
        """Return entries in their order: the first after ``after``, or without it the newest."""
        entries = self._connection.read_stream(self._keys.of("audit"), after=after, limit=limit)
        return [_decode(entry_id, fields) for entry_id, fields in entries]


def _decode(entry_id: str, fields: dict[str, Any]) -> AuditEntry:
    known = {name: text for name, text in fields.items() if name in AuditEntry.model_fields}
    return AuditEntry.model_validate({**known, "entry_id": entry_id, "time": time_of_entry(entry_id)})
