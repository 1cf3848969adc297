"""How records are written in Redis, and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json

from errors import InvalidInput
from schema import Attempt, Deletion, EpochResult, ExtraCost, Requires, Run, RunError
from store.plans import OVERRIDE, decode_plan

# The order of an epoch's array. It is stored: later fields are appended, nothing is moved or removed.
EPOCH_FIELDS: Final = (
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "validation_loss",
    "validation_accuracy",
    "duration_s",
    "attempt",
    "energy_kwh",
    "energy_quality",
    "energy_reason",
    "energy_window_epochs",
    "co2_g",
    "intensity_g_per_kwh",
    "energy_by_source",
    "ended_at",
    "co2_reason",
    "resumed_after_s",
)
# The order of an extra's array, stored as well. Its name and attempt are its place in the hash. With at most
# 64 characters Redis keeps the hash as one block, a third of what it takes otherwise.
EXTRA_FIELDS: Final = (
    "energy_kwh",
    "co2_g",
    "duration_s",
    "span_s",
    "ended_at",
    "energy_quality",
    "intensity_g_per_kwh",
    "energy_reason",
    "co2_reason",
)
# Written out in full, figures would be most of an epoch's size: a loss is known to fewer digits than six,
# energy to fewer than seven. Seven of an accuracy tell one image in some millions.
_SIGNIFICANT: Final = {
    **dict.fromkeys(("train_loss", "test_loss", "validation_loss", "duration_s", "co2_g"), 6),
    **dict.fromkeys(("train_accuracy", "test_accuracy", "validation_accuracy", "energy_kwh"), 7),
    "span_s": 5,
}
_DIGITS: Final = 6
# What stands for a quality in an array.
QUALITIES: Final = {"m": "measured", "e": "estimated", "s": "simulated"}
_LETTERS: Final = {quality: letter for letter, quality in QUALITIES.items()}
_TEST_ACCURACY: Final = EPOCH_FIELDS.index("test_accuracy")

_JSON_FIELDS: Final = (
    *("hyper_params", "options", "environment", "error", "co2_source", "co2_revisions"),
    "carbon_outcome",
)
_TIME_FIELDS: Final = ("time_added", "started_at", "ended_at", "due_at", "paused_at", "heard_at")
_TEXT_FIELDS: Final = tuple(set(Run.model_fields) - {"run_id", "carbon", *_JSON_FIELDS, *_TIME_FIELDS})

_MAX_STATED_EPOCHS: Final = 10**9
_MAX_MESSAGE_CHARACTERS: Final = 4_000
_MAX_TRACEBACK_CHARACTERS: Final = 16_000
_MAX_HINT_CHARACTERS: Final = 1_000
_MAX_SHORT_CHARACTERS: Final = 300


def to_json(value: object) -> str:
    """Write compact JSON. Raises InvalidInput on NaN, infinities and lone surrogates, which JSON has not."""
    try:
        text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput("A text holds characters that UTF-8 has not, so nothing was stored.") from error
    except ValueError as error:
        raise InvalidInput(
            "A value is not a finite number (NaN or infinity), so nothing was stored."
        ) from error
    return text


def to_text(text: str) -> str:
    """Return ``text`` without what UTF-8 cannot carry: lone surrogates become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def to_time(seconds: str | float) -> datetime:
    """Turn Redis' seconds into an aware UTC datetime."""
    return datetime.fromtimestamp(float(seconds), UTC)


def time_of_entry(entry_id: str) -> datetime:
    """Return when a stream's entry was written, to the millisecond, by the clock of Redis."""
    return to_time(int(entry_id.partition("-")[0]) / 1000)


def to_pairs(flat: Sequence[str]) -> dict[str, str]:
    """Turn the flat reply of an HGETALL inside a script into a dict."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def round_figure(value: float | None, digits: int = _DIGITS) -> float | None:
    """Return a measured figure with as many digits as it can have; what is not finite stays as it is."""
    return None if value is None else float(f"{value:.{digits}g}")


def encode_epoch(result: EpochResult) -> str:
    """Write an epoch as a compact JSON array in the order of EPOCH_FIELDS."""
    values = {name: getattr(result, name) for name in EPOCH_FIELDS}
    parts: dict[str, float] | None = values["energy_by_source"]
    values["energy_by_source"] = parts and {key: round_figure(part, 4) for key, part in parts.items()}
    return _encode_array(values)


def encode_extra(cost: ExtraCost) -> str:
    """Write what was used besides the epochs as a compact JSON array in the order of EXTRA_FIELDS."""
    return _encode_array({name: getattr(cost, name) for name in EXTRA_FIELDS})


def _encode_array(values: Mapping[str, Any]) -> str:
    """Write values in their order, figures with the digits they can have, times to the second."""
    rounded = {
        name: round_figure(values[name], digits) for name, digits in _SIGNIFICANT.items() if name in values
    }
    short = {
        "energy_quality": _LETTERS.get(values["energy_quality"]),
        "ended_at": values["ended_at"] and round(values["ended_at"].timestamp()),
    }
    array = list({**values, **rounded, **short}.values())
    while array[-1] is None:  # the last fields are rare, and a shorter array says the same
        array.pop()
    return to_json(array)


def decode_epoch(epoch: str, array: str) -> EpochResult:
    """Read an epoch; fields that did not exist when it was written are None."""
    return EpochResult(epoch=int(epoch), **_decode_array(EPOCH_FIELDS, array))


def decode_extra(place: str, array: str) -> ExtraCost:
    """Read what was used besides the epochs, from its place attempt:name."""
    if array.startswith("{"):  # it was written before there were arrays
        return ExtraCost.model_validate_json(array, extra="ignore")
    attempt, _, name = place.partition(":")
    return ExtraCost(name=name, attempt=int(attempt), **_decode_array(EXTRA_FIELDS, array))


def _decode_array(fields: Sequence[str], array: str) -> dict[str, Any]:
    values = dict(zip_longest(fields, from_json(array)[: len(fields)]))
    if values["ended_at"] is not None:
        values["ended_at"] = to_time(values["ended_at"])
    quality = values["energy_quality"]
    values["energy_quality"] = QUALITIES.get(quality, quality)  # it was once written in full
    return values


def decode_epochs(stored: Mapping[str, str]) -> list[EpochResult]:
    """Read all epochs of a run, oldest first."""
    return [decode_epoch(epoch, stored[epoch]) for epoch in sorted(stored, key=int)]


def decode_accuracies(stored: Mapping[str, str], points: int) -> list[float]:
    """Read the test accuracies alone, oldest first, evenly thinned out to at most ``points``.

    The first and the last are among them. Whole epochs would cost twenty times as much, and a page of runs
    shows thousands.
    """
    epochs = sorted(stored, key=int)
    if len(epochs) > points:
        step = (len(epochs) - 1) / (points - 1)
        epochs = [epochs[round(place * step)] for place in range(points)]
    return [from_json(stored[epoch])[_TEST_ACCURACY] for epoch in epochs]


def decode_attempts(stored: Mapping[str, str]) -> list[Attempt]:
    """Read all attempts of a run, oldest first."""
    return [_decode_attempt(number, json.loads(stored[number])) for number in sorted(stored, key=int)]


def _decode_attempt(number: str, values: Mapping[str, Any]) -> Attempt:
    times = {name: to_time(values[name]) for name in ("started_at", "ended_at") if name in values}
    return Attempt.model_validate({**values, **times, "attempt": int(number)}, extra="ignore")


def decode_run(run_id: str, stored: Mapping[str, str]) -> Run:
    """Read the hash of a run."""
    values: dict[str, Any] = {"run_id": run_id}
    values |= {name: stored[name] for name in _TEXT_FIELDS if name in stored}
    values |= {name: from_json(stored[name]) for name in _JSON_FIELDS if name in stored}
    values |= {name: to_time(stored[name]) for name in _TIME_FIELDS if name in stored}
    if "carbon" in stored:
        values["carbon"] = decode_plan(stored["carbon"], is_override=stored.get("planning") == OVERRIDE)
    if "priority" in stored:  # which can be changed, unlike the other options
        values["options"] = {**values.get("options", {}), "priority": stored["priority"]}
    if "is_external" in stored:
        values["num_epochs"] = _stated_epochs(values["hyper_params"])
    # Another version may have written more about it.
    return Run.model_validate(values, extra="ignore")


def _stated_epochs(params: Mapping[str, Any]) -> int | None:
    """Return how many epochs a script says it trains; None where it does not say it."""
    value = params.get("num_epochs")
    return value if type(value) is int and 1 <= value <= _MAX_STATED_EPOCHS else None


def encode_error(error: RunError) -> str:
    """Write an error, cut to what a page can show; of a traceback the end is kept."""
    texts = {
        "kind": error.kind[:_MAX_SHORT_CHARACTERS],
        "message": error.message[:_MAX_MESSAGE_CHARACTERS],
        "traceback": error.traceback and error.traceback[-_MAX_TRACEBACK_CHARACTERS:],
        "hint": error.hint and error.hint[:_MAX_HINT_CHARACTERS],
        "host": error.host and error.host[:_MAX_SHORT_CHARACTERS],
    }
    bounded = error.model_copy(update={name: text and to_text(text) for name, text in texts.items()})
    return to_json(bounded.model_dump(exclude_defaults=True))


def shorten(error: RunError) -> str:
    """Write an error as one line, for the record of its attempt."""
    first, *others = error.message.splitlines() or [""]
    text = f"{error.kind}: {first}{' …' if others else ''}"
    return to_text(text if len(text) <= _MAX_SHORT_CHARACTERS else text[: _MAX_SHORT_CHARACTERS - 1] + "…")


def encode_requirement(queue: str, requires: Requires) -> str:
    """Write what the runs of a waiting list need, and of which queue they are."""
    return to_json({"queue": queue, "requires": requires.model_dump(exclude_defaults=True)})


def decode_requirement(text: str) -> tuple[str, Requires] | None:
    """Read what encode_requirement wrote; None for needs of another version that this one does not know."""
    stored = json.loads(text)
    try:
        return stored["queue"], Requires.model_validate(stored["requires"])
    except ValidationError:
        return None


def decode_deletion(run_id: str, flat: Sequence[str]) -> Deletion:
    """Read what delete.lua answers: names and values in turn."""
    return Deletion.model_validate({"run_id": run_id, **to_pairs(flat)})
