"""Fill a store with simulated runs, to look at the page: ``make seed-demo``.

It is worker and trainer at once, through the same calls as a real worker, only without waiting. The runs say
that they are simulated, and their times are those at which they were made.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import uuid
from collections.abc import Callable, Sequence

from pydantic import JsonValue

from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.static import country_intensity
from carbon_aware_trainer.records import Intensity
from errors import TrainingFailed, WattleError
from redis_db import RedisDB
from schema import Lease, RunError, RunOptions, Status
from settings import Settings, load_settings
from trainers import validate_hyper_params
from trainers.demo import DemoHyperParams, simulate
from work.metering import add_simulated_cost, describe_epoch

# A queue of its own: no worker takes these runs, and this takes nobody else's.
QUEUE = "seed-demo"
LEASE_S = 60.0
_CHOICES: dict[str, Sequence[JsonValue]] = {
    "network": ("small_cnn", "lenet5", "resnet9", "resnet18", "mobilenet_v3_small", "efficientnet_b0"),
    "dataset": ("digits", "mnist", "fashion_mnist", "cifar10", "cifar100", "svhn"),
    "optimizer": ("adam", "adamw", "sgd", "rmsprop"),
    "batch_size": (32, 64, 128, 256),
    "num_epochs": (5, 10, 20, 30),
}
_TAGS = ("baseline", "sweep", "paper", "ablation")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs; returns the exit code."""
    parser = argparse.ArgumentParser("work.seed_demo", description="Fill a store with simulated runs.")
    parser.add_argument("--runs", type=int, default=300, help="how many (default: %(default)s)")
    count = parser.parse_args(arguments).runs
    try:
        settings = load_settings()
        with RedisDB(settings.redis_url) as db:
            start_s = time.monotonic()
            seed(db, settings, count=count, say=_show_progress)
    except (WattleError, CarbonError) as error:
        sys.stderr.write(f"\nseed-demo: {error}\n")
        return 1
    print(f"\n{count} simulated runs in {settings.redis_url} after {time.monotonic() - start_s:.1f} s")
    return 0


def seed(db: RedisDB, settings: Settings, *, count: int, say: Callable[[int, int], None]) -> None:
    """Submit and simulate ``count`` runs, one after the other, and those that were left half done before.

    say: is told how many are done, of how many.
    """
    worker_id = f"{QUEUE}-{uuid.uuid4().hex[:8]}"
    intensity = country_intensity(settings.country)
    chance = random.Random(0)  # noqa: S311 - which runs there are, no secret
    for done in range(count):
        options = RunOptions(queue=QUEUE, tags=(chance.choice(_TAGS),))
        db.queue.submit(_choose(chance, settings, seed=done), options)
        while lease := db.queue.claim([QUEUE], worker_id=worker_id, lease_s=LEASE_S):
            _play(db, lease, settings, intensity)
        say(done + 1, count)


def _choose(chance: random.Random, settings: Settings, *, seed: int) -> dict[str, JsonValue]:
    chosen: dict[str, JsonValue] = {name: chance.choice(values) for name, values in _CHOICES.items()}
    best_rate = 0.05 if chosen["optimizer"] == "sgd" else 0.002
    rate = float(f"{best_rate * 10 ** chance.uniform(-1.5, 1.5):.2g}")
    if chance.random() < 0.05:
        rate = 9.0  # runs away, so that the page has failed runs to show
    return _validate({"demo": True, **chosen, "learning_rate": rate, "seed": seed}, settings).model_dump(
        mode="json"
    )


def _validate(raw: dict[str, JsonValue], settings: Settings) -> DemoHyperParams:
    made = validate_hyper_params(
        raw, datasets_dir=settings.data_dir / "datasets", default_dataset=settings.default_dataset
    )
    if not isinstance(made, DemoHyperParams):
        raise TrainingFailed(f"A run in the queue {QUEUE} is not a simulation.")
    return made


def _play(db: RedisDB, lease: Lease, settings: Settings, intensity: Intensity) -> None:
    """Record every epoch of the run, its log and its end."""
    db.runs.describe(
        lease,
        {
            "device": "none, simulated",
            "energy_source": "none, simulated",
            "intensity_source": str(intensity),
            "intensity_zone": intensity.zone,
            "intensity_provider": intensity.provider,
            "intensity_basis": intensity.kind,
        },
    )
    lines = ["simulated: nothing is trained, every figure is made up"]
    error: RunError | None = None
    try:
        for result in simulate(_validate(dict(lease.run.hyper_params), settings)):
            costed = add_simulated_cost(result, intensity)
            db.runs.record_epoch(lease, costed)
            lines.append(describe_epoch(costed, lease.num_epochs))
    except TrainingFailed as failure:
        error = RunError(kind=type(failure).__name__, message=str(failure))
        lines.append(f"failed: {failure}")
    db.log.append(lease, lines)
    db.queue.finish(lease, Status.FAILED if error else Status.DONE, error=error)


def _show_progress(done: int, count: int) -> None:
    if done % 10 == 0 or done == count:
        print(f"\r{done:>5} of {count} simulated runs", end="", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
