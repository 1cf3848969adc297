"""Which trainers there are: the built-in ones and those of the entry-point group ``wattle.trainers``."""

from __future__ import annotations

import difflib
import importlib
import logging
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import NamedTuple, cast

from pydantic import JsonValue, ValidationError

from errors import FieldError, InvalidInput, TrainingFailed
from schema import TrainFunction, Validate
from settings import Settings
from trainers.demo import DemoHyperParams
from trainers.params import CnnHyperParams, HyperParams
from trainers.script import ScriptHyperParams

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "wattle.trainers"
DEFAULT_TRAINER = "cnn"
DEMO_TRAINER = "demo"
SCRIPT_TRAINER = "script"

_REPORTED_FIELDS = 20


@dataclass(frozen=True)
class TrainerSpec:
    """A trainer as it is offered. ``entry`` is ``module:function``, imported only where it trains."""

    name: str
    title: str
    summary: str
    hyper_params: type[HyperParams]
    entry: str
    needs_torch: bool = False
    """A worker without torch puts the runs of such a trainer back instead of failing them."""

    @property
    def is_simulated(self) -> bool:
        """True when its runs train nothing, which their hyper_params say."""
        return "simulated" in self.hyper_params.model_fields


_BUILT_IN = (
    TrainerSpec(
        name=DEFAULT_TRAINER,
        title="Image classifier",
        summary="Trains a convolutional network on labelled images.",
        hyper_params=CnnHyperParams,
        entry="trainers.cnn:train_cnn",
        needs_torch=True,
    ),
    TrainerSpec(
        name=DEMO_TRAINER,
        title="Demo",
        summary="Simulates an image classifier in seconds: nothing is trained, every figure is made up.",
        hyper_params=DemoHyperParams,
        entry="trainers.demo:train_demo",
    ),
    TrainerSpec(
        name=SCRIPT_TRAINER,
        title="Script",
        summary="Runs a Python script from this host's scripts folder.",
        hyper_params=ScriptHyperParams,
        entry="trainers.script:train_script",
    ),
)


class _Installed(NamedTuple):
    specs: dict[str, TrainerSpec]
    broken: dict[str, str]


def list_trainers(*, scripts_dir: Path | None = None) -> list[TrainerSpec]:
    """List every usable trainer, the default one first; script is one only where it has a folder."""
    specs = _installed(tuple(sys.path)).specs.values()
    return [spec for spec in specs if spec.name != SCRIPT_TRAINER or scripts_dir is not None]


def get_trainer(name: str) -> TrainerSpec:
    """Return the trainer called ``name``.

    Raises InvalidInput, which names the near ones or says why it does not work.
    """
    installed = _installed(tuple(sys.path))
    wanted = name.strip().lower()
    spec = installed.specs.get(wanted)
    if spec is None and wanted in installed.broken:
        raise _invalid("trainer", f"'{wanted}' is installed but does not work: {installed.broken[wanted]}")
    if spec is None:
        raise _invalid("trainer", f"there is no {_quote(name)}{_suggest(wanted, installed.specs)}")
    return spec


def list_installed() -> list[str]:
    """Return the names of the trainers that other packages brought along."""
    own = {spec.name for spec in _BUILT_IN}
    return sorted(_installed(tuple(sys.path)).specs.keys() - own)


def list_broken() -> Mapping[str, str]:
    """Return why an installed trainer does not work, by name."""
    return _installed(tuple(sys.path)).broken


def needs_torch(name: str) -> bool:
    """Say whether the trainer called ``name`` trains with torch; one that does not exist needs nothing."""
    spec = _installed(tuple(sys.path)).specs.get(name)
    return spec is not None and spec.needs_torch


def load_trainer(name: str) -> TrainFunction:
    """Import the trainer called ``name``, torch with it, and return its generator function.

    Raises TrainingFailed when its code cannot be imported.
    """
    spec = get_trainer(name)
    module_name, _, function_name = spec.entry.partition(":")
    try:
        return cast("TrainFunction", getattr(importlib.import_module(module_name), function_name))
    except (ImportError, AttributeError) as error:
        raise TrainingFailed(
            f"The trainer '{spec.name}' cannot be loaded from {spec.entry}: {error}. Install what it needs."
        ) from error


def validate_hyper_params(
    raw: Mapping[str, object],
    *,
    datasets_dir: Path,
    default_dataset: str | None,
    scripts_dir: Path | None = None,
) -> HyperParams:
    """Return complete hyper_params of the trainer they name (cnn when they name none).

    ``"demo": true`` in place of a trainer, or beside cnn, means demo. Raises InvalidInput with one detail per
    wrong field.
    """
    raw = _resolve_demo(raw)
    name = raw.get("trainer", DEFAULT_TRAINER)
    if not isinstance(name, str):
        raise _invalid("trainer", "should be the name of a trainer")
    spec = get_trainer(name)
    model = spec.hyper_params
    _refuse_unknown(raw, model)
    defaults = model.host_defaults(datasets_dir=datasets_dir, preferred_dataset=default_dataset)
    try:
        return model.model_validate(
            {**defaults, **raw, "trainer": spec.name}, context={"scripts_dir": scripts_dir}
        )
    except ValidationError as error:
        raise _explain(error, raw, defaults) from error


def complete_hyper_params(
    raw: Mapping[str, object],
    *,
    datasets_dir: Path,
    default_dataset: str | None,
    scripts_dir: Path | None = None,
) -> dict[str, JsonValue]:
    """Return ``raw`` hyper_params with every default filled in, as they are stored.

    Raises InvalidInput with one detail per wrong field.
    """
    complete = validate_hyper_params(
        raw, datasets_dir=datasets_dir, default_dataset=default_dataset, scripts_dir=scripts_dir
    )
    filled: dict[str, JsonValue] = complete.model_dump(mode="json")
    return filled


def validator(settings: Settings) -> Validate:
    """Return ``complete_hyper_params`` with the folders and the default dataset of these settings."""
    return partial(
        complete_hyper_params,
        datasets_dir=settings.data_dir / "datasets",
        default_dataset=settings.default_dataset,
        scripts_dir=settings.scripts_dir,
    )


def hyper_params_schema(
    spec: TrainerSpec, *, datasets_dir: Path, default_dataset: str | None
) -> dict[str, JsonValue]:
    """Return the JSON schema of a trainer's hyper_params, with the defaults that hold on this host."""
    schema = spec.hyper_params.model_json_schema()
    defaults = spec.hyper_params.host_defaults(datasets_dir=datasets_dir, preferred_dataset=default_dataset)
    for field, value in defaults.items():
        schema["properties"][field]["default"] = value
    # A form reads better when it starts with what the trainer is about; pydantic puts inherited fields first.
    properties = schema["properties"]
    inherited = {field: properties.pop(field) for field in HyperParams.model_fields if field != "trainer"}
    properties.update(inherited)
    return schema


# Reading the metadata of every distribution takes milliseconds, so it is done once per search path.
@lru_cache(maxsize=8)
def _installed(search_path: tuple[str, ...]) -> _Installed:  # noqa: ARG001 - the key of the cache
    found = _Installed({spec.name: spec for spec in _BUILT_IN}, {})
    for entry_point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        try:
            spec = _load_plugin(entry_point)
            if spec.name in found.specs:
                raise ValueError(f"there already is a trainer called '{spec.name}'")
            found.specs[spec.name] = spec
        except Exception as error:  # noqa: BLE001 - a trainer of somebody else: importing it may raise anything
            found.broken[entry_point.name] = f"{type(error).__name__}: {error}"
            log.warning(
                "trainer left out name=%s reason=%s: %s", entry_point.name, type(error).__name__, error
            )
    return found


def _load_plugin(entry_point: EntryPoint) -> TrainerSpec:
    spec = entry_point.load()
    if not isinstance(spec, TrainerSpec):
        raise TypeError(f"{entry_point.value} is not a trainers.TrainerSpec")
    if spec.name != entry_point.name:
        raise ValueError(f"the entry point is called '{entry_point.name}' but its trainer '{spec.name}'")
    return spec


def _resolve_demo(raw: Mapping[str, object]) -> Mapping[str, object]:
    """Turn the switch ``demo`` into the trainer it stands for."""
    if "demo" not in raw:
        return raw
    others = {field: value for field, value in raw.items() if field != "demo"}
    if raw["demo"] is False:
        return others
    if raw["demo"] is not True:
        raise _invalid("demo", "should be true or false")
    if others.get("trainer", DEMO_TRAINER) not in (DEMO_TRAINER, DEFAULT_TRAINER):
        raise _invalid("demo", f"simulates the trainer {DEFAULT_TRAINER} only; leave demo or trainer out")
    return {**others, "trainer": DEMO_TRAINER}


def _refuse_unknown(raw: Mapping[str, object], model: type[HyperParams]) -> None:
    unknown = [str(field) for field in raw if field not in model.model_fields][:_REPORTED_FIELDS]
    if unknown:
        raise _invalid_fields(
            [
                FieldError(
                    f"hyper_params.{_quote(field, mark='')}",
                    f"there is no such field{_suggest(field, model.model_fields)}",
                )
                for field in unknown
            ]
        )


def _explain(
    error: ValidationError, raw: Mapping[str, object], defaults: Mapping[str, object]
) -> InvalidInput:
    details = []
    for item in error.errors(include_url=False, include_context=True)[:_REPORTED_FIELDS]:
        path = ".".join(str(part) for part in item["loc"])
        message = item["msg"].removeprefix("Value error, ")
        given = raw.get(path)
        if path in defaults and path not in raw:
            message += f"; {_quote(str(defaults[path]))} comes from the settings of this host"
        if item["type"] == "literal_error" and isinstance(given, str):
            expected = str(item["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
            message += _near(given.lower(), expected)
        details.append(FieldError(f"hyper_params.{path}" if path else "hyper_params", message))
    return _invalid_fields(details)


def _invalid(field: str, message: str) -> InvalidInput:
    return _invalid_fields([FieldError(f"hyper_params.{field}", message)])


def _invalid_fields(details: list[FieldError]) -> InvalidInput:
    listed = "; ".join(f"{detail.field}: {detail.message}" for detail in details)
    return InvalidInput(f"The hyper_params are not valid: {listed}", details=details)


def _suggest(wanted: str, known: Iterable[str]) -> str:
    names = list(known)
    return _near(wanted, names) or f"; there are {', '.join(names)}"


def _near(wanted: str, known: list[str]) -> str:
    near = difflib.get_close_matches(wanted[:64], known, n=3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _quote(text: str, mark: str = "'") -> str:
    """Shorten what a user sent, and make it printable: a lone surrogate could not be encoded in an answer."""
    printable = text[:64].encode("utf-8", "backslashreplace").decode()
    return f"{mark}{printable}{mark}"
