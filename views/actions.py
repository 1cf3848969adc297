"""What a reader can ask of a run, by its status, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from schema import Action as ActionName
from schema import Priority, Run, RunReply, Status
from schema.access import Scope

AnyRun = TypeVar("AnyRun", bound=Run)


@dataclass(frozen=True)
class Action:
    """Something a reader can ask of a run."""

    name: ActionName | Literal["restore"]
    label: str
    icon: str
    doing: str
    """What the run's pill says until the API has answered."""
    done: str
    hint: str
    priority: Priority | None = None

    @property
    def scope(self) -> Scope:
        """What it takes to ask for it."""
        return Scope.ADMIN if self.name in ("delete", "restore") else Scope.SUBMIT

    @property
    def bulk_name(self) -> ActionName:
        """Its name for many runs at once, which are restored one by one alone."""
        if self.name == "restore":
            raise ValueError("restore is asked of one run at a time")
        return self.name


CANCEL: Final = Action(
    "cancel", "Cancel", ":material/cancel:", "cancelling", "cancelled",
    "Stops it for good. Its epochs are kept, and it can be retried.",
)  # fmt: skip
PAUSE: Final = Action(
    "pause", "Pause", ":material/pause_circle:", "pausing", "paused",
    "A running run saves a checkpoint first. It waits until it is resumed.",
)  # fmt: skip
RESUME: Final = Action(
    "resume", "Resume", ":material/play_circle:", "resuming", "resumed",
    "It is the next of its queue, and goes on from its checkpoint.",
)  # fmt: skip
PREEMPT: Final = Action(
    "preempt", "Give up its place", ":material/low_priority:", "preempting", "preempted",
    "It saves a checkpoint and goes back to the queue, so that its worker is free for another run.",
)  # fmt: skip
RETRY: Final = Action(
    "retry", "Retry", ":material/replay:", "retrying", "queued again",
    "The same run goes back to the queue and goes on from its checkpoint, if there is one.",
)  # fmt: skip
RERUN: Final = Action(
    "rerun", "Rerun", ":material/content_copy:", "rerunning", "queued anew",
    "Queues a new run with these values or changed ones; this one stays as it is.",
)  # fmt: skip
PRIORITISE: Final = Action(
    "priority", "High priority", ":material/keyboard_double_arrow_up:", "moving up", "moved up",
    "It goes before the normal runs of its queue.", "high",
)  # fmt: skip
UNPRIORITISE: Final = Action(
    "priority", "Normal priority", ":material/keyboard_double_arrow_down:", "moving down", "moved down",
    "It goes behind the high runs of its queue.", "normal",
)  # fmt: skip
DELETE: Final = Action(
    "delete", "Delete", ":material/delete:", "deleting", "deleted",
    "Shows first what would go.",
)  # fmt: skip
START_NOW: Final = Action(
    "resume", "Start now", ":material/play_circle:", "resuming", "resumed",
    "It does not wait for its time any longer.",
)  # fmt: skip
RUN_NOW: Final = Action(
    "resume", "Run now", ":material/bolt:", "starting", "started",
    "It does not wait for clean electricity any longer, and its plan counts no more.",
)  # fmt: skip
WITHDRAW: Final = Action(
    "resume", "Go on", ":material/play_circle:", "going on", "going on",
    "Takes back what was asked of it.",
)  # fmt: skip

RESTORE: Final = Action(
    "restore", "Restore", ":material/unarchive:", "restoring", "restored",
    "Brings it back from the archive, so that it can be changed.",
)  # fmt: skip

STAR: Final = Action(
    "star", "Star", ":material/star:", "", "starred",
    "Marks it for everybody; starred:yes finds it again.",
)  # fmt: skip
UNSTAR: Final = Action(
    "unstar", "Unstar", ":material/star_border:", "", "unstarred",
    "Takes the star away.",
)  # fmt: skip
TAG: Final = Action(
    "tag", "Tag or group", ":material/sell:", "", "tagged",
    "Adds and removes tags; a group is one of them.",
)  # fmt: skip

BULK: Final = (PAUSE, RESUME, CANCEL, RETRY, DELETE)
ARCHIVED: Final = "archived"
POSTPONING: Final = "pausing for the grid"
DOING: Final = {"cancel": CANCEL.doing, "pause": PAUSE.doing, "preempt": PREEMPT.doing}
_OFFERED: Final[dict[Status, tuple[Action, ...]]] = {
    Status.DEFERRED: (START_NOW, PAUSE, CANCEL),
    Status.WAITING: (PAUSE, CANCEL),
    Status.RUNNING: (PAUSE, PREEMPT, CANCEL),
    Status.PAUSED: (RESUME, CANCEL),
    Status.DONE: (RERUN, DELETE),
    Status.FAILED: (RETRY, RERUN, DELETE),
    Status.CANCELLED: (RETRY, RERUN, DELETE),
}
_WITH_PRIORITY: Final = (Status.DEFERRED, Status.WAITING, Status.PAUSED)


def offered(run: Run) -> tuple[Action, ...]:
    """Return what makes sense for a run as it is, the most likely wish first."""
    if is_archived(run):
        return (RESTORE,) if run.is_external else (RERUN, RESTORE)
    if run.request == "cancel":
        return ()
    if run.request is not None:
        return RUN_NOW if run.is_postponed else WITHDRAW, CANCEL
    if run.is_external:
        return (DELETE,) if run.status.is_final else (CANCEL,)
    actions = _OFFERED[run.status]
    if run.status is Status.DEFERRED and follows_grid(run):
        actions = (RUN_NOW, *actions[1:])
    if run.status not in _WITH_PRIORITY:
        return actions
    return (*actions[:-1], PRIORITISE if run.options.priority == "normal" else UNPRIORITISE, actions[-1])


def is_archived(run: Run) -> bool:
    """Tell whether a run is in the archive, where it is read-only."""
    return isinstance(run, RunReply) and run.archived


def follows_grid(run: Run) -> bool:
    """Tell whether a run's plan says when it runs: nobody has asked for it to run now."""
    return run.options.carbon is not None and not (run.carbon is not None and run.carbon.is_override)


def takers(action: Action, runs: Sequence[AnyRun]) -> list[AnyRun]:
    """Return the runs for which an action makes sense."""
    return [run for run in runs if any(other.name == action.name for other in offered(run))]


def pill_words(run: Run) -> list[str]:
    """Name the status of a run, and what it was asked for but has not done yet."""
    more = [*([doing(run)] if run.request else []), *([ARCHIVED] if is_archived(run) else [])]
    return [run.status.value, *more]


def doing(run: Run) -> str:
    """Say what a run is about to do because it was asked; "" when it was not."""
    if run.request is None:
        return ""
    return POSTPONING if run.is_postponed else DOING[run.request]
