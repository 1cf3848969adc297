"""The worker program: its arguments, its signals, its heartbeat."""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial

from alerts import Alerting
from carbon_aware_trainer.energy import EnergyMonitor, MeterOptions, check_meters, default_folder
from carbon_aware_trainer.errors import CarbonError, MeterUnavailable
from errors import InvalidInput, StoreTooNew, StoreUnavailable, TrainingFailed, WattleError
from housekeeping import tick
from logs import configure
from redis_db import RedisDB
from scheduling import InForce, Rounds, open_rounds, yearly_intensity
from schema import GpuState, Scalar, Worker
from settings import Settings, load_settings
from sweeps import SweepRounds
from traces import open_traces
from trainers import validator
from trainers.parent import die_with_parent
from trainers.places import open_folder
from work import SUPERVISOR_PID_VARIABLE
from work.arguments import Arguments, parse
from work.facts import collect_facts
from work.host import HostGauge
from work.loop import work
from work.process import Machine, probe_machine, start_forkserver
from work.routing import default_queues
from work.signals import Stop
from work.supervisor import EXIT_USAGE, supervise
from work.threads import ThreadShare, count_usable_cores
from work.workplace import OnBeat, Workplace

log = logging.getLogger(__name__)

EXIT_BROKEN = 1
BEAT_TTL_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns the exit code. 0 after SIGTERM, Ctrl-C or an empty queue with --burst."""
    options = parse(arguments)
    if not options.is_supervisor:
        return _work(options)
    try:
        configure(load_settings(), "worker")
        return supervise(options)
    except InvalidInput as error:
        sys.stderr.write(f"worker: {error}\n")
        return EXIT_USAGE


def _work(options: Arguments) -> int:
    stop = Stop()
    stop.listen()
    if supervisor := os.environ.pop(SUPERVISOR_PID_VARIABLE, None):
        die_with_parent(int(supervisor), by=signal.SIGTERM)
    try:
        settings = load_settings()
        configure(settings, "worker")
        _check_places(settings)
        start_forkserver()
        machine = probe_machine(options.device)
        check_meters(settings.meter, machine.device)
        yearly = yearly_intensity(settings)
        store, traces = _open_store(settings), open_traces("worker")
        planning, alerting = open_rounds(settings, store), Alerting(store, settings)
        grid = planning.look_at(settings.effective_zone, yearly)
    except (WattleError, CarbonError) as error:
        sys.stderr.write(f"worker: {error}\n")
        return choose_exit_code(error)
    if machine.torch is None:
        log.warning("torch is not installed: runs that need it are put back, and this worker ends then")
    measured = _meter_options(settings, machine.device)
    with store as db, closing(traces), EnergyMonitor(measured) as sampler:
        worker = _describe_worker(options, machine, sampler.describe(), grid)
        threads = ThreadShare(db, host=worker.host, cores=count_usable_cores(), fixed=options.threads)
        place = _workplace(settings, db, worker, threads, sampler, grid, stop, planning, alerting)
        log.info(
            "worker ready worker_id=%s device=%s queues=%s meter=%r",
            *(worker.worker_id, worker.device, ",".join(worker.queues), worker.energy_source),
        )
        try:
            work(replace(place, traces=traces), is_burst=options.burst, max_runs=options.max_runs)
        except (InvalidInput, StoreTooNew, TrainingFailed) as error:
            sys.stderr.write(f"worker: {error}\n")
            return choose_exit_code(error)
        finally:
            _say_goodbye(db, worker)
            if stop.is_set():
                stop.ignore()
    return 0


def _open_store(settings: Settings) -> RedisDB:
    return RedisDB(settings.redis_url).warn_of_slow_calls(settings.slow_ms / 1000)


def choose_exit_code(error: WattleError | CarbonError) -> int:
    """Return EXIT_BROKEN for what may pass, so that a supervisor starts the worker again; else EXIT_USAGE."""
    if isinstance(error, MeterUnavailable) and error.__cause__ is not None:
        # Its cause says which meter cannot work; that one's, if any, is what the driver or a file answered.
        answered = error.__cause__.__cause__
        return EXIT_USAGE if isinstance(answered, ImportError | PermissionError | None) else EXIT_BROKEN
    return EXIT_BROKEN if isinstance(error, TrainingFailed) else EXIT_USAGE


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


def _describe_worker(options: Arguments, machine: Machine, energy_source: str, grid: InForce) -> Worker:
    now, zone = datetime.now(UTC), grid.zone
    host = platform.node()
    queues = default_queues(host=host, gpu_name=machine.gpu_name, zone=zone)
    return Worker(
        # Unique for each process, so that a restarted worker of the same name is never taken for the old one.
        worker_id=f"{options.name}-{uuid.uuid4().hex[:8]}",
        name=options.name,
        host=host,
        pid=os.getpid(),
        device=machine.device,
        torch=machine.torch,
        gpus=machine.gpus,
        gpu_memory_gib=machine.gpu_memory_gib,
        zone=zone,
        threads=options.threads or count_usable_cores(),
        queues=queues if options.queues is None else options.queues,
        started_at=now,
        seen_at=now,
        energy_source=energy_source,
        intensity_source=grid.describe(now),
    )


def _workplace(
    settings: Settings,
    db: RedisDB,
    worker: Worker,
    threads: ThreadShare,
    sampler: EnergyMonitor,
    grid: InForce,
    stop: Stop,
    planning: Rounds,
    alerting: Alerting,
) -> Workplace:
    facts = collect_facts(energy_source=worker.energy_source or "")
    return Workplace(
        db=db,
        settings=settings,
        worker=worker,
        threads=threads,
        sampler=sampler,
        grid=grid,
        facts=facts,
        stop=stop,
        on_beat=_beat(db, worker, facts, threads, settings, sampler, grid, planning, alerting),
    )


def _meter_options(settings: Settings, device: str) -> MeterOptions:
    return MeterOptions(
        device=device,
        choice=settings.meter,
        folder=settings.energy_dir or default_folder(),
        codecarbon=settings.codecarbon,
    )


def _beat(
    db: RedisDB,
    worker: Worker,
    facts: Mapping[str, Scalar],
    threads: ThreadShare,
    settings: Settings,
    sampler: EnergyMonitor,
    grid: InForce,
    planning: Rounds,
    alerting: Alerting,
) -> OnBeat:
    keep_house = _housekeeping(db, settings, planning, alerting)
    gauge = HostGauge(settings.data_dir)
    is_draining = False

    def beat(run_id: str | None, epoch: int | None) -> bool:
        nonlocal is_draining
        now = datetime.now(UTC)
        own, *others = sampler.gpu_facts or (None,)
        live = {
            "run_id": run_id,
            "epoch": epoch,
            "threads": threads.latest,
            "power_w": sampler.power_w(),
            "gpu": own and GpuState(**asdict(own)),
            "other_gpus": tuple(GpuState(**asdict(gpu)) for gpu in others if gpu is not None),
            "memory_share": gauge.memory_share,
            "disk_share": gauge.disk_share,
            "is_draining": is_draining,
            "intensity_source": grid.describe(now),
        }
        is_draining = db.workers.beat(
            worker.model_copy(update=live), ttl_s=BEAT_TTL_S, facts=facts, spool_bytes=gauge.spool_bytes
        )
        _keep_house(keep_house)
        grid.refresh(now)
        return is_draining

    return beat


def _housekeeping(
    db: RedisDB, settings: Settings, planning: Rounds, alerting: Alerting
) -> Callable[[], None]:
    validate = validator(settings)
    return partial(
        tick,
        db,
        lease_s=settings.lease_s,
        validate=validate,
        planning=planning,
        alerting=alerting,
        sweeping=SweepRounds(db, validate),
    )


def _keep_house(tick_once: Callable[[], None]) -> None:
    try:
        tick_once()
    except StoreUnavailable:
        raise
    except WattleError as error:
        # No fault of the run that is trained here.
        log.warning("a job of the housekeeping failed and will be tried again: %s", error)


def _say_goodbye(db: RedisDB, worker: Worker) -> None:
    try:
        db.workers.remove(worker.worker_id)
    except WattleError as error:
        log.info("could not sign off, the heartbeat will expire: %s", error)
