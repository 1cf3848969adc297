"""A new run made from an old one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from pydantic import JsonValue, ValidationError

from api.access.callers import own_key, own_options, token_id
from api.planning import plan_once
from api.state import db, settings
from api.tracing import traced_submission
from errors import Conflict, FieldError, InvalidInput
from scheduling.zones import name_zones
from schema import RerunRequest, Run, RunOptions
from schema.sweeps import without_trial
from trainers import validator

# Only trainers that simulate have it, and they add it themselves.
_LABEL = "simulated"


def rerun(run: Run, changes: RerunRequest, *, idempotency_key: str | None) -> Run:
    """Queue a run like ``run`` with the changes, validated as if it were submitted.

    Raises Conflict for a run that its own script reports, and InvalidInput, also when what the old run was
    made of is no longer offered.
    """
    if run.is_external:
        raise Conflict(
            f"Run {run.run_id} is reported by its own script and cannot be rerun: start that script again."
        )
    hyper_params = validator(settings())(params_of(run) | changes.hyper_params)
    options = name_zones(own_options(_changed(run.options, changes)))
    key = own_key(idempotency_key)
    submit = partial(
        db().queue.submit,
        hyper_params,
        options,
        idempotency_key=key,
        body={"rerun_of": run.run_id, **changes.model_dump(mode="json")},
        rerun_of=run.run_id,
        plan=plan_once(hyper_params, options, key),
        token_id=token_id(),
    )
    return traced_submission(lambda origin: submit(traceparent=origin), options)


def params_of(run: Run) -> dict[str, JsonValue]:
    """Return a run's hyper_params as they can be submitted again."""
    return submittable(run.hyper_params)


def submittable(hyper_params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return stored hyper_params without what a trainer adds itself and takes from nobody."""
    return {name: value for name, value in hyper_params.items() if name != _LABEL}


def _changed(options: RunOptions, changes: RerunRequest) -> RunOptions:
    try:
        kept = options.model_dump() | {"tags": without_trial(options.tags)}
        return RunOptions.model_validate(kept | changes.options)
    except ValidationError as error:
        details = [
            FieldError(f"options.{'.'.join(str(part) for part in item['loc'])}", item["msg"])
            for item in error.errors(include_url=False)
        ]
        listed = "; ".join(f"{detail.field}: {detail.message}" for detail in details[:5])
        raise InvalidInput(f"The options are not valid: {listed}", details=details) from error
