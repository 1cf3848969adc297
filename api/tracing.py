"""The trace of a submission, which its run carries on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flask import Flask, current_app, request

from schema import Run, RunOptions
from traces import Traces

_KEY: Final = "wattle-traces"


def install(app: Flask, traces: Traces) -> None:
    """Give ``app`` its traces."""
    app.extensions[_KEY] = traces


def close(app: Flask) -> None:
    """Send what is left."""
    app.extensions[_KEY].close()


def traced_submission(submit: Callable[[str | None], Run], options: RunOptions) -> Run:
    """Submit a run within a span; ``submit`` gets what the run is to carry.

    A caller that is traced itself says so by the header traceparent.
    """
    traces: Traces = current_app.extensions[_KEY]
    span = traces.begin(
        "submit", parent=request.headers.get("traceparent"), attributes={"wattle.queue": options.queue}
    )
    try:
        run = submit(span.traceparent)
    except BaseException as error:
        span.end(error=type(error).__name__)
        raise
    span.end({"wattle.run_id": run.run_id})
    return run
