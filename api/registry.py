"""Models in versions with a stage, and what came of what."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Self

from apiflask import APIBlueprint
from apiflask.schemas import FileSchema
from flask import Response
from pydantic import Field, model_validator

from api.archived import warm
from api.artifacts.routes import send_artifact
from api.body import reply
from api.models import find_saved, list_saved, send_saved
from api.runs import check_run_id, get_known_run, get_whole_run
from api.state import db
from errors import InvalidInput, NotFound
from redis_db import NewModel
from schema import (
    Artifact,
    LineageReply,
    ModelArtifact,
    ModelVersion,
    ModelVersionsReply,
    Record,
    Run,
    RunModelsReply,
    Stage,
)
from schema.registry import MAX_VERSION, MODEL_PATTERN, InputsRequest, ModelRequest, StageRequest

registry = APIBlueprint("registry", __name__, tag="Model registry")

_LISTED = 500


class VersionsQuery(Record):
    """Which versions of which models."""

    name: str | None = Field(None, max_length=100, description="of the model")
    version: int | None = Field(None, ge=1, le=MAX_VERSION, description="with name: this one only")
    stage: Stage | None = None
    project: str | None = Field(None, max_length=64, description="of the runs that made them")
    limit: int = Field(_LISTED, ge=1, le=_LISTED, description="most of them")
    cursor: str | None = Field(None, max_length=160, description="next_cursor of the page before")

    @model_validator(mode="after")
    def _check_version(self) -> Self:
        if self.version is not None and self.name is None:
            raise ValueError("version goes with name")
        return self


@registry.post("/api/models")
@registry.input(ModelRequest, arg_name="body")
@registry.output(ModelVersion, status_code=201)
def register_model(body: ModelRequest) -> Response:
    """Register weights of a run as the next version of a model, as a candidate.

    201 with the version; 200 with the one there is where the same weights have that name already. 422 for an
    artifact that is no checkpoint or model.
    """
    run = get_whole_run(body.run_id)
    artifact, metrics = _find_weights(run, body)
    new = NewModel(run.run_id, run.options.project, artifact, metrics)
    version, is_new = db().models.record(body.name, new)
    return reply(version, HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@registry.get("/api/models")
@registry.input(VersionsQuery, location="query", arg_name="query")
@registry.output(ModelVersionsReply)
def list_versions(query: VersionsQuery) -> Response:
    """Answer versions of models, newest first."""
    found = db().models.list(
        name=query.name,
        version=query.version,
        stage=query.stage,
        project=query.project,
        limit=query.limit,
        cursor=query.cursor,
    )
    next_version = None if query.name is None else db().models.next_version(query.name)
    return reply(
        ModelVersionsReply(
            models=list(found.versions), next_cursor=found.next_cursor, next_version=next_version
        )
    )


@registry.get("/api/models/<iid>")
@registry.output(RunModelsReply)
def list_run_models(iid: str) -> Response:
    """Answer the weights of a run, and what was registered of them."""
    run = get_whole_run(iid)
    checkpoints = db().artifacts.list(run.run_id, kinds=("checkpoint",), limit=_LISTED).artifacts
    sent = db().artifacts.list(run.run_id, kinds=("model",), limit=_LISTED).artifacts
    return reply(
        RunModelsReply(
            checkpoints=list(checkpoints),
            models=[*list_saved(run), *sent],
            versions=list(db().models.list_of_run(run.run_id)),
        )
    )


@registry.post("/api/models/<name>/<int:version>/stage")
@registry.input(StageRequest, arg_name="body")
@registry.output(ModelVersion)
def set_stage(name: str, version: int, body: StageRequest) -> Response:
    """Give a version a stage; of a name one is in production, the former one is archived."""
    return reply(db().models.set_stage(*_check_version(name, version), body.stage, body.note))


@registry.get("/api/models/<name>/<int:version>/file")
@registry.output(FileSchema(type="string", format="binary"), content_type="application/octet-stream")
def download_version(name: str, version: int) -> Response:
    """Answer the weights of a version as an attachment, or the part of them that a Range asks for."""
    found = db().models.get(*_check_version(name, version))
    if found.artifact.version is None:
        return send_saved(get_known_run(found.run_id), found.artifact.name)
    warm(found.run_id)
    kept = db().artifacts.get(found.run_id, found.artifact.name, found.artifact.version)
    return send_artifact(kept.artifact, kept.file)


@registry.delete("/api/models/<name>/<int:version>")
@registry.output({}, status_code=204)
def delete_version(name: str, version: int) -> tuple[str, HTTPStatus]:
    """Forget a version that is not in production; its weights stay with their run."""
    db().models.delete(*_check_version(name, version))
    return "", HTTPStatus.NO_CONTENT


@registry.post("/api/experiments/<iid>/inputs")
@registry.input(InputsRequest, arg_name="body")
@registry.output(LineageReply)
def use_models(iid: str, body: InputsRequest) -> Response:
    """Note that a run began with models, and answer its lineage. 409 when it would have more than 100."""
    run_id = check_run_id(iid)
    db().models.use(run_id, list(dict.fromkeys(body.models)))
    return reply(db().models.trace(run_id))


@registry.get("/api/experiments/<iid>/lineage")
@registry.output(LineageReply)
def get_lineage(iid: str) -> Response:
    """Answer the models and runs that a run came of, and those that came of it."""
    return reply(db().models.trace(get_known_run(iid).run_id))


def _find_weights(run: Run, body: ModelRequest) -> tuple[ModelArtifact, dict[str, float]]:
    """Return the weights that a request means; an artifact that is called best or last comes first."""
    try:
        artifact = db().artifacts.get(run.run_id, body.artifact, body.version).artifact
    except NotFound:
        saved = None if body.version is not None else find_saved(run, body.artifact)
        if saved is None:
            raise
        size = ModelArtifact(name=saved.name, version=None, size_bytes=saved.size_bytes, sha256=saved.sha256)
        return size, saved.metrics
    _check_kind(artifact)
    facts = artifact.model_dump(include=set(ModelArtifact.model_fields))
    return ModelArtifact.model_validate(facts), artifact.metrics


def _check_kind(artifact: Artifact) -> None:
    if artifact.kind not in ("checkpoint", "model"):
        raise InvalidInput(
            f"{artifact.name} version {artifact.version} is of kind {artifact.kind}. A model is made of "
            "an artifact of kind checkpoint or model."
        )


def _check_version(name: str, version: int) -> tuple[str, int]:
    """Return a version of a path. Raises NotFound for what none can be called."""
    if not re.fullmatch(MODEL_PATTERN, name) or not 1 <= version <= MAX_VERSION:
        raise NotFound(
            f"There is no model {name[:100]!r} {version!r:.20}. GET /api/models lists those there are."
        )
    return name, version
