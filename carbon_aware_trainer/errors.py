"""The errors of this library. ``str(error)`` is a sentence for the user that says what to do.

CarbonError
├── MeterUnavailable        no meter can read, or one stopped reading
├── IntensityUnavailable    no carbon intensity is known
│   └── UnknownZone         the zone asked for does not exist; the near ones are named
├── NoFeasibleStart         the work does not fit before its deadline
└── BasesMixed              average and marginal, or life-cycle and direct, figures in one sum
"""

from __future__ import annotations


class CarbonError(Exception):
    """Any failure this library explains to its user."""


class MeterUnavailable(CarbonError):
    """No energy can be read; the message says why, and the remedy where there is one."""


class IntensityUnavailable(CarbonError):
    """No carbon intensity is known; the message says why."""


class UnknownZone(IntensityUnavailable):
    """The zone asked for does not exist; the message names the near ones."""


class NoFeasibleStart(CarbonError):
    """Work does not fit before its deadline; the message says by how much."""


class BasesMixed(CarbonError):
    """Figures of CO2 on different bases were to be added or compared, which means nothing."""
