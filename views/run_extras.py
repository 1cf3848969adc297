"""What a run shows and leaves besides figures: pictures, histograms, its network, models, their lineage."""

from __future__ import annotations

from schema import RunReply
from views import run_lineage, run_media, run_models


def show(run: RunReply) -> None:
    """Draw the sections that the run has something for."""
    run_media.show(run)
    run_models.show(run)
    run_lineage.show(run)
