"""What the programs of a soak hold at a moment: memory, descriptors, threads, sockets, keys, disk."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import redis

from store.keys import TEMPLATES

MIB: Final = 2**20
# What lives for a day, and the few keys that live from 12 hours to 90 days, have longer left all through
# a soak; what is brought back from the archive has 15 minutes.
LONG_MS: Final = 3 * 3_600_000
_AT_ONCE: Final = 1_000
# What a place in an index or an entry of runs:archived is: a run that was moved away keeps these.
_INDEXES: Final = ("by_time", "by", "blank", "simulated_by", "simulated_blank", "named")
_CAPPED: Final = ("events", "audit", "alerts_raised", "alert_deliveries")
_OF_RUNS: Final = tuple(name for name, template in TEMPLATES.items() if template.startswith("run:<id>"))
# What is kept for as long as there is a store, a little of it for each project, day, week or sweep.
_KEPT: Final = ("total_day", "total_project", "total_projects", "sweep", "sweep_journal", "sweep_order")


# Of these each kind is told apart.
_LISTED: Final = ("others", "kept", "for_a_day", "capped")


def _pattern(template: str) -> re.Pattern[str]:
    parts = filter(None, re.split(r"(<[a-z_]+>)", template))
    return re.compile("".join(_place(part) if part[0] == "<" else re.escape(part) for part in parts))


def _place(name: str) -> str:
    # An owner, whoever asks, and the key of an answer begin with their kind.
    return "[^:]+(:[^:]+)?" if name in ("<owner>", "<who>", "<key>") else "[^:]+"


# Exact ones first, then those with fewer places to fill in.
_KINDS: Final = [
    (_pattern(template), name)
    for name, template in sorted(TEMPLATES.items(), key=lambda item: (item[1].count("<"), -len(item[1])))
]


def kind_of(key: str) -> str:
    """Return the name in TEMPLATES of a key; ``unknown`` for one that is nowhere there."""
    return next((name for pattern, name in _KINDS if pattern.fullmatch(key)), "unknown")


def group_of(kind: str, left_ms: int) -> str:
    """Return what a key counts as: the groups differ in what bounds them.

    left_ms: how long the key lives on; -1 for ever.
    """
    if left_ms > LONG_MS:
        return "for_a_day"
    if kind in _OF_RUNS:
        return "runs" if left_ms < 0 else "brought_back"
    for group, kinds in (("indexes", _INDEXES), ("capped", _CAPPED), ("kept", _KEPT)):
        if kind in kinds:
            return group
    return "archived" if kind == "archived" else "others"


def take_census(client: redis.Redis) -> dict[str, dict[str, int]]:
    """Return the keys and bytes of each group, and in some of each kind."""
    found: dict[str, dict[str, int]] = {}
    keys = [key.decode() for key in client.scan_iter("*", count=_AT_ONCE)]
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        with client.pipeline(transaction=False) as pipe:
            for key in part:
                pipe.memory_usage(key, samples=0)
                pipe.pttl(key)
            replies = pipe.execute()
        for key, size, left_ms in zip(part, replies[::2], replies[1::2], strict=True):
            kind = kind_of(key)
            group = group_of(kind, left_ms)
            for name in (group, f"{group}.{kind}") if group in _LISTED else (group,):
                entry = found.setdefault(name, {"keys": 0, "bytes": 0})
                entry["keys"] += 1
                entry["bytes"] += size or 0
    return found


@dataclass(frozen=True)
class Programs:
    """The processes of each kind that live through the whole soak."""

    kinds: Mapping[str, Sequence[psutil.Process]]

    def read(self) -> dict[str, float]:
        """Return what all processes of each kind hold together, as ``kind.what``."""
        found: dict[str, float] = {}
        for kind, processes in self.kinds.items():
            for name, value in _sum(map(_read_process, processes)).items():
                found[f"{kind}.{name}"] = value
        return found


def _read_process(process: psutil.Process) -> dict[str, float]:
    with process.oneshot():
        memory = process.memory_full_info()
        return {
            "rss_mib": memory.rss / MIB,
            "pss_mib": memory.pss / MIB,
            "fds": process.num_fds(),
            "sockets": len(process.net_connections(kind="all")),
            "threads": process.num_threads(),
        }


def _sum(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def read_redis(client: redis.Redis) -> dict[str, float]:
    """Return what Redis says about itself, as ``store.what``."""
    said: dict[str, Any] = client.info("all")
    found = {
        "used_mib": said["used_memory"] / MIB,
        "dataset_mib": said["used_memory_dataset"] / MIB,
        "clients_mib": said["mem_clients_normal"] / MIB,
        "buffers_mib": said["mem_aof_buffer"] / MIB,
        "clients": said["connected_clients"],
        "scripts": said["number_of_cached_scripts"],
        "keys": client.dbsize(),
        "events": client.xlen("events"),
        "archived": client.hlen("runs:archived"),
        "runs": client.zcard("runs:by:time_added"),
        "aof_mib": said["aof_current_size"] / MIB,
    }
    return {f"store.{name}": float(value) for name, value in found.items()}


def read_disk(folders: Mapping[str, Path]) -> dict[str, float]:
    """Return what lies in each folder, or how large a file is, as ``disk.what_mib``."""
    return {f"disk.{name}_mib": _bytes_in(path) / MIB for name, path in folders.items()}


def _bytes_in(path: Path) -> int:
    # A walk leaves out folders that are gone by now.
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for each in files or [path]:
        try:
            total += each.stat().st_blocks * 512
        except FileNotFoundError:  # a spool or a temporary file that is done
            continue
    return total


class Probe:
    """Samples over the day, which are also written to a file, one JSON line each, where there is one."""

    def __init__(
        self, client: redis.Redis, programs: Programs, folders: Mapping[str, Path], file: Path | None
    ) -> None:
        self._client, self._programs, self._folders, self._file = client, programs, folders, file
        self._began_s = time.monotonic()
        self.samples: list[tuple[float, dict[str, float]]] = []

    def sample(self, *, has_keys: bool) -> None:
        """Look at everything once, and with ``has_keys`` at every key and file."""
        now_s = time.monotonic() - self._began_s
        found = self._programs.read() | read_redis(self._client)
        found |= read_disk(self._folders) if has_keys else {}
        for group, entry in (take_census(self._client) if has_keys else {}).items():
            found[f"keys.{group}"] = entry["keys"]
            found[f"bytes.{group}_mib"] = entry["bytes"] / MIB
        self.samples.append((now_s, found))
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{json.dumps(self.samples[-1])}\n")
