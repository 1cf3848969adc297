"""``wattle up`` and ``wattle worker``: start Wattle's own programs."""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import partial

import typer

from errors import NotFound

app = typer.Typer()


@app.command("up")
def start_everything() -> None:
    """Start Redis, the API, a worker and the page on this machine; Ctrl-C stops everything."""
    try:
        # Here, because all other commands do without what it needs.
        from cli import demo
        from cli.foreground import run_in_foreground
    except ImportError as error:
        raise NotFound(
            f"{error.name} is not installed, which starts the programs: pip install 'wattle[demo]'."
        ) from error
    raise typer.Exit(run_in_foreground(partial(demo.main, ["--no-runs"])))


@app.command(
    "worker",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def start_worker(context: typer.Context) -> None:
    """Start a worker; its arguments are those of worker.py (docs/worker.md, wattle worker --help)."""
    # As a program of its own: a training child imports the main module again, which has to be the worker's.
    found = importlib.util.find_spec("worker")
    if found is None or found.origin is None:
        raise NotFound(
            "worker.py is not installed here: pip install 'wattle[worker]', or run it in its folder."
        )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, found.origin, *context.args])  # noqa: S606 - no shell is wanted
