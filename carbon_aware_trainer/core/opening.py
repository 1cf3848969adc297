"""A session from the words its user has for it."""

from __future__ import annotations

from typing import Any, TypedDict

from carbon_aware_trainer.core.clock import Clock, SystemClock
from carbon_aware_trainer.core.config import TrainingConfig
from carbon_aware_trainer.core.gauge import Gauge, open_gauge
from carbon_aware_trainer.core.monitor import CarbonMonitor
from carbon_aware_trainer.core.schedulers import Scheduler, scheduler_of
from carbon_aware_trainer.core.session import CarbonSession
from carbon_aware_trainer.integrations.queues import drain_of
from carbon_aware_trainer.providers.choose import open_provider
from carbon_aware_trainer.providers.patience import Patience
from carbon_aware_trainer.providers.provider import Provider

# A provider that is down must not hold a training up; a look as a whole is bounded by its session.
PATIENCE = Patience(attempt_s=5.0, total_s=5.0, attempts=2)


class Options(TypedDict, total=False):
    """What every carbon-aware training can be given, each by its name.

    carbon_model, region, api_key, provider: whom to ask, as CarbonMonitor. scheduler: who decides, instead
    of the policy of ``config``. gauge, clock: what to measure with, and what time it is.
    """

    carbon_model: str | None
    region: str
    api_key: str | None
    provider: Provider | None
    config: TrainingConfig | None
    scheduler: Scheduler | None
    gauge: Gauge | None
    clock: Clock | None


def open_session(device: str, options: Options, *, gpus: int = 1) -> CarbonSession:
    """Return a session that is not opened yet. Raises CarbonError for what cannot work."""
    config = options.get("config") or TrainingConfig()
    clock = options.get("clock") or SystemClock()
    model, key, region = options.get("carbon_model"), options.get("api_key"), options["region"]
    provider = options.get("provider")
    if provider is None:
        model = model or CarbonMonitor([region], api_key=key).provider.name
        provider = open_provider(model, region=region, api_key=key, patience=PATIENCE, now=clock.now)
    monitor = CarbonMonitor([region], provider=provider, now=clock.now)
    gauge = options.get("gauge") or open_gauge(config.device or device, config.meter, gpus=gpus)
    scheduler = options.get("scheduler") or scheduler_of(config)
    return CarbonSession(monitor, scheduler, config, gauge=gauge, clock=clock, drain=drain_of(device))


def device_of(model: Any) -> str:
    """Return where a model's parameters are, such as cuda:0; cpu for a model without any."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return str(getattr(first, "device", "cpu"))
