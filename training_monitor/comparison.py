"""What several runs differ in, and how well each did."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from training_monitor.connection import Connection
from training_monitor.errors import MonitorError, ServerRefused

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_NOT_FOUND: Final = 404
_SYSTEM: Final = "system/"
# Of these the lowest is the best, of all others the highest.
_LOWER_IS_BETTER = re.compile(
    r"loss|error|perplexity|duration|energy|co2|mse|mae|rmse|latency", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class MetricSummary:
    """A metric of one run. None where it was never a number."""

    best: float | None
    last: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs beside each other, by their ids."""

    names: Mapping[str, str]
    """Of each run; what has none goes by its id."""
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Only those that differ, nested ones with dots: name → run → value; a run that lacks one is absent."""
    metrics: Mapping[str, Mapping[str, MetricSummary]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    """What was asked for and could not be had, and why."""
    page_url: str = ""
    """Where people see them beside each other."""

    def __str__(self) -> str:
        """Return a table for people; how busy the machines were is in ``metrics`` alone."""
        rows = [["", *self.names.values()], ["run", *(run_id[:8] for run_id in self.names)]]
        rows += [
            [name, *(_text(values.get(run_id)) for run_id in self.names)]
            for name, values in self.params.items()
        ]
        shown = {name: found for name, found in self.metrics.items() if not name.startswith(_SYSTEM)}
        for name, found in shown.items():
            for what in ("best", "last"):
                cells = (getattr(found.get(run_id), what, None) for run_id in self.names)
                rows.append([f"{name} ({what})", *map(_text, cells)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows] if self.names else []
        lines += [f"{wanted}: {reason}" for wanted, reason in self.missing.items()]
        return "\n".join([*lines, self.page_url])


def compare(api_url: str, wanted: object) -> Comparison:
    """Compare runs by their ids or names, of which the newest of that name is taken.

    Never raises MonitorError: what cannot be had is in ``missing``, also what is no id or name at all.
    """
    is_many = isinstance(wanted, Iterable) and not isinstance(wanted, str | bytes)
    asked = [str(each) for each in (wanted if is_many else [wanted])]  # type: ignore[attr-defined]
    connection = Connection(api_url)
    try:
        return _compare(connection, asked)
    finally:
        connection.close()


def _compare(connection: Connection, wanted: Iterable[str]) -> Comparison:
    runs: dict[str, Any] = {}
    metrics: dict[str, dict[str, MetricSummary]] = {}
    missing: dict[str, str] = {}
    for each in wanted:
        try:
            run = _find(connection, each)
            found = connection.get(f"/api/metrics/{run['iid']}")["names"]
        except MonitorError as error:
            missing[each] = str(error)
            continue
        runs[run["iid"]] = run
        for metric in found:
            metrics.setdefault(metric["name"], {})[run["iid"]] = _summarise(metric)
    return Comparison(
        names={run_id: str(run.get("name") or run_id) for run_id, run in runs.items()},
        params=_differing({run_id: dict(_flat(run["hyper_params"])) for run_id, run in runs.items()}),
        metrics=dict(sorted(metrics.items())),
        missing=missing,
        page_url=_page_url(connection, runs),
    )


def _page_url(connection: Connection, run_ids: Iterable[str]) -> str:
    """Return the address of the page that compares these runs; of the page itself where there are not two."""
    compared = "&".join(f"run={run_id}" for run_id in run_ids)
    try:
        page = str(connection.get("/api/page")["page_url"])
    except MonitorError:
        return f"{connection.api_url}/"  # a server of an earlier version, or away: it leads to the page
    return f"{page}/compare?{compared}" if "&" in compared else f"{page}/"


def _find(connection: Connection, wanted: str) -> Any:
    if _RUN_ID.fullmatch(wanted):
        try:
            return connection.get(f"/api/experiments/{wanted}")
        except ServerRefused as error:
            if error.status != _NOT_FOUND:
                raise
    found = connection.get("/api/experiments", {"name": wanted, "limit": "1"})["results"]
    if not found:
        raise ServerRefused(_NOT_FOUND, f"There is no run with the id or name {wanted!r}.")
    return connection.get(f"/api/experiments/{quote(found[0]['iid'])}")


def _summarise(metric: Mapping[str, Any]) -> MetricSummary:
    best = metric["min"] if _LOWER_IS_BETTER.search(metric["name"]) else metric["max"]
    return MetricSummary(_number(best), _number(metric["last_value"]))


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _differing(params_of: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for params in params_of.values() for name in params)
    by_name = {
        name: {run_id: params[name] for run_id, params in params_of.items() if name in params}
        for name in names
    }
    return {
        name: values
        for name, values in by_name.items()
        if len(values) < len(params_of) or len({repr(value) for value in values.values()}) > 1
    }


def _text(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
