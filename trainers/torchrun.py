"""A program of its own: torchrun for the ranks of one training; ``python -m trainers.torchrun FOLDER GPUS``.

Writes to WATTLE_REPORT_FD which ranks ended with which exit code, when one has failed. It opens no port:
everybody meets in a file of ``FOLDER``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from trainers.parent import die_with_parent

_MONITOR_S = 0.05
# Ranks have nothing to tidy up; SIGTERM ends them at once, unless they hang in a driver.
_SHUTDOWN_S = 1
SOCKET, MEETING = "socket", "ranks"


def main() -> int:
    """Run the ranks to their end; returns 1 when one failed."""
    # The leash leads this process group.
    die_with_parent(os.getpgid(0))
    folder, gpus = Path(sys.argv[1]), int(sys.argv[2])
    # Otherwise it would open a port for the ranks, on all of the host's addresses.
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=gpus,
        run_id="ranks",
        rdzv_backend="c10d",
        rdzv_endpoint=str(folder / "torchrun"),
        rdzv_configs={"store_type": "file"},
        local_addr="localhost",
        max_restarts=0,
        monitor_interval=_MONITOR_S,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs")),
        shutdown_timeout=_SHUTDOWN_S,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "trainers.rank", str(folder), str(os.getpid()))
    except ChildFailedError as error:
        failures = sorted((rank, failure.exitcode) for rank, failure in error.failures.items())
        with os.fdopen(int(os.environ["WATTLE_REPORT_FD"]), "w") as report:
            json.dump(failures, report)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
