"""Redis away in every way it can be: no worker ends, no run fails, nobody who is well loses a run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest
import redis
from pydantic import JsonValue

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import Status
from tests.programs import Programs, wait_until

pytestmark = pytest.mark.slow

LEASE_S = 1.5
OUTAGE_S = 3.5
NUM_EPOCHS = 20

Outage = Callable[[RedisServer], AbstractContextManager[None]]


def admin_of(server: RedisServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def kill(server: RedisServer) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()


@contextmanager
def killed(server: RedisServer) -> Iterator[None]:
    kill(server)
    yield
    server.start()


@contextmanager
def paused(server: RedisServer) -> Iterator[None]:
    """Every command waits, an end of the pause too, so its length is given beforehand."""
    with admin_of(server) as admin:
        admin.client_pause(int(OUTAGE_S * 1000))
        yield


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """It does nothing, but what is sent meanwhile waits in its sockets, and is done first when it goes on.

    Renewals among it, which alone would keep the leases: only who sent his reaping before them can harm.
    """
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    yield
    server.process.send_signal(signal.SIGCONT)


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    with admin_of(server) as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)


@contextmanager
def read_only(server: RedisServer) -> Iterator[None]:
    with admin_of(server) as admin:
        admin.replicaof("127.0.0.1", "1")
        yield
        admin.replicaof("NO", "ONE")


class Reaper:
    """Somebody who reaps as often as he can: the first to reach Redis when it is back."""

    def __init__(self, db: RedisDB) -> None:
        self.reaped: list[str] = []
        self._db = db
        self._has_begun, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Reaper:
        """Begin; connected before an outage, his next call is under way when it comes."""
        self._thread.start()
        assert self._has_begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            try:
                self.reaped += self._db.queue.requeue_expired(grace_s=LEASE_S)
                self._has_begun.set()
            except StoreUnavailable:
                continue


@pytest.fixture
def patient_store(durable_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisDB]:
    """A store whose calls outlast an outage: they are in Redis' queue before the workers' later ones."""
    monkeypatch.setattr("store.connection.CALL_TIMEOUT_S", 60.0)
    with RedisDB(durable_redis.url) as db:
        yield db


def submit(store: RedisDB, run_id: str, *, num_epochs: int = NUM_EPOCHS, epoch_s: float = 0.25) -> str:
    params: dict[str, JsonValue] = {
        "trainer": "sleepy", "num_epochs": num_epochs, "epoch_s": epoch_s, "seed": 0,
    }  # fmt: skip
    return store.queue.submit(params, run_id=run_id).run_id


def epochs_of(store: RedisDB, run_id: str) -> list[int]:
    return [result.epoch for result in store.runs.list_epochs(run_id)]


@pytest.mark.parametrize("outage", [killed, paused, frozen, full, read_only])
def test_an_outage_longer_than_the_lease_takes_no_run_from_a_healthy_worker(
    outage: Outage, durable_redis: RedisServer, store: RedisDB, patient_store: RedisDB, programs: Programs
) -> None:
    run_ids = [submit(store, "a"), submit(store, "b")]
    workers = [programs.start_worker(lease_s=LEASE_S) for _ in run_ids]
    wait_until(lambda: all(epochs_of(store, run_id) for run_id in run_ids))

    with Reaper(patient_store) as reaper:
        began_s = time.monotonic()
        with outage(durable_redis):
            wait_until(lambda: time.monotonic() > began_s + OUTAGE_S)
        wait_until(
            lambda: all(store.runs.get(run_id).status is Status.DONE for run_id in run_ids), timeout_s=60
        )

    assert reaper.reaped == []
    for run_id in run_ids:
        run = store.runs.get(run_id)
        assert (run.attempt, run.lease_losses, run.failures) == (1, 0, 0)
        assert epochs_of(store, run_id) == list(range(1, NUM_EPOCHS + 1))
    assert [worker.poll() for worker in workers] == [None, None]
    after = submit(store, "c", num_epochs=1)
    wait_until(lambda: store.runs.get(after).status is Status.DONE)


def test_a_worker_that_died_in_an_outage_loses_its_run_after_it(
    durable_redis: RedisServer, store: RedisDB, programs: Programs
) -> None:
    run_id = submit(store, "a", num_epochs=5)
    victim = programs.start_worker(lease_s=LEASE_S)
    wait_until(lambda: epochs_of(store, run_id))
    with killed(durable_redis):
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    programs.start_worker(lease_s=LEASE_S)
    wait_until(lambda: store.runs.get(run_id).status is Status.DONE, timeout_s=60)
    run = store.runs.get(run_id)
    assert (run.attempt, run.lease_losses) == (2, 1)
    assert epochs_of(store, run_id) == [1, 2, 3, 4, 5]


def start_two_workers(store: RedisDB, programs: Programs) -> None:
    """Start them, and wait until both live and two runs are done."""
    for number in range(2):
        programs.start_worker(lease_s=LEASE_S)
        submit(store, f"first-{number}", num_epochs=3, epoch_s=0.02)
    wait_until(lambda: len(store.workers.list_live()) == store.runs.count_by_status()[Status.DONE] == 2)


def test_a_redis_killed_under_load_loses_no_accepted_run_and_records_each_once(
    durable_redis: RedisServer, store: RedisDB, programs: Programs
) -> None:
    accepted: list[str] = []
    is_enough = threading.Event()

    def submit_all() -> None:
        for number in count():
            while not is_enough.is_set():
                try:
                    accepted.append(submit(store, f"r{number}", num_epochs=3, epoch_s=0.02))
                    break
                except StoreUnavailable:
                    continue
            # not faster than the workers by far, so that they work until the end
            if is_enough.wait(0.05):
                return

    # What is accepted while they start is all to be done in the end: hundreds of runs on a busy machine.
    start_two_workers(store, programs)
    with RedisDB(durable_redis.url) as observer:
        submitter = threading.Thread(target=submit_all)
        submitter.start()
        for kills in (1, 2):
            wait_until(lambda done=kills: len(accepted) >= 8 * done)  # type: ignore[misc] # bound now
            wait_until(lambda least=2 + 2 * kills: observer.runs.count_by_status()[Status.DONE] >= least)  # type: ignore[misc] # as above
            with killed(durable_redis):
                pass
        wait_until(lambda: len(accepted) >= 24)
        is_enough.set()
        submitter.join()
        wait_until(lambda: observer.runs.count_by_status()[Status.DONE] >= 2 + len(accepted), timeout_s=90)

    assert len(set(accepted)) == len(accepted) >= 24
    for run_id in accepted:
        run = store.runs.get(run_id)
        assert (run.status, run.attempt, run.lease_losses, run.failures) == (Status.DONE, 1, 0, 0)
        assert epochs_of(store, run_id) == [1, 2, 3]
