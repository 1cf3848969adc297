"""Runs that were moved to the archive, read as if they were not."""

from __future__ import annotations

from api.runs import get_known_run
from api.state import archive, db
from schema import Run


def get_whole_run(iid: str, *, has_points: bool = False) -> Run:
    """Return the run of a path, of which everything can be read now; the points of its metrics on demand.

    The parts of an archived run are brought back into Redis for some minutes, where all that reads runs finds
    them; every change of them is refused. Raises NotFound without it, ArchiveUnavailable when it is out of
    reach.
    """
    run = get_known_run(iid)
    if run.status.is_final:
        warm(run.run_id, has_points=has_points)
    return run


def warm(run_id: str, *, has_points: bool = False) -> None:
    """Bring back the parts of a run, if it is archived and they are not here; else do nothing."""
    archiving = db().archiving
    place = archiving.find_place(run_id)
    if place is not None and not archiving.is_warm(run_id, has_points=has_points):
        archiving.warm(archive().load(place, has_points=has_points), has_points=has_points)
