"""What a claim costs where many runs wait, over what it costs where few do."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
from pydantic import JsonValue

from bench.seeding import fill
from redis_db import RedisDB
from schema import Status
from trainers import complete_hyper_params

FEW, MANY = 10, 100_000
CLAIMS = 500
WARM_UP = 20


@dataclass(frozen=True)
class ClaimCosts:
    """Seconds of claims at the client and inside Redis, with few and with many runs waiting."""

    few_s: tuple[float, ...]
    many_s: tuple[float, ...]
    few_inside_s: tuple[float, ...]
    many_inside_s: tuple[float, ...]

    def figures(self) -> dict[str, Any]:
        """Return the medians' ratios."""
        return {
            f"claim_{MANY}_over_claim_{FEW}": _ratio(self.many_s, self.few_s),
            f"claim_{MANY}_over_claim_{FEW}_inside_redis": _ratio(self.many_inside_s, self.few_inside_s),
            f"claim_{FEW}_ms": round(1000 * statistics.median(self.few_s), 3),
            f"claim_{MANY}_ms": round(1000 * statistics.median(self.many_s), 3),
            "claims": len(self.few_s),
        }


class Waiting:
    """A store in which the same number of runs waits before every claim."""

    def __init__(self, url: str, db: int, runs: int, hyper_params: Mapping[str, JsonValue]) -> None:
        fill(url, db, runs, hyper_params)
        self._hyper_params = hyper_params
        self._store = RedisDB(url, db)
        self._server = redis.Redis.from_url(url)
        if self._store.queue.length("default") != runs:
            raise SystemExit(f"Not {runs} but {self._store.queue.length('default')} runs wait in {url}.")

    def claim(self) -> tuple[float, float]:
        """Claim a run and return the seconds at the client and inside Redis; then end it and add another."""
        self._store.ping()  # the first call after a pause is dearer
        before_s = self._inside_s()
        start_s = time.perf_counter()
        lease = self._store.queue.claim(["default"], worker_id=uuid4().hex, lease_s=60)
        claim_s = time.perf_counter() - start_s
        inside_s = self._inside_s() - before_s
        assert lease is not None
        self._store.queue.finish(lease, Status.DONE)
        self._store.queue.submit(self._hyper_params)
        return claim_s, inside_s

    def _inside_s(self) -> float:
        return float(self._server.info("commandstats")["cmdstat_evalsha"]["usec"]) / 1e6

    def close(self) -> None:
        """Close the sockets."""
        self._store.close()
        self._server.close()


def measure_claims(url: str, claims: int = CLAIMS) -> ClaimCosts:
    """Claim in turn where few and where many wait, in two databases of the same server."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    hyper_params = complete_hyper_params({"trainer": "demo"}, datasets_dir=Path(), default_dataset=None)
    few, many = (Waiting(url, db, runs, hyper_params) for db, runs in enumerate((FEW, MANY)))
    pairs = [(few.claim(), many.claim()) for _ in range(WARM_UP + claims)][WARM_UP:]
    few.close()
    many.close()
    return ClaimCosts(
        few_s=tuple(one[0] for one, _ in pairs),
        many_s=tuple(two[0] for _, two in pairs),
        few_inside_s=tuple(one[1] for one, _ in pairs),
        many_inside_s=tuple(two[1] for _, two in pairs),
    )


def _ratio(above: tuple[float, ...], below: tuple[float, ...]) -> float:
    return round(statistics.median(above) / statistics.median(below), 2)
