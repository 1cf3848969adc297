"""Keys, and the page that documents them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from errors import InvalidInput
from schema import Run, SortField, Status
from store.encoding import EPOCH_FIELDS
from store.keys import TEMPLATES, Keys
from store.scripts import load_scripts

PAGE_PATH = Path(__file__).parents[2] / "docs" / "redis-keys.md"
PAGE = PAGE_PATH.read_text("utf-8")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def test_the_documented_keys_are_those_of_the_code() -> None:
    documented = re.findall(r"^\| `([^`]+)` \|", section("Keys"), flags=re.MULTILINE)
    assert sorted(documented) == sorted(TEMPLATES.values())


def test_the_documented_order_of_an_epoch_is_that_of_the_code() -> None:
    paragraph = section("Keys").split("**Order of an epoch's array**:")[1].split(".")[0]
    assert tuple(re.findall(r"`(\w+)`", paragraph)) == EPOCH_FIELDS


def test_the_documented_index_fields_and_statuses_are_those_of_the_code() -> None:
    fields, statuses = section("Keys").split("`<field>` is one of")[1].split("\n\n")[0].split("`<status>`")
    assert re.findall(r"`(\w+)`", fields) == [field.value for field in SortField]
    assert re.findall(r"`(\w+)`", statuses) == [status.value for status in Status]
    assert {field.value for field in SortField} <= set(Run.model_fields)


def test_the_table_of_events_names_every_script_that_changes_a_run() -> None:
    named = set(re.findall(r"`(\w+)`[,)]", section("Event → what is where")))
    assert set(load_scripts(Keys().formats)) - {"page", "beat", "watch", "read_histograms"} <= named


def test_every_script_says_what_it_does_to_which_keys() -> None:
    for path in (PAGE_PATH.parents[1] / "store" / "scripts").glob("*.lua"):
        head = path.read_text("utf-8").split("\nlocal ")[0]
        if path.stem != "lib":
            assert head.startswith(f"-- {path.stem}: "), path
            assert "-- KEYS " in head, path
            assert "-- ARGV " in head, path


def test_a_prefix_stands_before_every_key() -> None:
    keys = Keys("{wattle}:")
    assert keys.of("epochs", "a1") == "{wattle}:run:a1:epochs"
    assert all(text.startswith("{wattle}:") for text in keys.formats.values())


@pytest.mark.parametrize("prefix", ["a b", "100%s", 'x"', "x\n", "é", "x" * 65])
def test_a_prefix_that_could_break_a_script_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidInput, match="prefix"):
        Keys(prefix)


def test_every_queue_has_two_waiting_lists() -> None:
    keys = Keys()
    assert keys.waiting("default") == "queue:requests"
    assert keys.waiting("default", high=True) == "queue:requests:high"
    assert keys.waiting("gpu") == "queue:requests:gpu"
    assert keys.waiting("gpu", high=True) == "queue:requests:gpu:high"


@pytest.mark.parametrize("queue", ["high", "", "GPU", "a:b", "a b", "x" * 65, "default\n"])
def test_a_name_no_queue_may_have_is_refused(queue: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Keys().waiting(queue)
    assert refused.value.details[0].field == "options.queue"
