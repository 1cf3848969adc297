"""Sweeps: start, look at, pause, resume, stop and forget them."""

from __future__ import annotations

import re
from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from api.accounts import past_of
from api.body import reply
from api.predicting_sweeps import predict_sweep
from api.runs import TrainHeaders
from api.state import db, settings, sweep_views
from errors import NotFound
from scheduling.zones import name_zones
from schema import NoBody, Prediction, Record
from schema.sweeps import (
    SWEEP_ID_PATTERN,
    Sweep,
    SweepFigures,
    SweepRequest,
    SweepsReply,
    SweepState,
    TrialsReply,
)
from sweeps import complete_request
from trainers import validator

sweeps = APIBlueprint("sweeps", __name__, tag="Sweeps")


class SweepsQuery(Record):
    """How many sweeps."""

    limit: int = Field(100, ge=1, le=1000, description="the newest ones")


def _checked(sweep_id: str) -> str:
    if not re.fullmatch(SWEEP_ID_PATTERN, sweep_id):
        raise NotFound(f"There is no sweep {sweep_id[:64]!r}. GET /api/sweeps lists those that exist.")
    return sweep_id


@sweeps.post("/api/sweeps")
@sweeps.input(TrainHeaders, location="headers", arg_name="headers")
@sweeps.input(SweepRequest, arg_name="body")
@sweeps.output(Sweep, status_code=201)
def start_sweep(body: SweepRequest, headers: TrainHeaders) -> Response:
    """Start a sweep: its trials are runs of the queue, chosen one after the other.

    Each end of each range, and each choice, has to be one that the trainer takes. A repeated Idempotency-Key
    with the same body answers with the same sweep. 409 where there are 1,000 sweeps.
    """
    request = complete_request(body, validator(settings()))
    request = request.model_copy(update={"options": name_zones(request.options)})
    return reply(db().sweeps.create(request, idempotency_key=headers.idempotency_key), HTTPStatus.CREATED)


@sweeps.post("/api/sweeps/predict")
@sweeps.input(SweepRequest, arg_name="body")
@sweeps.output(Prediction)
def predict_a_sweep(body: SweepRequest) -> Response:
    """Predict energy, CO₂ and training time of all trials together, before the sweep is started.

    Takes what POST /api/sweeps takes. A figure is null as soon as nothing is known of one configuration that
    was drawn; ``basis`` then names it. Nothing is stored.
    """
    request = complete_request(body, validator(settings()))
    return reply(predict_sweep(request, past_of(request.options.queue)))


@sweeps.get("/api/sweeps")
@sweeps.input(SweepsQuery, location="query", arg_name="query")
@sweeps.output(SweepsReply)
def list_sweeps(query: SweepsQuery) -> Response:
    """Answer the sweeps, newest first, each with what it has achieved and used."""
    return reply(SweepsReply(sweeps=tuple(db().sweeps.list(query.limit))))


@sweeps.get("/api/sweeps/<sweep_id>")
@sweeps.output(Sweep)
def get_sweep(sweep_id: str) -> Response:
    """Answer one sweep."""
    return reply(db().sweeps.get(_checked(sweep_id)))


@sweeps.get("/api/sweeps/<sweep_id>/trials")
@sweeps.output(TrialsReply)
def list_trials(sweep_id: str) -> Response:
    """Answer the trials of a sweep by number, those under way with what they used so far."""
    return reply(TrialsReply(trials=tuple(sweep_views().list_trials(_checked(sweep_id)))))


@sweeps.get("/api/sweeps/<sweep_id>/figures")
@sweeps.output(SweepFigures)
def get_figures(sweep_id: str) -> Response:
    """Answer Optuna's own figures of a sweep: its history, the importances and the Pareto front."""
    return reply(sweep_views().draw(_checked(sweep_id)))


@sweeps.post("/api/sweeps/<sweep_id>/pause")
@sweeps.input(NoBody, arg_name="_body")
@sweeps.output(Sweep)
def pause_sweep(sweep_id: str, _body: NoBody) -> Response:
    """Begin no more trials until it is resumed; those that train go on. 409 for one that has ended."""
    return reply(db().sweeps.steer(_checked(sweep_id), SweepState.PAUSED))


@sweeps.post("/api/sweeps/<sweep_id>/resume")
@sweeps.input(NoBody, arg_name="_body")
@sweeps.output(Sweep)
def resume_sweep(sweep_id: str, _body: NoBody) -> Response:
    """Let a paused sweep go on. 409 for one that has ended."""
    return reply(db().sweeps.steer(_checked(sweep_id), SweepState.RUNNING))


@sweeps.post("/api/sweeps/<sweep_id>/stop")
@sweeps.input(NoBody, arg_name="_body")
@sweeps.output(Sweep)
def stop_sweep(sweep_id: str, _body: NoBody) -> Response:
    """End a sweep: its trials are cancelled, what they used stays counted. 409 for one that has ended."""
    return reply(db().sweeps.steer(_checked(sweep_id), SweepState.STOPPING))


@sweeps.delete("/api/sweeps/<sweep_id>")
@sweeps.output(Sweep)
def delete_sweep(sweep_id: str) -> Response:
    """Forget a sweep that has ended, and answer what it was; its runs stay. 409 while it has not ended."""
    return reply(db().sweeps.delete(_checked(sweep_id)))
