"""The training loop. There is no other."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from schema import NOBODY, Audience, Charge, Control, EpochResult, Epochs, Request, charge_nothing
from trainers.data import Data, Split
from trainers.params import CnnHyperParams
from trainers.resuming import Keep, Moment, keep_nothing
from trainers.showing import Showing
from trainers.step_profile import StepProfile
from trainers.team import ALONE, Team
from trainers.training import State, Training, is_finite, tally

# Large enough to keep a GPU busy, small enough for the activations of one batch to stay below 1 GB.
EVALUATION_BATCH = 2_000


def train(
    network: nn.Module,
    data: Data,
    hyper_params: CnnHyperParams,
    *,
    control: Control,
    resume: State | None = None,
    keep: Keep = keep_nothing,
    charge: Charge = charge_nothing,
    audience: Audience = NOBODY,
    team: Team = ALONE,
) -> Epochs:
    """Train ``network`` in place, yielding after each epoch; ends early when ``control`` asks for it.

    The network is on the data's device, channels last. Losses in nats per image; those of the training split
    are means over the epoch, while the weights changed. In a ``team`` every rank runs this loop on its share
    of each batch. Returns why it ended early, or None. Raises TrainingFailed when a loss is not finite.
    """
    training = _prepare(Training(network, data, hyper_params, team), control, charge, resume)
    profile = StepProfile(training) if training.step == 0 else None
    showing = Showing(training, audience)
    while training.progress.reason is None and training.epoch <= hyper_params.num_epochs:
        training.start_clock()
        while not training.is_epoch_complete:
            training.learn_batch()
            showing.after_step()
            if (request := control.after_step(training.step)) is not None:
                keep(training, Moment.END if request is Request.FINISH else Moment.STOP)
                return None
            keep(training, Moment.STEP)
        showing.end_epoch()
        result = _score(training, control)
        _describe_speed(training, result, control, profile)
        training.end_epoch(result.validation_loss, result.validation_accuracy)
        yield result
        # Not before: what a checkpoint holds as done has been handed out.
        keep(training, Moment.EPOCH, result)
    showing.close()
    keep(training, Moment.END)
    return training.progress.reason


def _prepare(training: Training, control: Control, charge: Charge, resume: State | None) -> Training:
    _compile(training, control, charge)
    if resume is not None:
        training.restore(resume)
    return training


def _describe_speed(
    training: Training, result: EpochResult, control: Control, profile: StepProfile | None
) -> None:
    # After 1, 2, 4, 8 ... epochs: the figure hardly moves, and this costs next to nothing.
    if training.epoch.bit_count() == 1:
        profiled = profile.end() if profile is not None and training.epoch == 1 else {}
        speed = round(len(training.data.train) / result.duration_s, 1)
        control.describe({"images_per_s": speed, **profiled})


def _compile(training: Training, control: Control, charge: Charge) -> None:
    if training.hyper_params.compile == "off":
        return
    start_ns = time.monotonic_ns()
    control.describe({"compile_s": round(training.compile(), 3)})
    charge("compile", start_ns, time.monotonic_ns())


@torch.inference_mode()
def evaluate(training: Training, split: Split, control: Control) -> Tensor:
    """Return mean loss and accuracy on ``split`` as one tensor on its device: reading it is a sync point.

    Each rank evaluates its part; the result is of all of them.
    """
    training.network.eval()
    totals = torch.zeros(2, dtype=torch.float64, device=training.device)
    for images, labels in training.team.part(split).load_all(EVALUATION_BATCH):
        with training.autocast:
            logits = training.network(training.data.normalise(images))
            totals += tally(cross_entropy(logits, labels), logits, labels, count=len(labels))
        # A sign of life; what is asked is heard after the next step.
        control.after_step(0)
    return training.team.add(totals) / len(split)


def _score(training: Training, control: Control) -> EpochResult:
    """Return the result of the epoch that has just been learnt. The one sync point of an epoch."""
    data = training.data
    splits = [data.test] if data.validation is None else [data.test, data.validation]
    training.add_up()
    scores = [training.score_epoch(), *(evaluate(training, split, control) for split in splits)]
    good_batches = training.locate_first_bad_batch()
    figures = torch.stack([*scores, torch.stack([good_batches, good_batches]).double()]).tolist()
    *figures, (good_batches, _) = figures
    if not is_finite(figures):
        raise training.explain_divergence(int(good_batches))
    return _to_result(training, figures)


def _to_result(training: Training, figures: list[list[float]]) -> EpochResult:
    (train_loss, train_accuracy), (test_loss, test_accuracy), *held_out = figures
    validation_loss, validation_accuracy = held_out[0] if held_out else (None, None)
    return EpochResult(
        epoch=training.epoch,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        test_loss=test_loss,
        test_accuracy=test_accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        duration_s=training.elapsed_s,
        resumed_after_s=training.resumed_after_s or None,
    )
