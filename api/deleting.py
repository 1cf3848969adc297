"""The deletion of a run: its records first, then its files."""

from __future__ import annotations

import logging

from api.state import db, settings
from errors import NotFound
from schema import Deletion, DeletionReply
from trainers.run_files import FileSizes, RunFiles

log = logging.getLogger(__name__)


def preview(run_id: str) -> DeletionReply:
    """Say what deleting a run would remove.

    Raises Conflict for a run that has not ended, NotFound when nothing is left of it.
    """
    sizes = _files().measure(run_id)
    try:
        deletion = db().controls.preview_deletion(run_id)
    except NotFound:
        if sizes.are_none:
            raise
        return _show(run_id, None, sizes)
    return _show(run_id, deletion, sizes)


def delete_run_and_files(run_id: str) -> DeletionReply:
    """Delete a run that has ended. Raises Conflict for another, NotFound when nothing is left of it.

    The records go first: from then on nobody can retry the run, which would need its checkpoint. When the
    deletion is cut off there, repeating it deletes the files.
    """
    try:
        deletion = db().controls.delete(run_id)
    except NotFound:
        sizes = _delete_files(run_id)
        if sizes.are_none and sizes.problem is None:
            raise
        return _show(run_id, None, sizes)
    return _show(run_id, deletion, _delete_files(run_id))


def _delete_files(run_id: str) -> FileSizes:
    sizes = _files().delete(run_id)
    if sizes.problem:
        log.warning("files of a deleted run are left run_id=%s: %s", run_id, sizes.problem)
    return sizes


def _files() -> RunFiles:
    found = settings()
    return RunFiles(model_url=found.effective_model_url, checkpoint_url=found.effective_checkpoint_url)


def _show(run_id: str, deletion: Deletion | None, sizes: FileSizes) -> DeletionReply:
    known = {} if deletion is None else deletion.model_dump(exclude={"run_id"})
    return DeletionReply.model_validate(
        {
            "status": None,
            **known,
            "iid": run_id,
            "model_bytes": sizes.model_bytes,
            "checkpoint_bytes": sizes.checkpoint_bytes,
            "files_left": sizes.problem,
        }
    )
