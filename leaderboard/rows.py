"""A ranking as the API answers it: a page of rows, the fronts, and what could be chosen."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from columns.ids import Places
from errors import FieldError, InvalidInput
from leaderboard.ranking import Ranking
from leaderboard.seeds import Group, SeedGroups
from schema.leaderboard import CostField, LeaderboardReply

MAX_POINTS: Final = 500
_LISTED: Final = 200
_COLUMNS: Final = (
    *("name", "network", "dataset", "device", "project", "tags", "accuracy", "last_loss", "energy_kwh"),
    *("energy_quality", "co2_g", "duration_s", "accuracy_per_kwh", "simulated", "is_external"),
)
Fields = dict[str, Any]
_WHOLE: Final = ("seed", "parameters", "epochs_done")


def show(ranking: Ranking, seeds: SeedGroups, *, limit: int, cursor: str | None) -> LeaderboardReply:
    """Show a page of a ranking. Raises InvalidInput on a cursor that another ranking gave out."""
    start = _start_of(ranking, cursor) if cursor else 0
    places = ranking.ranked[start : start + limit]
    is_last = start + limit >= len(ranking.ranked)
    listed: dict[str, Any] = {
        f"{name}s": _choices(ranking, name) for name in ("dataset", "network", "device", "project")
    }
    return LeaderboardReply(
        dataset=ranking.dataset,
        min_accuracy=ranking.min_accuracy,
        best_accuracy=ranking.best_accuracy,
        sort=ranking.wish.sort,
        order=ranking.wish.effective_order,
        per=ranking.wish.per,
        include_simulated=ranking.include_simulated,
        has_real=ranking.has_real,
        is_mixed=ranking.is_mixed,
        total=len(ranking.ranked),
        rows=tuple(rows_of(ranking, places, first_rank=start + 1, seeds=seeds.list_of(places))),
        fronts=tuple(_front(ranking, cost) for cost in CostField),
        cursor=None if is_last else _cursor_behind(ranking, int(places[-1])),
        **listed,
    )


def rows_of(
    ranking: Ranking, places: Places, *, first_rank: int, seeds: Sequence[Group | None]
) -> list[Fields]:
    """Return the fields of a LeaderboardRow for each of the runs, whose ranks follow each other."""
    table = ranking.table
    columns: dict[str, Sequence[Any]] = {name: table.values(name, places) for name in _COLUMNS}
    columns |= {name: [_whole(value) for value in table.values(name, places)] for name in _WHOLE}
    columns["run_id"] = table.ids(places)
    columns["ended_at"] = [_time(value) for value in table.values("ended_at_s", places)]
    columns["fronts"] = fronts_of(ranking, places)
    columns["seeds"] = seeds
    columns["rank"] = range(first_rank, first_rank + len(places))
    names = tuple(columns)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def fronts_of(ranking: Ranking, places: Places) -> list[tuple[CostField, ...]]:
    """Return the fronts each of the runs is on."""
    at = np.searchsorted(ranking.worthy, places)
    masks = {cost: ranking.front(cost)[at].tolist() for cost in CostField}
    return [
        tuple(cost for cost, is_on in zip(masks, flags, strict=True) if is_on)
        for flags in zip(*masks.values(), strict=True)
    ]


def _front(ranking: Ranking, cost: CostField) -> Fields:
    found = ranking.leading_front(cost)
    total = len(found)
    if total > MAX_POINTS:
        found = found[np.round(np.linspace(0, total - 1, MAX_POINTS)).astype(int)]
    table = ranking.table
    cells = zip(
        table.ids(found),
        *(table.values(name, found) for name in ("network", "accuracy", cost.value, "energy_quality")),
        strict=True,
    )
    names = ("run_id", "network", "accuracy", "cost", "energy_quality")
    points = [dict(zip(names, each, strict=True)) for each in cells]
    return {"cost": cost, "total": total, "points": points}


def _choices(ranking: Ranking, name: str) -> list[Fields]:
    return [{"value": value, "runs": runs} for value, runs in ranking.count(name)[:_LISTED]]


def _cursor_behind(ranking: Ranking, place: int) -> str:
    table = ranking.table
    run_id, simulated = table.ids(np.array([place]))[0], bool(table.columns["simulated"][place])
    parts = [*_name(ranking), simulated, ranking.sort_value(place), run_id]
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _start_of(ranking: Ranking, cursor: str) -> int:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        sort, order, simulated, value, run_id = json.loads(
            base64.b64decode(padded, altchars=b"-_", validate=True)
        )
        if [sort, order] != _name(ranking) or type(simulated) is not bool or type(run_id) is not str:
            raise ValueError("a cursor of another ranking")
        if value is not None and not ranking.is_sort_value(value):
            raise ValueError("nothing that runs are ranked by")
        return ranking.place_after(simulated, value, run_id)
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise InvalidInput(
            "The cursor does not belong to this ranking. Start again without one, and keep sort and order "
            "the same from page to page.",
            details=[FieldError("cursor", "does not belong to this ranking")],
        ) from error


def _name(ranking: Ranking) -> list[str]:
    return [ranking.wish.sort.value, ranking.wish.effective_order]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
