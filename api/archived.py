"""Runs that were moved to the archive, made readable as if they were not."""

from __future__ import annotations

from api.state import archive, db


def warm(run_id: str, *, has_points: bool = False) -> None:
    """Bring back the parts of a run, if it is archived and they are not here; else do nothing.

    For some minutes they are in Redis, where all that reads runs finds them; every change of them is refused.
    Raises ArchiveUnavailable when the archive is out of reach.
    """
    archiving = db().archiving
    place = archiving.find_place(run_id)
    if place is not None and not archiving.is_warm(run_id, has_points=has_points):
        archiving.warm(archive().load(place, has_points=has_points), has_points=has_points)
