"""Dramatiq: ``.venv-peers/bin/python -m bench.peers.dramatiq_peer produce`` or ``… work THREADS QUEUE…``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from bench.peers import jobs
from bench.peers.producer import serve

QUEUES = ("default", "second")

options = {"heartbeat_timeout": int(1000 * float(value))} if (value := os.environ.get(jobs.LEASE_S)) else {}
broker = RedisBroker(url=jobs.redis_url(), **options)
if os.environ.get(jobs.DIES_AFTER_POP):
    broker.do_fetch = jobs.die_after(broker.do_fetch)
dramatiq.set_broker(broker)
stamp = dramatiq.actor(jobs.stamp, actor_name="stamp", queue_name=QUEUES[0])
nap = dramatiq.actor(jobs.nap, actor_name="nap", queue_name=QUEUES[0])
# Nobody sends to it: only so that there is a second queue to consume.
other = dramatiq.actor(jobs.stamp, actor_name="other", queue_name=QUEUES[1])


class DramatiqProducer:
    """Enqueues in ``default``."""

    version = metadata.version("dramatiq")

    def submit_noop(self) -> object:
        """Enqueue ``jobs.stamp``."""
        return stamp.send()

    def submit_nap(self, seconds: float) -> str:
        """Enqueue ``jobs.nap`` and return the id that the broker's keys know it by."""
        return str(nap.send(seconds).options["redis_message_id"])

    def get_status(self, job_id: str) -> str:
        """Return whether the broker still has the message: it keeps nothing of those it acknowledged."""
        is_kept = broker.client.hexists(f"{broker.namespace}:{QUEUES[0]}.msgs", job_id)
        return "not acknowledged" if is_kept else "acknowledged"


def work(threads: str, queues: Sequence[str]) -> None:
    """Become dramatiq's own program with one worker process."""
    program = [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_peer", "--processes", "1"]
    os.execv(sys.executable, [*program, "--threads", threads, "--queues", *queues])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    if sys.argv[1] == "produce":
        serve(DramatiqProducer())
    else:
        work(sys.argv[2], sys.argv[3:])
