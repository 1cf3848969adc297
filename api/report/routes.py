"""A report on a run, to be kept or sent on."""

from __future__ import annotations

from typing import Any, Final, Literal

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.accounts import account_of
from api.replies import list_status_lines
from api.report.content import Known, write_report
from api.report.html import POLICY, write_html
from api.report.markdown import write_markdown
from api.reproducing import reproduction_of
from api.runs import get_whole_run
from api.state import db
from redis_db import Span
from schema import MetricSummary, Record, Run, Series

reports = APIBlueprint("reports", __name__, tag="Reports")

_CURVES: Final = 4
_POINTS: Final = 400
_CONTENT: Final[dict[str, dict[str, Any]]] = {
    "text/html": {"schema": {"type": "string"}},
    "text/markdown": {"schema": {"type": "string"}},
}

_RESPONSES: Final[dict[int | str, dict[str, str | dict[str, dict[str, Any]]]]] = {
    200: {"description": "the report", "content": _CONTENT}
}


class ReportQuery(Record):
    """How it is written."""

    format: Literal["md", "html"] = Field("html", description="Markdown, or one HTML file")


@reports.get("/api/runs/<iid>/report")
@reports.input(ReportQuery, location="query", arg_name="query")
@reports.doc(responses=_RESPONSES)
def get_report(iid: str, query: ReportQuery) -> Response:
    """Answer a report on a run, with its pictures; HTML is shown, Markdown downloaded.

    Result, curves, energy and CO₂ with their method, parameters, environment, how to repeat it, and notes.
    """
    report = write_report(_known(get_whole_run(iid, has_points=True)))
    if query.format == "html":
        response = Response(write_html(report), content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = f"{POLICY}; frame-ancestors 'none'; sandbox"
        return response
    response = Response(write_markdown(report), content_type="text/markdown; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="wattle-{iid}.md"'
    return response


def _known(run: Run) -> Known:
    run_id = run.run_id
    epochs = db().runs.list_epochs(run_id)
    metrics = list(db().metrics.list(run)) if run.is_external else []
    return Known(
        run=run,
        line=list_status_lines([run])[run_id],
        epochs=epochs,
        attempts=db().runs.list_attempts(run_id),
        account=account_of(run, epochs),
        reproduction=reproduction_of(run),
        notes=db().external.list_notes(run_id),
        metrics=metrics,
        series=_read_curves(run, metrics),
        time=db().now(),
    )


def _read_curves(run: Run, metrics: list[MetricSummary]) -> dict[str, Series]:
    """Read the points of a few metrics of a script, those of its machine aside."""
    names = [metric.name for metric in metrics if metric.count > 1 and not metric.name.startswith("system/")]
    wanted = sorted(names, key=lambda name: (not _is_telling(name), name))[:_CURVES]
    return db().metrics.read(run, wanted, Span(None, None, _POINTS, "minmax")) if wanted else {}


def _is_telling(name: str) -> bool:
    return any(word in name.lower() for word in ("loss", "acc"))
