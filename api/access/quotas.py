"""The quotas of projects and tokens."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.access.callers import note_detail
from api.body import reply
from api.retention.routes import check_project
from api.state import db
from schema.quotas import Quota, QuotaLimits, QuotasReply

quotas = APIBlueprint("quotas", __name__, tag="Quotas")


@quotas.get("/api/quotas")
@quotas.output(QuotasReply)
def list_quotas() -> Response:
    """Answer all quotas with what is used of them."""
    return reply(QuotasReply(quotas=db().quotas.list()))


@quotas.put("/api/quotas/projects/<project>")
@quotas.input(QuotaLimits, arg_name="body")
@quotas.output(Quota)
def set_project_quota(project: str, body: QuotaLimits) -> Response:
    """Replace the quota of a project; {} takes it away. A submission over it is refused with 429."""
    name = check_project(project)
    db().quotas.put("project", name, body)
    note_detail(f"project {name} {body.model_dump_json(exclude_none=True)}")
    return reply(db().quotas.get("project", name))


@quotas.put("/api/quotas/tokens/<token_id>")
@quotas.input(QuotaLimits, arg_name="body")
@quotas.output(Quota)
def set_token_quota(token_id: str, body: QuotaLimits) -> Response:
    """Replace the quota of an API token; {} takes it away. 404 when there is none of that id."""
    token = db().tokens.get(token_id)
    db().quotas.put("token", token.token_id, body)
    note_detail(f"token {token.name} ({token.token_id}) {body.model_dump_json(exclude_none=True)}")
    return reply(db().quotas.get("token", token.token_id))
