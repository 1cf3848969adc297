"""In which zones a run can be trained, and whether its checkpoints are seen there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from schema import Requires, Worker, can_take

# File systems that several hosts see.
_SHARED = ("nfs", "cifs", "smb", "ceph", "lustre", "gpfs", "gluster", "beegfs", "9p", "fuse.")


@dataclass(frozen=True, slots=True)
class Places:
    """Zones with a live worker that takes such a run, and with an idle one; whether it can move there."""

    zones: tuple[str, ...]
    idle: tuple[str, ...]
    can_move: bool


def find_places(
    zones: Sequence[str],
    requires: Requires | None,
    workers: Sequence[Worker],
    *,
    checkpoint_url: str,
    hosts: frozenset[str] | None = frozenset(),
) -> Places:
    """Return in which of the zones a run could be trained now.

    A place that is a path counts as seen by several hosts where its file system is a network's. hosts: those
    that its checkpoints are on, none before its first attempt; None where that is unknown.
    """
    able = {zone: [worker for worker in workers if _serves(worker, zone, requires)] for zone in zones}
    live = tuple(zone for zone, found in able.items() if found)
    idle = tuple(zone for zone, found in able.items() if any(worker.run_id is None for worker in found))
    near = frozenset(worker.host for found in able.values() for worker in found)
    is_near = near == hosts if hosts != frozenset() else len(near) < 2
    return Places(live, idle, is_near or is_shared(checkpoint_url))


def is_shared(url: str) -> bool:
    """Say whether workers on other hosts see a place."""
    scheme, separator, path = url.partition("://")
    if separator and scheme != "file":
        return True
    return _file_system(Path(path if separator else url)).startswith(_SHARED)


def _serves(worker: Worker, zone: str, requires: Requires | None) -> bool:
    is_here = (worker.zone or "").lower() == zone.lower()
    return is_here and not worker.is_draining and can_take(worker, f"zone-{zone.lower()}", requires)


def _file_system(path: Path) -> str:
    """Return the kind of file system a path is on; the longest mount point above it counts."""
    parents = {str(parent) for parent in (path.absolute(), *path.absolute().parents)}
    mounts = [mount for mount in psutil.disk_partitions(all=True) if mount.mountpoint in parents]
    return max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else ""
