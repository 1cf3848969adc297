"""The plan of a run that is to be queued."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from api.state import db, planner
from schema import CarbonPlan, RunOptions


def plan_once(
    hyper_params: Mapping[str, JsonValue], options: RunOptions, idempotency_key: str | None
) -> CarbonPlan | None:
    """Plan a run that follows the grid; None where it does not, or was queued before under the key.

    A request that is repeated is answered with its run, whatever has become of its deadline since.
    Raises InvalidInput as Planner.plan_submission does.
    """
    if options.carbon is None or db().queue.is_submitted(idempotency_key):
        return None
    return planner().plan_submission(hyper_params, options)
