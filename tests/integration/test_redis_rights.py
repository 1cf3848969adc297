"""What somebody is told whose user of Redis may not do what Wattle needs."""

from __future__ import annotations

import pytest
import redis

from cli.redis_server import RedisServer
from errors import StoreUnavailable
from redis_db import RedisDB
from tests.redis_users import worker_rights


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
