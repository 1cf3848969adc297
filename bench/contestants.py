"""Who is compared in bench.queue and bench.faults, and how their programs are started and ended."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bench.conversation import ROOT, Conversation
from bench.peers import jobs
from cli.redis_server import RedisServer, free_port

PEERS = ROOT / ".venv-peers" / "bin" / "python"
START_LIMIT_S = 60.0
# Below the ports that systems give out by themselves.
_PORTS, _API_PORT = range(17_000, 32_000, 100), 15200


@dataclass(frozen=True)
class Contestant:
    """A queue: its producer and its worker, each the arguments of an interpreter."""

    name: str
    title: str
    python: Path
    producer: Sequence[str]
    worker: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    dying_worker: Sequence[str] = ()
    """A worker that kills itself after its first pop, where the environment variable does not make it so."""
    attendant: Sequence[str] = ()
    """Another program that is always there where the queue is at work."""


def peer(name: str, title: str, module: str, *worker: str, **environment: str) -> Contestant:
    """Return a queue of ``.venv-peers``."""
    program = ("-m", f"bench.peers.{module}")
    return Contestant(name, title, PEERS, (*program, "produce"), (*program, "work", *worker), environment)


def ours(name: str, title: str, *worker: str, attendant: Sequence[str] = ()) -> Contestant:
    """Return ours, with the worker as given."""
    program = ("-m", "bench.peers.ours")
    return Contestant(
        name,
        title,
        Path(sys.executable),
        (*program, "produce"),
        worker,
        dying_worker=(*program, "die", "first,default"),
        attendant=attendant,
    )


class Stage:
    """One contestant on a Redis: its producer, its workers, and what they write down.

    Every process it starts has ended when it is closed.
    """

    def __init__(self, contestant: Contestant, redis: RedisServer, folder: Path) -> None:
        self.contestant, self.redis, self.folder = contestant, redis, folder
        folder.mkdir(parents=True)
        self.stamps, self.journal = folder / "stamps", folder / "journal"
        self._programs: list[subprocess.Popen[bytes]] = []
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("WATTLE_")},
            **_OUR_SETTINGS,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "bench" / "plugin")]),
            "WATTLE_REDIS_URL": redis.url,
            "WATTLE_DATA_DIR": str(folder / "data"),
            "WATTLE_PORT": str(free_port(_API_PORT)),
            "WATTLE_ENERGY_DIR": str(folder / "data" / "energy"),
            jobs.REDIS: redis.url,
            jobs.STAMPS: str(self.stamps),
            jobs.JOURNAL: str(self.journal),
            **contestant.environment,
        }
        program = [str(contestant.python), *contestant.producer]
        self.producer = Conversation(contestant.title, program, environment=self._environment)
        if contestant.attendant:
            self._start(contestant.attendant, {})

    @property
    def version(self) -> str | None:
        """The version of the queue's library."""
        return self.producer.greeting.get("version")

    def start_worker(self, *, dies_after_pop: bool = False) -> psutil.Process:
        """Start a worker."""
        contestant = self.contestant
        command = (dies_after_pop and contestant.dying_worker) or contestant.worker
        return self._start(command, {jobs.DIES_AFTER_POP: "1"} if dies_after_pop else {})

    def _start(self, command: Sequence[str], fault: Mapping[str, str]) -> psutil.Process:
        with (self.folder / f"program-{len(self._programs)}.log").open("wb") as output:
            program = subprocess.Popen(
                [str(self.contestant.python), *command],
                cwd=ROOT,
                env={**self._environment, **fault},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._programs.append(program)
        return psutil.Process(program.pid)

    def exit_code_of(self, worker: psutil.Process) -> int | None:
        """Return a worker's exit code, None while it lives."""
        return next(one for one in self._programs if one.pid == worker.pid).poll()

    def kill(self, worker: psutil.Process) -> None:
        """Kill a program and all it has started, also what its own death has left behind."""
        with suppress(psutil.NoSuchProcess):
            kill_tree(worker)
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """Return the end of what the programs printed."""
        logs = sorted(self.folder.glob("program-*.log"))
        return "\n".join(log.read_text(errors="replace")[-1000:] for log in logs)

    def close(self) -> None:
        """End everything."""
        self.producer.close()
        for program in self._programs:
            # Only while it is not waited for is its pid surely its own.
            if program.returncode is None:
                self.kill(psutil.Process(program.pid))
            program.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# A sampler of these workers alone, and no second of CPU time for CodeCarbon.
_OUR_SETTINGS = {"PYTHONUNBUFFERED": "1", "WATTLE_CODECARBON": "false"}


def kill_tree(process: psutil.Process) -> None:
    """Kill a process and all that descend from it, so that none can react."""
    family = [*process.children(recursive=True), process]
    process.suspend()  # so that it notices no death of a child, nor starts another
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def cpu_s_of(process: psutil.Process) -> float:
    """Return the CPU seconds of a process, its descendants, and those of them that have ended."""
    total_s = 0.0
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total_s += times.user + times.system + times.children_user + times.children_system
    return total_s


def wait_for(is_true: Callable[[], object], *, limit_s: float, every_s: float = 0.01) -> bool:
    """Wait for a state of the world; False when it did not come within the limit."""
    end_s = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > end_s:
            return False
        time.sleep(every_s)
    return True


def new_redis(folder: Path, *, place: int = 0, is_durable: bool = True) -> RedisServer:
    """Return a Redis of a benchmark's own, not started, with AOF everysec unless said otherwise.

    place: tells those apart that are made at the same time. Other benchmarks get other ports, for one whose
    server is killed must not find theirs in its place.
    """
    first = _PORTS[os.getpid() % len(_PORTS)]
    return RedisServer(folder, port=free_port(first + 20 * place), is_durable=is_durable)


def describe_machine() -> dict[str, Any]:
    """Return what figures depend on besides the code."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "redis_client": metadata.version("redis"),
    }
