"""Where the trace of a run comes from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Origin:
    """The span that submitted a run, and since when it waits anew; None untraced, and on its first wait."""

    traceparent: str | None
    waiting_since: datetime | None
