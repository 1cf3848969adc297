"""Whether the journal of a sweep that comes from elsewhere can be read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from errors import InvalidInput
from schema.sweeps import Sweep
from sweeps.study import UNREADABLE, Study


class _Memory:
    """A journal that is kept nowhere."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self._entries = list(entries)

    def read_journal(self, sweep_id: str, after: int) -> Iterable[dict[str, Any]]:  # noqa: ARG002 - of one alone
        """Yield the entries behind the first ``after``."""
        return self._entries[after:]

    def append_journal(
        self,
        sweep_id: str,  # noqa: ARG002 - of one alone
        after: int,  # noqa: ARG002 - nobody else writes
        entries: Sequence[dict[str, Any]],
    ) -> None:
        """Add entries, as who reads a journal without any does."""
        self._entries += entries


def check_journal(sweep: Sweep, journal: Sequence[dict[str, Any]]) -> None:
    """Raise InvalidInput for a journal of which no trials can be listed."""
    try:
        Study(_Memory(journal), sweep).list_trials()
    except UNREADABLE as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise InvalidInput(
            f"The journal of the sweep {sweep.sweep_id} in the export cannot be read ({reason}). Nothing but "
            "runs was taken in; leave out this one, and import the file again."
        ) from error
