"""What admins did, and what was deleted, cancelled or drained."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.body import reply
from api.state import db
from schema import Record
from schema.access import AUDIT_ENTRIES, AuditReply

auditing = APIBlueprint("audit", __name__, tag="Audit")


class AuditQuery(Record):
    """Which entries to answer."""

    after: str | None = Field(
        None, pattern=r"^[0-9]{1,19}(-[0-9]{1,19})?$", description="an entry_id; without it, the newest"
    )
    limit: int = Field(100, ge=1, le=AUDIT_ENTRIES, description="most entries")


@auditing.get("/api/audit")
@auditing.input(AuditQuery, location="query", arg_name="query")
@auditing.output(AuditReply)
def list_audit(query: AuditQuery) -> Response:
    """Answer who did what, oldest first: the newest entries, or the first after one.

    Every write that needs the scope admin is in it, every deletion, cancel and drain, also those that were
    refused for what the token lacked.
    """
    return reply(AuditReply(entries=db().audit.list(after=query.after, limit=query.limit)))
