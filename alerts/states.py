"""How a condition that lasts stands for one run, worker or sum: pure, and the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass

from schema import RuleState


@dataclass(frozen=True)
class Holding:
    """What a round saw of a condition. since_s: since when it is known to hold, where that is before now.

    mark: another one than before means that it held for something else: it begins anew.
    """

    is_true: bool
    mark: str = ""
    since_s: float | None = None


def advance(
    state: RuleState | None, seen: Holding, now_s: float, *, for_s: float, again_after_s: float
) -> tuple[RuleState | None, bool]:
    """Return how it stands now, None for nothing to remember, and whether an alert is raised.

    It is raised once it has held for ``for_s``, then not before it has ended and begun anew, and never within
    ``again_after_s`` of the last time.
    """
    old = state or RuleState()
    if not seen.is_true:
        is_recent = old.raised_at is not None and now_s - old.raised_at < again_after_s
        return (RuleState(raised_at=old.raised_at) if is_recent else None), False
    is_same = old.since is not None and old.mark == seen.mark
    began_s = now_s if seen.since_s is None else min(seen.since_s, now_s)
    since_s = old.since if is_same and old.since is not None else began_s
    was_raised = is_same and old.is_raised
    is_due = now_s - since_s >= for_s
    is_over = old.raised_at is None or now_s - old.raised_at >= again_after_s
    is_raised = not was_raised and is_due and is_over
    new = RuleState(
        since=since_s,
        mark=seen.mark,
        is_raised=was_raised or is_raised,
        raised_at=now_s if is_raised else old.raised_at,
    )
    return new, is_raised
