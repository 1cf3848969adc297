"""What a test of the store needs besides the store: a look at Redis itself, in each form of Redis."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest
import redis

from cli.redis_server import RedisServer
from store.address import parse_address
from tests.monitor_server import MonitorServer, monitor_server
from tests.redis_forms import Cluster, SentinelTrio, cluster_of_three, sentinel_trio
from training_monitor import TrainingMonitor

# The tests of the store, which between them run every script. With TEST_REDIS_FORMS=all, as in CI, they run
# on each form of Redis.
STORE_TESTS: Final = frozenset(
    f"tests.integration.test_{name}"
    for name in (
        "accounts",
        "alert_delivery",
        "alert_rules",
        "artifact_invariants",
        "carbon_outcomes",
        "carbon_store",
        "controls",
        "external_store",
        "figures",
        "intensities_store",
        "leaderboard",
        "live_store",
        "log_store",
        "postponing",
        "power_store",
        "queue",
        "quotas",
        "recomputing",
        "retries",
        "run_list",
        "run_now",
        "runs_store",
        "sweep_store",
        "workers_store",
    )
)
FORMS: Final = ("redis_server", "sentinels", "cluster")
# A test of one process: nothing may fail over because the machine is busy.
NEVER_MS: Final = 600_000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    is_of_store = metafunc.module.__name__ in STORE_TESTS and "redis_form" in metafunc.fixturenames
    is_general = metafunc.definition.get_closest_marker("one_server") is None
    if os.environ.get("TEST_REDIS_FORMS") == "all" and is_of_store and is_general:
        metafunc.parametrize("redis_form", FORMS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def redis_form(request: pytest.FixtureRequest) -> str:
    """The fixture that has the server, by default a single one."""
    return str(getattr(request, "param", FORMS[0]))


@pytest.fixture(scope="session")
def sentinels() -> Iterator[SentinelTrio]:
    with (
        tempfile.TemporaryDirectory(prefix="wattle-") as folder,
        sentinel_trio(Path(folder), down_after_ms=NEVER_MS) as trio,
    ):
        yield trio


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="wattle-") as folder, cluster_of_three(Path(folder)) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def redis_place(redis_form: str, request: pytest.FixtureRequest) -> RedisServer | SentinelTrio | Cluster:
    place: RedisServer | SentinelTrio | Cluster = request.getfixturevalue(redis_form)
    return place


@pytest.fixture(scope="session")
def redis_url(redis_place: RedisServer | SentinelTrio | Cluster) -> str:
    return redis_place.url


@pytest.fixture(scope="session")
def primary_url(redis_place: RedisServer | SentinelTrio | Cluster) -> str:
    return redis_place.url if isinstance(redis_place, RedisServer) else redis_place.primary_url


class PrefixedRedis(redis.Redis):
    """Shows the keys of a store that has a prefix without it, so that a test is the same for each form."""

    prefix = ""
    _send: ClassVar[Any] = redis.Redis.execute_command
    _NO_KEY: Final = frozenset(
        {"FLUSHDB", "FLUSHALL", "DBSIZE", "INFO", "CONFIG RESETSTAT", "CONFIG SET", "TIME"}
    )
    _ALL_KEYS: Final = frozenset({"DEL", "EXISTS"})

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command with its keys' whole names."""
        name, *rest = args
        if name == "KEYS":
            found = self._send(name, f"{self.prefix}{rest[0]}", **options)
            return [key.removeprefix(self.prefix) for key in found]
        if name == "SCAN":
            # Its arguments are the cursor, and where a pattern is given the word MATCH and the pattern.
            rest[2:3] = [f"{self.prefix}{pattern}" for pattern in rest[2:3]]
            cursor, found = self._send(name, *rest, **options)
            return cursor, [key.removeprefix(self.prefix) for key in found]
        if name not in self._NO_KEY:
            last = len(rest) if name in self._ALL_KEYS else 1
            rest[:last] = [f"{self.prefix}{key}" for key in rest[:last]]
        return self._send(name, *rest, **options)


@pytest.fixture
def raw(redis_url: str, primary_url: str) -> Iterator[redis.Redis]:
    """A plain client, to look at what was stored and to wind the clock of a lease."""
    with PrefixedRedis.from_url(primary_url, decode_responses=True) as client:
        client.prefix = parse_address(redis_url, None).prefix
        yield client


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    """What the SDK talks to, in memory."""
    with monitor_server() as started:
        yield started


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the SDK keeps what it could not send."""
    return tmp_path / "spool"


@pytest.fixture
def start(server: MonitorServer, spool: Path) -> Iterator[Callable[..., TrainingMonitor]]:
    """Start monitors, and end them with the test."""
    started: list[TrainingMonitor] = []

    def begin(name: str = "resnet50_training", **options: Any) -> TrainingMonitor:
        given = {"api_url": server.url, "spool_dir": spool, "system_metrics": False, **options}
        started.append(TrainingMonitor(name, **given))
        return started[-1]

    yield begin
    for monitor in started:
        monitor.finish(timeout_s=0.0)
