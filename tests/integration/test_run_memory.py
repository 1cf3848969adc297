"""What bench.store seeds is what a real worker writes, so that its memory is that of real runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from bench.run_memory import OWN, measure_run
from bench.run_template import RunTemplate
from bench.store import seed
from redis_db import RedisDB
from tests.redis_users import is_before_7

SEEDED = f"{1:032x}"
# The goal of 10 KiB, less 1.5 for the indexes and for what Redis needs besides the keys.
MOST_BYTES = 8.5 * 1024
# Redis before 7.0 packs what is small less tightly.
MOST_BYTES_BEFORE_7 = 9 * 1024


def shape_of(client: redis.Redis, run_id: str) -> dict[str, set[str]]:
    """Return the names of everything a run has: fields of its hashes, and names in the objects among them."""
    keys = {"run": f"run:{run_id}"} | {kind: f"run:{run_id}:{kind}" for kind in OWN[1:]}
    shape = {}
    for kind, key in keys.items():
        stored = {str(name): str(value) for name, value in client.hgetall(key).items()}
        shape[kind] = set(stored)
        shape |= {f"{kind}.{name}": set(json.loads(text)) for name, text in stored.items() if text[0] == "{"}
    return shape


@pytest.mark.slow
def test_a_seeded_run_has_what_a_trained_one_has_and_both_meet_the_goal(
    db: RedisDB, redis_url: str, tmp_path: Path
) -> None:
    assert db.runs.list().total == 0
    template = RunTemplate.train(redis_url, tmp_path / "worker")
    seed(template, redis_url, range(2))
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        trained, seeded = shape_of(client, template.run.run_id), shape_of(client, SEEDED)
        sizes = [measure_run(client, run_id) for run_id in (template.run.run_id, SEEDED)]
        most = MOST_BYTES_BEFORE_7 if is_before_7(client) else MOST_BYTES
    assert "1:rest" in trained["extras"]
    assert seeded == trained
    of_trained, of_seeded = (sum(size[kind] for kind in OWN) for size in sizes)
    assert of_seeded == pytest.approx(of_trained, rel=0.05)
    assert max(of_trained, of_seeded) <= most, sizes
