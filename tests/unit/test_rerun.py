"""What a rerun changes, and what it leaves as it was."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import JsonValue

from schema import RunOptions, RunReply, Status, TrainerReply
from views.form import FormField
from views.submit.draft import Draft
from views.submit.rerun import changes_of, differences, filled_in

RATE = FormField("learning_rate", "Learning rate", "number", default=0.001, minimum=0.0, maximum=1.0)
EPOCHS = FormField("num_epochs", "Epochs", "integer", default=20, minimum=1)
SEED = FormField("seed", "Seed", "integer", is_optional=True)
NETWORK = FormField("network", "Network", "choice", default="small_cnn", choices=("small_cnn", "resnet9"))
FIELDS = (RATE, EPOCHS, SEED, NETWORK)
OLD: dict[str, JsonValue] = {"learning_rate": 0.25, "num_epochs": 5, "seed": 7, "network": "resnet9"}
PAST = datetime(2020, 1, 1, tzinfo=UTC)


def run(**options: Any) -> RunReply:
    return RunReply(
        run_id="a",
        iid="a",
        hyper_params=OLD,
        options=RunOptions.model_validate(options),
        status=Status.DONE,
        time_added=PAST,
        num_epochs=5,
        progress=1.0,
    )


def draft(values: dict[str, JsonValue], **options: Any) -> Draft:
    trainer = TrainerReply(name="cnn", title="", summary="", schema={})
    known = {name: value for name, value in values.items() if value is not None}
    return Draft(trainer, FIELDS, {"trainer": "cnn", **known}, RunOptions.model_validate(options))


def test_what_is_left_as_it_was_is_no_change() -> None:
    changes = changes_of(run(queue="night", start_at=PAST), draft(OLD, queue="night"), FIELDS)
    assert (changes.hyper_params, changes.options) == ({}, {})
    assert differences(run(queue="night", start_at=PAST), changes, FIELDS) == []


def test_a_change_is_sent_and_listed_before_and_now() -> None:
    changes = changes_of(run(), draft(OLD | {"learning_rate": 0.1}, priority="high", timeout_s=90.0), FIELDS)
    assert changes.hyper_params == {"learning_rate": 0.1}
    assert changes.options == {"priority": "high", "timeout_s": 90.0}
    rows = [tuple(row.values()) for row in differences(run(), changes, FIELDS)]
    assert [(label, before) for label, before, _ in rows] == [
        *(("Learning rate", "0.25"), ("Priority", "normal"), ("Time limit", "–")),
    ]
    assert [now.replace("\u00a0", " ") for _, _, now in rows] == ["0.1", "high", "1 min 30 s"]


@pytest.mark.parametrize(("field", "value"), [(SEED, None), (EPOCHS, 20)])
def test_a_field_that_was_emptied_is_nothing_where_it_may_be_and_else_its_default(
    field: FormField, value: JsonValue
) -> None:
    emptied = {name: old for name, old in OLD.items() if name != field.name}
    assert changes_of(run(), draft(emptied), FIELDS).hyper_params == {field.name: value}


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        (RATE, 0.25, 0.25),
        (RATE, 2.0, 0.001),
        (EPOCHS, 0, 20),
        (NETWORK, "resnet9", "resnet9"),
        (NETWORK, "gone", "small_cnn"),
        (SEED, None, None),
    ],
)
def test_the_form_starts_from_the_old_value_where_it_is_still_offered(
    field: FormField, value: JsonValue, shown: JsonValue
) -> None:
    assert filled_in(field, {field.name: value}).default == shown
