"""Worker jobs on Slurm: submitted by ``sbatch``, found again by their name, ended by ``scancel``.

This is the one place that calls Slurm.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from carbon_aware_trainer.errors import SlurmRefused
from carbon_aware_trainer.plans import Decision, Job
from carbon_aware_trainer.strategies import adaptive
from carbon_aware_trainer.traces import Forecast

_PATIENCE_S: Final = 60.0
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# squeue still shows those that are over while their nodes are being tidied.
_OVER: Final = {"COMPLETING", "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"}
# All that Slurm's programs need of who calls them: Wattle's own settings, which hold passwords, are left out.
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ")
# Ahead of the time limit Slurm sends SIGUSR1 to this script alone: it stops the worker, which saves a
# checkpoint and puts its run back, and then the job waits again. SIGTERM comes to all processes of the job,
# by scancel or a preemption: the worker has it already, a second one would cost the checkpoint, and Slurm
# itself requeues what it preempts.
_SCRIPT: Final = """#!/bin/bash
is_over=0
is_told=0
worker=
tell() {{
  [ $is_over = 1 ] && [ -n "$worker" ] && [ $is_told = 0 ] || return
  is_told=1
  kill -TERM $worker
}}
trap 'is_over=1; tell' USR1
trap : TERM
{command} &
worker=$!
tell
wait $worker
code=$?
while kill -0 $worker 2>/dev/null; do
  wait $worker
  code=$?
done
if [ $is_over = 1 ] && [ "$(squeue --noheader --job "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
"""


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What each job asks of Slurm; None is the site's default."""

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gres: str | None = None
    cpus: int | None = None
    memory: str | None = None
    time_limit: str | None = None
    stop_before_s: int = 120
    """How long before the time limit the worker saves a checkpoint."""

    def as_arguments(self) -> list[str]:
        """Return them as sbatch takes them."""
        given = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "gres": self.gres,
            "cpus-per-task": self.cpus,
            "mem": self.memory,
            "time": self.time_limit,
        }
        return [f"--{name}={value}" for name, value in given.items() if value is not None]


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """One job that waits or runs; of an array each task is one."""

    job_id: str
    state: str
    reason: str


class WorkerJobs:
    """The worker jobs of one queue, known by their name alone: nothing is kept between two calls."""

    def __init__(self, queue: str, *, name: str = "wattle") -> None:
        """Take the queue, and a name that tells one installation's jobs from another's."""
        for given in (queue, name):
            if not _NAME.fullmatch(given):
                raise SlurmRefused(f"{given!r} is no name for a job. Use letters, digits, '.', '_' and '-'.")
        self.job_name = f"{name}:{queue}"

    def list_live(self) -> list[SlurmJob]:
        """Return this user's jobs that wait or run. Raises SlurmRefused."""
        asked = [f"--name={self.job_name}", f"--user={_user()}", "--array", "--noheader"]
        answer = _call("squeue", *asked, "--format=%i|%T|%r")
        jobs = [SlurmJob(*(cell.strip() for cell in line.split("|", 2))) for line in answer.splitlines()]
        return [job for job in jobs if job.state not in _OVER]

    def submit(
        self,
        count: int,
        command: Sequence[str],
        *,
        folder: Path,
        options: JobOptions,
        begin: datetime | None = None,
    ) -> str:
        """Submit one array of ``count`` jobs that run ``command`` in ``folder``, and return its id.

        A job gets nothing of this process's environment; its ``.env`` is read by the worker itself. begin:
        Slurm holds the jobs until then. Raises SlurmRefused.
        """
        arguments = [
            *("--parsable", f"--job-name={self.job_name}", f"--array=0-{count - 1}", "--requeue"),
            *("--export=NIL", f"--signal=B:USR1@{options.stop_before_s}", "--open-mode=append"),
            *(f"--chdir={folder}", f"--output={folder}/slurm-%A_%a.log"),
            *options.as_arguments(),
        ]
        if begin is not None:
            # Slurm reads it as local time.
            arguments.append(f"--begin={begin.astimezone():%Y-%m-%dT%H:%M:%S}")
        script = _SCRIPT.format(command=shlex.join(command))
        return _call("sbatch", *arguments, text=script).strip().split(";")[0]

    def cancel(self) -> int:
        """End all of them, and return how many there were: a running worker saves a checkpoint first."""
        jobs = self.list_live()
        if jobs:
            _call("scancel", f"--name={self.job_name}", f"--user={_user()}")
        return len(jobs)


def count_missing(*, demand: int, most: int, live: int) -> int:
    """Return how many jobs to submit, so that there are never more than ``most``, nor than the demand.

    demand: runs that wait or run. Jobs too many end by themselves once no run waits.
    """
    return max(0, min(demand, most) - live)


def hold(
    forecast: Forecast | None, *, work: timedelta, deadline: datetime, now: datetime
) -> tuple[Decision, datetime | None]:
    """Decide until when jobs are held for cleaner electricity; None to start now.

    The deadline, by which ``work`` is done, wins over any saving, and without a forecast they start now.
    """
    job = Job(work, deadline)
    # Jobs that were submitted are not decided about again, so nothing is gained by waiting for its own sake.
    decision = adaptive.decide(job, forecast, now=now)
    if decision.action == "run":
        return decision, None
    plan = adaptive.plan(job, forecast, now=now)
    return decision, plan.start if plan.start > now else None


def _user() -> str:
    # Not the environment's word for it: Slurm goes by the number.
    return pwd.getpwuid(os.getuid()).pw_name


def _call(program: str, *arguments: str, text: str = "") -> str:
    """Call a program of Slurm and return what it prints. Raises SlurmRefused with what it says."""
    try:
        ended = subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_S,
            env=_environment(os.environ),
        )
    except FileNotFoundError as error:
        raise SlurmRefused(f"{program} is not installed. Run this on a login node of the cluster.") from error
    except subprocess.TimeoutExpired as error:
        raise SlurmRefused(
            f"{program} did not answer within {_PATIENCE_S:.0f} s. Is slurmctld up?"
        ) from error
    if ended.returncode:
        said = ended.stderr.strip() or f"it ended with {ended.returncode}"
        raise SlurmRefused(f"{program} refused: {said}")
    return ended.stdout


def _environment(mine: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in mine.items() if name in _KEPT or name.startswith("SLURM_")}
