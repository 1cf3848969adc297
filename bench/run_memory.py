"""What a run takes in Redis, by the kind of its keys, as MEMORY USAGE counts all their elements."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Final

import redis

from store.keys import Keys

SAMPLES: Final = 200
# Names in store.keys.TEMPLATES. The last three stand apart: they grow with the time that a run takes.
OWN: Final = ("run", "epochs", "attempts", "extras")
APART: Final = ("log", "power", "usage")
INDEXES: Final = "indexes"


def measure_run(client: redis.Redis, run_id: str) -> dict[str, int]:
    """Return the bytes of each kind of key that a run has of its own."""
    keys = Keys()
    return {kind: _bytes_of(client, keys.of(kind, run_id)) for kind in (*OWN, *APART)}


def measure_runs(client: redis.Redis, run_ids: Sequence[str]) -> dict[str, float]:
    """Return the mean KiB of each kind of key of some of these runs, and what indexes have for each run."""
    chosen = random.Random(0).sample(run_ids, min(SAMPLES, len(run_ids)))  # noqa: S311 - which ones does not matter
    found = [measure_run(client, run_id) for run_id in chosen]
    parts = {kind: statistics.mean(sizes[kind] for sizes in found) for kind in found[0]}
    indexes = list(client.scan_iter("runs:*", count=1000, _type="zset"))
    indexed = client.zcard(Keys().of("by_time"))
    parts[INDEXES] = sum(_bytes_of(client, key) for key in indexes) / max(1, indexed)
    return {kind: round(size / 1024, 3) for kind, size in parts.items()}


def print_parts(seeded: Mapping[str, float], real: Mapping[str, int], kib_per_run: float) -> None:
    """Print a table of the kinds: the mean of runs that were seeded beside the one that a worker trained."""
    print(f"  {'KiB per run':24} {'seeded':>8} {'trained':>8}")
    for kind in (*OWN, INDEXES):
        trained = seeded[kind] if kind == INDEXES else real[kind] / 1024
        print(f"  {kind:24} {seeded[kind]:8.2f} {trained:8.2f}")
    others = kib_per_run - sum(seeded[kind] for kind in (*OWN, INDEXES))
    print(f"  {'in no key: allocator':24} {others:8.2f} {others:8.2f}")
    print(f"  {'all':24} {kib_per_run:8.2f} {kib_of_real(seeded, real, kib_per_run):8.2f}")
    for kind in APART:
        print(f"  {f'apart: {kind}':24} {seeded[kind]:8.2f} {real[kind] / 1024:8.2f}")


def kib_of_real(seeded: Mapping[str, float], real: Mapping[str, int], kib_per_run: float) -> float:
    """Return what the trained run takes among so many: its own keys in place of those of a seeded one."""
    return round(kib_per_run + sum(real[kind] / 1024 - seeded[kind] for kind in OWN), 2)


def _bytes_of(client: redis.Redis, key: str | bytes) -> int:
    return int(client.memory_usage(key, samples=0) or 0)
