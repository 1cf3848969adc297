"""RQ: ``.venv-peers/bin/python -m bench.peers.rq_peer produce`` or ``… work simple|fork QUEUE…``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import redis
import rq
from rq.job import Job

from bench.peers import jobs
from bench.peers.producer import serve


class RqProducer:
    """Enqueues in ``default``."""

    version = str(rq.VERSION)

    def __init__(self) -> None:
        self._redis = redis.Redis.from_url(jobs.redis_url())
        self._queue = rq.Queue("default", connection=self._redis)

    def submit_noop(self) -> object:
        """Enqueue ``jobs.stamp``."""
        return self._queue.enqueue(jobs.stamp)

    def submit_nap(self, seconds: float) -> str:
        """Enqueue ``jobs.nap`` and return its id."""
        return str(self._queue.enqueue(jobs.nap, seconds).id)

    def get_status(self, job_id: str) -> str:
        """Return the job's status."""
        return str(Job.fetch(job_id, connection=self._redis).get_status().value)


def work(kind: str, queues: Sequence[str]) -> None:
    """Work until a signal; ``simple`` in this process, ``fork`` in one per job."""
    if os.environ.get(jobs.DIES_AFTER_POP):
        rq.Queue.dequeue_any = jobs.die_after(rq.Queue.dequeue_any)
    worker = rq.SimpleWorker if kind == "simple" else rq.Worker
    worker(queues, connection=redis.Redis.from_url(jobs.redis_url())).work(logging_level="WARNING")


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        serve(RqProducer())
    else:
        work(sys.argv[2], sys.argv[3:])
