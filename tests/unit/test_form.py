from __future__ import annotations

import json

import pytest
from pydantic import JsonValue
from streamlit.testing.v1 import AppTest

from errors import FieldError
from trainers.params import CnnHyperParams
from views.form import Schema, form_fields, number_text
from views.submit.draft import errors_by_field


def test_the_form_of_the_built_in_trainer_follows_its_model() -> None:
    fields = {field.name: field for field in form_fields(CnnHyperParams.model_json_schema())}

    assert list(fields)[:4] == ["network", "dataset", "optimizer", "learning_rate"]
    assert "trainer" not in fields
    assert fields["optimizer"].kind == "choice"
    assert fields["optimizer"].choices == ("adam", "adamw", "sgd", "rmsprop")
    assert fields["num_epochs"].kind == "integer"
    assert (fields["num_epochs"].minimum, fields["num_epochs"].maximum) == (1, 10_000)
    assert fields["learning_rate"].default == CnnHyperParams.model_fields["learning_rate"].default
    assert not fields["batch_size"].is_advanced
    assert fields["seed"].is_advanced
    assert (fields["gpus"].label, fields["gpus"].kind) == ("Number of GPUs", "integer")
    assert fields["gpus"].is_advanced
    assert (fields["gpus"].default, fields["gpus"].minimum, fields["gpus"].maximum) == (1, 1, 64)


def test_optional_and_referenced_fields_are_looked_into() -> None:
    schema: Schema = {
        "$defs": {"Mode": {"enum": ["a", "b"], "type": "string", "title": "Mode"}},
        "properties": {
            "mode": {"$ref": "#/$defs/Mode", "default": "b", "advanced": False},
            "warmup": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}], "default": None},
            "flag": {"type": "boolean", "default": True},
            "nested": {"type": "object"},
        },
    }
    fields = {field.name: field for field in form_fields(schema)}

    assert list(fields) == ["mode", "warmup", "flag", "nested"]
    assert fields["nested"].kind == "json"
    assert fields["mode"].choices == ("a", "b")
    assert fields["mode"].title == "Mode"
    assert not fields["mode"].is_advanced
    assert fields["warmup"].kind == "integer"
    assert fields["warmup"].is_optional


def test_a_word_may_stand_in_place_of_a_number() -> None:
    fields = {field.name: field for field in form_fields(CnnHyperParams.model_json_schema())}
    batch_size = fields["batch_size"]
    assert (batch_size.kind, batch_size.word, batch_size.default) == ("integer", "auto", 64)
    assert (batch_size.minimum, batch_size.maximum) == (1, 65_536)
    assert not fields["num_epochs"].word


def test_a_unit_stands_in_the_label_unless_the_title_says_it() -> None:
    schema: Schema = {
        "properties": {
            "num_epochs": {"type": "integer", "title": "Epochs", "unit": "epochs"},
            "batch_size": {"type": "integer", "title": "Batch size", "unit": "images"},
        }
    }

    assert [field.label for field in form_fields(schema)] == ["Epochs", "Batch size (images)"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (1e-6, "1e-06"), (20, "20"), (True, "yes"), ("a", "a"), (None, "–"), ([1], "[1]")],
)
def test_values_read_the_way_people_write_them(value: JsonValue, text: str) -> None:
    assert number_text(value) == text


def test_errors_of_the_api_find_their_field() -> None:
    details = [
        FieldError("hyper_params.learning_rate", "must be positive"),
        FieldError("hyper_params.learning_rate", "must be finite"),
        FieldError("options.queue", "is too long"),
        FieldError("body", "is too large"),
    ]

    assert errors_by_field(details) == {
        "learning_rate": "must be positive; must be finite",
        "options": "options.queue: is too long",
        "": "body: is too large",
    }


def _foreign_form() -> None:
    """A form of a trainer whose author wrote Markdown; Streamlit runs this function's source as a script."""
    from views.form import FormField, Kind, show_fields

    text = "![x](http://elsewhere/p.png)"
    kinds: tuple[Kind, ...] = ("choice", "flag", "integer", "number", "text", "json")
    fields = [FormField(kind, text, kind, description=text, choices=(text,)) for kind in kinds]
    show_fields(fields, prefix="form", errors={})


def test_labels_and_hints_of_a_third_party_s_trainer_are_not_markdown() -> None:
    app = AppTest.from_function(_foreign_form, default_timeout=60).run()
    widgets = [app.selectbox[0], app.toggle[0], *app.number_input, app.text_input[0], app.text_area[0]]

    assert len(widgets) == 6
    assert {text for widget in widgets for text in (widget.label, widget.help)} == {
        r"\!\[x\](http\:\/\/elsewhere\/p\.png)"
    }


def _json_form() -> None:
    """A form with a list; Streamlit runs this function's source as a script."""
    import streamlit as st

    from views.form import FormField, is_unreadable, show_fields

    field = FormField("layers", "Layers", "json", default=[64, 10])
    values = show_fields([field], prefix="form", errors={})
    st.json({**values, "is_unreadable": is_unreadable(field, values.get("layers"))})


@pytest.mark.parametrize(
    ("text", "value", "problem"),
    [
        (None, [64, 10], None),
        ('{"a": [1, null]}', {"a": [1, None]}, None),
        ("[64, 10", "[64, 10", "layers: this is not JSON"),
        ('"64"', "64", "not a text"),
    ],
)
def test_a_list_or_an_object_is_typed_as_json_and_a_mistake_names_the_field(
    text: str | None, value: JsonValue, problem: str | None
) -> None:
    app = AppTest.from_function(_json_form, default_timeout=60).run()
    if text is not None:
        app.text_area[0].set_value(text).run()

    shown = json.loads(app.json[0].value)
    assert shown == {"layers": value, "is_unreadable": problem is not None}
    assert problem is None or any(
        problem in fmt for fmt in (item.value.replace("\\", "") for item in app.markdown)
    )
