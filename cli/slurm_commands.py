"""``wattle slurm``: worker jobs on a Slurm cluster, as many as there are runs, and no more than allowed."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, NoReturn, cast

import numpy as np
import typer

from carbon_aware_trainer.errors import CarbonError, SlurmRefused
from carbon_aware_trainer.integrations.slurm import JobOptions, WorkerJobs, count_missing, hold
from carbon_aware_trainer.records import Basis
from carbon_aware_trainer.traces import Forecast
from cli.connecting import Api, AsJson, connect
from errors import ApiError, ApiUnavailable, WattleError
from schema import ForecastReply, Status

app = typer.Typer(help="Worker jobs on a Slurm cluster.", no_args_is_help=True)

_LOCK: Final = ".wattle-slurm.lock"
Queue = Annotated[str, typer.Option(help="the queue the workers take runs from")]
Folder = Annotated[
    Path,
    typer.Option(
        resolve_path=True, help="where the jobs work, on a disk they share; its .env has their settings"
    ),
]
Name = Annotated[str, typer.Option(help="tells the jobs of one installation from those of another")]


@app.command()
def up(
    queue: Queue,
    most: Annotated[int, typer.Option("--max", min=1, help="most jobs of this queue at any time")],
    name: Name = "wattle",
    folder: Folder = Path(),
    python: Annotated[str, typer.Option(help="the Python of the jobs")] = sys.executable,
    partition: str | None = None,
    account: str | None = None,
    qos: str | None = None,
    gres: Annotated[str | None, typer.Option(help="such as gpu:a100:1")] = None,
    cpus: Annotated[int | None, typer.Option(min=1)] = None,
    memory: Annotated[str | None, typer.Option(help="such as 32G")] = None,
    time_limit: Annotated[str | None, typer.Option("--time", help="such as 08:00:00")] = None,
    stop_before_s: Annotated[
        int, typer.Option(min=15, max=65535, help="a checkpoint is saved so long before the time limit")
    ] = 120,
    zone: Annotated[str | None, typer.Option(help="hold jobs for clean hours of this zone, as DE")] = None,
    work_h: Annotated[float, typer.Option(min=0.1, max=168, help="hours of work of a held job")] = 1.0,
    within_h: Annotated[float, typer.Option(min=0.1, max=168, help="it is done within so many hours")] = 12.0,
    every_s: Annotated[float | None, typer.Option(min=5, help="again and again, so often")] = None,
    as_json: AsJson = False,
    api: Api = None,
) -> None:
    """Submit the worker jobs that are missing for the runs that wait and run in a queue."""
    options = JobOptions(partition, account, qos, gres, cpus, memory, time_limit, stop_before_s)
    clean = None if zone is None else (zone, timedelta(hours=work_h), timedelta(hours=within_h))
    while True:
        try:
            told = _fill(WorkerJobs(queue, name=name), queue, most, folder, python, options, clean, api)
        except (WattleError, CarbonError) as error:
            if every_s is None or not isinstance(error, ApiError | SlurmRefused):
                _fail(error)
            typer.echo(f"slurm: {error}", err=True)
        else:
            typer.echo(json.dumps(told) if as_json else _sentence(told))
        if every_s is None:
            return
        time.sleep(every_s)


@app.command()
def status(queue: Queue, name: Name = "wattle", as_json: AsJson = False, api: Api = None) -> None:
    """Show the worker jobs of a queue, and how many runs want one."""
    try:
        jobs, demand = WorkerJobs(queue, name=name).list_live(), _count_demand(queue, api)
    except (WattleError, CarbonError) as error:
        _fail(error)
    if as_json:
        listed = [{"job": job.job_id, "state": job.state, "reason": job.reason} for job in jobs]
        typer.echo(json.dumps({"queue": queue, "demand": demand, "jobs": listed}))
        return
    typer.echo(f"{demand} runs wait or run in {queue}; {len(jobs)} jobs")
    for job in jobs:
        typer.echo(f"{job.job_id}  {job.state}  {job.reason}")


@app.command()
def down(queue: Queue, name: Name = "wattle", as_json: AsJson = False) -> None:
    """End the worker jobs of a queue; their runs go back to it with a checkpoint."""
    try:
        ended = WorkerJobs(queue, name=name).cancel()
    except CarbonError as error:
        _fail(error)
    typer.echo(json.dumps({"queue": queue, "ended": ended}) if as_json else f"{ended} jobs of {queue} end")


def _fill(
    jobs: WorkerJobs,
    queue: str,
    most: int,
    folder: Path,
    python: str,
    options: JobOptions,
    clean: tuple[str, timedelta, timedelta] | None,
    api: str | None,
) -> dict[str, object]:
    """Submit what is missing, and tell. Of two that do so at once in a folder the second one waits."""
    _check_private(folder / ".env")
    with _alone(folder):
        live, demand = len(jobs.list_live()), _count_demand(queue, api)
        missing = count_missing(demand=demand, most=most, live=live)
        told: dict[str, object] = {"queue": queue, "demand": demand, "jobs": live, "submitted": missing}
        if missing:
            command = [python, _worker_program(), "--queues", queue, "--burst"]
            begin = None
            if clean is not None:
                begin, reason = _hold(*clean, api)
                told |= {"begin": begin and begin.isoformat(), "reason": reason}
            told["job"] = jobs.submit(missing, command, folder=folder, options=options, begin=begin)
    return told


def _hold(zone: str, work: timedelta, within: timedelta, api: str | None) -> tuple[datetime | None, str]:
    """Return until when jobs are held, and why. A grid that nothing is known of holds nothing."""
    now = datetime.now(UTC)
    try:
        with connect(api) as client:
            forecast = as_forecast(client.get_forecast(zone))
    except ApiError as error:
        return None, f"Nothing is held: {error}"
    decision, begin = hold(forecast, work=work, deadline=now + within, now=now)
    return begin, decision.reason


def as_forecast(told: ForecastReply) -> Forecast:
    """Return what the API says is expected as the library reads it."""

    def column(values: Iterator[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    return Forecast(
        zone=told.zone,
        provider=told.provider,
        basis=cast("Basis", told.basis),
        made_at=told.made_at,
        start=told.points[0].start,
        step=timedelta(seconds=told.step_s),
        g_per_kwh=column(point.g_per_kwh for point in told.points),
        low=column(point.low for point in told.points),
        high=column(point.high for point in told.points),
        method=told.method,
    )


def _count_demand(queue: str, api: str | None) -> int:
    with connect(api) as client:
        counted = (
            client.list_runs(status=state, q=f'queue:"{queue}" external:no', limit=1).total
            for state in (Status.WAITING, Status.RUNNING)
        )
        return sum(counted)


def _worker_program() -> str:
    """Return the path of worker.py, which the jobs find on the same shared disk as this program."""
    found = importlib.util.find_spec("worker")
    if found is None or found.origin is None:
        raise SlurmRefused("worker.py is not there: install Wattle where the jobs see it, too.")
    return found.origin


def _check_private(settings: Path) -> None:
    """Raise SlurmRefused when others than its owner can read the settings, for passwords are in them."""
    if settings.exists() and settings.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SlurmRefused(f"{settings} can be read by others. Run: chmod 600 {settings}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: who counts jobs and submits others must not be counted beside."""
    try:
        lock = (folder / _LOCK).open("w")
    except OSError as error:
        raise SlurmRefused(f"--folder {folder} cannot be written to: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sentence(told: dict[str, object]) -> str:
    said = f"{told['demand']} runs wait or run in {told['queue']}; {told['jobs']} jobs"
    if told["submitted"]:
        said += f", {told['submitted']} more submitted as {told['job']}"
    if told.get("begin"):
        said += f", to begin at {told['begin']}"
    return f"{said}. {told['reason']}" if told.get("reason") else said


def _fail(error: Exception) -> NoReturn:
    if isinstance(error, ApiUnavailable):
        raise error  # has an exit code of its own
    typer.echo(f"slurm: {error}", err=True)
    raise typer.Exit(1)


if __name__ == "__main__":
    app()
