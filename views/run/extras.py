"""What a run shows and leaves besides figures: pictures, histograms, its network, models, their lineage."""

from __future__ import annotations

from schema import RunReply
from views.run import lineage, media, models


def show(run: RunReply) -> None:
    """Draw the sections that the run has something for."""
    media.show(run)
    models.show(run)
    lineage.show(run)
