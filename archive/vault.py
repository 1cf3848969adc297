"""The archive: whole runs, written, read back, and taken out again."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import JsonValue
from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from archive.database import Database
from archive.loose_files import LooseFiles
from archive.points import PointFiles
from archive.tables import PARTS, RUNS
from errors import ArchiveUnavailable, NotFound
from schema.archive import Bundle, Fields

_POINT_BYTES: Final = 24
_DEFAULT_PROJECT: Final = "default"
# All histograms of a run are one part: a name of one may be longer than a key of MySQL.
_HISTOGRAM: Final = "histogram:"
_HISTOGRAMS: Final = "histogram"


@dataclass(frozen=True)
class Size:
    """How much is in the archive."""

    runs: int
    points: int
    bytes: int


class Archive:
    """Runs by their places. Which of them count is for the store to say: it knows those of what it moved.

    A run that was read twice, and changed in between, has two: so nobody, however late, replaces what counts.
    """

    def __init__(self, database: Database, files: PointFiles, *, layout: int) -> None:
        self._database = database
        self._files = files
        self._loose = LooseFiles(database, files)
        self._layout = layout

    @property
    def database_place(self) -> str:
        """Where the records are, without a password."""
        return self._database.place

    @property
    def files_place(self) -> str:
        """Where the points are."""
        return self._files.place

    def check_database(self) -> str:
        """Bring the tables up to date if they are not, write to them, and say which version they have."""
        return f"version {self._database.version()}, {self._loose.count()} files to be deleted"

    def check_files(self) -> str:
        """Write a small file, read it back and delete it."""
        self._files.probe()
        return "takes files"

    def write(self, bundle: Bundle, *, now_s: float) -> None:
        """Keep a run at its place. Who is killed here leaves it whole or not at all.

        Raises ArchiveUnavailable also for a run that is not as runs are.
        """
        parts = {name: _to_text(content) for name, content in _grouped(bundle.parts).items()}
        row = _to_row(bundle, parts) | {"archived_at_s": now_s, "layout": self._layout}
        file = self._loose.write(bundle.run_id, bundle.points, now_s=now_s) if bundle.points else None
        row["points_file"] = file
        with self._database.begin() as connection:
            if file is not None:
                self._loose.tie(connection, file)
            old = self._drop(connection, bundle.place, now_s=now_s)
            connection.execute(insert(RUNS), row)
            if parts:
                rows = [
                    {"place": bundle.place, "part": name, "content": text} for name, text in parts.items()
                ]
                connection.execute(insert(PARTS), rows)
        self._delete_file(old)

    def sweep(self, *, before_s: float) -> int:
        """Delete files that no run has named since before then; returns how many that were."""
        return self._loose.sweep(before_s=before_s)

    def load(self, place: str, *, has_points: bool = True) -> Bundle:
        """Return a run whole, or all but its points; of metrics whose points were deleted nothing.

        Raises NotFound where nothing is at that place.
        """
        with self._database.begin(is_read=True) as connection:
            row = connection.execute(
                select(RUNS.c.run_id, RUNS.c.record, RUNS.c.points_file).where(RUNS.c.place == place)
            ).first()
            rows = connection.execute(select(PARTS.c.part, PARTS.c.content).where(PARTS.c.place == place))
            stored = {part: json.loads(content) for part, content in rows}
        if row is None:
            raise NotFound(f"The archive has nothing at {place[:100]!r}, where a run is said to be.")
        parts = {name: content for name, content in stored.items() if name != _HISTOGRAMS}
        parts |= {f"{_HISTOGRAM}{name}": kept for name, kept in stored.get(_HISTOGRAMS, {}).items()}
        points = self._files.read(row.points_file) if row.points_file and has_points else {}
        if not row.points_file:
            parts.pop("metrics", None)
        return Bundle(row.run_id, json.loads(row.record), parts, points)

    def drop_others(self, places: Container[str], *, before_s: float) -> int:
        """Forget what was written before then and is at none of these places; returns how many that were.

        As what is in the store again, or was never taken from it. What is written anew meanwhile stays.
        """
        with self._database.begin(is_read=True) as connection:
            query = select(RUNS.c.place, RUNS.c.archived_at_s).where(RUNS.c.archived_at_s < before_s)
            old = [row for row in connection.execute(query) if row.place not in places]
        for place, archived_at_s in old:
            with self._database.begin() as connection:
                file = self._drop(connection, place, now_s=before_s, archived_at_s=archived_at_s)
            self._delete_file(file)
        return len(old)

    def find_records(self, places: Sequence[str]) -> Mapping[str, Fields]:
        """Return the records at those of the places that are there."""
        query = select(RUNS.c.place, RUNS.c.record).where(RUNS.c.place.in_(list(places)))
        with self._database.begin(is_read=True) as connection:
            return {place: json.loads(record) for place, record in connection.execute(query)}

    def find_parts(self, places: Sequence[str], part: str) -> Mapping[str, JsonValue]:
        """Return a part of the runs at those of the places that are there and have it."""
        wanted = and_(PARTS.c.place.in_(list(places)), PARTS.c.part == part)
        with self._database.begin(is_read=True) as connection:
            rows = connection.execute(select(PARTS.c.place, PARTS.c.content).where(wanted))
            return {place: json.loads(content) for place, content in rows}

    def measure(self) -> Size:
        """Return how much there is."""
        with self._database.begin(is_read=True) as connection:
            sums = (func.coalesce(func.sum(column), 0) for column in (RUNS.c.points, RUNS.c.bytes))
            runs, points, size = connection.execute(select(func.count(), *sums).select_from(RUNS)).one()
        return Size(int(runs), int(points), int(size))

    def delete_points(
        self, ended_before_s: Mapping[str, float], default_s: float | None, *, now_s: float
    ) -> int:
        """Delete the points of runs that ended before a time, by project; returns of how many runs.

        default_s: that of all other projects; None keeps theirs.
        """
        old = [
            and_(RUNS.c.project == project, RUNS.c.ended_at_s < before)
            for project, before in ended_before_s.items()
        ]
        if default_s is not None:
            old.append(and_(RUNS.c.project.not_in(list(ended_before_s)), RUNS.c.ended_at_s < default_s))
        if not old:
            return 0
        with self._database.begin(is_read=True) as connection:
            wanted = and_(RUNS.c.points_file.is_not(None), or_(*old))
            query = select(RUNS.c.place, RUNS.c.points_file, RUNS.c.points).where(wanted)
            found = connection.execute(query).all()
        for place, file, points in found:
            # First the record, then the file: whoever is killed in between leaves a loose one.
            change = {"points_file": None, "points": 0, "bytes": RUNS.c.bytes - points * _POINT_BYTES}
            with self._database.begin() as connection:
                named = update(RUNS).where(RUNS.c.place == place, RUNS.c.points_file == file)
                is_named = connection.execute(named.values(**change)).rowcount == 1
                if is_named:
                    self._loose.loosen(connection, file, now_s=now_s)
            if is_named:
                self._delete_file(file)
        return len(found)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def _delete_file(self, file: str | None) -> None:
        if file is not None:
            self._loose.delete(file)

    def _drop(
        self, connection: Connection, place: str, *, now_s: float, archived_at_s: float | None = None
    ) -> str | None:
        """Delete what is at a place, or was written there then; returns the name of its file, now loose."""
        wanted = RUNS.c.place == place
        if archived_at_s is not None:
            wanted = and_(wanted, RUNS.c.archived_at_s == archived_at_s)
        found = connection.execute(select(RUNS.c.points_file).where(wanted).with_for_update()).first()
        if found is None:
            return None
        connection.execute(delete(PARTS).where(PARTS.c.place == place))
        connection.execute(delete(RUNS).where(RUNS.c.place == place))
        file: str | None = found.points_file
        if file is not None:
            self._loose.loosen(connection, file, now_s=now_s)
        return file


def _grouped(parts: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Return the parts with all histograms as one."""
    found: dict[str, Any] = {name: kept for name, kept in parts.items() if not name.startswith(_HISTOGRAM)}
    histograms = {
        name.removeprefix(_HISTOGRAM): kept for name, kept in parts.items() if name.startswith(_HISTOGRAM)
    }
    return found | ({_HISTOGRAMS: histograms} if histograms else {})


def _to_row(bundle: Bundle, parts: Mapping[str, str]) -> dict[str, Any]:
    """Return what the table of runs says of one, but for what depends on when it is written."""
    record = _to_text(dict(bundle.record))
    points = sum(map(len, bundle.points.values()))
    try:
        return {
            "place": bundle.place,
            "run_id": bundle.run_id,
            "project": json.loads(bundle.record.get("options", "{}")).get("project", _DEFAULT_PROJECT),
            "status": bundle.record["status"],
            "time_added_s": float(bundle.record["time_added"]),
            "ended_at_s": float(bundle.record.get("ended_at", bundle.record["time_added"])),
            "record": record,
            "points": points // _POINT_BYTES,
            "bytes": len(record) + sum(map(len, parts.values())) + points,
        }
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArchiveUnavailable(
            f"Run {bundle.run_id} cannot be archived, its record is damaged: {error!r}. Delete the run."
        ) from error


def _to_text(content: object) -> str:
    # Escaped: what was no UTF-8 when it came is kept, too, and no database is asked what it thinks of a text.
    return json.dumps(content, separators=(",", ":"), ensure_ascii=True)
