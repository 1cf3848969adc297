"""What can be trained."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.state import settings
from schema import TrainerReply, TrainersReply
from trainers import hyper_params_schema
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
            simulated=spec.is_simulated,
            schema=hyper_params_schema(
                spec,
                datasets_dir=settings().data_dir / "datasets",
                default_dataset=settings().default_dataset,
            ),
        )
        for spec in list_specs(scripts_dir=settings().scripts_dir)
    ]
    return reply(TrainersReply(trainers=shown))
