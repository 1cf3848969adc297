"""The errors of this library. ``str(error)`` is a sentence for the user that says what to do.

CarbonError
├── MeterUnavailable        no meter can read, or one stopped reading
├── IntensityUnavailable    no carbon intensity is known
│   ├── UnknownZone         the zone asked for does not exist; the near ones are named
│   ├── ForecastUnavailable the provider has no forecast for that zone; its history can be asked
│   ├── MixUnavailable      the provider has no energy mix for that zone
│   ├── KeyRefused          the provider does not accept the key, or not for that zone
│   ├── ProviderDown        no answer: a time-out, an error of the server, too many requests
│   └── AnswerRefused       an answer that cannot be true: another zone, an absurd value, stale data
├── UnknownModel            there is no such provider; the near ones are named
├── ExtraMissing            an optional part is not installed; the message says which to install
├── SlurmRefused            Slurm is not there, or refused what it was asked
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


class ForecastUnavailable(IntensityUnavailable):
    """The provider has no forecast for that zone; its history can still be asked."""


class MixUnavailable(IntensityUnavailable):
    """The provider has no energy mix for that zone."""


class KeyRefused(IntensityUnavailable):
    """The provider does not accept the key, or not for that zone."""


class ProviderDown(IntensityUnavailable):
    """The provider did not answer, or not with an answer: it may later."""


class AnswerRefused(IntensityUnavailable):
    """The provider answered what cannot be used: another zone, an absurd value, stale data, no JSON."""


class UnknownModel(CarbonError):
    """There is no such provider; the message names the near ones."""


class ExtraMissing(CarbonError):
    """An optional part is not installed; the message says which to install."""


class SlurmRefused(CarbonError):
    """Slurm is not there, does not answer, or refused; the message has what it said."""


class NoFeasibleStart(CarbonError):
    """Work does not fit before its deadline; the message says by how much."""


class BasesMixed(CarbonError):
    """Figures of CO2 on different bases were to be added or compared, which means nothing."""
