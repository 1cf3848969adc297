"""The libraries that integrations are for, and how to get them."""

from __future__ import annotations

from carbon_aware_trainer.errors import ExtraMissing

_EXTRAS = {
    "torch": "pytorch",
    "safetensors": "pytorch",
    "lightning": "lightning",
    "mlflow": "mlflow",
    "optuna": "optuna",
}


def missing(err: ModuleNotFoundError) -> Exception:
    """Return what to raise when a library is not there: ExtraMissing, or for another one the error itself."""
    library = (err.name or "").split(".")[0]
    if library not in _EXTRAS:
        return err
    return ExtraMissing(f'{library} is not installed. Run: pip install "wattle[{_EXTRAS[library]}]"')
