"""Train once without a queue: ``python -m trainers --hyper-params file.json``."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from errors import InvalidInput, WattleError
from schema import EpochResult, Request, Scalar, TrainingContext
from settings import load_settings
from trainers import HyperParams, load_trainer, validate_hyper_params
from trainers.allocator import keep_freed_memory

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, print a line per epoch, and return the exit code."""
    options = _parse(arguments)
    # As in a worker, and before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    keep_freed_memory()
    try:
        settings = load_settings()
        hyper_params = validate_hyper_params(
            _read(options.hyper_params),
            datasets_dir=settings.data_dir / "datasets",
            default_dataset=settings.default_dataset,
        )
    except WattleError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    try:
        _train(hyper_params, settings.data_dir / "datasets", options)
    except WattleError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return 0


class BarControl:
    """Shows a training's progress on a terminal: images, images/s, and when it will have ended."""

    def __init__(self, hyper_params: HyperParams) -> None:
        self._num_epochs = hyper_params.num_epochs
        size = getattr(hyper_params, "batch_size", 1)
        # Where the trainer chooses it, the bar starts once it has.
        self._batch_size = size if isinstance(size, int) else 0
        self._step = 0
        # tqdm hides the bar by itself where nobody watches: disable=None asks whether stderr is a terminal.
        self._bar = tqdm(unit=" images", unit_scale=True, disable=None, dynamic_ncols=True)

    def after_step(self, step: int) -> Request | None:
        """Move the bar, unless it is no step of the run; nobody asks for anything here."""
        if step:
            self._bar.update((step - self._step) * self._batch_size)
            self._step = step
        return None

    def log(self, text: str) -> None:
        """Print a line above the bar."""
        tqdm.write(text)

    def describe(self, facts: Mapping[str, Scalar]) -> None:
        """Print the facts, and learn how long the bar is."""
        tqdm.write(", ".join(f"{name} {value}" for name, value in facts.items()))
        if isinstance(images := facts.get("train_images"), int):
            self._images = images
        if isinstance(chosen := facts.get("chosen_batch_size"), int):
            self._batch_size = chosen
        if self._batch_size and {"train_images", "chosen_batch_size"} & facts.keys():
            steps = self._num_epochs * math.ceil(self._images / self._batch_size)
            self._bar.reset(total=steps * self._batch_size)

    def show(self, result: EpochResult) -> None:
        """Print an epoch's figures."""
        held_out = ""
        if result.validation_accuracy is not None:
            held_out = f"  validation accuracy {result.validation_accuracy:.2%}"
        tqdm.write(
            f"epoch {result.epoch}/{self._num_epochs}  train loss {result.train_loss:.4f}"
            f"  test loss {result.test_loss:.4f}  test accuracy {result.test_accuracy:.2%}{held_out}"
            f"  {result.duration_s:.2f} s"
        )

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _train(hyper_params: HyperParams, datasets_dir: Path, options: argparse.Namespace) -> None:
    train = load_trainer(hyper_params.trainer)
    from trainers.device import resolve_device, set_threads

    if options.threads is not None:
        set_threads(options.threads)
    control = BarControl(hyper_params)
    context = TrainingContext(
        datasets_dir=datasets_dir, device=resolve_device(options.device), control=control
    )
    epochs = train(hyper_params, context)
    try:
        while True:
            control.show(next(epochs))
    except StopIteration as end:
        tqdm.write(f"done: {end.value}" if end.value else "done")
    finally:
        control.close()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m trainers", description="Train once, without a queue.")
    parser.add_argument(
        "--hyper-params", required=True, metavar="FILE", help="JSON object of hyper_params; - is stdin"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=_positive, help="CPU threads (default: one per core)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _read(name: str) -> dict[str, object]:
    """Read a file of hyper_params. Raises InvalidInput when it is not a JSON object."""
    try:
        content = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidInput(f'{name} should hold a JSON object, such as {{"dataset": "digits"}}.')
    return content


if __name__ == "__main__":
    sys.exit(main())
