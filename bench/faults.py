"""What RQ, Celery, Dramatiq and ours do when things break: the table of docs/reliability.md, made again.

Each queue has a Redis of its own with AOF everysec, ours its API beside it as anywhere, and one job that
sleeps and writes down when it begins and ends. Then something dies (bench.fault_scenes). Everything is as it
comes, with late acknowledgement where it can be chosen. Only in ``longer_than_lease`` is what corresponds to
a lease set to 5 s: ours, Celery's visibility timeout, Dramatiq's heartbeat timeout; RQ has none. A queue
that has not put it right when the limit is over is printed so; it may do so later. The exit code is 1 when
ours loses a job, runs it beside itself, records another end than done, or takes more than one lease and a
second to run it again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.contestants import Contestant, Stage, describe_machine, new_redis, ours, peer
from bench.fault_scenes import LEASE_S, SCENES, SHORT_LEASE_S, Outcome, Scene
from bench.peers import jobs

LIMIT_S, QUICK_LIMIT_S = 60.0, 20.0
OUR_WORKER = ("worker.py", "--device", "cpu", "--threads", "1", "--queues", "first,default")

CONTESTANTS = (
    ours("ours", "Wattle", *OUR_WORKER, attendant=["backend.py"]),
    peer("rq", "RQ", "rq_peer", "fork", "first", "default"),
    peer("celery", "Celery", "celery_peer", "prefork", "first", "default", WATTLE_BENCH_RUNS_LONG_JOBS="1"),
    peer("dramatiq", "Dramatiq", "dramatiq_peer", "8", "default", "second"),
)

# Of one contestant in one scene: what came of it, or the reason why it was not tried.
Result = Outcome | str


class Play:
    """All scenes with all contestants, those of a scene at the same time."""

    def __init__(self, folder: Path, limit_s: float) -> None:
        self._folder, self._limit_s = folder, limit_s
        self.versions: dict[str, str | None] = {}

    def perform(self, name: str, scene: Scene) -> dict[str, Result]:
        """Return what came of it, by contestant."""
        with ThreadPoolExecutor(len(CONTESTANTS)) as pool:
            futures = {
                contestant.name: pool.submit(self._perform_with, _cast(contestant, name), name, scene, place)
                for place, contestant in enumerate(CONTESTANTS)
            }
            return {contestant: future.result() for contestant, future in futures.items()}

    def _perform_with(self, contestant: Contestant, name: str, scene: Scene, place: int) -> Result:
        folder = self._folder / f"{name}-{contestant.name}"
        server = new_redis(folder / "redis", place=place)
        server.start()
        try:
            with Stage(contestant, server, folder / "stage") as stage:
                self.versions[contestant.name] = stage.version
                return stage.producer.reason or scene(stage, self._limit_s)
        finally:
            server.stop()


def _cast(contestant: Contestant, scene: str) -> Contestant:
    """Return the contestant, with what corresponds to a lease made short where the scene is about that."""
    if scene != "longer_than_lease":
        return contestant
    short = {jobs.LEASE_S: str(SHORT_LEASE_S), "WATTLE_LEASE_S": str(SHORT_LEASE_S)}
    return replace(contestant, environment={**contestant.environment, **short})


def is_right(outcome: Outcome) -> bool:
    """True when a run of ours came out as promised."""
    return outcome.is_whole and (outcome.seconds is None or outcome.seconds <= LEASE_S + 1)


def show(scene: str, results: Mapping[str, Result]) -> None:
    """Print what came of a scene."""
    print(scene)
    for contestant in CONTESTANTS:
        result = results[contestant.name]
        if isinstance(result, str):
            print(f"  {contestant.title:10} not tried: {result}")
            continue
        print(
            f"  {contestant.title:10} {result.words} (began {result.starts} x, ended {result.ends} x, "
            f"{result.status})",
            flush=True,
        )


def to_row(results: Mapping[str, Result]) -> dict[str, Any]:
    """Return a scene's results for the last line."""
    return {
        name: {"reason": result} if isinstance(result, str) else result.figures()
        for name, result in results.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(
        "bench.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"a limit of {QUICK_LIMIT_S:g} s")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="default: %(default)s")
    parser.add_argument("--scenes", nargs="*", default=[name for name, _ in SCENES], help="default: all")
    options = parser.parse_args(arguments)
    limit_s = QUICK_LIMIT_S if options.quick else options.limit_s
    machine = describe_machine()
    rows: dict[str, Any] = {}
    are_ours_right = True
    with tempfile.TemporaryDirectory(prefix="wattle-bench-") as folder:
        play = Play(Path(folder), limit_s)
        for name, scene in SCENES:
            if name not in options.scenes:
                continue
            results = play.perform(name, scene)
            show(name, results)
            rows[name] = to_row(results)
            our = results["ours"]
            are_ours_right &= isinstance(our, Outcome) and is_right(our)
    facts = {"n": 1, "limit_s": limit_s, "quick": options.quick, "versions": play.versions, **machine}
    print(json.dumps(rows | {"are_ours_right": are_ours_right} | facts))
    return 0 if are_ours_right else 1


if __name__ == "__main__":
    raise SystemExit(main())
