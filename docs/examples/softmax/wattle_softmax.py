"""What Wattle has to know to offer the trainer ``softmax``. The API imports this file too: keep it light."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trainers import HyperParams, TrainerSpec


class SoftmaxHyperParams(HyperParams):
    """Softmax regression on the digits of scikit-learn."""

    trainer: Literal["softmax"] = "softmax"
    learning_rate: float = Field(
        0.2, gt=0, le=10, allow_inf_nan=False, title="Learning rate", description="step size, kept constant"
    )
    batch_size: int = Field(
        32,
        ge=1,
        le=1_000,
        title="Batch size",
        description="images per step",
        json_schema_extra={"unit": "images"},
    )


SOFTMAX = TrainerSpec(
    name="softmax",
    title="Softmax regression",
    summary="Learns the digits with one layer, in NumPy.",
    hyper_params=SoftmaxHyperParams,
    entry="wattle_softmax_training:train_softmax",
)
