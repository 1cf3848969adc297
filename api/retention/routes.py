"""The retention of weights by project: a policy, what it would delete, and its deletion."""

from __future__ import annotations

from typing import Final

from apiflask import APIBlueprint
from flask import Response
from pydantic import TypeAdapter, ValidationError

from api.access.callers import own_project
from api.body import reply
from api.deleting import FILES_LIMIT_S
from api.file_work import wait_for_any
from api.retention.retaining import Applied, Retaining
from api.state import db, settings
from errors import Conflict, NotFound
from schema import NoBody, RetentionPlan, RetentionPolicy, RetentionReply
from schema.records import Project
from schema.retention import ApplyRequest

retention = APIBlueprint("retention", __name__, tag="Retention")

_PROJECT: Final[TypeAdapter[str]] = TypeAdapter(Project)


@retention.get("/api/projects/<project>/retention")
@retention.output(RetentionPolicy)
def get_retention(project: str) -> Response:
    """Answer the policy of a project; one that deletes nothing where nobody set one."""
    return reply(db().retention.get(check_project(project)))


@retention.put("/api/projects/<project>/retention")
@retention.input(RetentionPolicy, arg_name="body")
@retention.output(RetentionPolicy)
def set_retention(project: str, body: RetentionPolicy) -> Response:
    """Replace the policy of a project. It deletes nothing until it is applied, by hand or once a day."""
    db().retention.put(check_project(project), body)
    return reply(body)


@retention.post("/api/projects/<project>/retention/plan")
@retention.input(NoBody, arg_name="body")
@retention.output(RetentionPlan)
def plan_retention(project: str, body: NoBody) -> Response:  # noqa: ARG001 - it is empty
    """Answer what the policy of a project would delete now, and delete nothing."""
    name = check_project(project)
    return reply(Retaining(db(), settings()).plan(name, db().retention.get(name)))


@retention.post("/api/projects/<project>/retention/apply")
@retention.input(ApplyRequest, arg_name="body")
@retention.output(RetentionReply)
def apply_retention(project: str, body: ApplyRequest) -> Response:
    """Delete exactly what a plan named. 409 when the policy would delete something else by now.

    What is not deleted within 2 s is told under ``left``; its deletion goes on.
    """
    name = check_project(project)
    retaining = Retaining(db(), settings())
    plan = retaining.plan(name, db().retention.get(name))
    if plan.token != body.token:
        raise Conflict(
            "What the policy would delete has changed since that plan, so nothing was deleted. Look at a new "
            "plan."
        )
    done = Applied(len(plan.deletes))
    key = ("retain", settings().effective_artifact_url, settings().effective_model_url, name, plan.token)
    return reply(wait_for_any(key, lambda: retaining.apply(plan, done), limit_s=FILES_LIMIT_S) or done.show())


def check_project(project: str) -> str:
    """Return the name of a project that a path has. Raises NotFound for what none can be called."""
    try:
        name = _PROJECT.validate_python(project)
    except ValidationError as error:
        raise NotFound(f"There is no project {project[:80]!r}: none can be called that.") from error
    own_project(name)
    return name
