"""Models under a name, in versions with a stage, and what came of what."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from schema.artifacts import Artifact, ArtifactName
from schema.external import MAX_INPUTS, VersionName
from schema.values import Record

MODEL_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,100}$"
MAX_VERSION: Final = 10**9 - 1

Stage = Literal["candidate", "production", "archived"]
RegisteredName = Annotated[str, StringConstraints(pattern=MODEL_PATTERN)]


class ModelRequest(Record):
    """The body of POST /api/models."""

    name: RegisteredName
    run_id: str = Field(max_length=64, description="the run that made it")
    artifact: ArtifactName = Field(
        description="of kind checkpoint or model; or best or last, a saved model of a run of the queue"
    )
    version: int | None = Field(None, ge=1, le=MAX_VERSION, description="of the artifact; else its newest")


class StageRequest(Record):
    """The body of POST /api/models/<name>/<version>/stage."""

    stage: Stage
    note: str | None = Field(None, max_length=1_000, description="why")


class InputsRequest(Record):
    """The body of POST /api/experiments/<iid>/inputs."""

    models: Annotated[list[VersionName], Field(min_length=1, max_length=MAX_INPUTS)] = Field(
        description="models that the run began with, each as name:3"
    )


class ModelArtifact(Record):
    """The file of a model."""

    name: str
    version: int | None = Field(description="null of a saved model of a run of the queue")
    size_bytes: int
    sha256: str


class StageChange(Record):
    """When a model got a stage."""

    stage: Stage
    time: AwareDatetime
    note: str | None = None


class ModelVersion(Record):
    """A version of a model; only its stage changes."""

    name: str
    version: int = Field(ge=1)
    run_id: str
    project: str = Field(description="of that run")
    artifact: ModelArtifact
    metrics: dict[str, float]
    stage: Stage
    history: list[StageChange] = Field(description="oldest first")
    used_by: list[str] = Field(description="runs that began with it, at most 1,000")
    created_at: AwareDatetime


class ModelVersionsReply(Record):
    """Versions of models, newest first."""

    models: list[ModelVersion]
    next_cursor: str | None = Field(None, description="leads to the next page; null on the last one")
    next_version: int | None = Field(
        None, ge=1, description="with name: what its next version will be; no number is given twice"
    )


class SavedModel(Record):
    """A saved model of a run of the queue, as an artifact would be shown."""

    run_id: str
    name: str
    version: None = None
    kind: Literal["model"] = "model"
    step: int | None = Field(description="its epoch")
    metrics: dict[str, float]
    size_bytes: int
    sha256: str
    content_type: Literal["application/octet-stream"] = "application/octet-stream"
    created_at: AwareDatetime
    url: str


class RunModelsReply(Record):
    """The weights of a run, and what was registered of them."""

    checkpoints: list[Artifact] = Field(description="newest first, at most 500")
    models: list[SavedModel | Artifact] = Field(description="likewise; those of a run of the queue first")
    versions: list[ModelVersion]


class LineageNode(Record):
    """A run or a version of a model."""

    id: str
    kind: Literal["run", "model"]
    label: str
    state: str = Field(description="status of a run, stage of a model; or deleted")


class LineageReply(Record):
    """What a run came of and what came of it: edges lead from what was there before."""

    nodes: list[LineageNode] = Field(description="at most 100; the run itself first")
    edges: list[tuple[str, str]]
