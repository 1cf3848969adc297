"""Find runs by what is typed into a search box."""

from __future__ import annotations

from collections.abc import Iterable

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.access.callers import bound_project, own_project
from api.body import reply
from api.state import catalog, db, settings
from catalog.catalog import Wanted
from catalog.paging import Order
from schema import Record, Run, RunList, SortField, Status
from schema.replies import SearchReply
from schema.search import MAX_QUERY
from trainers import list_trainers

searching = APIBlueprint("search", __name__, tag="Search")

MAX_FOUND = 10_000


class SearchQuery(Record):
    """Which runs to find."""

    q: str = Field("", max_length=MAX_QUERY, description="such as network:resnet9 accuracy>0.95 -tag:old")
    status: Status | None = None


@searching.get("/api/search")
@searching.input(SearchQuery, location="query", arg_name="query")
@searching.output(SearchReply)
def search_runs(query: SearchQuery) -> Response:
    """Answer the ids of all runs that match, the newest first: for what is to be done with all of them.

    Of more than 10,000 the newest, and how many there are in ``total``.
    """
    wanted = Wanted(query=query.q, status=query.status, project=own_project(None))
    found = catalog().find(wanted, limit=MAX_FOUND, params=known_params())
    return reply(SearchReply(run_ids=found.run_ids, total=found.total))


def find_runs(
    wanted: Wanted, sort: SortField, *, order: Order, limit: int | None, cursor: str | None
) -> RunList:
    """Return a page of the runs that are wanted, as the list of runs does.

    Those that were deleted a moment ago are missing on their page.
    """
    found = catalog().find(wanted, sort, order=order, limit=limit, cursor=cursor, params=known_params())
    runs = db().runs.find_many(found.run_ids)
    listed: Iterable[Run] = (runs[run_id] for run_id in found.run_ids if run_id in runs)
    bound = bound_project()
    counts = found.counts if bound is None else _count_own(bound)
    return RunList(runs=tuple(listed), cursor=found.cursor, total=found.total, counts=counts)


def _count_own(project: str) -> dict[Status, int]:
    """Count the runs of one project by status: a token of it is told of no others."""
    return {
        status: catalog().find(Wanted(status=status, project=project), limit=1).total for status in Status
    }


def ids_of(q: str) -> list[str] | None:
    """Return the ids of all runs that a search finds; None where nothing is searched for."""
    if not q.strip():
        return None
    return catalog().find(Wanted(query=q), params=known_params()).run_ids


def known_params() -> frozenset[str]:
    """Return the hyperparameters of the trainers there are, also where no run has them yet."""
    specs = list_trainers(scripts_dir=settings().scripts_dir)
    return frozenset(name for spec in specs for name in spec.hyper_params.model_fields)
