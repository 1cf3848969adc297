"""What somebody is told whose user of Redis may not do what Wattle needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import pytest
import redis

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from schema import RunOptions, Status
from tests.records import claim, epoch
from tests.redis_forms import Cluster, client_of
from tests.redis_users import backend_rights, rights_in_a_cluster, worker_rights


@pytest.mark.parametrize("missing", ["+hset", "~queue:*", "+evalsha"])
def test_a_right_that_is_missing_is_told_with_its_remedy(own_redis: RedisServer, missing: str) -> None:
    """As a worker of a newer version has it under users that nobody has renewed."""
    rights = [right for right in worker_rights() if right != missing]
    assert len(rights) == len(worker_rights()) - 1
    with RedisDB(own_redis.url) as ours:
        ours.queue.submit({"num_epochs": 1})
    with redis.Redis.from_url(own_redis.url) as admin:
        admin.execute_command("ACL", "SETUSER", "w", "reset", *rights, ">p")
    with (
        RedisDB(own_redis.url.replace("unix://", "unix://w:p@")) as store,
        pytest.raises(StoreUnavailable, match=r"make_secrets\.sh"),
    ):
        store.queue.submit({"num_epochs": 1})


@pytest.fixture
def user_of(cluster: Cluster) -> Iterator[Callable[[str, Sequence[str]], str]]:
    """Makes a user on each node and returns the address with its name."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(client_of(node.port)) for node in cluster.nodes]

        def make(name: str, rights: Sequence[str]) -> str:
            for node in nodes:
                node.execute_command("ACL", "SETUSER", name, "reset", *rights, ">p")
                node.execute_command("ACL", "LOG", "RESET")
                stack.callback(node.execute_command, "ACL", "DELUSER", name)
            return cluster.url.replace("://", f"://{name}:p@")

        yield make


def test_backend_and_worker_use_a_cluster_with_users_of_their_own(
    cluster: Cluster, user_of: Callable[[str, Sequence[str]], str]
) -> None:
    urls = [
        user_of("b", rights_in_a_cluster(backend_rights())),
        user_of("w", rights_in_a_cluster(worker_rights())),
    ]
    with RedisDB(urls[0]) as backend, RedisDB(urls[1]) as worker:
        run = backend.queue.submit({"num_epochs": 1}, RunOptions(queue="of-users"))
        lease = claim(worker, queue="of-users")
        worker.runs.record_epoch(lease, epoch(1))
        worker.queue.finish(lease, Status.DONE)
        assert backend.runs.get(run.run_id).status is Status.DONE
    for node in cluster.nodes:
        with client_of(node.port) as admin:
            refused = {entry["object"] for entry in admin.execute_command("ACL", "LOG")}
            # Which library it is the driver says only where it may.
            assert refused <= {"client", "client|setinfo"}


@pytest.mark.parametrize("missing", ["+cluster|slots", "+command"])
def test_a_right_that_a_cluster_asks_for_is_named(
    user_of: Callable[[str, Sequence[str]], str], missing: str
) -> None:
    rights = [right for right in rights_in_a_cluster(worker_rights()) if right != missing]
    assert len(rights) == len(rights_in_a_cluster(worker_rights())) - 1
    with RedisDB(user_of("w", rights)) as db:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match=r"security\.md") as refused:
                db.ping()
            # Redis 6.2 says the command, and not which part of it.
            assert re.search(rf"'{missing[1:].partition('|')[0]}[^']*' command", str(refused.value))
            assert "is no Cluster" not in str(refused.value)
