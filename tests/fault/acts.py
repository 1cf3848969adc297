"""What tests of dying workers do and look at: submit, wait for a status, find processes."""

from __future__ import annotations

import subprocess

import psutil
from pydantic import JsonValue

from redis_db import RedisDB
from schema import Run, RunOptions, Status
from tests.programs import wait_until


def submit(
    store: RedisDB,
    trainer: str,
    *,
    num_epochs: int = 5,
    epoch_s: float = 0.05,
    step_s: float = 0.01,
    evaluation_s: float = 0.0,
    **options: object,
) -> str:
    """Queue a run of a test trainer; ``options`` are those of the run."""
    hyper_params: dict[str, JsonValue] = {
        "trainer": trainer, "num_epochs": num_epochs, "epoch_s": epoch_s, "step_s": step_s, "seed": 0,
        "evaluation_s": evaluation_s,
    }  # fmt: skip
    return store.queue.submit(hyper_params, RunOptions.model_validate(options)).run_id


def wait_for(store: RedisDB, run_id: str, status: Status, *, timeout_s: float = 60.0) -> Run:
    """Return the run once it has the status."""
    wait_until(
        lambda: store.runs.get(run_id).status is status, timeout_s=timeout_s, what=f"{run_id} is {status}"
    )
    return store.runs.get(run_id)


def epochs_of(store: RedisDB, run_id: str) -> list[int]:
    """The epochs that are recorded."""
    return [result.epoch for result in store.runs.list_epochs(run_id)]


def reasons_of(store: RedisDB, run_id: str) -> list[str | None]:
    """How the attempts ended."""
    return [attempt.end_reason for attempt in store.runs.list_attempts(run_id)]


def forkserver_of(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """The process that forks the worker's children."""
    children = psutil.Process(worker.pid).children()
    return next(child for child in children if "multiprocessing.forkserver" in command_of(child))


def child_of(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """The training child, waiting for it."""
    found: list[psutil.Process] = []

    def look() -> bool:
        found[:] = forkserver_of(worker).children()
        return bool(found)

    wait_until(look, what="a training child")
    return found[0]


def command_of(process: psutil.Process) -> str:
    """Return its command line; nothing once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone; a zombie has ended, but whoever adopted it has not asked yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
