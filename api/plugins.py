"""Which plug-ins there are, and whether they work: for /healthz and ``wattle doctor``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import exporters
from api.state import db, settings
from carbon_aware_trainer.plugins import METERS, PROVIDERS, load_plugins
from errors import StoreUnavailable
from exporters.registry import GROUP as EXPORTERS
from schema.exports import ExportState, PluginReply
from trainers import registry

_LONGEST: Final = 500


def list_plugins() -> list[PluginReply]:
    """List what is installed besides our own, broken ones with the reason, and the exporters that are on."""
    found = [*_of_group(registry.ENTRY_POINT_GROUP, registry.list_installed(), registry.list_broken())]
    switched_on = set(settings().exporters)
    for group in (PROVIDERS, METERS, EXPORTERS):
        plugins = load_plugins(group)
        broken = {name: why for name, why in plugins.broken.items() if name not in switched_on}
        found += _of_group(group, plugins.found.keys() - switched_on, broken)
    return found + [_exporter(name) for name in settings().exporters]


def _of_group(group: str, names: Collection[str], broken: Mapping[str, str]) -> Iterator[PluginReply]:
    for name in sorted(names):
        yield PluginReply(group=group, name=name, state="ok")
    for name, reason in broken.items():
        yield PluginReply(group=group, name=name, state="broken", detail=reason[:_LONGEST])


def _exporter(name: str) -> PluginReply:
    """Say how far an exporter has come that the settings switch on."""
    if name not in exporters.list_known():
        reason = exporters.list_broken().get(
            name, "there is none of that name: install it, or correct WATTLE_EXPORTERS"
        )
        return PluginReply(group=EXPORTERS, name=name, state="broken", detail=reason[:_LONGEST])
    try:
        state = db().exports.get(name)
    except StoreUnavailable as error:
        return PluginReply(group=EXPORTERS, name=name, state="failing", detail=str(error))
    return PluginReply(
        group=EXPORTERS, name=name, state="failing" if state.error else "ok", detail=_told(state)
    )


def _told(state: ExportState) -> str:
    done = f"{state.exported} runs exported" + (f", {state.skipped} left out" if state.skipped else "")
    if state.error is None:
        return done
    again = f"{state.next_at:%H:%M:%S} UTC" if state.next_at else "the next round"
    return f"{done}; run {state.run_id} failed {state.failures} times, again at {again}: {state.error}"
