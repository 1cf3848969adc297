"""Quotas: their limits, and what counts towards them, which the scripts keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from errors import TooMany
from schema import Run
from schema.accounts import day_of
from schema.quotas import Hold, Owner, Quota, QuotaLimits, QuotaUse
from store.connection import Connection
from store.encoding import to_time
from store.keys import Keys

QuotaList = list[Quota]
# Runs of one owner that are looked at to say when the first of them ends.
_MOST_LOOKED_AT: Final = 200
_WORDS: Final[Mapping[str, str]] = {
    "waiting_runs": "runs that wait",
    "gpu_hours": "GPU-hours a day",
    "energy_wh": "Wh a day",
    "co2_g": "g of CO2 a day",
}


class Quotas:
    """One quota to a project or a token; submit.lua and claim.lua keep to them."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def put(self, owner: Owner, name: str, limits: QuotaLimits) -> None:
        """Replace a quota; one that limits nothing is forgotten. It holds for what is queued from now on."""
        field = f"{owner}:{name}"
        if limits.is_empty:
            self._connection.call("HDEL", self._keys.of("quota_limits"), field)
        else:
            text = limits.model_dump_json(exclude_none=True)
            self._connection.call("HSET", self._keys.of("quota_limits"), field, text)

    def get(self, owner: Owner, name: str) -> Quota:
        """Return a quota; one without limits where nobody set one."""
        text = self._connection.call("HGET", self._keys.of("quota_limits"), f"{owner}:{name}")
        return self._show(f"{owner}:{name}", text or "{}", self._today())

    def list(self) -> QuotaList:
        """Return all quotas, by owner and name."""
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("quota_limits"))
        today = self._today()
        return [self._show(field, text, today) for field, text in sorted(stored.items())]

    def find_holds(self, runs: Sequence[Run]) -> dict[str, Hold]:
        """Say which of these waiting runs a claim passes over now, and whose quota it is; frees_at is open.

        One round trip where nothing limits what runs, four at most.
        """
        stored: dict[str, str] = self._connection.call("HGETALL", self._keys.of("quota_limits"))
        most = dict(_running_limits(stored))
        owners = self._owners_of(runs, most)
        fields = sorted({field for each in owners.values() for field in each})
        if not fields:
            return {}
        counts = self._connection.call_many(
            [("SCARD", self._keys.of("quota_running", each)) for each in fields]
        )
        full = {field: count for field, count in zip(fields, counts, strict=True) if count >= most[field]}
        holds = self._describe(full, most)
        held = {
            run_id: next((holds[field] for field in each if field in holds), None)
            for run_id, each in owners.items()
        }
        return {run_id: hold for run_id, hold in held.items() if hold is not None}

    def _owners_of(self, runs: Sequence[Run], most: Mapping[str, int]) -> dict[str, Sequence[str]]:
        """Return whose limits of running runs each run counts in, the project's first."""
        tokens: dict[str, str | None] = {}
        if any(field.startswith("token:") for field in most):
            asked = [("HGET", self._keys.of("run", run.run_id), "token") for run in runs]
            tokens = dict(zip((run.run_id for run in runs), self._connection.call_many(asked), strict=True))
        possible = {
            run.run_id: (f"project:{run.options.project}", f"token:{tokens.get(run.run_id)}") for run in runs
        }
        return {run_id: [field for field in each if field in most] for run_id, each in possible.items()}

    def _describe(self, full: Mapping[str, int], most: Mapping[str, int]) -> dict[str, Hold]:
        few = [field for field, count in full.items() if 0 < count <= _MOST_LOOKED_AT]
        members = self._connection.call_many(
            [("SMEMBERS", self._keys.of("quota_running", field)) for field in few]
        )
        running = {field: tuple(sorted(ids)) for field, ids in zip(few, members, strict=True)}
        return {
            field: Hold(*_split(field), most=most[field], running=running.get(field, ())) for field in full
        }

    def _today(self) -> str:
        seconds, _ = self._connection.call("TIME")
        return day_of(to_time(seconds))

    def _show(self, field: str, text: str, today: str) -> Quota:
        owner, name = _split(field)
        waiting, running, used = self._connection.call_many(
            [
                ("SCARD", self._keys.of("quota_waiting", field)),
                ("SCARD", self._keys.of("quota_running", field)),
                ("HGETALL", self._keys.of("quota_used", field, today)),
            ]
        )
        return Quota(
            owner=owner,
            name=name,
            limits=QuotaLimits.model_validate_json(text, extra="ignore"),
            used=QuotaUse(waiting_runs=waiting, running_runs=running, **used),
        )


def _running_limits(stored: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Yield how many runs those owners may have running of whom that is limited."""
    for field, text in stored.items():
        most = QuotaLimits.model_validate_json(text, extra="ignore").running_runs
        if most is not None:
            yield field, most


def _split(field: str) -> tuple[Owner, str]:
    owner, _, name = field.partition(":")
    return ("token" if owner == "token" else "project"), name


def quota_used_up(field: str, quota: str, limit: str, used: str, *, now: datetime) -> TooMany:
    """Return the error that names a quota, what is used of it, and when it is free again."""
    owner, _, name = field.partition(":")
    whose = f"The {owner} {name}"
    state = f"{whose} may have {float(limit):g} {_WORDS[quota]} (quota {quota}) and has {float(used):g}."
    if quota == "waiting_runs":
        return TooMany(
            f"{state} One more is accepted once one of them has begun or was cancelled.", retry_after_s=30
        )
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return TooMany(
        f"{state} It begins anew at {midnight:%Y-%m-%d %H:%M} UTC; an admin can raise it.",
        retry_after_s=(midnight - now).total_seconds(),
    )
