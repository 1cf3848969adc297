"""What was recorded of the electricity of zones, and the forecasters that learned from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final

from errors import FieldError, InvalidInput
from schema import RecordedIntensities
from store.cache import read_bytes, write_bytes
from store.connection import Argument, Connection
from store.encoding import round_figure, to_json
from store.keys import Keys

DAY_S: Final = 86_400
# Three years: a forecaster learns a year from it, and looks back at another.
KEPT_DAYS: Final = 1_100
# A forecaster that nobody fitted again for so long is of a zone that nobody uses any more.
FORECASTER_TTL_S: Final = 90.0 * DAY_S


class Intensities:
    """One series per zone and provider, on an even grid of time from midnight (UTC) on."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def put(self, recorded: RecordedIntensities) -> None:
        """Add values to what is known of a zone; they replace those of the same time, missing ones do not.

        Atomic (put_intensities.lua). About three years are kept. Values of another basis or step than before
        replace all of them: they are never mixed. Raises InvalidInput where a day has no whole number of
        slots, or one does not start at midnight (UTC).
        """
        _check_grid(recorded)
        days = dict(_days_of(recorded))
        if not days:
            return
        oldest = max(days) - timedelta(days=KEPT_DAYS)
        pairs: list[Argument] = [cell for day, values in days.items() for cell in (f"{day}", to_json(values))]
        self._connection.run(
            "put_intensities",
            [self._keys.of("intensities", recorded.zone, recorded.provider)],
            [recorded.basis, recorded.step_s, f"{oldest}", *pairs],
        )

    def find(self, zone: str, provider: str, start: datetime, end: datetime) -> RecordedIntensities | None:
        """Return the slots that begin in [start, end), from the first to the last one known; None without."""
        first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        basis, step, *arrays = self._connection.call(
            *("HMGET", self._keys.of("intensities", zone, provider), "basis", "step_s"),
            *(f"{day}" for day in days),
        )
        if basis is None:
            return None
        step_s = int(step)
        slots = DAY_S // step_s
        midnight = datetime.combine(first, datetime.min.time(), UTC)
        # Slots may last seconds: what is not known, most of the days that are asked for, costs nothing.
        lowest = math.ceil((start - midnight).total_seconds() / step_s)
        highest = math.ceil((end - midnight).total_seconds() / step_s)
        known = {
            number * slots + place: value
            for number, array in enumerate(arrays)
            if array is not None
            for place, value in enumerate(json.loads(array))
            if value is not None and lowest <= number * slots + place < highest
        }
        if not known:
            return None
        lowest, highest = min(known), max(known)
        return RecordedIntensities(
            zone=zone,
            provider=provider,
            basis=basis,
            start=midnight + timedelta(seconds=lowest * step_s),
            step_s=step_s,
            g_per_kwh=tuple(known.get(slot) for slot in range(lowest, highest + 1)),
        )

    def save_forecaster(self, zone: str, provider: str, data: bytes) -> None:
        """Keep what a forecaster learned, in place of what is there."""
        place = self._keys.of("forecaster", zone, provider)
        write_bytes(self._connection, place, data, ttl_s=FORECASTER_TTL_S)

    def find_forecaster(self, zone: str, provider: str) -> bytes | None:
        """Return what a forecaster learned; None when none was kept."""
        return read_bytes(self._connection, self._keys.of("forecaster", zone, provider))


def _check_grid(recorded: RecordedIntensities) -> None:
    start_s = recorded.start.timestamp()
    if DAY_S % recorded.step_s == 0 and start_s % recorded.step_s == 0:
        return
    reason = "slots have to begin at midnight UTC and a whole number of them has to last a day"
    raise InvalidInput(
        f"The intensities of {recorded.zone} are not on an even grid: {reason}.",
        details=[FieldError("step_s", reason)],
    )


def _days_of(recorded: RecordedIntensities) -> Iterator[tuple[date, Sequence[float | None]]]:
    """Cut a series into whole days, with None for what is missing; days without values are left out."""
    slots = DAY_S // recorded.step_s
    before = int(recorded.start.timestamp() % DAY_S) // recorded.step_s
    padded = [*[None] * before, *(round_figure(value) for value in recorded.g_per_kwh)]
    padded += [None] * (-len(padded) % slots)
    day = recorded.start.astimezone(UTC).date()
    for number in range(len(padded) // slots):
        values = padded[number * slots : (number + 1) * slots]
        if any(value is not None for value in values):
            yield day + timedelta(days=number), values
