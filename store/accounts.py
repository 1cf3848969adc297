"""What runs add up to by day and by project, and the taking over of CO₂ figures that were computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Final

from errors import Conflict
from schema import Cost, EpochResult, ExtraCost, Recomputation, Run
from store.cold import RunHashes
from store.connection import Argument, Connection
from store.encoding import decode_epoch, decode_extra, encode_epoch, encode_extra, to_json
from store.keys import Keys

MAX_REVISIONS: Final = 50
_RECOMPUTED: Final = ("run", "epochs", "attempts", "superseded", "extras")
_SUMS: Final = (("energy_kwh", "unknown_energy_epochs"), ("co2_g", "unknown_co2_epochs"))


class Totals(dict[str, tuple[Cost, Cost]]):
    """Name → what its real and what its simulated runs used."""


class Accounts:
    """Sums over runs; ``record_epoch`` keeps them up to date."""

    def __init__(self, connection: Connection, keys: Keys, hashes: RunHashes) -> None:
        self._connection = connection
        self._keys = keys
        self._hashes = hashes

    def list_days(self, last: date, days: int) -> Totals:
        """Return the totals of ``days`` days (UTC) up to ``last``, oldest first, empty ones too."""
        names = [f"{last - timedelta(days=back)}" for back in reversed(range(days))]
        return self._read(names, [self._keys.of("total_day", name) for name in names])

    def list_projects(self) -> Totals:
        """Return the totals of every project that recorded an epoch, by name."""
        names = sorted(self._connection.call("SMEMBERS", self._keys.of("total_projects")))
        return self._read(names, [self._keys.of("total_project", name) for name in names])

    def list_superseded(self, run_id: str) -> Sequence[EpochResult]:
        """Return the epochs that a later attempt trained again; what they used is in the run's sums."""
        stored = self._connection.call("HGETALL", self._keys.of("superseded", run_id))
        return [decode_epoch(place.partition(":")[2], array) for place, array in sorted(stored.items())]

    def list_extras(self, run_id: str) -> Sequence[ExtraCost]:
        """Return what the run's attempts used besides their epochs; it is in the run's sums."""
        (stored,) = self._hashes.fetch_part([run_id], "extras")
        return [decode_extra(place, array) for place, array in sorted(stored.items())]

    def apply(self, recomputation: Recomputation, run: Run) -> None:
        """Take over the CO₂ figures of ``run``, correct indexes and totals, and note what was replaced.

        Atomic (recompute.lua). Raises Conflict when the run has not ended, or has changed since it was read.
        """
        new = recomputation
        revisions = [new.replaced, *run.co2_revisions][:MAX_REVISIONS]
        pairs: list[Argument] = []
        for result in new.epochs:
            pairs += [result.epoch, encode_epoch(result)]
        for result in new.superseded:
            pairs += [f"{result.attempt}:{result.epoch}", encode_epoch(result)]
        for cost in new.extras:
            pairs += [f"{cost.attempt}:{cost.name}", encode_extra(cost)]
        for attempt, co2_g in new.co2_g_by_attempt.items():
            pairs += [attempt, _optional(co2_g)]
        for day, (change_g, change_unknown) in new.day_changes.items():
            pairs += [day, _digits(change_g), change_unknown]
        parts = (new.epochs, new.superseded, new.extras, new.co2_g_by_attempt, new.day_changes)
        sizes = [len(part) for part in parts]
        is_taken: int = self._connection.run(
            "recompute",
            [
                self._keys.of(name, run.run_id)
                for name in ("run", "epochs", "attempts", "superseded", "extras")
            ],
            [
                *(run.run_id, new.attempt, new.recomputations, _optional(new.co2_g)),
                to_json(new.source.model_dump(mode="json")),
                to_json([revision.model_dump(mode="json") for revision in revisions]),
                *(new.project, *sizes, *pairs),
            ],
        )
        if not is_taken:
            raise Conflict(
                f"Run {run.run_id} was changed while its CO2 was computed again, so nothing was stored. "
                "Repeat the request."
            )

    def _read(self, names: Sequence[str], keys: Sequence[str]) -> Totals:
        replies = self._connection.call_many([("HGETALL", key) for key in keys])
        return Totals(
            {
                name: (read_cost(stored, ""), read_cost(stored, "simulated_"))
                for name, stored in zip(names, replies, strict=True)
            }
        )


def read_cost(stored: Mapping[str, str], prefix: str) -> Cost:
    """Read one half of a total; a sum of which no epoch is known is None, not 0."""
    sums = {name: float(stored.get(prefix + name, 0)) for name in Cost.model_fields}
    parts = sums["epochs"] + sums["extras"]
    nothing = {name: None for name, unknown in _SUMS if parts and sums[unknown] == parts}
    return Cost.model_validate(sums | nothing)


def _digits(number: float) -> str:
    return f"{number:.17g}"


def _optional(number: float | None) -> str:
    return "" if number is None else _digits(number)
