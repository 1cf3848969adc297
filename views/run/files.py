"""Files about a run that the page writes itself when somebody downloads them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

import pandas as pd

from client import Client
from schema import EpochsReply, LogLine


def write_log(api: Client, run_id: str) -> str:
    """Return the whole log; the store keeps about the newest 10,000 lines of it."""
    reply = api.list_log(run_id)
    lines = reply.lines
    while reply.older is not None and reply.lines:
        reply = api.list_log(run_id, before=reply.older)
        lines = [*reply.lines, *lines]
    return as_text(lines)


def as_text(lines: Iterable[LogLine]) -> str:
    """Write lines as the worker's own log file has them."""
    return "".join(f"{line.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ} {line.text}\n" for line in lines)


def write_epochs(api: Client, run_id: str) -> str:
    """Return the epochs of a run as CSV."""
    return epochs_frame(api.list_epochs(run_id)).to_csv(index=False)


def epochs_frame(epochs: EpochsReply) -> pd.DataFrame:
    """Turn epochs into one row each, in storage units, as the CSV has them."""
    return pd.DataFrame([result.model_dump(mode="json") for result in epochs.epochs])
