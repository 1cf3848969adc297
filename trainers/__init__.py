"""The trainers: what can be trained, with which hyper_params.

Importing this package, ``params`` and ``datasets`` costs no torch, so that the backend can validate.
"""

from __future__ import annotations

from trainers.params import HyperParams
from trainers.registry import (
    TrainerSpec,
    complete_hyper_params,
    get_trainer,
    hyper_params_schema,
    list_trainers,
    load_trainer,
    needs_torch,
    validate_hyper_params,
    validator,
)

__all__ = [
    "HyperParams",
    "TrainerSpec",
    "complete_hyper_params",
    "get_trainer",
    "hyper_params_schema",
    "list_trainers",
    "load_trainer",
    "needs_torch",
    "validate_hyper_params",
    "validator",
]
