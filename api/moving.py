"""Everything as one file, and such a file taken in."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from apiflask import APIBlueprint
from apiflask.schemas import FileSchema
from flask import Response, stream_with_context

from api.artifacts.uploads import check_stated_size, read_pieces, upload_slot
from api.body import reply
from api.health import VERSION
from api.state import alerting, archive, db, settings
from archive.parcels import Pieces, pack, unpack
from errors import ArchiveUnavailable, InvalidInput, NotFound
from schema.archive import Belonging, Bundle, ImportedRuns

log = logging.getLogger(__name__)

moving = APIBlueprint("moving", __name__, tag="Export")

_MIB: Final = 1 << 20


@moving.get("/api/export")
@moving.output(FileSchema(type="string", format="binary"), content_type="application/x-tar")
def export_runs() -> Response:
    """Answer all runs that have ended, archived ones too, as a tar of JSON lines and Parquet files.

    And sweeps that have ended, registered models, alert rules, views, policies, quotas of projects, totals.
    What goes on, files of runs, channels, tokens and the audit log are not in it. Its last file is end.json;
    of what could not be read to its end problem.json, which says why, and no import takes it.
    """
    pieces = pack(_all_runs(), db().belongings.list(), layout=db().layout.newest, version=VERSION)
    response = Response(stream_with_context(pieces), content_type="application/x-tar")
    response.headers["Content-Disposition"] = 'attachment; filename="wattle-export.tar"'
    return response


@moving.post("/api/import")
@moving.output(ImportedRuns)
def import_runs() -> Response:
    """Take in an export, the body: its runs are archived at once, and shown like any others.

    What is known by its id or name stays as it is, so that repeating it, or going on after it was cut off,
    doubles nothing. Totals are taken in where nothing was counted yet. 422 for what is no export, or one of a
    newer version; then the runs before the first wrong one are taken in, and nothing else.
    """
    added, known, others = 0, 0, list[Belonging]()
    most_mib = settings().max_import_mib
    with upload_slot():
        check_stated_size(most_mib * _MIB, "WATTLE_MAX_IMPORT_MIB")
        stream = io.BufferedReader(Pieces(read_pieces(most_mib * _MIB, "WATTLE_MAX_IMPORT_MIB")))
        for found in unpack(stream, layout=db().layout.newest):
            if isinstance(found, Belonging):
                _check(found)
                others.append(found)
            elif _take_in(found):
                added += 1
            else:
                known += 1
        # Behind the last byte: of a file that is cut off or wrong anywhere none of them is kept.
        kept = db().belongings.take_in(others)
    log.info("imported runs added=%d known=%d others=%s", added, known, kept)
    told = ImportedRuns(added=added, known=known, others=kept, missing_channels=_missing_channels(others))
    return reply(told)


def _check(found: Belonging) -> None:
    """Raise InvalidInput for what cannot be read once it is kept."""
    db().belongings.check([found])
    if found.kind == "sweeps":
        # Optuna is a second's work to import, which only who has sweeps does.
        from sweeps.imported import check_journal

        check_journal(db().belongings.read_sweep(found), found.content["journal"])


def _missing_channels(found: Sequence[Belonging]) -> tuple[str, ...]:
    """Return the channels that rules name and nobody has set here; their addresses are secrets."""
    named = {name for own in found if own.kind == "rules" for name in own.content.get("channels", ())}
    return tuple(sorted(named.difference(alerting().channels.names)))


def _take_in(bundle: Bundle) -> bool:
    """Add a run to the archive, then to the lists; False where there is one of its id."""
    db().archiving.check(bundle)
    if db().finished.list_known([bundle.run_id]):
        return False
    bundle = replace(bundle, read_at_s=db().now().timestamp())
    archive().write(bundle, now_s=time.time())
    if archive().load(bundle.place) != bundle:
        raise InvalidInput(
            f"Run {bundle.run_id} of the export is not the same when it is read back from the archive, and "
            "was not taken in."
        )
    return db().archiving.adopt(bundle)


def _all_runs() -> Iterator[Bundle]:
    """Yield all runs that have ended; one that moves to the archive or from it meanwhile comes once."""
    seen = set[str]()
    for run_id in db().archiving.list_ended():
        if run_id not in seen and (bundle := _find(run_id)) is not None:
            seen.add(run_id)
            yield bundle


def _find(run_id: str) -> Bundle | None:
    """Return a run from wherever it is; None for one that was deleted, or is no longer over.

    Raises ArchiveUnavailable, with its id, where the archive should have it and cannot give it.
    """
    store = db().archiving
    while (place := store.find_place(run_id)) is not None:
        try:
            return archive().load(place)
        except (ArchiveUnavailable, NotFound) as error:
            # Restored or archived anew meanwhile, it is at another place.
            if store.find_place(run_id) == place:
                raise ArchiveUnavailable(f"Run {run_id} could not be exported. {error}") from error
    run = db().runs.find(run_id)
    return store.read(run_id) if run is not None and run.status.is_final else None
