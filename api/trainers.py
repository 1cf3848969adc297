"""What can be trained."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from schema import TrainerReply, TrainersReply
from trainers import list_trainers as list_specs

trainers = APIBlueprint("trainers", __name__, tag="Trainers")


@trainers.get("/api/trainers")
@trainers.output(TrainersReply)
def list_trainers() -> Response:
    """Answer every trainer with the JSON schema of its hyper_params; the first is the default."""
    shown = [
        TrainerReply(
            name=spec.name,
            title=spec.title,
            summary=spec.summary,
            schema=spec.hyper_params.model_json_schema(),
        )
        for spec in list_specs()
    ]
    return reply(TrainersReply(trainers=shown))
