"""The deletion of a run: its records first, then its files."""

from __future__ import annotations

import logging
from typing import Final

from api.file_work import wait_for
from api.state import db, settings
from errors import NotFound
from schema import Deletion, DeletionReply
from trainers.run_files import FileSizes, RunFiles

log = logging.getLogger(__name__)

# A caller waits 5 s for an answer, and Redis is asked, too.
FILES_LIMIT_S: Final = 2.0


def preview(run_id: str) -> DeletionReply:
    """Say what deleting a run would remove.

    Raises Conflict for a run that has not ended, NotFound when nothing is left of it.
    """
    files = _files()
    sizes = wait_for(
        ("measure", run_id, *files.urls),
        lambda: files.measure(run_id),
        limit_s=FILES_LIMIT_S,
        late=f"its models, checkpoints, artifacts: their place has not answered within {FILES_LIMIT_S:.0f} s",
    )
    try:
        deletion = db().controls.preview_deletion(run_id)
    except NotFound:
        if sizes.are_none:
            raise
        return _show(run_id, None, sizes)
    return _show(run_id, deletion, sizes)


def delete_run_and_files(run_id: str, *, limit_s: float = FILES_LIMIT_S) -> DeletionReply:
    """Delete a run that has ended. Raises Conflict for another, NotFound when nothing is left of it.

    Files that are not gone within ``limit_s`` are told as left; their deletion goes on.

    The records go first: from then on nobody can retry the run, which would need its checkpoint. When the
    deletion is cut off there, repeating it deletes the files.
    """
    try:
        deletion = db().controls.delete(run_id)
    except NotFound:
        if db().archiving.find_place(run_id) is not None:
            raise  # its files are those of an archived run
        sizes = _delete_files(run_id, limit_s)
        if sizes.are_none and sizes.problem is None:
            raise
        return _show(run_id, None, sizes)
    return _show(run_id, deletion, _delete_files(run_id, limit_s))


def _delete_files(run_id: str, limit_s: float) -> FileSizes:
    files = _files()
    return wait_for(
        ("delete", run_id, *files.urls),
        lambda: _delete_and_log(files, run_id),
        limit_s=limit_s,
        late="its models, checkpoints and artifacts are still being deleted",
    )


def _delete_and_log(files: RunFiles, run_id: str) -> FileSizes:
    sizes = files.delete(run_id)
    if sizes.problem:
        log.warning("files of a deleted run are left run_id=%s: %s", run_id, sizes.problem)
    return sizes


def _files() -> RunFiles:
    found = settings()
    return RunFiles(
        model_url=found.effective_model_url,
        checkpoint_url=found.effective_checkpoint_url,
        artifact_url=found.effective_artifact_url,
    )


def _show(run_id: str, deletion: Deletion | None, sizes: FileSizes) -> DeletionReply:
    known = {} if deletion is None else deletion.model_dump(exclude={"run_id"})
    return DeletionReply.model_validate(
        {
            "status": None,
            **known,
            "iid": run_id,
            "model_bytes": sizes.model_bytes,
            "checkpoint_bytes": sizes.checkpoint_bytes,
            "artifact_bytes": sizes.artifact_bytes,
            "files_left": sizes.problem,
        }
    )
