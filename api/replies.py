"""From the store's records to what the API shows."""

from __future__ import annotations

from collections.abc import Sequence

from schema import EpochResult, InUpdate, Run, RunReply


def show_run(
    run: Run, *, epochs: Sequence[EpochResult] | None = None, sparkline: list[float] | None = None
) -> RunReply:
    """Show ``run``; ``in_update`` is null when ``epochs`` is None, and [] when there are none yet.

    The record was validated when it was read, so it is not validated a second time.
    """
    return RunReply.model_construct(
        **dict(run),
        iid=run.run_id,
        progress=min(1.0, run.epochs_done / run.num_epochs),
        in_update=None if epochs is None else InUpdate.of(epochs),
        sparkline=sparkline,
    )
