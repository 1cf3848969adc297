"""carbon-aware wait -- command."""

from __future__ import annotations

import os
import sys

from carbon_aware_trainer.commands.asked import Asked
from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.gauge import NoGauge
from carbon_aware_trainer.core.schedulers import scheduler_of
from carbon_aware_trainer.core.session import CarbonSession
from carbon_aware_trainer.core.taking import StateChange
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.traces import HOUR


def wait(asked: Asked) -> int:
    """Wait, then become the command: its signals and its exit status are its own.

    Raises CarbonError when there is no such command.
    """
    words = [word for i, word in enumerate(asked.options.words) if i or word != "--"]
    until_clean(asked)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(words[0], words)  # noqa: S606 as a shell's exec: no shell in between
    except OSError as err:
        raise CarbonError(f"{words[0]} cannot be run: {err.strerror}.") from err


def until_clean(asked: Asked) -> None:
    """Wait for the start of the cleanest window, or for the threshold; what is decided is told."""
    config = _config(asked)
    gauge = NoGauge("Only the waiting is done here.")
    session = CarbonSession(asked.monitor(), scheduler_of(config), config, gauge=gauge, clock=asked.clock)
    session.on_state_change(_tell)
    session.open()
    session.before_step()


def _config(asked: Asked) -> TrainingConfig:
    options = asked.options
    if options.duration is None:
        return TrainingConfig(
            carbon_threshold=options.threshold,
            max_pause_hours=options.within,
            check_interval=options.check_interval,
            interruptible=False,
        )
    if options.threshold is not None:
        raise CarbonError("Give either --duration, for the cleanest window, or --threshold.")
    return TrainingConfig(
        policy="adaptive",
        duration_hours=options.duration,
        deadline=asked.clock.now() + options.within * HOUR,
        check_interval=options.check_interval,
        interruptible=False,
    )


def _tell(change: StateChange) -> None:
    what = "waiting" if change.state == "paused" else "running"
    print(f"carbon-aware: {what}: {change.reason}", file=sys.stderr, flush=True)
