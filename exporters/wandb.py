"""Runs as runs of Weights & Biases: on the server of WANDB_BASE_URL, or as files to be synced later."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import wandb

from schema import EpochResult, Run, Status
from schema.search import GROUP_PREFIX
from settings import Settings

_EPOCH: Final = (
    *("train_loss", "train_accuracy", "test_loss", "test_accuracy", "validation_loss", "validation_accuracy"),
    *("duration_s", "energy_kwh", "co2_g", "intensity_g_per_kwh"),
)
_RUN: Final = (
    *("best_accuracy", "last_accuracy", "last_loss", "energy_kwh", "co2_g", "duration_s", "accuracy_per_kwh"),
    *("epochs_done", "status", "status_reason", "energy_quality", "simulated"),
)
# W&B knows finished and failed; a cancelled run failed as one that Ctrl-C ended.
_EXIT_CODES: Final = {Status.DONE: 0, Status.FAILED: 1, Status.CANCELLED: 130}
_INIT_TIMEOUT_S: Final = 30.0
_FINISH_TIMEOUT_S: Final = 600
# Of a folder of files that are complete: which end of the run they tell.
_END_FILE: Final = "wattle-end"


class WandbExporter:
    """Makes a run of W&B of the same id, in a project called as ours; a second time adds what is missing.

    With WANDB_MODE=offline, a folder for ``wandb sync`` below WANDB_DIR, else below ``exports`` in the data
    folder: one per run, that of the run's last end.
    """

    def __init__(self, settings: Settings) -> None:
        self._page_url = settings.page_url.rstrip("/")
        self._folder = Path(os.environ.get("WANDB_DIR") or settings.data_dir / "exports").absolute()

    def export(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Hand the run over, asking nobody anything.

        Raises ValueError where nothing would be kept, and what W&B raises where the server is away or knows
        no such key.
        """
        with _hooks_kept():
            # Silent: otherwise it asks for a key on a terminal that the backend happens to have.
            mode = wandb.setup(wandb.Settings(silent=True)).settings.mode
            if mode not in ("online", "offline"):
                raise ValueError(f"WANDB_MODE is {mode}: nothing would be kept. Use online or offline.")
            try:
                if mode == "online":
                    _log_in()
                self._hand_over(run, epochs, is_offline=mode == "offline")
            except Exception:
                # W&B's process holds a run that it could not hand over, and would refuse it the next time.
                wandb.teardown(exit_code=1)
                raise

    def _hand_over(self, run: Run, epochs: Sequence[EpochResult], *, is_offline: bool) -> None:
        if is_offline:
            self._write(run, epochs)
            return
        with tempfile.TemporaryDirectory(prefix="wattle-wandb-") as folder:
            self._send(run, epochs, Path(folder), is_offline=False)

    def _write(self, run: Run, epochs: Sequence[EpochResult]) -> None:
        """Make the folder for ``wandb sync``; that of an older end, or half a one, is replaced."""
        end = f"{run.attempt} {run.ended_at}"
        for known in self._folder.glob(f"wandb/offline-run-*-{run.run_id}"):
            file = known / _END_FILE
            if file.exists() and file.read_text() == end:
                return
            shutil.rmtree(known)
        self._folder.mkdir(parents=True, exist_ok=True)
        made = self._send(run, epochs, self._folder, is_offline=True)
        (made / _END_FILE).write_text(end)

    def _send(self, run: Run, epochs: Sequence[EpochResult], folder: Path, *, is_offline: bool) -> Path:
        """Return where W&B keeps its files of the run."""
        page = f"{self._page_url}/run?iid={run.run_id}"
        sent = wandb.init(
            project=run.options.project,
            id=run.run_id,
            name=run.name or run.run_id[:8],
            group=_group_of(run),
            tags=[tag for tag in run.options.tags if not tag.startswith(GROUP_PREFIX)],
            notes=f"Run of Wattle: {page}",
            job_type="simulated" if run.simulated else "train",
            # The files of this one go on where those of a program that died had come to.
            resume="allow",
            reinit="create_new",
            dir=str(folder),
            settings=_settings(),
        )
        try:
            if sent.disabled or sent.offline != is_offline:
                raise ValueError("W&B does not keep runs as WANDB_MODE says: nothing was handed over.")
            sent.config.update(_config_of(run, page), allow_val_change=True)
            for result in epochs:
                if result.epoch >= sent.starting_step:
                    sent.log(_figures_of(result, run), step=result.epoch)
            sent.summary.update(_summary_of(run))
        except BaseException:
            sent.finish(exit_code=1)
            raise
        sent.finish(exit_code=_EXIT_CODES[run.status])
        return Path(sent.settings.sync_dir)


def _log_in() -> None:
    """Find the key where W&B looks for it. Raises ValueError without one."""
    if not wandb.login(prompt=False, verify=False):
        raise ValueError(
            "W&B has no API key: set WANDB_API_KEY, or run 'wandb login' as the user of the backend."
        )


def _settings() -> wandb.Settings:
    """Nothing of this process: it has trained nothing."""
    return wandb.Settings(
        console="off",
        silent=True,
        disable_code=True,
        disable_git=True,
        save_code=False,
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
        init_timeout=_INIT_TIMEOUT_S,
        finish_timeout=_FINISH_TIMEOUT_S,
        finish_timeout_raises=True,
    )


def _group_of(run: Run) -> str | None:
    named = (tag.removeprefix(GROUP_PREFIX) for tag in run.options.tags if tag.startswith(GROUP_PREFIX))
    return next(named, None)


def _config_of(run: Run, page: str) -> dict[str, Any]:
    source = {
        "run_id": run.run_id,
        "page": page,
        "attempt": run.attempt,
        "environment": dict(run.environment),
    }
    return {**run.hyper_params, "wattle": source}


def _figures_of(result: EpochResult, run: Run) -> dict[str, float]:
    known = {f"epoch/{name}": getattr(result, name) for name in _EPOCH}
    at = result.ended_at or run.ended_at
    return {name: value for name, value in known.items() if value is not None} | _timed(at)


def _timed(at: datetime | None) -> dict[str, float]:
    return {} if at is None else {"_timestamp": at.timestamp()}


def _summary_of(run: Run) -> dict[str, Any]:
    stated = run.model_dump(mode="json", include=set(_RUN), exclude_none=True)
    if run.error is not None:
        stated["error"] = run.error.message
    return stated


@contextlib.contextmanager
def _hooks_kept() -> Iterator[None]:
    """Leave ``sys.exit`` and ``sys.excepthook`` as they were: W&B wraps them when it starts its process."""
    leave, hook = sys.exit, sys.excepthook
    try:
        yield
    finally:
        sys.exit, sys.excepthook = leave, hook
