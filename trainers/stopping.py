"""When a training ends before its last epoch. Only held-out images decide, never the test split."""

from __future__ import annotations

from dataclasses import dataclass

from trainers.params import CnnHyperParams


@dataclass(frozen=True)
class Progress:
    """The best of the epochs so far, on the validation part, and why the training has to end, or None."""

    best_loss: float | None = None
    epochs_since_best: int = 0
    reason: str | None = None

    def after(self, hyper_params: CnnHyperParams, loss: float | None, accuracy: float | None) -> Progress:
        """Return the progress after an epoch with these figures; None stands for no validation part."""
        if loss is None or accuracy is None:
            return self
        is_better = self.best_loss is None or loss < self.best_loss - hyper_params.min_delta
        best, waited = (loss, 0) if is_better else (self.best_loss, self.epochs_since_best + 1)
        return Progress(best, waited, _reason_to_end(hyper_params, accuracy, waited))


def _reason_to_end(hyper_params: CnnHyperParams, accuracy: float, waited: int) -> str | None:
    target, patience = hyper_params.target_accuracy, hyper_params.patience
    if target is not None and accuracy >= target:
        return f"Target reached: validation accuracy {accuracy:.2%}, wanted {target:.2%}."
    if patience is not None and waited >= patience:
        return f"Stopped early: the validation loss has not fallen for {waited} epochs."
    return None
