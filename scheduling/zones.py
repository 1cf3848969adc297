"""The zones of a submission under the codes that workers, queues and records have them under."""

from __future__ import annotations

from carbon_aware_trainer.providers.zones import canonical
from errors import FieldError, InvalidInput
from schema import DEFAULT_QUEUE, RunOptions


def name_zones(options: RunOptions) -> RunOptions:
    """Return the options with one code for each zone: DE for DEU. One that the table lacks stays as it is.

    Raises InvalidInput for two names of one zone, and for a queue where the planned zone is to name it.
    """
    carbon, requires = options.carbon, options.requires
    changes: dict[str, object] = {}
    if carbon is not None and carbon.zones:
        changes["carbon"] = carbon.model_copy(update={"zones": _codes(options, carbon.zones)})
    if requires is not None and requires.zone is not None:
        changes["requires"] = requires.model_copy(update={"zone": canonical(requires.zone)})
    return options.model_copy(update=changes)


def _codes(options: RunOptions, zones: tuple[str, ...]) -> tuple[str, ...]:
    if len(zones) > 1 and options.queue != DEFAULT_QUEUE:
        why = "cannot be chosen with several zones: it waits in the queue of the one that is planned"
        raise InvalidInput(f"options.queue {why}.", details=[FieldError("options.queue", why)])
    typed: dict[str, str] = {}
    for zone in zones:
        if (before := typed.setdefault(canonical(zone), zone)) != zone:
            why = f"{before} and {zone} are one zone"
            raise InvalidInput(
                f"options.carbon.zones: {why}.", details=[FieldError("options.carbon.zones", why)]
            )
    return tuple(typed)
