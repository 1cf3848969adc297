"""A Slurm cluster of one node for a test: munged, slurmctld and slurmd as its own processes."""

from __future__ import annotations

import os
import platform
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path

from tests.ports import own_ports
from tests.programs import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
_PATIENCE_S = 90
REMEDY = "Slurm is not installed. Run: apt-get install slurmctld slurmd slurm-client munge"
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"

_CONFIG = """
ClusterName=wattle
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
CredType=cred/munge
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SchedulerParameters=sched_interval=1,bf_interval=1
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=demo Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def is_installed() -> bool:
    return all(shutil.which(program, path=f"{os.environ['PATH']}:{_ADMIN_PATH}") for program in PROGRAMS)


class NotStarted(Exception):
    """Slurm itself does not work here, as in a container that lacks what its node needs."""


class SlurmCluster:
    """The processes; every program that is to see the cluster needs ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:{_ADMIN_PATH}",
        }
        for name in ("state", "spool"):
            (folder / name).mkdir()

    def start(self) -> None:
        """Start it and wait until its node takes jobs."""
        folder = self._folder
        key = folder / "key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        control_port, node_port = own_ports(2)
        text = _CONFIG.format(
            host=platform.node().split(".")[0],
            user=pwd.getpwuid(os.getuid()).pw_name,
            folder=folder,
            control_port=control_port,
            node_port=node_port,
        )
        (folder / "slurm.conf").write_text(text)
        files = [f"--{name}={folder}/munge.{name}" for name in ("pid-file", "log-file", "seed-file")]
        self._start(
            "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge", *files
        )
        wait_until((folder / "munge").exists, timeout_s=60, what="the socket of munged")
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D")
        try:
            wait_until(self._is_ready, timeout_s=_PATIENCE_S, every_s=0.2)
        except AssertionError as error:
            raise NotStarted(f"Slurm does not start on this machine: {self.output()}") from error

    def call(self, *command: str) -> str:
        return subprocess.run(
            command, env={**os.environ, **self.environment}, check=True, capture_output=True, text=True
        ).stdout

    def output(self) -> str:
        """What the daemons have logged."""
        logs = sorted([*self._folder.glob("*.log"), *self._folder.glob("*.out")])
        return "\n".join(f"{path.name}:\n{path.read_text(errors='replace')[-3000:]}" for path in logs)

    def end_jobs(self) -> None:
        """End whatever a test has left; without its daemons a job would go on for ever."""
        self.call("scancel", f"--user={pwd.getpwuid(os.getuid()).pw_name}")
        wait_until(self._is_over, timeout_s=90, every_s=0.2, what=self.output())

    def stop(self) -> None:
        """End the daemons."""
        for process in reversed(self._processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, *command: str) -> None:
        with (self._folder / f"{command[0]}.out").open("wb") as output:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def _is_over(self) -> bool:
        return not self.call("squeue", "--noheader").strip()

    def _is_ready(self) -> bool:
        asked = subprocess.run(
            ["sinfo", "--noheader", "--format=%t"],
            env={**os.environ, **self.environment},
            check=False,
            capture_output=True,
            text=True,
        )
        return asked.stdout.strip() == "idle"
