"""How a run is repeated: what to send, and what is different now."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Final

from apiflask import APIBlueprint
from flask import Response, request
from pydantic import JsonValue

from api.access.callers import bound_project
from api.body import reply
from api.rerunning import params_of
from api.runs import get_whole_run
from api.state import db, settings
from errors import InvalidInput
from schema import Run, RunOptions, Scalar
from schema.reproduce import FactChange, ReproductionReply, WorkerNow
from schema.sweeps import without_trial
from trainers import validator

reproducing = APIBlueprint("reproducing", __name__, tag="Reproduction")

PACKAGES: Final = "packages"
_CODE: Final = ("git_commit", "git_dirty", "wattle")
# Of the place itself: another name of a host says nothing, another processor does.
_COMPARED: Final = ("python", "os", "cpu", "gpu_driver", *_CODE)


@reproducing.get("/api/runs/<iid>/reproduction")
@reproducing.output(ReproductionReply)
def get_reproduction(iid: str) -> Response:
    """Answer how a run is trained again as it was, and what has changed on the live workers since."""
    return reply(reproduction_of(get_whole_run(iid)))


def reproduction_of(run: Run) -> ReproductionReply:
    """Return what to send and what has changed."""
    reason, hyper_params = _obstacle(run), params_of(run)
    options = options_of(run)
    body = {"hyper_params": hyper_params, **({"options": options} if options else {})}
    # Where the asker has reached it, the lines will reach it, too; unless browsers are to go elsewhere.
    address = (settings().live_url or request.host_url).rstrip("/")
    return ReproductionReply(
        iid=run.run_id,
        is_possible=reason is None,
        reason=reason,
        hyper_params=hyper_params,
        options=options,
        command=None if reason else command_line(body, address),
        curl=None if reason else curl_line(body, address),
        # What others have is no matter of a token of one project.
        workers=_list_workers(run.environment) if bound_project() is None else (),
        is_recorded=bool(run.environment.get(PACKAGES)),
    )


def options_of(run: Run) -> dict[str, JsonValue]:
    """Return the options of a run that are not the defaults, without times that are over."""
    options = run.options.model_copy(update={"start_at": None, "tags": without_trial(run.options.tags)})
    if options.carbon is not None:
        options = options.model_copy(update={"carbon": options.carbon.model_copy(update={"deadline": None})})
    chosen: dict[str, JsonValue] = options.model_dump(mode="json", exclude_defaults=True)
    return chosen


def command_line(body: Mapping[str, JsonValue], address: str) -> str:
    """Return a line for a POSIX shell; whatever a text holds, the shell takes it as it is."""
    return f"wattle submit --api {shlex.quote(address)} {shlex.quote(_compact(body))}"


def curl_line(body: Mapping[str, JsonValue], address: str) -> str:
    """Return a line that needs curl alone."""
    head = "-H 'Content-Type: application/json'"
    return f"curl -X POST {shlex.quote(f'{address}/train')} {head} -d {shlex.quote(_compact(body))}"


def compare_facts(then: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> list[FactChange]:
    """List what is different, the code first. What a run did not note is not compared."""
    changes = [
        FactChange(name=name, then=then[name], now=now.get(name), is_code=name in _CODE)
        for name in (*_CODE, *_COMPARED[: -len(_CODE)])
        if name in then and then[name] != now.get(name)
    ]
    if not then.get(PACKAGES):
        return changes
    before, after = _packages(then), _packages(now)
    # Whatever else happened to be imported is no difference between two places.
    return changes + [
        FactChange(name=name, then=version, now=after.get(name), is_code=False)
        for name, version in before.items()
        if version != after.get(name) and name != "wattle"
    ]


def _packages(facts: Mapping[str, Scalar]) -> dict[str, str]:
    pairs: Iterable[list[str]] = (part.split("==", 1) for part in str(facts.get(PACKAGES) or "").split(", "))
    return {pair[0]: pair[1] for pair in pairs if len(pair) > 1}


def _list_workers(then: Mapping[str, Scalar]) -> tuple[WorkerNow, ...]:
    workers = db().workers.list_live()
    known = zip(workers, db().workers.list_facts([worker.worker_id for worker in workers]), strict=True)
    return tuple(
        WorkerNow(worker_id=worker.worker_id, name=worker.name, changes=tuple(compare_facts(then, facts)))
        for worker, facts in known
        if facts
    )


def _obstacle(run: Run) -> str | None:
    """Say why a run cannot be queued again as it was; None where it can."""
    if run.is_external:
        return "Its own script reports it: start that script again with these parameters."
    try:
        validator(settings())(params_of(run))
        RunOptions.model_validate(options_of(run))
    except InvalidInput as error:
        return str(error)
    return None


def _compact(body: Mapping[str, JsonValue]) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=True)
