"""Files of points that no run names, yet or any more: the database knows each of them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, func, insert, select, update

from archive.database import Database
from archive.points import PointFiles
from archive.tables import LOOSE_FILES
from errors import ArchiveUnavailable


class LooseFiles:
    """A file is loose before there is one byte of it, and until there is none any more.

    Whoever is killed in between leaves it loose, and a later ``sweep`` deletes it.
    """

    def __init__(self, database: Database, files: PointFiles) -> None:
        self._database = database
        self._files = files

    def write(self, run_id: str, points: Mapping[str, bytes], *, now_s: float) -> str:
        """Write the points of a run to a new file, and return its name."""
        name = self._files.name_for(run_id)
        with self._database.begin() as connection:
            connection.execute(insert(LOOSE_FILES), {"name": name, "since_s": now_s, "is_doomed": 0})
        self._files.write(name, points)
        return name

    def tie(self, connection: Connection, name: str) -> None:
        """Let a run name a file, in the transaction in which it does.

        Raises ArchiveUnavailable where that took so long that the file was swept away meanwhile.
        """
        wanted = (LOOSE_FILES.c.name == name, LOOSE_FILES.c.is_doomed == 0)
        if connection.execute(delete(LOOSE_FILES).where(*wanted)).rowcount != 1:
            raise ArchiveUnavailable(f"The file {name} was deleted while it was written: it took too long.")

    def loosen(self, connection: Connection, name: str, *, now_s: float) -> None:
        """Let nobody name a file any more, in the transaction in which that ends; then ``delete`` it."""
        connection.execute(insert(LOOSE_FILES), {"name": name, "since_s": now_s, "is_doomed": 1})

    def delete(self, name: str) -> None:
        """Delete a loose file."""
        self._files.delete(name)
        with self._database.begin() as connection:
            connection.execute(delete(LOOSE_FILES).where(LOOSE_FILES.c.name == name))

    def count(self) -> int:
        """Return how many files are loose; a row is written on the way, and taken back."""
        with self._database.begin() as connection:
            row = {"name": "doctor-probe", "since_s": 0.0, "is_doomed": 0}
            connection.execute(insert(LOOSE_FILES), row)
            connection.execute(delete(LOOSE_FILES).where(LOOSE_FILES.c.name == row["name"]))
            return connection.scalar(select(func.count()).select_from(LOOSE_FILES)) or 0

    def sweep(self, *, before_s: float) -> int:
        """Delete files that have been loose since before then; returns how many that were."""
        with self._database.begin(is_read=True) as connection:
            names = connection.scalars(
                select(LOOSE_FILES.c.name).where(LOOSE_FILES.c.since_s < before_s)
            ).all()
        swept = 0
        for name in names:
            # From here on no run can name it, whoever is slow.
            with self._database.begin() as connection:
                doom = update(LOOSE_FILES).where(LOOSE_FILES.c.name == name).values(is_doomed=1)
                is_loose = connection.execute(doom).rowcount == 1
            if is_loose:
                self.delete(name)
                swept += 1
        return swept
