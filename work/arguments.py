"""The worker's command line."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from errors import InvalidInput
from redis_db import check_queue


@dataclass(frozen=True)
class Arguments:
    """What the command line says; ``others`` is what a supervisor hands on to its workers."""

    queues: tuple[str, ...] | None
    device: str
    threads: int | None
    burst: bool
    max_runs: int | None
    name: str
    gpus: str | None
    processes: int | None
    others: tuple[str, ...]

    @property
    def is_supervisor(self) -> bool:
        """Whether this process only starts workers."""
        return self.gpus is not None or self.processes is not None


def parse(arguments: Sequence[str] | None) -> Arguments:
    """Read the command line; exits with 2 and a sentence when it is wrong."""
    supervising = argparse.ArgumentParser(add_help=False)
    one_each = supervising.add_argument_group("several workers").add_mutually_exclusive_group()
    one_each.add_argument(
        "--gpus", type=_gpus, help="start a worker for each GPU: all, or numbers such as 0,2"
    )
    one_each.add_argument("--processes", type=_positive, help="start so many workers")
    parser = argparse.ArgumentParser(
        "worker.py", description="Take runs from the queue and train them.", parents=[supervising]
    )
    parser.add_argument(
        "--queues",
        type=_queues,
        help="queues to take runs from, most urgent first, comma-separated "
        "(default: host-<name>, gpu-<kind>, zone-<zone>, default)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--threads", type=_positive, help="CPU threads (default: cores / workers of this host, at each run)"
    )
    parser.add_argument("--burst", action="store_true", help="end when the queues are empty")
    parser.add_argument("--max-runs", type=_positive, help="end after so many runs")
    parser.add_argument(
        "--name",
        type=_name,
        default=platform.node() or "worker",
        help="shown on the page, without a slash (default: the host's)",
    )
    options = parser.parse_args(arguments)
    if options.gpus is not None and options.device != "auto":
        parser.error("--gpus gives each worker its device: leave --device out")
    _, others = supervising.parse_known_args(arguments)
    return Arguments(**vars(options), others=tuple(others))


def _queues(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, text.split(",")))
    if not names:
        raise argparse.ArgumentTypeError("must name at least one queue, such as default")
    try:
        for name in names:
            check_queue(name)
    except InvalidInput as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _name(text: str) -> str:
    # A worker's id starts with its name, and is a part of the path that drains it.
    if "/" in text or not text.isprintable() or not text.strip():
        raise argparse.ArgumentTypeError("must be printable characters without a slash")
    return text


def _gpus(text: str) -> str:
    if text != "all" and not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError("must be all, or numbers such as 0,2")
    return text
