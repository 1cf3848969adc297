"""A whole ranking as a file: CSV, JSON or Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from columns.ids import Places
from leaderboard.ranking import Ranking
from leaderboard.rows import Fields, rows_of
from leaderboard.seeds import SeedGroups
from schema.cells import write_lines
from schema.leaderboard import LeaderboardRow

_AT_ONCE: Final = 1_000
COLUMNS: Final = (
    *("rank", "run_id", "name", "network", "dataset", "device", "project", "tags", "seed", "accuracy"),
    *("last_loss", "energy_kwh", "energy_quality", "co2_g", "duration_s", "accuracy_per_kwh", "parameters"),
    *("epochs_done", "ended_at", "simulated", "is_external", "fronts"),
)
_LISTS: Final = ("tags", "fronts")
_WHOLE: Final = ("rank", "seed", "parameters", "epochs_done")
_FLAGS: Final = ("simulated", "is_external")
_TEXTS: Final = (
    *("run_id", "name", "network", "dataset", "device", "project", "tags", "energy_quality", "fronts"),
)


def write_csv(ranking: Ranking, seeds: SeedGroups) -> Iterator[str]:
    """Yield the lines of a CSV file, the header first. Lists have spaces between their parts."""
    yield write_lines([COLUMNS])
    for rows in _chunks(ranking, seeds):
        yield write_lines([[_plain(row, name) for name in COLUMNS] for row in rows])


def write_json(ranking: Ranking, seeds: SeedGroups) -> Iterator[str]:
    """Yield a JSON array of rows, as the API answers them."""
    yield "["
    comma = ""
    for rows in _chunks(ranking, seeds):
        yield comma + ",\n".join(LeaderboardRow.model_validate(row).model_dump_json() for row in rows)
        comma = ",\n"
    yield "]\n"


def write_parquet(ranking: Ranking, seeds: SeedGroups) -> bytes:
    """Return a Parquet file with the columns of the CSV file."""
    import pyarrow as pa
    from pyarrow import parquet

    cells: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for rows in _chunks(ranking, seeds):
        for name in COLUMNS:
            cells[name] += [row[name] if name == "ended_at" else _plain(row, name) for row in rows]
    kinds = {
        **dict.fromkeys(COLUMNS, pa.float64()),
        **dict.fromkeys(_WHOLE, pa.int64()),
        **dict.fromkeys(_FLAGS, pa.bool_()),
        **dict.fromkeys(_TEXTS, pa.string()),
        "ended_at": pa.timestamp("us", tz="UTC"),
    }
    file = io.BytesIO()
    arrays = [pa.array(cells[name], type=kinds[name]) for name in COLUMNS]
    parquet.write_table(pa.table(dict(zip(COLUMNS, arrays, strict=True))), file)
    return file.getvalue()


def _chunks(ranking: Ranking, seeds: SeedGroups) -> Iterator[Sequence[Fields]]:
    for start in range(0, len(ranking.ranked), _AT_ONCE):
        places: Places = np.asarray(ranking.ranked[start : start + _AT_ONCE])
        yield rows_of(ranking, places, first_rank=start + 1, seeds=seeds.list_of(places))


def _plain(row: Fields, name: str) -> Any:
    value = row[name]
    if name in _LISTS:
        return " ".join(value)
    return value.isoformat() if name == "ended_at" and value is not None else value
