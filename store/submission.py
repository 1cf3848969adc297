"""What is stored of a submission, and how two submissions are told apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self
from uuid import uuid4

from pydantic import JsonValue

from errors import FieldError, InvalidInput
from schema import DEFAULT_QUEUE, RUN_ID_PATTERN, CarbonPlan, RunOptions, planned_queue, requirement_queue
from store.encoding import encode_requirement, to_json
from store.plans import PLANNED, encode_plan, seconds

_MAX_KEY_BYTES: Final = 200


@dataclass(frozen=True)
class Submission:
    """A run as submit.lua gets it; ``fields`` are names and values of its hash in turn."""

    run_id: str
    fields: tuple[str, ...]
    digest: str
    idempotency_hash: str | None
    due_s: float
    """Until then it is deferred."""
    planned_s: float | str
    """When it is planned again for clean electricity; empty for never."""
    log_line: str
    project: str
    token_id: str = ""
    """The API token that queues it; empty without one."""

    @classmethod
    def of(
        cls,
        hyper_params: Mapping[str, JsonValue],
        options: RunOptions,
        *,
        run_id: str | None,
        idempotency_key: str | None,
        body: JsonValue,
        rerun_of: str | None,
        plan: CarbonPlan | None = None,
        token_id: str | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """Prepare a submission. Raises InvalidInput on a value that cannot be stored.

        ``plan`` is what ``options.carbon`` leads to; without these it counts for nothing.
        """
        plan = plan if options.carbon else None
        parts = {"hyper_params": dict(hyper_params), "options": _options(options)}
        fields = {name: to_json(value) for name, value in parts.items() if name != "options" or value}
        fields |= route(options, plan) | _planning(options, plan) | _facts(hyper_params)
        if rerun_of is not None:
            fields["rerun_of"] = _checked_run_id(rerun_of)
        if traceparent is not None:
            fields["traceparent"] = traceparent
        return cls(
            run_id=_checked_run_id(run_id) if run_id else uuid4().hex,
            fields=tuple(cell for pair in fields.items() for cell in pair),
            digest=digest(json.dumps(parts if body is None else body, sort_keys=True)),
            idempotency_hash=None if idempotency_key is None else hashed_key(idempotency_key),
            due_s=max(_seconds(options.start_at), _seconds(plan.start_at if plan else None)),
            planned_s="" if options.carbon is None else _seconds(plan.next_at if plan else None),
            log_line="" if plan is None else plan.reason,
            project=options.project,
            token_id=token_id or "",
        )


def _facts(hyper_params: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return what others than its trainer look at."""
    facts = {"num_epochs": str(_num_epochs(hyper_params))}
    # A field of the trainer's own model, so that no way into the queue can leave the label out.
    if hyper_params.get("simulated") is True:
        facts["simulated"] = "1"
    if isinstance(gpus := hyper_params.get("gpus"), int) and gpus > 1:
        facts["gpus"] = str(gpus)  # for quotas
    return facts


def _options(options: RunOptions) -> dict[str, JsonValue]:
    """Leave out what was not chosen, which is what its absence means: there may be 100,000 runs."""
    return options.model_dump(mode="json", exclude_defaults=True)


def route(options: RunOptions, plan: CarbonPlan | None) -> dict[str, str]:
    """Say in which list it waits, where that is not the normal one of the default queue."""
    general = planned_queue(options, plan)
    queue = requirement_queue(general, options.requires)
    fields: dict[str, str] = {}
    if queue != DEFAULT_QUEUE:
        fields["queue"] = queue
    if options.priority == "high":
        fields["priority"] = "high"
    if options.requires and queue != general:
        fields["requirement"] = encode_requirement(general, options.requires)
    return fields


def _planning(options: RunOptions, plan: CarbonPlan | None) -> dict[str, str]:
    """Say when it is to run; without a plan it is planned once it is stored."""
    if options.carbon is None:
        return {}
    fields = {"planning": PLANNED}
    if options.start_at is not None:
        fields["not_before"] = str(seconds(options.start_at))
    if plan is not None:
        fields |= {"carbon": encode_plan(plan), "status_reason": plan.reason}
    return fields


def _seconds(moment: datetime | None) -> float:
    return seconds(moment) if moment else 0


def _num_epochs(hyper_params: Mapping[str, JsonValue]) -> int:
    value = hyper_params.get("num_epochs")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise _invalid("hyper_params.num_epochs", "has to be an integer of at least 1")


def _checked_run_id(run_id: str) -> str:
    if re.fullmatch(RUN_ID_PATTERN, run_id):
        return run_id
    raise _invalid(
        "iid", "has up to 64 letters, digits, dashes and underscores, and starts with none of the last"
    )


def hashed_key(idempotency_key: str) -> str:
    """Return what an idempotency key is stored under. Raises InvalidInput when it is empty or too long."""
    key = idempotency_key.encode("utf-8", "surrogatepass")
    if 1 <= len(key) <= _MAX_KEY_BYTES:
        return hashlib.sha256(key).hexdigest()
    raise _invalid("Idempotency-Key", f"has 1 to {_MAX_KEY_BYTES} bytes")


def digest(text: str) -> str:
    """Return what tells two requests apart, of what they say."""
    return hashlib.sha256(text.encode()).hexdigest()


def _invalid(field: str, reason: str) -> InvalidInput:
    return InvalidInput(f"{field} {reason}.", details=[FieldError(field, reason)])
