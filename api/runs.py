"""Queue runs, and read them back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Literal

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from api.access.callers import bound_project, check_own, own_key, own_options, own_project, token_id
from api.archived import warm
from api.body import reply
from api.planning import plan_once
from api.replies import show_run, show_runs
from api.search import find_runs
from api.state import db, settings
from api.tracing import traced_submission
from catalog.catalog import Wanted
from errors import NotFound
from scheduling.zones import name_zones
from schema import (
    RUN_ID_PATTERN,
    EpochsReply,
    LogReply,
    Record,
    Run,
    RunList,
    RunReply,
    RunsReply,
    SortField,
    Status,
    TrainReply,
    TrainRequest,
)
from schema.search import MAX_QUERY
from trainers import validator

runs = APIBlueprint("runs", __name__, tag="Runs")

MAX_PAGE = 500
MAX_LINES = 1000
LINE_ID_PATTERN = r"^[0-9]{1,19}(-[0-9]{1,19})?$"


def _split(value: object) -> object:
    """Turn the comma list of a query parameter into its parts."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if value else []
    return value


def _describe_both_forms(schema: dict[str, Any]) -> None:
    """Say in the OpenAPI document that the flat object is a body too."""
    nested = {name: schema.pop(name) for name in ("properties", "required", "additionalProperties")}
    flat = {"description": "the hyper_params alone", "not": {"required": ["hyper_params"]}}
    schema["anyOf"] = [nested, flat]


class TrainBody(TrainRequest):
    """What to train and how: {"hyper_params": {…}, "options": {…}}, or the hyper_params alone."""

    model_config = ConfigDict(json_schema_extra=_describe_both_forms)

    @model_validator(mode="before")
    @classmethod
    def _accept_flat_object(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError('send a JSON object, such as {"hyper_params": {"num_epochs": 5}}')
        return value if "hyper_params" in value else {"hyper_params": value}


class TrainHeaders(BaseModel):
    """The optional header that makes POST /train, or a note, safe to repeat."""

    idempotency_key: str | None = Field(
        None,
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="1 to 200 visible ASCII characters; for 24 h one key answers with one run or note",
    )


class RunsQuery(Record):
    """Which runs to list, in which order."""

    sort: SortField = Field(SortField.TIME_ADDED, description="runs without a value come last")
    order: Literal["asc", "desc"] = "desc"
    status: Status | None = None
    q: str = Field("", max_length=MAX_QUERY, description="a search, such as network:resnet9 accuracy>0.95")
    name: str | None = Field(
        None, max_length=250, description="of the experiment: its runs, by time_added, the newest first"
    )
    project: str | None = Field(None, max_length=64, description="runs of that project")
    limit: int | None = Field(None, ge=1, le=MAX_PAGE, description="turns paging on; without it, every run")
    cursor: str | None = Field(None, max_length=400, description="from the page before; sort as there")
    fields: Annotated[
        tuple[Literal["in_update", "sparkline"], ...], BeforeValidator(_split), Field(max_length=8)
    ] = Field((), description="what else to answer for each run, comma-separated")


class RunQuery(Record):
    """What to answer beside the run itself."""

    fields: Annotated[tuple[Literal["in_update"], ...], BeforeValidator(_split), Field(max_length=8)] = Field(
        ("in_update",), description="empty to leave the epochs out, as a page that asks every second does"
    )


class LogQuery(Record):
    """Which lines of a log to answer."""

    after: str | None = Field(
        None, pattern=LINE_ID_PATTERN, description="a line_id; without it, the newest lines"
    )
    before: str | None = Field(
        None, pattern=LINE_ID_PATTERN, description="a line_id: of the lines before it, the newest"
    )
    contains: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="only lines with this text, in capitals or not; 2000 lines are looked at in one request",
    )
    limit: int = Field(1000, ge=1, le=MAX_LINES, description="most lines")

    @model_validator(mode="after")
    def _check_direction(self) -> LogQuery:
        if self.after is not None and self.before is not None:
            raise ValueError("after and before go in opposite directions: pass one of them")
        return self


def check_run_id(iid: str) -> str:
    """Return the run id of a path. Raises NotFound for what no run can be called."""
    if not re.fullmatch(RUN_ID_PATTERN, iid):
        raise NotFound(f"There is no run {iid[:64]!r}. GET /experiments lists the runs there are.")
    return iid


def get_known_run(iid: str) -> Run:
    """Return the run of a path. Raises NotFound, also for what is no run id at all."""
    return check_own(db().runs.get(check_run_id(iid)))


def get_whole_run(iid: str, *, has_points: bool = False) -> Run:
    """Return the run of a path, of which everything can be read now; the points of its metrics on demand.

    Also of an archived one. Raises NotFound without it, ArchiveUnavailable when that is out of reach.
    """
    run = get_known_run(iid)
    if run.status.is_final:
        warm(run.run_id, has_points=has_points)
    return run


@runs.post("/train")
@runs.input(TrainHeaders, location="headers", arg_name="headers")
@runs.input(TrainBody, arg_name="body")
@runs.output(TrainReply, status_code=201)
def submit_run(body: TrainBody, headers: TrainHeaders) -> Response:
    """Queue a run.

    Takes {"hyper_params": …, "options": …}, or the hyper_params alone as a flat object. Whatever is left out
    gets its documented default. With "demo": true the run is simulated and labelled so. A repeated
    Idempotency-Key with the same body answers with the same run. With options.carbon the answer has the plan:
    when it starts, what that saves against running at once, and why.
    """
    hyper_params = validator(settings())(
        {**body.hyper_params, "demo": True} if body.demo else body.hyper_params
    )
    options = name_zones(own_options(body.options))
    key = own_key(headers.idempotency_key)
    submit = partial(
        db().queue.submit,
        hyper_params,
        options,
        idempotency_key=key,
        body=request.get_json(),
        plan=plan_once(hyper_params, options, key),
        token_id=token_id(),
    )
    run = traced_submission(lambda origin: submit(traceparent=origin), options)
    return reply(TrainReply(iid=run.run_id, plan=run.carbon), HTTPStatus.CREATED)


@runs.get("/status/<iid>", endpoint="get_status")
@runs.get("/api/runs/<iid>")
@runs.get("/api/experiments/<iid>", endpoint="get_experiment")
@runs.input(RunQuery, location="query", arg_name="query")
@runs.output(RunReply)
def get_run(iid: str, query: RunQuery) -> Response:
    """Answer everything about one run, its epochs so far in ``in_update``."""
    run = get_known_run(iid)
    return reply(show_run(run, epochs=db().runs.list_epochs(iid) if "in_update" in query.fields else None))


@runs.get("/experiments", endpoint="list_experiments")
@runs.get("/api/runs")
@runs.get("/api/experiments", endpoint="list_tracked")
@runs.input(RunsQuery, location="query", arg_name="query")
@runs.output(RunsReply)
def list_runs(query: RunsQuery) -> Response:
    """Answer the runs, newest first unless another order is asked for.

    Without ``limit`` every run is answered; with it, a page and a cursor for the next one.
    """
    page = _find_page(query)
    ids = [run.run_id for run in page.runs]
    epochs = db().runs.list_epochs_of(ids) if "in_update" in query.fields else {}
    sparklines = _list_sparklines(page.runs) if "sparkline" in query.fields else {}
    return reply(
        RunsReply.model_construct(
            results=show_runs(page.runs, epochs=epochs, sparklines=sparklines),
            cursor=page.cursor,
            total=page.total,
            counts=page.counts,
        )
    )


def _find_page(query: RunsQuery) -> RunList:
    """Return what the sorted list has, or where there is a search, what the catalog finds."""
    project = own_project(query.project)
    if query.q.strip() or bound_project() is not None:
        wanted = Wanted(query.q, query.status, project, query.name)
        return find_runs(wanted, query.sort, order=query.order, limit=query.limit, cursor=query.cursor)
    return db().runs.list(
        query.sort,
        order=query.order,
        status=query.status,
        name=query.name,
        project=project,
        limit=query.limit,
        cursor=query.cursor,
    )


def _list_sparklines(listed: Sequence[Run]) -> dict[str, list[float]]:
    own, external = (
        [run.run_id for run in listed if run.is_external is is_external] for is_external in (False, True)
    )
    return db().runs.list_sparklines(own) | db().metrics.list_sparklines(external)


@runs.get("/api/runs/<iid>/epochs")
@runs.output(EpochsReply)
def list_epochs(iid: str) -> Response:
    """Answer the epochs of a run, oldest first, and its attempts."""
    run = get_known_run(iid)
    found = db().runs
    return reply(EpochsReply(epochs=found.list_epochs(run.run_id), attempts=found.list_attempts(run.run_id)))


@runs.get("/api/runs/<iid>/log")
@runs.get("/api/logs/<iid>", endpoint="get_log")
@runs.input(LogQuery, location="query", arg_name="query")
@runs.output(LogReply)
def list_log(iid: str, query: LogQuery) -> Response:
    """Answer lines of a run's log, oldest first: those after ``after``, or the newest 1000.

    With ``contains`` the lines that have this text. Where more than a request looks at are left, ``older``
    says before which line to go on, and after ``newest`` those will be that come later.
    """
    run_id = get_whole_run(iid).run_id
    limits: dict[str, Any] = {"after": query.after, "before": query.before, "limit": query.limit}
    if query.contains is not None:
        found = db().log.search(run_id, query.contains, **limits)
        return reply(LogReply(lines=found.lines, older=found.older, newest=found.newest))
    lines = db().log.list(run_id, **limits)
    is_cut = query.after is None and len(lines) == query.limit
    return reply(
        LogReply(
            lines=lines,
            older=lines[0].line_id if is_cut else None,
            newest=lines[-1].line_id if lines else query.after,
        )
    )
