"""What the backend stands on: its store, its clock, its folders. For ``wattle doctor``."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from apiflask import APIBlueprint
from flask import Response

from api.body import reply
from api.doctor_archive import examine_archive
from api.file_work import wait_for_any
from api.plugins import list_plugins
from api.state import db, settings
from errors import StoreUnavailable
from schema import NoBody
from schema.doctor import Check, CheckState, DoctorReply, check_clock, check_disk
from trainers.places import open_folder

doctor = APIBlueprint("doctor", __name__, tag="Doctor")

# So long a place may take; a healthy object store answers within a second.
_PLACE_S: Final = 4.0
_PROBE: Final = "doctor-probe"


@doctor.post("/api/doctor")
@doctor.input(NoBody, arg_name="body")
@doctor.output(DoctorReply)
def examine(body: NoBody) -> Response:  # noqa: ARG001 - it is empty
    """Look at what the backend stands on; a small file is written into each of its places, and deleted."""
    return reply(
        DoctorReply(checks=(*_examine_store(), *_examine_machine(), *_examine_places(), *_examine_plugins()))
    )


def _check(name: str, state: CheckState, found: str, remedy: str | None = None) -> Check:
    return Check(name=name, place="API", state=state, found=found, remedy=remedy)


def _examine_store() -> Iterator[Check]:
    try:
        warnings, version, now = db().fitness.list_warnings(), db().fitness.version(), db().now()
        workers = db().workers.list_live()
    except StoreUnavailable as error:
        yield _check("redis", "failed", "cannot be reached", str(error))
        return
    yield _check("redis", "ok", version)
    yield from examine_archive()
    yield from (_check("redis settings", "failed", *_split(warning)) for warning in warnings)
    if not warnings:
        yield _check("redis settings", "ok", "what it is given it keeps: append-only file, no eviction")
    yield check_clock("API", told=now, own=datetime.now(UTC))
    if workers:
        yield _check(
            "workers", "ok", f"{len(workers)} live: {', '.join(known.name for known in workers[:8])}"
        )
    else:
        yield _check("workers", "warning", "none is live: runs wait", "Start one with 'wattle worker'.")


def _split(warning: str) -> tuple[str, str]:
    """Return what was found, and the remedy: the last sentence of a warning."""
    found, _, remedy = warning.rpartition(". ")
    return (found, remedy) if found else (warning, "docs/redis.md says how.")


def _examine_machine() -> Iterator[Check]:
    yield _check("python", "ok", platform.python_version())
    folder = settings().data_dir.resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    yield check_disk("API", str(folder), free_bytes=free_bytes, is_writable=_is_ours(there))


def _examine_places() -> Iterator[Check]:
    for name, url in (
        ("checkpoints", settings().effective_checkpoint_url),
        ("models", settings().effective_model_url),
        ("artifacts", settings().effective_artifact_url),
    ):
        shown = _shown(url)
        trouble = wait_for_any(("doctor", url), partial(_probe, url), limit_s=_PLACE_S)
        if trouble == "":
            yield _check(name, "ok", f"{shown} takes files")
        else:
            found = f"{shown}: {trouble or f'no answer within {_PLACE_S:.0f} s'}"
            setting = f"WATTLE_{name.removesuffix('s').upper()}_URL"
            yield _check(name, "failed", found, f"Let the backend's user write there, or set {setting}.")


def _examine_plugins() -> Iterator[Check]:
    plugins = list_plugins()
    wrong = [plugin for plugin in plugins if plugin.state != "ok"]
    for plugin in wrong:
        remedy = (
            "Mend or uninstall its package; Wattle does without it until then."
            if plugin.state == "broken"
            else "Mend what it says; it is tried again by itself."
        )
        yield _check(
            f"plug-in {plugin.group}: {plugin.name}", "failed", plugin.detail or plugin.state, remedy
        )
    if not wrong:
        yield _check("plug-ins", "ok", ", ".join(plugin.name for plugin in plugins) or "none")


def _probe(url: str) -> str:
    """Write and delete a file; returns what went wrong, nothing where all went well."""
    try:
        # A folder of its own: those who list runs' folders know what is no run.
        folder = open_folder(url, _PROBE)
        folder.write(_PROBE, {"probe": b"wattle"})
        folder.clear(lambda name: name == _PROBE)
    except OSError as error:
        return _shown(str(error)) or type(error).__name__
    return ""


def _shown(url: str) -> str:
    """Return a place without a password that may stand in it."""
    parts = urlsplit(url)
    return url if parts.password is None else f"{parts.scheme}://{parts.hostname}{parts.path}"


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)
