"""Runs that are to go on, or to run whatever their plan says, where somebody can train them."""

from __future__ import annotations

from api.runs import get_known_run
from api.state import db, planner
from schema import Run


def resume(run_id: str) -> Run:
    """Resume a run; raises NotFound, and Conflict when its status does not allow it."""
    return db().controls.resume(run_id, moved=_find_move(run_id))


def run_now(run_id: str) -> Run:
    """Run a run now; raises as ``resume`` does."""
    return db().controls.run_now(run_id, moved=_find_move(run_id))


def _find_move(run_id: str) -> Run | None:
    return planner().move(get_known_run(run_id), db().now())
