"""What a run's energy and CO2 come to: per correct prediction, per kWh, above idle, and how sure they are."""

from __future__ import annotations

from carbon_aware_trainer.records import JOULES_PER_KWH

# A counter that moves ten times a second, read at both ends of a window. docs/methods.md says why.
COUNTER_ERROR_S = 0.2
ESTIMATE_ERROR_SHARE = 0.4


def g_per_correct_prediction(
    co2_g: float | None, test_accuracy: float | None, test_images: int | None
) -> float | None:
    """Return the grams per test image that the run's best epoch classifies rightly.

    co2_g / (test_accuracy x test_images); None when one is unknown or no image is classified rightly.
    """
    if co2_g is None or not test_accuracy or not test_images:
        return None
    return co2_g / (test_accuracy * test_images)


def accuracy_per_kwh(test_accuracy: float | None, energy_kwh: float | None) -> float | None:
    """Return the accuracy, a fraction, per kWh; None when one is unknown or no energy was used."""
    if test_accuracy is None or not energy_kwh:
        return None
    return test_accuracy / energy_kwh


def above_idle_kwh(energy_kwh: float, idle_power_w: float, duration_s: float) -> float:
    """Return what a run used beyond the idle power of its device in that time; never below 0.

    Both have to be of the same sources, and either both or neither with the building's overhead.
    """
    return max(0.0, energy_kwh - idle_power_w * duration_s / JOULES_PER_KWH)


def error_share(quality: str | None, window_s: float) -> float | None:
    """Return the bound of an energy's error as a share of it; None for what no meter gave.

    measured: COUNTER_ERROR_S of mean power in a window of ``window_s``. estimated: arXiv 2509.22092.
    """
    if quality == "measured" and window_s > 0:
        return COUNTER_ERROR_S / window_s
    if quality == "estimated":
        return ESTIMATE_ERROR_SHARE
    return None
