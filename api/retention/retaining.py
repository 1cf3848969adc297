"""The weights of a project's ended runs: what its retention policy would delete, and its deletion."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, get_args

from api.models import place_failed
from api.retention.rules import Weights, choose_deletes
from errors import Conflict, NotFound, PlaceUnavailable
from redis_db import RedisDB
from schema import ModelName, RetentionPlan, RetentionPolicy, RetentionReply, Run, Status
from schema.retention import SILENT_FOR_GOOD_S, RetentionDelete
from settings import Settings
from trainers.artifact_files import ArtifactFiles
from trainers.saved_models import MODEL_FILE, open_models

log = logging.getLogger(__name__)

MAX_DELETES: Final = 1_000
_RUNS_AT_ONCE: Final = 500
_MOST_WEIGHTS: Final = 10_000


class Applied:
    """What a plan has deleted so far; written by one thread and read by another."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.deleted: list[RetentionDelete] = []
        self.left: list[str] = []

    def show(self) -> RetentionReply:
        """Return it, and how many are still being deleted."""
        deleted, left = list(self.deleted), list(self.left)
        if rest := self.total - len(deleted) - len(left):
            left.append(f"{rest} more are still being deleted; a new plan shows what is left of them.")
        return RetentionReply(
            deleted=len(deleted), size_bytes=sum(one.size_bytes for one in deleted), left=left
        )


class Retaining:
    """Plans and applies policies; works also where no request is answered."""

    def __init__(self, db: RedisDB, settings: Settings) -> None:
        self._db = db
        self._model_url = settings.effective_model_url
        self._files = ArtifactFiles(settings.effective_artifact_url)

    def plan(self, project: str, policy: RetentionPolicy) -> RetentionPlan:
        """Say what a policy would delete now; the same again has the same token."""
        now, kept, deletes = self._db.now(), 0, list[tuple[Weights, str]]()
        for run, how in self._ended_runs(project, now):
            own = self._weights_of(run)
            chosen = choose_deletes(own, policy, now=now)[: MAX_DELETES - len(deletes)]
            deletes += [(one, why + how) for one, why in chosen]
            kept += len(own) - len(chosen)
        shown = [
            RetentionDelete(
                run_id=one.run_id, name=one.name, version=one.version, size_bytes=one.size_bytes, why=why
            )
            for one, why in deletes
        ]
        named = [[one.run_id, one.name, one.version, one.sha256] for one, _ in deletes]
        return RetentionPlan(
            token=hashlib.sha256(json.dumps([project, named]).encode()).hexdigest(),
            deletes=shown,
            size_bytes=sum(one.size_bytes for one in shown),
            kept=kept,
        )

    def apply(self, plan: RetentionPlan, done: Applied | None = None) -> RetentionReply:
        """Delete what a plan names; what a model has come to need since stays, and is told.

        Who gives ``done`` can tell meanwhile how far it is.
        """
        done = done or Applied(len(plan.deletes))
        for one in plan.deletes:
            try:
                self._delete(one)
            except (Conflict, NotFound, OSError) as error:
                # Not where on the server it is, which an OSError would say.
                reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
                done.left.append(f"{one.name} of run {one.run_id}: {reason}")
                continue
            done.deleted.append(one)
            log.info(
                "retention deleted weights run_id=%s name=%s version=%s", one.run_id, one.name, one.version
            )
        return done.show()

    def apply_active(self) -> bool:
        """Apply the policies that are applied once a day; False where a place could not be read."""
        are_all_applied = True
        for project, policy in self._db.retention.list_active().items():
            try:
                done = self.apply(self.plan(project, policy))
            except PlaceUnavailable as error:
                log.warning("retention is tried again later project=%s: %s", project, error)
                are_all_applied = False
                continue
            log.info("retention project=%s deleted=%d left=%d", project, done.deleted, len(done.left))
        return are_all_applied

    def _ended_runs(self, project: str, now: datetime) -> Iterator[tuple[Run, str]]:
        """Yield the runs that have ended for good, and what is to be said of how."""
        cursor = None
        while True:
            page = self._db.runs.list(project=project, limit=_RUNS_AT_ONCE, cursor=cursor)
            archived = self._db.archiving.list_archived([run.run_id for run in page.runs])
            for run in page.runs:
                if run.run_id in archived:
                    continue  # its weights stay as they are
                if run.status.is_final and (how := self._how_over(run, now)) is not None:
                    yield run, how
            cursor = page.cursor
            if cursor is None:
                return

    def _how_over(self, run: Run, now: datetime) -> str | None:
        """Say how a run ended, where that is no matter of course; None where a silent script may go on."""
        since = self._db.external.silent_since(run.run_id) if run.is_external else None
        if since is None:
            return ""
        silence = now - since
        if silence.total_seconds() <= SILENT_FOR_GOOD_S:
            return None
        return f"; its run was last heard of {silence.days} days ago"

    def _weights_of(self, run: Run) -> Sequence[Weights]:
        page = self._db.artifacts.list(run.run_id, kinds=("checkpoint", "model"), limit=_MOST_WEIGHTS)
        needed = self._db.models.list_needed(run.run_id)
        sent = [
            Weights(
                run_id=run.run_id,
                name=one.name,
                version=one.version,
                size_bytes=one.size_bytes,
                sha256=one.sha256,
                metrics=one.metrics,
                created_at=one.created_at,
                is_needed=f"{one.name}:{one.version}" in needed,
            )
            for one in page.artifacts
        ]
        return [*sent, *self._saved_of(run, needed)]

    def _saved_of(self, run: Run, needed: frozenset[str]) -> Iterator[Weights]:
        """Yield the saved models of a run of the queue. Raises PlaceUnavailable."""
        if run.status is not Status.DONE or run.is_external or run.simulated:
            return
        try:
            cards = open_models(self._model_url, run.run_id).list_cards()
        except OSError as error:
            raise place_failed(error) from error
        for card in cards:
            if facts := card.files.get(MODEL_FILE):
                yield Weights(
                    run_id=run.run_id,
                    name=card.model,
                    version=None,
                    size_bytes=facts.size_bytes,
                    sha256=facts.sha256,
                    metrics=card.metrics.model_dump(exclude_none=True),
                    created_at=card.created_at,
                    is_needed=f"saved:{card.model}" in needed,
                )

    def _delete(self, one: RetentionDelete) -> None:
        """Delete weights. Raises Conflict where a model needs them, OSError where their place fails."""
        if one.version is not None:
            file = self._db.artifacts.delete(one.run_id, one.name, one.version, is_run_over=True)
            self._files.delete(file)
            self._db.artifacts.settle(file)
            return
        self._db.models.drop_saved(one.run_id, one.name)
        name = next(name for name in get_args(ModelName) if name == one.name)
        open_models(self._model_url, one.run_id).delete(name)
