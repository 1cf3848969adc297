"""The worker program: its arguments, its signals, its heartbeat."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import platform
import signal
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions, check_meters, default_folder
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.providers.static import country_intensity
from carbon_aware_trainer.records import Intensity
from errors import InvalidInput, TrainingFailed, WattleError
from housekeeping import tick
from redis_db import RedisDB
from schema import DEFAULT_QUEUE, GpuState, Worker
from settings import Settings, load_settings
from trainers import complete_hyper_params
from trainers.places import open_folder
from work.execution import Workplace
from work.facts import collect_facts
from work.loop import work
from work.process import probe_machine, start_forkserver
from work.threads import ThreadShare, count_usable_cores

log = logging.getLogger(__name__)

EXIT_BROKEN, EXIT_USAGE = 1, 2
BEAT_TTL_S = 15.0
STOP_LIMIT_S = 3.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns the exit code. 0 after SIGTERM, Ctrl-C or an empty queue with --burst."""
    options = _parse(arguments)
    stop = _stop_on_signal()
    try:
        settings = load_settings()
        logging.basicConfig(
            level=settings.effective_log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        _check_places(settings)
        start_forkserver()
        device, torch = probe_machine(options.device)
        check_meters(settings.meter, device)
        intensity = country_intensity(settings.country)
        store = RedisDB(settings.redis_url)
    except (WattleError, CarbonError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return EXIT_USAGE
    if torch is None:
        log.warning("torch is not installed: only demo, script and such runs can work here")
    measured = _meter_options(settings, device)
    with store as db, EnergyMonitor(measured) as sampler:
        worker = _describe_worker(options, device, torch, sampler.describe(), intensity)
        threads = ThreadShare(db, host=worker.host, cores=count_usable_cores(), fixed=options.threads)
        place = _workplace(settings, db, worker, threads, sampler, intensity)
        log.info(
            "worker ready worker_id=%s device=%s meter=%r", worker.worker_id, device, worker.energy_source
        )
        try:
            work(place, options.queues, stop, is_burst=options.burst)
        except (InvalidInput, TrainingFailed) as error:
            sys.stderr.write(f"worker: {error}\n")
            return EXIT_USAGE if isinstance(error, InvalidInput) else EXIT_BROKEN
        _say_goodbye(db, worker)
    return 0


def _check_places(settings: Settings) -> None:
    """Raise InvalidInput when no driver can open a place; better now than at the end of a run."""
    places = {
        "WATTLE_CHECKPOINT_URL": settings.effective_checkpoint_url,
        "WATTLE_MODEL_URL": settings.effective_model_url,
    }
    for name, url in places.items():
        try:
            open_folder(url, "any")
        except OSError as error:
            raise InvalidInput(
                f"{name} cannot be opened: {error}. Correct it, or install the package of its driver."
            ) from error


def _stop_on_signal() -> threading.Event:
    """Return the event that SIGTERM and Ctrl-C set.

    A Redis that hangs must not hold a stopping worker: after STOP_LIMIT_S it ends; its lease does the rest.
    """
    stop = threading.Event()

    def on_signal(*_: object) -> None:
        if not stop.is_set():
            stop.set()
            timer = threading.Timer(STOP_LIMIT_S, _end_outright)
            timer.daemon = True
            timer.start()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, on_signal)
    return stop


def _end_outright() -> None:
    log.warning("stopping takes too long, the lease will expire; the training child ends with this process")
    os._exit(0)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("worker.py", description="Take runs from the queue and train them.")
    parser.add_argument(
        "--queues",
        type=lambda text: tuple(filter(None, text.split(","))),
        default=(DEFAULT_QUEUE,),
        help="queues to take runs from, most urgent first, comma-separated (default: %(default)s)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--threads", type=_positive, help="CPU threads (default: cores / workers of this host, at each run)"
    )
    parser.add_argument("--burst", action="store_true", help="end when the queues are empty")
    parser.add_argument(
        "--name", default=platform.node() or "worker", help="shown on the page (default: the host's)"
    )
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _describe_worker(
    options: argparse.Namespace, device: str, torch: str | None, energy_source: str, intensity: Intensity
) -> Worker:
    now = datetime.now(UTC)
    return Worker(
        # Unique for each process, so that a restarted worker of the same name is never taken for the old one.
        worker_id=f"{options.name}-{uuid.uuid4().hex[:8]}",
        name=options.name,
        host=platform.node(),
        pid=os.getpid(),
        device=device,
        torch=torch,
        threads=options.threads or count_usable_cores(),
        queues=options.queues,
        started_at=now,
        seen_at=now,
        energy_source=energy_source,
        intensity_source=str(intensity),
    )


def _workplace(
    settings: Settings,
    db: RedisDB,
    worker: Worker,
    threads: ThreadShare,
    sampler: EnergyMonitor,
    intensity: Intensity,
) -> Workplace:
    return Workplace(
        db=db,
        settings=settings,
        worker_id=worker.worker_id,
        device=worker.device,
        threads=threads,
        sampler=sampler,
        intensity=intensity,
        facts=collect_facts(energy_source=worker.energy_source or "", intensity=intensity),
        on_beat=_beat(db, worker, threads, settings, sampler),
    )


def _meter_options(settings: Settings, device: str) -> MeterOptions:
    return MeterOptions(
        device=device,
        choice=settings.meter,
        folder=settings.energy_dir or default_folder(),
        codecarbon=settings.codecarbon,
    )


def _beat(
    db: RedisDB, worker: Worker, threads: ThreadShare, settings: Settings, sampler: EnergyMonitor
) -> Callable[[str | None], None]:
    validate = functools.partial(
        complete_hyper_params,
        datasets_dir=settings.data_dir / "datasets",
        default_dataset=settings.default_dataset,
        scripts_dir=settings.scripts_dir,
    )

    def beat(run_id: str | None) -> None:
        gpu = sampler.gpu_facts and GpuState(**asdict(sampler.gpu_facts))
        live = {"run_id": run_id, "threads": threads.latest, "power_w": sampler.power_w(), "gpu": gpu}
        db.workers.beat(worker.model_copy(update=live), ttl_s=BEAT_TTL_S)
        tick(db, lease_s=settings.lease_s, validate=validate)

    return beat


def _say_goodbye(db: RedisDB, worker: Worker) -> None:
    try:
        db.workers.remove(worker.worker_id)
    except WattleError as error:
        log.info("could not sign off, the heartbeat will expire: %s", error)
