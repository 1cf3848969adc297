"""What admins did, and what was deleted, cancelled or drained."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field, model_validator

from api.body import reply
from api.runs import LINE_ID_PATTERN
from api.state import db
from schema import Record
from schema.access import AUDIT_ENTRIES, AuditReply

auditing = APIBlueprint("audit", __name__, tag="Audit")


class AuditQuery(Record):
    """Which entries to answer."""

    after: str | None = Field(
        None, pattern=LINE_ID_PATTERN, description="an entry_id; without it, the newest"
    )
    before: str | None = Field(
        None, pattern=LINE_ID_PATTERN, description="an entry_id: of the entries before it, the newest"
    )
    contains: str | None = Field(
        None, min_length=1, max_length=200, description="a text in any field, whether in capitals or not"
    )
    limit: int = Field(100, ge=1, le=AUDIT_ENTRIES, description="most entries")

    @model_validator(mode="after")
    def _check_direction(self) -> AuditQuery:
        if self.after is not None and (self.before is not None or self.contains is not None):
            raise ValueError("after goes with limit alone; before and contains look back from the newest")
        return self


@auditing.get("/api/audit")
@auditing.input(AuditQuery, location="query", arg_name="query")
@auditing.output(AuditReply)
def list_audit(query: AuditQuery) -> Response:
    """Answer who did what, oldest first: the newest entries, or the first after one.

    Every write that needs the scope admin is in it, every deletion, cancel and drain, also those that were
    refused for what the token lacked.
    """
    audit = db().audit
    if query.after is not None:
        return reply(AuditReply(entries=audit.list(after=query.after, limit=query.limit)))
    # One more than asked for, which tells whether there is more.
    limit = query.limit + 1
    found = (
        audit.list(before=query.before, limit=limit)
        if query.contains is None
        else audit.search(query.contains, before=query.before, limit=limit)
    )
    entries = found[-query.limit :]
    return reply(AuditReply(entries=entries, older=entries[0].entry_id if len(found) == limit else None))
