"""What becomes of the runs of the scene: a sweep, marks, the archive; and who may call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from archive.moving import Moving
from archive.opening import open_archive
from schema import SortField, Status, TagsRequest
from schema.access import Scope, TokenRequest
from schema.marks import ViewRequest
from schema.quotas import QuotaLimits
from schema.sweeps import SweepRequest
from settings import Settings
from tests.browser.conftest import Stack
from tests.programs import wait_until

# Beside other programs of a small machine.
SWEEP_TIMEOUT_S: Final = 480
_NOTE: Final = """Baseline for the **paper**: twice as good as the softmax, at a fraction of a gram.

- [x] accuracy above 95 %
- [ ] again with `batch_size = 32`
"""


def archive(stack: Stack, run_id: str) -> None:
    """Move a run to the archive of the backend, as it does by itself a month after the run ended."""
    settings = Settings(_env_file=None, data_dir=stack.data_dir)
    opened = open_archive(settings, layout=stack.db.layout.newest)
    assert Moving(stack.db, opened, settings, time.time).move(run_id)
    opened.close()


def mark(stack: Stack, run_ids: Sequence[str]) -> None:
    """Star the first run and say something of it, group the others, and keep two views of the list."""
    stack.api.set_star(run_ids[0], is_starred=True)
    stack.api.add_note(run_ids[0], _NOTE)
    for place, run_id in enumerate(run_ids):
        group = "group=small" if place % 2 else "group=large"
        stack.api.bulk("tag", [run_id], tags=TagsRequest(add=(group,)))
    for view in (
        ViewRequest(name="Greenest above 90 %", q="accuracy>0.9", sort=SortField.CO2_G, order="asc"),
        ViewRequest(name="What failed", status=Status.FAILED),
    ):
        stack.api.save_view(view)


def guard(stack: Stack) -> None:
    """Make two tokens, and quotas of a project and of one of them."""
    made = stack.api.create_token(TokenRequest(name="nightly tests", scope=Scope.SUBMIT, project="digits"))
    stack.api.create_token(TokenRequest(name="the wall in the corridor", expires_in_days=3))
    limits = QuotaLimits(waiting_runs=20, energy_wh=2.0, co2_g=0.5)
    stack.api.set_quota("project", "digits", limits)
    stack.api.set_quota("token", made.token_id, QuotaLimits(waiting_runs=5))


def sweep(stack: Stack, *, trials: int) -> str:
    """Let a sweep begin its trials, two epochs each; return its id."""
    asked = {
        "name": "digits at night",
        "hyper_params": {"dataset": "digits", "num_epochs": 2},
        "space": {
            "learning_rate": {"type": "float", "low": 1e-4, "high": 0.1, "log": True},
            "network": {"type": "categorical", "choices": ["small_cnn", "lenet5"]},
        },
        "limits": {"trials": trials, "co2_g": 50},
    }
    return stack.api.start_sweep(SweepRequest.model_validate(asked)).sweep_id


def await_sweep(stack: Stack, sweep_id: str) -> None:
    """Return when all its trials have ended."""
    wait_until(
        lambda: stack.api.get_sweep(sweep_id).state.is_final,
        timeout_s=SWEEP_TIMEOUT_S,
        what=stack.programs.output(),
        every_s=0.5,
    )
