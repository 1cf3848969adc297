"""Every Redis key, built in this one place; docs/redis-keys.md lists the same table."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from errors import FieldError, InvalidInput
from schema import DEFAULT_QUEUE, QUEUE_PATTERN

# "queue:requests:high" is the urgent list of the default queue, so no queue may be called that.
RESERVED_QUEUE: Final = "high"

TEMPLATES: Final = {
    "waiting": "queue:requests",
    "waiting_high": "queue:requests:high",
    "waiting_named": "queue:requests:<queue>",
    "waiting_named_high": "queue:requests:<queue>:high",
    "wake": "queue:wake:<queue>",
    "leases": "queue:leases",
    "holders": "queue:holders",
    "deferred": "queue:deferred",
    "paused": "queue:paused",
    "demand": "queue:demand",
    "carbon": "queue:carbon",
    "requirements": "queue:requirements",
    "queue_names": "queue:names",
    "reaping": "queue:reaping",
    "foreign": "queue:foreign",
    "rejected": "queue:rejected",
    "run": "run:<id>",
    "epochs": "run:<id>:epochs",
    "superseded": "run:<id>:superseded",
    "extras": "run:<id>:extras",
    "attempts": "run:<id>:attempts",
    "log": "run:<id>:log",
    "power": "run:<id>:power",
    "usage": "run:<id>:usage",
    "metrics": "run:<id>:metrics",
    "points": "run:<id>:points:<name>",
    "sources": "run:<id>:sources",
    "notes": "run:<id>:notes",
    "note_edits": "run:<id>:notes:edits",
    "histograms": "run:<id>:histograms",
    "histogram_bytes": "run:<id>:histograms:bytes",
    "histogram": "run:<id>:histogram:<name>",
    "artifacts": "run:<id>:artifacts",
    "artifact_order": "run:<id>:artifacts:order",
    "artifact_facts": "run:<id>:artifacts:facts",
    "unsettled_files": "artifacts:unsettled",
    "run_models": "run:<id>:models",
    "run_inputs": "run:<id>:inputs",
    "model_records": "models:records",
    "model_history": "models:history",
    "model_facts": "models:facts",
    "model_order": "models:order",
    "model_used": "models:used:<model>",
    "retention": "projects:retention",
    "views": "views:saved",
    "external": "runs:external",
    "named": "runs:named:<key>",
    "by_time": "runs:by:time_added",
    "by": "runs:by:<field>:<status>",
    "blank": "runs:blank:<status>",
    "simulated_by": "runs:simulated:by:<field>:<status>",
    "simulated_blank": "runs:simulated:blank:<status>",
    "total_day": "totals:day:<day>",
    "total_project": "totals:project:<project>",
    "total_projects": "totals:projects",
    "total_all": "totals:all",
    "counters": "counters",
    "unsettled": "carbon:unsettled",
    "saved": "carbon:saved:<project>",
    "intensities": "carbon:intensities:<zone>:<provider>",
    "forecaster": "carbon:forecaster:<zone>:<provider>",
    "answer": "carbon:answer:<key>",
    "fetching": "carbon:fetching:<key>",
    "live": "live:<view>",
    "live_updates": "live:<view>:updates",
    "live_pending": "live:<view>:pending",
    "live_mosaic": "live:<view>:mosaic",
    "live_watched": "live:watched",
    # Not below live:, which workers write: these let somebody in.
    "live_ticket": "access:tickets:<ticket>",
    "live_pass": "access:passes:<pass>",
    "alert_rules": "alerts:rules",
    "alert_progress": "alerts:progress",
    "alert_states": "alerts:states",
    "alerts_raised": "alerts:raised",
    "alert_urgent": "alerts:urgent:<channel>",
    "alert_waiting": "alerts:waiting:<channel>",
    "alert_channel": "alerts:channel:<channel>",
    "alert_deliveries": "alerts:deliveries",
    "sweep": "sweep:<sweep>",
    "sweep_journal": "sweep:<sweep>:journal",
    "sweep_order": "sweeps:order",
    "sweep_active": "sweeps:active",
    "tokens": "access:tokens",
    "tokens_used": "access:tokens:used",
    "audit": "access:audit",
    "turns": "access:turns:<who>",
    "quota_limits": "quotas:limits",
    "quota_waiting": "quotas:waiting:<owner>",
    "quota_running": "quotas:running:<owner>",
    "quota_used": "quotas:used:<owner>:<day>",
    "export": "export:<exporter>",
    "lock": "lock:<job>",
    "worker": "worker:<id>",
    "workers": "workers",
    "layout": "store:layout",
    "archived": "runs:archived",
    "archive_facts": "archive:facts",
    "warm": "run:<id>:warm",
    "idempotency": "idempotency:<key>",
    "events": "events",
}

_PLACEHOLDER = re.compile(r"<[a-z_]+>")
# How requirement_queue goes on after the name of a queue.
_REQUIREMENT = re.compile(
    r"(?=\.(gpus-|mem-|zone-))(\.gpus-\d{1,2})?(\.mem-[0-9.e-]{1,24})?(\.zone-[0-9a-z_-]{1,32})?\Z"
)
# The braces of a Redis Cluster hash tag are allowed; what Lua's string.format would read is not.
_PREFIX_PATTERN = re.compile(r"[0-9A-Za-z_{}:.-]{0,64}")


class Keys:
    """The keys of one store; ``prefix`` stands before every one of them."""

    def __init__(self, prefix: str = "") -> None:
        if not _PREFIX_PATTERN.fullmatch(prefix):
            raise InvalidInput(
                "The key prefix may hold at most 64 letters, digits and the characters _ { } : . - only."
            )
        self.formats: Final = {
            name: prefix + _PLACEHOLDER.sub("%s", template) for name, template in TEMPLATES.items()
        }

    def of(self, name: str, *parts: str) -> str:
        """Build the key called ``name`` in TEMPLATES."""
        return self.formats[name] % parts

    def waiting(self, queue: str, *, high: bool = False) -> str:
        """Build the key of a waiting list, also of runs with requirements; see ``requirement_queue``.

        Raises InvalidInput for a name no queue may have.
        """
        _check_list(queue)
        suffix = "_high" if high else ""
        if queue == DEFAULT_QUEUE:
            return self.of(f"waiting{suffix}")
        return self.of(f"waiting_named{suffix}", queue)


# Asked for every list at every claim; the names are few.
@lru_cache(maxsize=4096)
def _check_list(queue: str) -> None:
    check_queue(general_queue(queue))


def general_queue(queue: str) -> str:
    """Return the queue whose runs with requirements wait in ``queue``; itself when they need nothing."""
    return _REQUIREMENT.sub("", queue)


def check_queue(queue: str) -> None:
    """Raise InvalidInput unless ``queue`` can be the name of a queue."""
    if queue == RESERVED_QUEUE:
        reason = f'no queue may be called "{RESERVED_QUEUE}": that is the urgent list of the default queue'
    elif _REQUIREMENT.search(queue):
        reason = "a name that ends like .gpus-2 is that of runs with requirements: set options.requires"
    elif not re.fullmatch(QUEUE_PATTERN, queue):
        reason = "a queue's name has up to 64 lower-case letters, digits, dots, dashes and underscores"
    else:
        return
    raise InvalidInput(
        f"{queue[:80]!r} is not a queue: {reason}.", details=[FieldError("options.queue", reason)]
    )
