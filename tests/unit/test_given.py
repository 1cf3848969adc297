"""Hyperparameters in the URL of the Submit form: what is written is read again, what is wrong is refused."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from bench.next_try import BASE, SCHEMA
from schema import TrainerReply
from views.form import form_fields
from views.submit.given import query_of, read_value

TRAINER = TrainerReply(name="cnn", title="CNN", summary="", simulated=False, schema=SCHEMA)
FIELDS = {field.name: field for field in form_fields(SCHEMA)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"learning_rate": 1.25e-05, "num_epochs": 3, "optimizer": "sgd"},
        {"batch_size": "auto", "nesterov": False, "patience": 4},
        {"max_co2_g": 0.1, "momentum": 0.0, "image_folder": "a b/ü"},
    ],
    ids=str,
)
def test_what_a_link_says_is_what_was_meant(changes: dict[str, JsonValue]) -> None:
    query = query_of(TRAINER, {**BASE, **changes})
    assert query.pop("trainer") == "cnn"
    assert query.keys() == changes.keys()
    assert {name: read_value(FIELDS[name], text) for name, text in query.items()} == changes


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("learning_rate", "fast", "a number"),
        ("learning_rate", "11", "at most 10"),
        ("learning_rate", "nan", "a number"),
        ("num_epochs", "0", "at least 1"),
        ("num_epochs", "1.5", "a number"),
        ("optimizer", "lion", "one of adam"),
        ("nesterov", "perhaps", "true or false"),
        ("batch_size", "automatic", "a number"),
    ],
)
def test_what_the_form_would_not_take_is_refused(name: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_value(FIELDS[name], text)


def test_an_empty_text_empties_what_may_be_empty() -> None:
    assert read_value(FIELDS["patience"], "") is None
