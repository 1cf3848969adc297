"""The form that starts a sweep: what may differ, how it is searched, and what it may use."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import streamlit as st
from pydantic import JsonValue, ValidationError

from errors import ApiError
from schema import TrainerReply
from schema.sweeps import SweepRequest
from views import format as fmt
from views import may, parts, source
from views.form import FormField, form_fields
from views.predicted import prediction_tiles
from views.sweeps.words import PRUNER_NAMES, SAMPLER_NAMES

_KEY: Final = "sweep:idempotency_key"
_PROBLEM: Final = "sweep:problem"
# What is searched unless somebody says otherwise, where the trainer has it.
_DEFAULT: Final = ("learning_rate", "batch_size", "network")
# Low, high, and whether small values matter as much as large ones.
_RANGES: Final[Mapping[str, tuple[float, float, bool]]] = {
    "learning_rate": (1e-4, 1e-1, True),
    "batch_size": (16, 128, True),
    "weight_decay": (1e-6, 1e-2, True),
    "dropout": (0.0, 0.5, False),
    "momentum": (0.5, 0.99, False),
    "label_smoothing": (0.0, 0.2, False),
    "num_epochs": (2, 20, False),
}
_CHOICES: Final[Mapping[str, Sequence[str]]] = {"network": ("small_cnn", "lenet5")}
_SHARED: Final = ("dataset", "trainer", "image_folder")


def show(*, on_started: Callable[[str], None]) -> None:
    """Show the form; ``on_started`` gets the id of the sweep that was started."""
    if st.button("All sweeps", icon=":material/arrow_back:", type="tertiary"):
        parts.go_to("sweeps")
    st.title("Start a sweep")
    found = source.fetch("trainers", source.list_trainers)
    parts.silence_banner(found.problem)
    if found.value is None:
        st.button("Try again", icon=":material/refresh:")
        return
    trainers = {trainer.title: trainer for trainer in found.value.trainers if trainer.name != "script"}
    trainer = trainers[str(st.selectbox("Trainer", list(trainers), key="sweep:trainer", width=300))]
    fields = {field.name: field for field in form_fields(trainer.schema_)}
    base = _base(trainer, fields)
    space = _space(fields)
    rest = _search()
    body = {"hyper_params": base, "space": space, **rest}
    _show_cost(body)
    started = _start(body)
    if started is not None:
        on_started(started)


def _base(trainer: TrainerReply, fields: Mapping[str, FormField]) -> dict[str, JsonValue]:
    base: dict[str, JsonValue] = {"trainer": trainer.name}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if "dataset" in fields:
            choices = list(fields["dataset"].choices)
            place = choices.index(str(fields["dataset"].default)) if fields["dataset"].default else 0
            base["dataset"] = st.selectbox("Dataset", choices, index=place, key="sweep:dataset", width=220)
        epochs = st.number_input("Epochs of a trial", 1, 10_000, 10, key="sweep:epochs", width=180)
        base["num_epochs"] = int(epochs)
    return base


def _space(fields: Mapping[str, FormField]) -> dict[str, JsonValue]:
    """Draw what may differ; one row for each hyperparameter."""
    st.subheader("What may differ", anchor=False)
    names = [
        name
        for name, field in fields.items()
        if field.kind in ("choice", "number", "integer") and name not in (*_SHARED, "num_epochs")
    ]
    default = [name for name in _DEFAULT if name in names]
    chosen = st.multiselect(
        "Hyperparameters",
        names,
        default=default,
        format_func=lambda name: fields[name].title,
        key="sweep:names",
    )
    space: dict[str, JsonValue] = {}
    for name in chosen:
        dimension = _dimension(fields[name])
        if dimension is not None:
            space[name] = dimension
    return space


def _dimension(field: FormField) -> dict[str, JsonValue] | None:
    if field.kind == "choice":
        default = [
            choice for choice in _CHOICES.get(field.name, field.choices[:3]) if choice in field.choices
        ]
        key = f"sweep:choices:{field.name}"
        chosen = st.multiselect(fmt.plain(field.title), field.choices, default=default, key=key)
        return {"type": "categorical", "choices": list(chosen)} if chosen else None
    low, high, is_log = _range(field)
    is_whole = field.kind == "integer"
    if st.session_state.get("sweep:sampler") == "grid":
        return _listed(field, _spread(low, high, is_log=is_log, is_whole=is_whole), is_whole=is_whole)
    number: Any = int if is_whole else float
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for place, value in (("low", low), ("high", high)):
            st.number_input(
                f"{fmt.plain(field.label)}, {'from' if place == 'low' else 'to'}",
                value=number(value),
                format="%d" if is_whole else "%g",
                key=f"sweep:{place}:{field.name}",
                width=220,
            )
        key = f"sweep:log:{field.name}"
        is_log = st.toggle("Logarithmic", value=is_log, key=key, help="As many small values as large ones.")
    return {
        "type": "int" if is_whole else "float",
        "low": number(st.session_state[f"sweep:low:{field.name}"]),
        "high": number(st.session_state[f"sweep:high:{field.name}"]),
        "log": is_log,
    }


def _listed(field: FormField, values: Sequence[float], *, is_whole: bool) -> dict[str, JsonValue] | None:
    """Ask for the values themselves, of which a grid takes every combination."""
    text = st.text_input(
        f"{fmt.plain(field.label)}, values", ", ".join(f"{value:g}" for value in values),
        key=f"sweep:values:{field.name}",
    )  # fmt: skip
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        parts.field_error("Numbers, with commas between them.")
        return None
    choices: list[JsonValue] = [int(value) if is_whole else value for value in dict.fromkeys(found)]
    return {"type": "categorical", "choices": choices} if choices else None


def _spread(low: float, high: float, *, is_log: bool, is_whole: bool) -> Sequence[float]:
    """Return four values from low to high."""
    shares = (0, 1 / 3, 2 / 3, 1)
    values = [low * (high / low) ** share if is_log else low + (high - low) * share for share in shares]
    return [round(value) if is_whole else float(f"{value:.2g}") for value in values]


def _range(field: FormField) -> tuple[float, float, bool]:
    if field.name in _RANGES:
        return _RANGES[field.name]
    value = float(field.default) if isinstance(field.default, int | float) else 1.0
    low, high = (value / 2, value * 2) if value else (0.0, 1.0)
    low = max(low, field.minimum if field.minimum is not None else -math.inf)
    high = min(high, field.maximum if field.maximum is not None else math.inf)
    return low, high, False


def _search() -> dict[str, JsonValue]:
    st.subheader("How it is searched, and what it may use", anchor=False)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name", "sweep", max_chars=80, key="sweep:name", width=220)
        sampler = st.selectbox(
            "Sampler", SAMPLER_NAMES, format_func=SAMPLER_NAMES.__getitem__, key="sweep:sampler"
        )
        pruner = st.selectbox(
            "Pruning",
            PRUNER_NAMES,
            format_func=PRUNER_NAMES.__getitem__,
            key="sweep:pruner",
            disabled=sampler == "nsga2",
            help="Ends trials early that are worse than others were by then. Not with NSGA-II, which weighs "
            "two things.",
        )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limits: dict[str, JsonValue] = {
            "trials": int(st.number_input("Trials at most", 1, 10_000, 12, key="sweep:trials", width=160)),
            "co2_g": _optional("CO₂ at most (g)", "co2"),
            "energy_wh": _optional("Energy at most (Wh)", "wh"),
            "hours": _optional("Time at most (h)", "hours"),
        }
        parallel = st.number_input(
            "Trials at once",
            1,
            256,
            value=None,
            placeholder="as many as workers",
            key="sweep:parallel",
            width=240,
        )
    return {
        "name": name or "sweep",
        "sampler": sampler,
        "pruner": "none" if sampler == "nsga2" else pruner,
        "limits": {key: value for key, value in limits.items() if value is not None},
        "parallel": None if parallel is None else int(parallel),
    }


def _optional(label: str, key: str) -> float | None:
    return st.number_input(
        label, min_value=0.0, value=None, format="%g", placeholder="no limit", key=f"sweep:{key}", width=180
    )


def _show_cost(body: Mapping[str, JsonValue]) -> None:
    """Show what the whole sweep will probably take, before it is spent."""
    if not body["space"]:
        return
    try:
        predicted = source.predict_sweep(body)
    except (ValidationError, ApiError):
        # What is wrong, of the values or with the API, is said where the sweep is started.
        return
    st.subheader("What it will take", anchor=False)
    if predicted.energy_kwh is not None or predicted.duration_s is not None:
        prediction_tiles(predicted)
    st.caption(fmt.plain(predicted.basis), text_alignment="left")


def _start(body: Mapping[str, JsonValue]) -> str | None:
    """Return the id of the sweep once it is started."""
    problem = st.session_state.pop(_PROBLEM, None)
    if problem:
        st.error(fmt.plain_lines(problem), icon=":material/error:")
    if not body["space"]:
        st.info("Choose at least one hyperparameter, and values for it.", icon=":material/tune:")
    key = st.session_state.setdefault(_KEY, uuid.uuid4().hex)
    label = "Start the sweep"
    is_locked = not body["space"] or not may.can_submit()
    if not st.button(label, type="primary", icon=":material/play_arrow:", disabled=is_locked):
        return None
    try:
        request = SweepRequest.model_validate(body)
        sweep = source.api().start_sweep(request, idempotency_key=key)
    except ValidationError as error:
        st.session_state[_PROBLEM] = "\n".join(_problems(error))
    except ApiError as error:
        st.session_state[_PROBLEM] = str(error)
    else:
        del st.session_state[_KEY]
        return sweep.sweep_id
    # What was refused was no request: the next one is another.
    st.session_state[_KEY] = uuid.uuid4().hex
    return st.rerun()


def _problems(error: ValidationError) -> Sequence[str]:
    """Say what is wrong, and of which hyperparameter."""
    found = []
    for item in error.errors():
        place = [str(part) for part in item["loc"]]
        name = place[1] if place[:1] == ["space"] and len(place) > 1 else place[-1] if place else ""
        text = item["msg"].removeprefix("Value error, ")
        found.append(f"{name.replace('_', ' ').capitalize()}: {text}" if name else text)
    return found
