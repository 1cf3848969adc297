"""What plans of one moment are made from, read once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from scheduling.intensities import Intensities, Outlook
from scheduling.ports import Store
from schema import Run, Status, Worker

# The newest done runs that are looked at for how long one takes: a bounded cost.
MAX_PAST_RUNS = 300


class Scene:
    """Zones, workers and past runs as they are at one moment; each is read when it is first needed."""

    def __init__(self, store: Store, intensities: Intensities, now: datetime, *, limit_s: float) -> None:
        self.now = now
        self._limit_s = limit_s
        self.store = store
        self._intensities = intensities
        self._outlooks: dict[str, Outlook] = {}

    @cached_property
    def past(self) -> Sequence[Run]:
        """The runs that are done, newest first."""
        return self.store.runs.list(status=Status.DONE, limit=MAX_PAST_RUNS, is_external=False).runs

    @cached_property
    def workers(self) -> Sequence[Worker]:
        """The live workers."""
        return self.store.workers.list_live()

    def outlooks(self, zones: Sequence[str]) -> dict[str, Outlook]:
        """Return what is known of zones."""
        missing = [zone for zone in zones if zone not in self._outlooks]
        if missing:
            self._outlooks |= self._intensities.outlooks(missing, self.now, limit_s=self._limit_s)
        return {zone: self._outlooks[zone] for zone in zones}
