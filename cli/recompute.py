"""Compute the CO₂ of every run that is done again, with the present intensity of its own zone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from client import Client
from errors import ApiError, ApiRefused
from schema import RunReply, Status
from settings import load_settings

_RUNS_PER_PAGE = 200


def main(arguments: Sequence[str] | None = None) -> int:
    """Recompute all done runs with a line for each that changes; returns 1 when one could not be."""
    parser = argparse.ArgumentParser(
        "cli.recompute",
        description="Compute the CO2 of all done runs again, each with its own zone's figure.",
    )
    parser.parse_args(arguments)
    try:
        settings = load_settings()
        with Client(settings.api_url, token=settings.shown_token) as api:
            return recompute_all(api)
    except ApiError as error:
        sys.stderr.write(f"recompute: {error}\n")
        return 1


def recompute_all(api: Client) -> int:
    """Recompute every done run; what cannot be recomputed is said and does not stop the others.

    Raises ApiUnavailable when the API stops answering; the same call again goes on, since a run that is up to
    date is left as it is.
    """
    total = api.list_runs(status=Status.DONE, limit=1).total
    changed = refused = done = 0
    for done, run in enumerate(list_done(api), start=1):
        try:
            reply = api.recompute(run.run_id)
        except ApiRefused as error:
            refused += 1
            _say(f"{done:>6} of {total}  {run.run_id[:8]}  not recomputed: {error}")
            continue
        if reply.changed and reply.replaced is not None:
            changed += 1
            old, new = (_grams(value) for value in (reply.replaced.co2_g, reply.co2_g))
            _say(f"{done:>6} of {total}  {run.run_id[:8]}  {old} -> {new}")
    _say(f"{done} done runs: {changed} changed, {done - changed - refused} as they were, {refused} refused")
    return 1 if refused else 0


def list_done(api: Client) -> Iterator[RunReply]:
    """Yield every done run, oldest first, so that runs that end meanwhile come last."""
    cursor: str | None = None
    while True:
        page = api.list_runs(status=Status.DONE, order="asc", limit=_RUNS_PER_PAGE, cursor=cursor)
        yield from page.results
        if (cursor := page.cursor) is None:
            return


def _grams(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g} g"


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
