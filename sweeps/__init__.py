"""Sweeps: many runs over a search space, chosen by Optuna, on our own queue and store.

Optuna is imported by ``study`` and ``figures`` alone, and these only where a sweep is driven or looked at.
"""

from __future__ import annotations

from sweeps.rounds import SweepRounds
from sweeps.space import complete_request

__all__ = ["SweepRounds", "complete_request"]
