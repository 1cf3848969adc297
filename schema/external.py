"""What people's own scripts say about their runs, and what the API answers them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue, RootModel, StringConstraints

from schema.records import DEFAULT_PROJECT, Project, Scalar, Status, Tag
from schema.values import Record

SESSION_PATTERN: Final = r"^[0-9a-z]{1,64}$"
MAX_NAME_CHARACTERS: Final = 250
MAX_TAGS: Final = 32
MAX_LINES_AT_ONCE: Final = 1_000
# The last second of the year 9999, with which every calendar ends.
MAX_TIME_S: Final = 253_402_300_799.0
# Beyond it JSON does not tell two numbers apart.
MAX_SEQUENCE: Final = 2**53

VERSION_PATTERN: Final = r"^[A-Za-z0-9_.-]{1,100}:[1-9][0-9]{0,8}$"
MAX_INPUTS: Final = 100

# A version of a model, as people write it: name:3.
VersionName = Annotated[str, StringConstraints(pattern=VERSION_PATTERN)]
Facts = dict[str, JsonValue]


def check_printable(text: str) -> str:
    """Return a text. Raises ValueError where it has characters that cannot be seen."""
    if not text.isprintable():
        raise ValueError("should hold printable characters only")
    return text


RunName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME_CHARACTERS, strip_whitespace=True),
    AfterValidator(check_printable),
]
Session = Annotated[str, StringConstraints(pattern=SESSION_PATTERN)]
Sequence = Annotated[int, Field(ge=1, le=MAX_SEQUENCE, strict=True)]
UnixTime = Annotated[float, Field(ge=0, le=MAX_TIME_S, strict=True, allow_inf_nan=False)]
Request = Literal["cancel"]


class ExperimentRequest(Record):
    """The body of POST /api/experiments: a run that its own script reports."""

    name: RunName = Field(description="1 to 250 printable characters; need not be unique")
    project: Project = Field(DEFAULT_PROJECT, description="whose totals of energy and CO₂ it counts in")
    params: Facts = Field({}, description="what is trained, as the script says it; may be nested")
    tags: tuple[Tag, ...] = Field((), max_length=MAX_TAGS, description="free labels, or key=value")
    environment: dict[str, Scalar] = Field(
        {},
        max_length=200,
        description="facts about how it is run; energy_quality, measured or estimated, is its energy's",
    )
    from_models: tuple[VersionName, ...] = Field(
        (),
        max_length=MAX_INPUTS,
        exclude_if=lambda models: not models,  # what older versions were told with this key is the same then
        description="models that it begins with, each as name:3",
    )
    resume: str | None = Field(
        None,
        max_length=64,
        description="the id of such a run, to go on with it under its own name",
    )
    session: Session | None = Field(
        None, description="whose batches will come; how the session that opened last ends is how the run does"
    )


class ParamsRequest(Record):
    """The body of POST /api/experiments/<iid>/params."""

    params: Facts = Field(description="each replaces the one of the same name")


class TagsRequest(Record):
    """The body of POST /api/experiments/<iid>/tags."""

    add: tuple[Tag, ...] = Field(
        (), max_length=MAX_TAGS, description="key=value replaces the value the key has"
    )
    remove: tuple[Tag, ...] = Field((), max_length=MAX_TAGS)


class NoteRequest(Record):
    """The body of POST /api/experiments/<iid>/notes."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class Note(Record):
    """What somebody wrote about a run."""

    note_id: str = Field(description="ordered")
    time: AwareDatetime
    text: str = Field(description="Markdown, which pages show without HTML and without pictures")
    edited_at: AwareDatetime | None = Field(None, description="when its text was last replaced")


class NotesReply(RootModel[list[Note]]):
    """The notes of a run, oldest first."""


class StatedError(Record):
    """Why a script's run failed, as it says itself."""

    kind: str = Field(min_length=1, max_length=300, description="class of the failure, such as ValueError")
    message: str = Field(max_length=100_000, description="a sentence for the user")
    traceback: str | None = Field(None, max_length=500_000)


class StatusRequest(Record):
    """The body of POST /api/experiments/<iid>/status: how the run ended."""

    status: Literal["completed", "done", "failed", "cancelled"] = Field(description="completed is done")
    reason: str | None = Field(None, max_length=1_000, description="why, for a person")
    error: StatedError | None = Field(None, description="for failed")
    session: Session | None = Field(
        None, description="who says so; where another one has opened the run since, nothing changes"
    )

    @property
    def end(self) -> Literal[Status.DONE, Status.FAILED, Status.CANCELLED]:
        """The status the run gets."""
        if self.status == "failed":
            return Status.FAILED
        return Status.CANCELLED if self.status == "cancelled" else Status.DONE


class StatedLine(Record):
    """A line of a script's log."""

    time: UnixTime = Field(description="when, in seconds since 1970, by the script's clock")
    text: str = Field(max_length=100_000, description="cut at 4,000 characters")


class LinesRequest(Record):
    """The body of POST /api/logs/<iid>: one batch of a session, whose batches are counted from 1."""

    session: Session
    seq: Sequence
    lines: Annotated[list[StatedLine], Field(max_length=MAX_LINES_AT_ONCE)]


class BatchReply(Record):
    """What became of a batch."""

    seq: int
    accepted: int = Field(ge=0, description="points or lines that were added; 0 for a batch that came before")
    request: Request | None = Field(description="what the script is asked for and has not done yet")
