"""The zones of a submission under the codes that workers, queues and records have them under."""

from __future__ import annotations

from carbon_aware_trainer.providers.zones import canonical
from errors import FieldError, InvalidInput
from schema import DEFAULT_QUEUE, Requires, Run, RunOptions


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


def read_zones(run: Run) -> Run:
    """Return a stored run with one code for each zone: it may have been written before there was one."""
    options, plan = run.options, run.carbon
    zones = options.carbon.zones if options.carbon is not None else None
    if options.carbon is not None and zones is not None:
        codes = tuple(dict.fromkeys(canonical(zone) for zone in zones))
        carbon = options.carbon.model_copy(update={"zones": codes})
        options = options.model_copy(update={"carbon": carbon})
    if options.requires is not None:
        options = options.model_copy(update={"requires": read_requires(options.requires)})
    if plan is not None:
        stays = tuple(stay.model_copy(update={"zone": canonical(stay.zone)}) for stay in plan.stays)
        zone = None if plan.zone is None else canonical(plan.zone)
        plan = plan.model_copy(update={"zone": zone, "stays": stays})
    return run.model_copy(update={"options": options, "carbon": plan})


def read_requires(requires: Requires) -> Requires:
    """Return what a stored run needs of its worker, with the code of its zone."""
    if requires.zone is None:
        return requires
    return requires.model_copy(update={"zone": canonical(requires.zone)})


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
