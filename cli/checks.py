"""What Wattle needs of this machine, looked at from a shell."""

from __future__ import annotations

import os
import platform
import shutil
import socket
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from carbon_aware_trainer import CarbonError, MeterUnavailable, open_provider
from carbon_aware_trainer.energy import list_visible_gpus
from carbon_aware_trainer.energy.rapl import RaplMeter
from schema.doctor import Check, CheckState, check_disk
from settings import Settings

# What a bound port of this machine answers at once.
_CONNECT_S = 1.0
_KEYED = {"electricitymaps", "electricitymap", "watttime"}
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def make_check(name: str, state: CheckState, found: str, remedy: str | None = None) -> Check:
    """Return what was found on this machine."""
    return Check(name=name, place="here", state=state, found=found, remedy=remedy)


def check_machine(settings: Settings) -> Iterator[Check]:
    """Look at Python, torch, the meters of energy and the data folder."""
    yield make_check("python", "ok", platform.python_version())
    yield _check_torch()
    yield _check_gpus()
    yield _check_rapl()
    folder = settings.data_dir.resolve()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free_bytes = shutil.disk_usage(there).free
    yield check_disk("here", str(folder), free_bytes=free_bytes, is_writable=_is_ours(there))
    yield from _check_checkpoints(settings)


def _check_torch() -> Check:
    try:
        return make_check("torch", "ok", metadata.version("torch"))
    except metadata.PackageNotFoundError:
        remedy = "For a worker that trains: pip install 'wattle[worker]'."
        return make_check("torch", "warning", "not installed: this machine trains no networks", remedy)


def _check_gpus() -> Check:
    try:
        gpus = list_visible_gpus()
    except MeterUnavailable as error:
        remedy = "On a machine with NVIDIA GPUs: install their driver, and let this user read /dev/nvidia*."
        return make_check("GPU", "warning", f"none can be read: {error}", remedy)
    return make_check("GPU", "ok", f"{len(gpus)}: {', '.join(gpus[:8])}" if gpus else "none")


def _check_rapl() -> Check:
    try:
        meter = RaplMeter()
    except MeterUnavailable as error:
        remedy = "On bare metal: chmod a+r /sys/class/powercap/*/energy_uj; else CPU energy is estimated."
        return make_check("RAPL", "warning", str(error), remedy)
    found = ", ".join(source.key for source in meter.sources)
    meter.close()
    return make_check("RAPL", "ok", f"reads {found}")


def _check_checkpoints(settings: Settings) -> Iterator[Check]:
    """Look at the workers' place for checkpoints where it is a folder; the API looks at all others."""
    parts = urlsplit(settings.effective_checkpoint_url)
    if parts.scheme not in ("", "file"):
        return
    folder = Path(parts.path)
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if _is_ours(there):
        yield make_check("checkpoints", "ok", f"{folder} takes files")
    else:
        remedy = "Let the worker's user write there, or set WATTLE_CHECKPOINT_URL."
        yield make_check("checkpoints", "failed", f"{folder} cannot be written to", remedy)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def check_ports(settings: Settings, *, has_api: bool, has_page: bool) -> Iterator[Check]:
    """Look whether somebody else has the ports that Wattle's own programs would take."""
    for name, port, is_ours, setting in (
        ("port of the API", settings.port, has_api, "WATTLE_PORT"),
        ("port of the page", settings.page_port, has_page, "WATTLE_PAGE_PORT"),
    ):
        if not is_open("127.0.0.1", port):
            yield make_check(name, "ok", f"{port} is free")
        elif is_ours:
            yield make_check(name, "ok", f"{port} is Wattle's")
        else:
            remedy = f"Stop the program that has it (lsof -i :{port}), or set {setting} to another one."
            yield make_check(name, "failed", f"{port} is taken by something that is not Wattle", remedy)


def is_here(url: str) -> bool:
    """Say whether an address is one of this machine's own."""
    return urlsplit(url).hostname in _LOOPBACK


def is_open(host: str, port: int) -> bool:
    """Say whether somebody listens there."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


def check_provider(settings: Settings, *, is_online: bool) -> Check:
    """Look whether the provider of carbon intensities has what it needs; online also whether it answers."""
    model, name = settings.carbon_model, "carbon provider"
    key = settings.carbon_api_key.get_secret_value() if settings.carbon_api_key else None
    if model in _KEYED and not key:
        remedy = "Set WATTLE_CARBON_API_KEY (docs/carbon.md), or another WATTLE_CARBON_MODEL."
        return make_check(name, "failed", f"{model} needs a key, and none is set", remedy)
    if not is_online:
        asked = " (--online asks it)" if model in _KEYED or model == "uk" else ""
        return make_check(name, "ok", f"{model} has what it needs{asked}")
    given = str(settings.carbon_file) if model == "cached" and settings.carbon_file else key
    try:
        provider = open_provider(model, api_key=given, base_url=settings.carbon_url)
        latest = provider.fetch_latest(settings.effective_zone)
    except CarbonError as error:
        remedy = "Correct WATTLE_CARBON_MODEL, WATTLE_CARBON_API_KEY and WATTLE_ZONE (docs/carbon.md)."
        return make_check(name, "failed", str(error), remedy)
    return make_check(name, "ok", f"{model}: {latest.g_per_kwh:.0f} g/kWh in {settings.effective_zone} now")
