"""Ours: ``python -m bench.peers.ours produce TRAINER``, ``… work QUEUE…`` or ``… die QUEUE…``.

``work`` claims and finishes in one process without a child, as a SimpleWorker does. ``die`` is the real
worker, killed by its first claim.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from pydantic import JsonValue

from bench.peers import jobs
from bench.peers.producer import serve
from redis_db import RedisDB
from schema import Status
from trainers import complete_hyper_params

LEASE_S = 15.0
IDLE_S = 1.0


class OurProducer:
    """Submits runs of a trainer of ``bench.queue_trainers`` to ``default``."""

    version = metadata.version("wattle")

    def __init__(self) -> None:
        self._db = RedisDB(jobs.redis_url())
        self._noop = _complete({"trainer": "noop"})

    def submit_noop(self) -> object:
        """Submit a run that only stamps."""
        return self._db.queue.submit(self._noop)

    def submit_nap(self, seconds: float) -> str:
        """Submit a run that sleeps and return its id."""
        hyper_params = _complete({"trainer": "nap", "seconds": seconds})
        return self._db.queue.submit(hyper_params).run_id

    def get_status(self, job_id: str) -> str:
        """Return the run's status."""
        return self._db.runs.get(job_id).status.value


def _complete(hyper_params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return complete_hyper_params(hyper_params, datasets_dir=Path(), default_dataset=None)


def work(queues: Sequence[str]) -> None:
    """Claim and finish until a signal."""
    worker_id = f"bench-{os.getpid()}"
    with RedisDB(jobs.redis_url()) as db:
        while True:
            lease = db.queue.next_request(IDLE_S, queues=queues, worker_id=worker_id, lease_s=LEASE_S)
            if lease is not None:
                jobs.stamp()
                db.queue.finish(lease, Status.DONE)


def work_and_die(queues: Sequence[str]) -> int:
    """Be the real worker until its first run is claimed."""
    from store.queue import Queue
    from work.program import main

    Queue.claim = jobs.die_after(Queue.claim)  # type: ignore[method-assign] # the fault of this scene
    return main(["--device", "cpu", "--threads", "1", "--queues", ",".join(queues)])


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        serve(OurProducer())
    elif sys.argv[1] == "work":
        work(sys.argv[2:])
    else:
        raise SystemExit(work_and_die(sys.argv[2:]))
