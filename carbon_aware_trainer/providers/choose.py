"""Opens a provider by its name."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import httpx

from carbon_aware_trainer.errors import BasesMixed, CarbonError, IntensityUnavailable, UnknownModel
from carbon_aware_trainer.providers import electricitymaps, files, uk, watttime
from carbon_aware_trainer.providers.adapter import Adapter
from carbon_aware_trainer.providers.asking import Asker, utc_now
from carbon_aware_trainer.providers.cache import Cache, ProcessCache
from carbon_aware_trainer.providers.cached import Cached
from carbon_aware_trainer.providers.chain import Chain
from carbon_aware_trainer.providers.client import AdaptedProvider
from carbon_aware_trainer.providers.countries import Countries
from carbon_aware_trainer.providers.desk import Desk, Key
from carbon_aware_trainer.providers.electricitymaps import ElectricityMaps
from carbon_aware_trainer.providers.exchange import LoopRunner, ThreadRunner
from carbon_aware_trainer.providers.foreign import list_foreign, open_foreign
from carbon_aware_trainer.providers.keys import HeaderKey, clean_key
from carbon_aware_trainer.providers.patience import Patience
from carbon_aware_trainer.providers.provider import Provider
from carbon_aware_trainer.providers.uk import Uk
from carbon_aware_trainer.providers.watttime import Login, WattTime
from carbon_aware_trainer.providers.wire import AnyTransport, Wire
from carbon_aware_trainer.records import Basis

# An hourly value may be published two hours after its hour began.
STALE_AFTER = timedelta(hours=3)
ALIASES = {"electricitymap": "electricitymaps"}


@dataclass(frozen=True, slots=True)
class ProviderSetup:
    """All that an adapter may need, also one of another package."""

    api_key: str | None
    base_url: str | None
    basis: Basis | None
    stale_after: timedelta
    asker: Callable[[str], Asker]
    cache: Cache

    def desk(self, name: str, key: Key | None = None) -> Desk:
        """Return who asks over HTTP: answers are kept, shared and bounded in time."""
        return Desk(self.asker(name), self.cache, key)


def open_provider(
    carbon_model: str,
    *,
    region: str | None = None,
    api_key: str | None = None,
    fallback: Provider | None = None,
    cache: Cache | None = None,
    transport: AnyTransport | None = None,
    base_url: str | None = None,
    basis: Basis | None = None,
    stale_after: timedelta = STALE_AFTER,
    patience: Patience | None = None,
    now: Callable[[], datetime] = utc_now,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Provider:
    """Return the provider of a model: electricitymaps, watttime, uk, static or cached.

    api_key: the key of Electricity Maps, ``user:password`` of WattTime, the path of cached data. basis: what
    to ask of a provider that has several, or what a file is on that does not say. region: checked at once.
    fallback: asked when the provider fails; it must be on the same basis. now: of a replay, another clock.
    Raises UnknownModel and UnknownZone, naming near ones; KeyRefused without a key; BasesMixed.
    """
    model = _model(carbon_model)
    cache = ProcessCache(clock=clock) if cache is None else cache
    setup = ProviderSetup(
        api_key, _checked_url(base_url), basis, stale_after, cache=cache,
        asker=lambda name: Asker(name, patience or Patience(), now=now, clock=clock),
    )  # fmt: skip
    wire = Wire(transport, clock=clock)
    adapter = _ADAPTERS[model](setup) if model in _ADAPTERS else open_foreign(model, setup)
    provider: Provider = AdaptedProvider(adapter, threads=ThreadRunner(wire, sleep), loops=LoopRunner(wire))
    if basis is not None and provider.basis != basis:
        raise BasesMixed(f"{model} is on the basis {provider.basis}; it has none that is {basis}.")
    if fallback is not None:
        provider = Chain(provider, fallback)
    if region is not None:
        provider.check_zone(region)
    return provider


def _model(carbon_model: str) -> str:
    name = carbon_model.strip().lower()
    model = ALIASES.get(name, name)
    if model not in _ADAPTERS and model not in (foreign := list_foreign()):
        known = [*_ADAPTERS, *foreign]
        near = difflib.get_close_matches(model, known, n=2) or known
        raise UnknownModel(f"{carbon_model!r} is no carbon model. Use {' or '.join(near)}.")
    return model


def _checked_url(base_url: str | None) -> str | None:
    try:
        url = None if base_url is None else httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url is not None and not (url.scheme in ("http", "https") and url.host):
        raise CarbonError(
            "The provider's URL is no address. Set one such as https://api.electricitymaps.com/v4"
        )
    return base_url


def _open_electricitymaps(setup: ProviderSetup) -> Adapter:
    key = HeaderKey(electricitymaps.HEADER, clean_key(setup.api_key, "Electricity Maps", electricitymaps.HOW))
    return ElectricityMaps(
        setup.desk(ElectricityMaps.name, key),
        base_url=setup.base_url or electricitymaps.BASE_URL,
        basis=setup.basis,
        stale_after=setup.stale_after,
    )


def _open_watttime(setup: ProviderSetup) -> Adapter:
    base_url = setup.base_url or watttime.BASE_URL
    desk = setup.desk(WattTime.name, Login(setup.api_key, base_url=base_url))
    return WattTime(desk, base_url=base_url, stale_after=setup.stale_after)


def _open_uk(setup: ProviderSetup) -> Adapter:
    return Uk(setup.desk(Uk.name), base_url=setup.base_url or uk.BASE_URL, stale_after=setup.stale_after)


def _open_static(_setup: ProviderSetup) -> Adapter:
    return Countries()


def _open_cached(setup: ProviderSetup) -> Adapter:
    if not setup.api_key:
        raise IntensityUnavailable(
            "Cached data needs its file: api_key is the path of a JSON, CSV or Parquet file, or of a folder."
        )
    return Cached(
        _checked_path(setup.api_key),
        now=setup.asker(Cached.name).now,
        stale_after=setup.stale_after,
        basis=setup.basis,
    )


def _checked_path(text: str) -> Path:
    """Return the path of cached data. A text that may be a key given by mistake is not repeated."""
    try:
        path = Path(text).expanduser()
        is_path = path.exists() or "/" in text or "\\" in text or path.suffix.lower() in files.ENDINGS
    except (OSError, RuntimeError):  # too long, or the home of nobody
        is_path = False
    if not is_path:
        raise IntensityUnavailable(
            "There is no file or folder of cached data by that name. "
            "Give the path of a JSON, CSV or Parquet file, or of a folder."
        )
    return path


_ADAPTERS: dict[str, Callable[[ProviderSetup], Adapter]] = {
    "electricitymaps": _open_electricitymaps,
    "watttime": _open_watttime,
    "uk": _open_uk,
    "static": _open_static,
    "cached": _open_cached,
}
MODELS = tuple(_ADAPTERS)
