"""The artifacts of runs: files that scripts send, in versions that never change."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from apiflask import APIBlueprint
from apiflask.schemas import FileSchema
from flask import Response, request
from pydantic import Field, TypeAdapter, ValidationError
from werkzeug.wsgi import FileWrapper

from api.archived import warm
from api.artifacts.checks import Check, check_of, type_of_image
from api.artifacts.downloads import open_download
from api.artifacts.uploads import check_stated_size, read_pieces, upload_slot
from api.body import reply
from api.runs import check_run_id, get_known_run, get_whole_run
from api.state import db, settings
from errors import FieldError, InvalidInput, NotFound, PlaceUnavailable, StoreUnavailable
from redis_db import NewFile, Recorded
from schema import Artifact, ArtifactQuery, ArtifactsReply, Kind, Record
from schema.artifacts import ArtifactName
from trainers.artifact_files import ArtifactFiles, new_file

artifacts = APIBlueprint("artifacts", __name__, tag="Artifacts")

FILE_POLICY: Final = "sandbox; default-src 'none'"
_WEIGHTS: Final = ("checkpoint", "model")
_SENT_AT_ONCE: Final = 1 << 18
_NAME: Final[TypeAdapter[str]] = TypeAdapter(ArtifactName)
_MIB: Final = 1 << 20


class ListQuery(Record):
    """Which artifacts to list."""

    kind: Kind | None = None
    name: str | None = Field(None, max_length=250, description="all versions of this one")
    limit: int = Field(100, ge=1, le=500, description="most of them")
    cursor: str | None = Field(None, max_length=32, description="next_cursor of the page before")


class VersionQuery(Record):
    """Which version of an artifact."""

    version: int | None = Field(None, ge=1, le=10**9, description="without it, the newest one")


class OneVersionQuery(Record):
    """Which version of an artifact, for certain."""

    version: int = Field(ge=1, le=10**9)


@artifacts.post("/api/artifacts/<iid>/<path:name>", merge_slashes=False)
@artifacts.input(ArtifactQuery, location="query", arg_name="query")
@artifacts.output(Artifact, status_code=201)
def store_artifact(iid: str, name: str, query: ArtifactQuery) -> Response:
    """Keep the body, a file, as the next version of an artifact of any run.

    201 with the version; 200 with the one there is where the same bytes came before as the same kind, of the
    same step: where its file is gone from its place, it is there again. The Content-Type is any but the three
    that an HTML form can send. 413 names the setting that it would pass, 422 says what is wrong with it;
    nothing is kept then. 503 with Retry-After when the place of artifacts cannot take it now.
    """
    run_id, name = check_run_id(iid), _check_name(name)
    found = settings()
    file = new_file(run_id, name, is_checkpoint=query.kind == "checkpoint")
    with upload_slot():
        stated = check_stated_size(found.max_artifact_mib * _MIB, "WATTLE_MAX_ARTIFACT_MIB")
        db().artifacts.begin(run_id, file, stated, most_bytes=_most_of_run())
        recorded = _keep(run_id, name, file, query)
    return reply(recorded.artifact, HTTPStatus.CREATED if recorded.is_new else HTTPStatus.OK)


@artifacts.get("/api/artifacts/<iid>")
@artifacts.input(ListQuery, location="query", arg_name="query")
@artifacts.output(ArtifactsReply)
def list_artifacts(iid: str, query: ListQuery) -> Response:
    """Answer the artifacts of a run, newest first."""
    run = get_whole_run(iid)
    kinds = () if query.kind is None else (query.kind,)
    page = db().artifacts.list(
        run.run_id, kinds=kinds, name=query.name, limit=query.limit, cursor=query.cursor
    )
    return reply(ArtifactsReply(artifacts=list(page.artifacts), next_cursor=page.next_cursor))


@artifacts.get("/api/artifacts/<iid>/<path:name>", merge_slashes=False)
@artifacts.input(VersionQuery, location="query", arg_name="query")
@artifacts.output(FileSchema(type="string", format="binary"), content_type="application/octet-stream")
def download_artifact(iid: str, name: str, query: VersionQuery) -> Response:
    """Answer the bytes of an artifact as an attachment, or the part of them that a Range asks for."""
    run_id, name = check_run_id(iid), _check_name(name)
    warm(run_id)
    kept = db().artifacts.get(run_id, name, query.version)
    return send_artifact(kept.artifact, kept.file)


@artifacts.delete("/api/artifacts/<iid>/<path:name>", merge_slashes=False)
@artifacts.input(OneVersionQuery, location="query", arg_name="query")
@artifacts.output({}, status_code=204)
def delete_artifact(iid: str, name: str, query: OneVersionQuery) -> tuple[str, HTTPStatus]:
    """Delete a version of an artifact for good; its number is not given again.

    409 while a version of a model needs it.
    """
    run_id, name = check_run_id(iid), _check_name(name)
    warm(run_id)
    _drop(db().artifacts.delete(run_id, name, query.version))
    return "", HTTPStatus.NO_CONTENT


def send_artifact(artifact: Artifact, file: str) -> Response:
    """Answer a file that strangers made, so that no browser takes it for a page of ours."""
    try:
        stream = open_download(lambda: open_files().open(file))
    except FileNotFoundError as error:
        raise NotFound(
            f"The file of {artifact.name} version {artifact.version} is gone from its place. Nobody but its "
            "owner can have deleted it there."
        ) from error
    except OSError as error:
        raise _place_failed(error) from error
    response = Response(
        FileWrapper(stream, _SENT_AT_ONCE), mimetype=artifact.content_type, direct_passthrough=True
    )
    response.call_on_close(stream.close)
    response.content_length = artifact.size_bytes
    response.headers["Content-Disposition"] = f'attachment; filename="{artifact.name.rpartition("/")[2]}"'
    response.headers["Content-Security-Policy"] = FILE_POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.set_etag(artifact.sha256)
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=artifact.size_bytes)
    except BaseException:
        stream.close()
        raise
    return response


def open_files() -> ArtifactFiles:
    """Return the files of artifacts."""
    return ArtifactFiles(settings().effective_artifact_url)


def _keep(run_id: str, name: str, file: str, query: ArtifactQuery) -> Recorded:
    """Write the body of the request and give it its record; a file that gets none is deleted."""
    is_kept = False
    try:
        new = _write(run_id, file, query, check_of(query))
        recorded = db().artifacts.record(run_id, name, query, new, most_bytes=_most_of_run())
        is_kept = recorded.is_new or _replace_gone(recorded, file)
    except StoreUnavailable:
        is_kept = True  # its record may have been made: who finds that there is none deletes the file later
        raise
    finally:
        if not is_kept:
            _drop(file)
    return recorded


def _replace_gone(recorded: Recorded, file: str) -> bool:
    """Take a file for one that was kept before where that one is gone from its place, or not whole."""
    artifact, gone = recorded.artifact, recorded.file
    try:
        if open_files().has(gone, artifact.size_bytes):
            return False
    except OSError as error:
        raise _place_failed(error) from error
    is_taken = db().artifacts.replace_file(artifact, gone, file)
    if is_taken:
        _drop(gone)
    return is_taken


def _most_of_run() -> int:
    return settings().max_run_artifacts_mib * _MIB


def _write(run_id: str, file: str, query: ArtifactQuery, check: Check) -> NewFile:
    """Write the body of the request to its file."""
    content_type = request.mimetype

    def look(stream: Any, written: Any) -> None:
        nonlocal content_type
        check(stream, written)
        if query.kind == "image":
            stream.seek(0)
            content_type = type_of_image(stream.read(4))
        elif query.kind == "graph":
            content_type = "application/json"

    pieces = read_pieces(settings().max_artifact_mib * _MIB, "WATTLE_MAX_ARTIFACT_MIB")
    try:
        written = open_files().write(file, pieces, look)
    except OSError as error:
        get_known_run(run_id)  # whose deletion takes the folder away while it is written to
        raise _place_failed(error) from error
    return NewFile(file, written.size_bytes, written.sha256, content_type)


def _drop(file: str) -> None:
    """Delete a file that has no record; where that fails, it is tried again by the housekeeping."""
    try:
        open_files().delete(file)
    except OSError:
        return
    db().artifacts.settle(file)


def _place_failed(error: OSError) -> PlaceUnavailable:
    reason = error.strerror or str(error)
    return PlaceUnavailable(
        f"The place of artifacts cannot be used now ({reason[:200]}). Make room there, or correct "
        "WATTLE_ARTIFACT_URL, and send it again."
    )


def _check_name(name: str) -> str:
    try:
        return _NAME.validate_python(name)
    except ValidationError as error:
        reason = (
            "has parts of A-Z a-z 0-9 _ . and -, joined by /, none of them . or .., 250 characters in all"
        )
        raise InvalidInput(
            f"{name[:80]!r} is no name of an artifact: it {reason}.", details=[FieldError("name", reason)]
        ) from error
