"""What people and programs do to runs: cancel, pause, resume, preempt, reorder, try again, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from schema import Deletion, Run
from store.connection import Argument, Connection
from store.encoding import decode_deletion, decode_run, to_pairs, to_text
from store.keys import Keys
from store.plans import encode_plan
from store.runs import no_run
from store.submission import route

Priority = Literal["normal", "high"]
_MAX_REASON_CHARACTERS: Final = 1_000


class Controls:
    """One method per wish. Each is atomic, returns the run after it, and is a no-op when it is so already.

    What a running run is asked for stands in ``Run.request`` until its worker has done it: ``Queue.renew``
    tells the worker. All raise NotFound when there is no such run, and Conflict, which says what to do
    instead, when the run's status does not allow it.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def cancel(self, run_id: str, *, reason: str = "") -> Run:
        """End a run without a result: at once unless it is running, then at its next step.

        reason: why, for a person, where nobody asked for it; it becomes the run's ``status_reason``.
        Replaces an earlier wish to pause or preempt it. A run that is done before it hears of it is done.
        """
        return self._run("cancel", run_id, to_text(reason)[:_MAX_REASON_CHARACTERS])

    def pause(self, run_id: str) -> Run:
        """Keep a run from being trained until it is resumed; a running one saves its state first.

        Raises Conflict also while it is being cancelled.
        """
        return self._run("pause", run_id)

    def resume(self, run_id: str, *, moved: Run | None = None) -> Run:
        """Let a paused or deferred run wait, to be claimed next; withdraw the wish to pause or preempt one.

        One that is deferred or postponed for clean electricity is not planned any more, as by ``run_now``. A
        run that waits or runs is left alone. moved: as for ``run_now``. Raises Conflict also while it is
        being cancelled.
        """
        return self._run("resume", run_id, "resume", *_place(moved))

    def run_now(self, run_id: str, *, moved: Run | None = None) -> Run:
        """Let a run be trained as soon as it can, as ``resume`` does, and never again defer it for its plan.

        moved: the run with a plan for a zone in which it is to run instead, now that nothing plans it again;
        it counts unless the run trains or began another attempt since. Raises Conflict as ``resume`` does.
        """
        return self._run("resume", run_id, "run_now", *_place(moved))

    def preempt(self, run_id: str) -> Run:
        """Ask the worker of a running run to give it back to the queue; its state is saved first.

        No-op where a cancel or a pause is asked for, which does the same and more.
        """
        return self._run("preempt", run_id)

    def set_priority(self, run_id: str, priority: Priority) -> Run:
        """Move a waiting run to its queue's other list, behind those there; otherwise for when it waits."""
        return self._run("prioritise", run_id, priority)

    def retry(self, run_id: str) -> Run:
        """Let a failed or cancelled run wait again, with its failures and lost leases forgotten.

        It resumes from its last checkpoint, as its next attempt; its error stays in the attempt's record.
        No-op for a run that waits or runs already.
        """
        return self._run("retry", run_id)

    def preview_deletion(self, run_id: str) -> Deletion:
        """Say what ``delete`` would take away; changes nothing. Raises Conflict as it would."""
        return self._delete(run_id, "preview")

    def delete(self, run_id: str) -> Deletion:
        """Remove a run that has ended, with its epochs, attempts and log, and say what went.

        What it used stays in the totals. Raises Conflict when the run has not ended.
        """
        return self._delete(run_id, "delete")

    def _run(self, script: str, run_id: str, *arguments: Argument) -> Run:
        stored = self._connection.run(script, [self._keys.of("run", run_id)], [run_id, *arguments])
        if stored is None:
            raise no_run(run_id)
        return decode_run(run_id, to_pairs(stored))

    def _delete(self, run_id: str, mode: str) -> Deletion:
        kept = ("run", "epochs", "superseded", "extras", "attempts", "log", "power")
        own = ("artifacts", "artifact_facts", "artifact_order", "histograms", "run_models", "run_inputs")
        parts = (*kept, "metrics", "sources", "notes", *own, "usage", "note_edits")
        keys = [self._keys.of(part, run_id) for part in parts]
        stored = self._connection.run("delete", keys, [run_id, mode])
        if stored is None:
            raise no_run(run_id)
        return decode_deletion(run_id, stored)


def _place(moved: Run | None) -> Sequence[Argument]:
    """Write down the plan of a run and where it leads."""
    if moved is None or moved.carbon is None:
        return ()
    place = route(moved.options, moved.carbon)
    return (moved.attempt, encode_plan(moved.carbon), place.get("queue", ""), place.get("requirement", ""))
