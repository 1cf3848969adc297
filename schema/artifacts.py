"""The files of a run that its script sends, as they travel."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, cast

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    FailFast,
    Field,
    StrictBool,
    StringConstraints,
    model_validator,
)
from pydantic_core import from_json

from schema.metrics import MAX_STEP
from schema.values import Finite, Record

Kind = Literal["file", "image", "graph", "checkpoint", "model"]
NAME_PATTERN: Final = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"
MAX_NAME_CHARACTERS: Final = 250
MAX_METRICS_BYTES: Final = 4_096
_MOST_FIELDS: Final = 20


def _check_segments(name: str) -> str:
    if {".", ".."} & set(name.split("/")):
        raise ValueError("should have no part that is . or ..")
    return name


def _read_metrics(value: object) -> object:
    """Take the text of a query, which is one JSON object."""
    if not isinstance(value, str):
        return value
    if len(value.encode("utf-8", "replace")) > MAX_METRICS_BYTES:
        raise ValueError(f"should have at most {MAX_METRICS_BYTES} bytes")
    return cast("object", from_json(value, allow_inf_nan=False))


ArtifactName = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN, max_length=MAX_NAME_CHARACTERS),
    AfterValidator(_check_segments),
]
ArtifactMetrics = dict[
    Annotated[str, StringConstraints(min_length=1, max_length=250)],
    Annotated[Finite, Field(strict=True)],
]
Count = Annotated[int, Field(ge=0, strict=True)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256_PATTERN)]


class ArtifactQuery(Record):
    """What is said of an artifact beside its bytes."""

    kind: Kind = Field("file", description="what it is; image, graph, checkpoint and model are checked")
    step: int | None = Field(None, ge=0, le=MAX_STEP, description="when in the training it was made")
    metrics: Annotated[ArtifactMetrics, BeforeValidator(_read_metrics)] = Field(
        default_factory=dict, description="a JSON object of numbers: what the weights achieved"
    )
    sha256: Sha256 | None = Field(None, description="of the bytes, in hexadecimal: others are refused")


class Artifact(Record):
    """One version of a file of a run. It never changes."""

    run_id: str
    name: str
    version: int = Field(ge=1, description="of this name, counted from 1; none is given twice")
    kind: Kind
    step: int | None
    metrics: dict[str, float]
    size_bytes: int = Field(ge=0)
    sha256: str
    content_type: str
    created_at: AwareDatetime
    url: str = Field(description="path of the download")


class ArtifactsReply(Record):
    """Artifacts of a run, newest first."""

    artifacts: list[Artifact]
    next_cursor: str | None = Field(description="leads to the next page; null on the last one")


class _Part(Record):
    """A part of a graph. What has far too many fields is refused for that, not for each of them."""

    @model_validator(mode="before")
    @classmethod
    def _check_fields(cls, value: object) -> object:
        if isinstance(value, dict) and len(value) > _MOST_FIELDS:
            raise ValueError(f"should have {', '.join(cls.model_fields)} and nothing else")
        return value


class GraphNode(_Part):
    """A layer of a network."""

    id: str = Field(max_length=500)
    type: str = Field(max_length=500)
    parameters: Count
    trainable: Count | StrictBool = Field(description="how many of its parameters are, or whether they are")
    output_shapes: Annotated[list[Annotated[list[Count | None], FailFast()]], FailFast()] = Field(
        description="null where a size is not fixed"
    )


class Graph(_Part):
    """The layers of a network and what leads to what: the JSON of kind graph."""

    format: Literal["wattle-graph/1"]
    framework: Literal["torch", "keras"]
    nodes: Annotated[list[GraphNode], FailFast()]
    edges: Annotated[list[tuple[str, str]], FailFast()]
    parameters: Count
    trainable: Count

    @model_validator(mode="after")
    def _check_edges(self) -> Self:
        known = {node.id for node in self.nodes}
        if len(known) != len(self.nodes):
            raise ValueError("each node should have an id of its own")
        for edge in self.edges:
            if not known.issuperset(edge):
                raise ValueError("each edge should lead from one of the nodes to another")
        return self
