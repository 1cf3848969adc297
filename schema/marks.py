"""What people mark runs with, and the views of the list that they keep."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, StringConstraints

from errors import InvalidInput
from schema.external import check_printable
from schema.records import SortField, Status
from schema.search import MAX_QUERY, parse
from schema.values import Record

MAX_VIEWS: Final = 200


def _check_name(name: str) -> str:
    """Return the name of a view, which is a part of a path as well."""
    if "/" in name or not name.strip("."):
        raise ValueError("should hold no slash, and more than dots")
    return check_printable(name)


ViewName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, strip_whitespace=True),
    AfterValidator(_check_name),
]


def _check_query(query: str) -> str:
    """Return a query that reads, without spaces around it."""
    try:
        parse(query)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return query.strip()


Query = Annotated[str, StringConstraints(max_length=MAX_QUERY), AfterValidator(_check_query)]


RunColumn = Literal[
    "id", "progress", "curve", "best", "last", "energy", "co2", "duration", "added", "queue", "priority",
    "line", "kind", "host", "ended", "message",
]  # fmt: skip


def _check_columns(columns: tuple[RunColumn, ...]) -> tuple[RunColumn, ...]:
    if len(set(columns)) < len(columns):
        raise ValueError("a column stands there twice: leave one of them out")
    return columns


class StarRequest(Record):
    """The body of POST /api/runs/<iid>/star."""

    starred: StrictBool = Field(description="true gives it a star, false takes it away")


class ViewRequest(Record):
    """The body of POST /api/views: a list of runs as somebody wants to see it again."""

    name: ViewName = Field(description="1 to 64 printable characters without a slash")
    q: Query = Field("", description="a search")
    status: Status | None = None
    sort: SortField = SortField.TIME_ADDED
    order: Literal["asc", "desc"] = "desc"
    columns: Annotated[tuple[RunColumn, ...], AfterValidator(_check_columns)] = Field(
        (),
        max_length=16,
        description="of the table, in this order, behind name and status; [] for the usual ones",
    )
    replace: StrictBool = Field(False, description="true to take the place of a view of that name")


class SavedView(Record):
    """A list of runs that somebody keeps; all who use this Wattle share them."""

    name: ViewName
    q: str = ""
    status: Status | None = None
    sort: SortField = SortField.TIME_ADDED
    order: Literal["asc", "desc"] = "desc"
    columns: tuple[str, ...] = ()
    saved_at: AwareDatetime


class ViewsReply(Record):
    """The saved views, by name."""

    views: list[SavedView]
