"""Celery: ``.venv-peers/bin/python -m bench.peers.celery_peer produce`` or ``… work solo|prefork QUEUE…``.

Acks late, everything else as it comes. For long jobs it fetches one at a time, as its documentation advises,
and keeps results, which a status is read from.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import celery
from kombu.transport.redis import QoS

from bench.peers import jobs
from bench.peers.producer import serve

RUNS_LONG_JOBS = "WATTLE_BENCH_RUNS_LONG_JOBS"

# By its full name, which is not that of the program it may be imported by.
app = celery.Celery("bench.peers.celery_peer", broker=jobs.redis_url())
app.conf.update(task_acks_late=True, broker_connection_retry_on_startup=True, task_default_queue="default")
if os.environ.get(RUNS_LONG_JOBS):
    app.conf.update(result_backend=jobs.redis_url(), task_track_started=True, worker_prefetch_multiplier=1)
else:
    app.conf.update(task_ignore_result=True)
if lease_s := os.environ.get(jobs.LEASE_S):
    app.conf.update(broker_transport_options={"visibility_timeout": float(lease_s)})
stamp = app.task(jobs.stamp, name="stamp")
nap = app.task(jobs.nap, name="nap")


class CeleryProducer:
    """Enqueues in ``default``."""

    version = str(celery.__version__)

    def submit_noop(self) -> object:
        """Enqueue ``jobs.stamp``."""
        return stamp.delay()

    def submit_nap(self, seconds: float) -> str:
        """Enqueue ``jobs.nap`` and return its id."""
        return str(nap.delay(seconds).id)

    def get_status(self, job_id: str) -> str:
        """Return the state in the result backend."""
        return str(app.AsyncResult(job_id).state)


def work(pool: str, queues: Sequence[str]) -> None:
    """Work until a signal, in this process (``solo``) or in one child (``prefork``)."""
    if os.environ.get(jobs.DIES_AFTER_POP):
        # Called with a message that was just popped, to put it among the unacknowledged ones.
        QoS.append = jobs.die_after(lambda *_: True)
    app.worker_main(
        ["worker", "--pool", pool, "--concurrency", "1", "--loglevel", "ERROR", "--queues", ",".join(queues)]
    )


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        serve(CeleryProducer())
    else:
        work(sys.argv[2], sys.argv[3:])
