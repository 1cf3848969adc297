"""Redis in its other forms on this machine: a primary that three Sentinels watch, a Cluster of three."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis
from redis.crc import key_slot

from cli.redis_server import RedisServer, find_redis_binary, free_port
from errors import StoreUnavailable
from store.address import CLUSTER_PREFIX
from tests.programs import wait_until

SERVICE: Final = "wattle"
SLOTS: Final = 16_384
# A Cluster's nodes talk on their port + 10,000; both have to be below the ports of tests/ports.py.
PORTS: Final = (10_000, 11_999)
TRIES: Final = 5


def start_on_a_port(make: Callable[[int], RedisServer]) -> RedisServer:
    """Start a server on a port nobody has; another test may take it between the look and the start."""
    for _ in range(TRIES):
        server = make(free_port(random.randint(*PORTS)))  # noqa: S311 - no secret
        try:
            server.start()
        except StoreUnavailable:
            continue
        return server
    raise StoreUnavailable(f"No Redis could be started on {TRIES} ports.")


def client_of(port: int) -> redis.Redis:
    return redis.Redis(port=port, decode_responses=True)


@dataclass
class SentinelProcess:
    """A Sentinel of our own. It writes what it learns into its configuration file."""

    port: int
    folder: Path
    primary_port: int
    down_after_ms: int
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        self.folder.mkdir()
        file = self.folder / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nlogfile {self.folder}/log\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary_port} 2\n"
            f"sentinel down-after-milliseconds {SERVICE} {self.down_after_ms}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        command = [str(find_redis_binary()), str(file), "--sentinel"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def describe(self) -> dict[str, Any]:
        """What it knows about the service; empty while it does not answer."""
        try:
            with client_of(self.port) as client:
                described: dict[str, Any] = client.sentinel_master(SERVICE)
                return described
        except redis.RedisError:
            return {}


@dataclass
class SentinelTrio:
    """A primary with one replica, and three Sentinels that know one another."""

    primary: RedisServer
    replica: RedisServer
    sentinels: list[SentinelProcess]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    @property
    def primary_url(self) -> str:
        return self.primary.url

    def is_ready(self) -> bool:
        """Whether a fail-over would work: everybody knows everybody, and the replica is in step."""
        known = [sentinel.describe() for sentinel in self.sentinels]
        is_known = all(
            state.get("num-other-sentinels") == 2 and state.get("num-slaves") == 1 for state in known
        )
        # The primary calls it online somewhat later than the replica calls the link up.
        with client_of(self.replica.port) as client, client_of(self.primary.port) as admin:
            is_up = client.info("replication")["master_link_status"] == "up"
            seen = admin.info("replication").get("slave0", {})
            return is_known and is_up and seen.get("state") == "online"


@contextmanager
def sentinel_trio(folder: Path, *, down_after_ms: int, is_durable: bool = False) -> Iterator[SentinelTrio]:
    """Start the five processes; down_after_ms is how long the primary may be silent."""
    with ExitStack() as stack:
        primary = start_on_a_port(lambda port: RedisServer(folder / "primary", port, is_durable=is_durable))
        stack.callback(primary.stop)
        follow = ("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0")
        replica = start_on_a_port(
            lambda port: RedisServer(folder / "replica", port, is_durable=is_durable, options=follow)
        )
        stack.callback(replica.stop)
        sentinels = []
        for number in range(3):
            port = free_port(random.randint(*PORTS))  # noqa: S311 - no secret
            sentinel = SentinelProcess(port, folder / f"sentinel-{number}", primary.port, down_after_ms)
            sentinel.start()
            stack.callback(sentinel.stop)
            sentinels.append(sentinel)
        trio = SentinelTrio(primary, replica, sentinels)
        wait_until(trio.is_ready, what="the Sentinels know one another and the replica")
        yield trio


@dataclass
class Cluster:
    """Three primaries, and where asked for a replica of the one that has our keys."""

    nodes: list[RedisServer]
    owner: RedisServer
    replica: RedisServer | None = None

    @property
    def url(self) -> str:
        """All nodes but the one that has our keys: a client has to ask for it."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes if node is not self.owner)
        return f"redis+cluster://{hosts}"

    @property
    def primary_url(self) -> str:
        return self.owner.url


@contextmanager
def cluster_of_three(folder: Path, *, has_replica: bool = False) -> Iterator[Cluster]:
    with ExitStack() as stack:
        nodes = []
        for number in range(4 if has_replica else 3):
            node = _start_node(folder / f"node-{number}")
            stack.callback(node.stop)
            nodes.append(node)
        primaries, replicas = nodes[:3], nodes[3:]
        _share_slots(primaries)
        with client_of(primaries[0].port) as client:
            for node in nodes[1:]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", node.port)
        owner = primaries[key_slot(CLUSTER_PREFIX.encode()) * len(primaries) // SLOTS]
        for node in replicas:
            _follow(node, owner)
        wait_until(lambda: all(_is_settled(node, len(nodes)) for node in nodes), what="the Cluster is whole")
        yield Cluster(primaries, owner, next(iter(replicas), None))


def _start_node(folder: Path) -> RedisServer:
    options = (
        "--cluster-enabled",
        "yes",
        "--cluster-node-timeout",
        "2000",
        "--repl-diskless-sync-delay",
        "0",
    )
    return start_on_a_port(lambda port: RedisServer(folder, port, is_durable=False, options=options))


def _share_slots(primaries: list[RedisServer]) -> None:
    for number, node in enumerate(primaries):
        slots = range(-(-number * SLOTS // 3), -(-(number + 1) * SLOTS // 3))
        with client_of(node.port) as client:
            client.execute_command("CLUSTER ADDSLOTS", *slots)


def _follow(node: RedisServer, owner: RedisServer) -> None:
    with client_of(owner.port) as client:
        owner_id = client.execute_command("CLUSTER MYID")
    with client_of(node.port) as client:
        wait_until(lambda: owner_id in str(client.execute_command("CLUSTER NODES")), what="they have met")
        client.execute_command("CLUSTER REPLICATE", owner_id)


def _is_settled(node: RedisServer, size: int) -> bool:
    with client_of(node.port) as client:
        info: dict[str, str] = client.execute_command("CLUSTER INFO")
        return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == str(size)
