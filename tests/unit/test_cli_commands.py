"""The commands of wattle: that each is in the docs, and how values on a command line are read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from cli.given import read_dimension, read_value
from cli.main import app
from cli.showing import duration, plain

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def names_of(group: typer.Typer, *before: str) -> Iterator[str]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield " ".join((*before, command.name or command.callback.__name__))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        named = (inner.name,) if isinstance(inner.name, str) else ()
        yield from names_of(inner.typer_instance, *before, *named)


def test_the_table_of_commands_is_complete() -> None:
    documented = set(re.findall(r"`wattle ([a-z][a-z -]*)`", PAGE.read_text()))
    assert documented == set(names_of(app))


def test_every_command_speaks_json_and_reaches_another_api_unless_it_is_a_program() -> None:
    program = typer.main.get_command(app)
    # Programs, and what ends the jobs of a cluster without asking the API.
    others = ("up", "worker", "slurm down")
    pairs = [(name, program) for name in names_of(app) if not name.startswith(others)]
    assert len(pairs) > 20
    for name, command in pairs:
        for part in name.split():
            command = command.commands[part]  # type: ignore[attr-defined] # a group, for all but the last
        options = {option for param in command.params for option in param.opts}
        # What tokens and quotas are is told as JSON in any case.
        wanted = {"--api"} if name.startswith(("token ", "quota ")) else {"--api", "--json"}
        assert wanted <= options, name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lr=0.01", 0.01),
        ("n=3", 3),
        ("net=lenet5", "lenet5"),
        ("x=[1, 2]", [1, 2]),
        ("a=b=c", "b=c"),
        ("e=", ""),
    ],
)
def test_a_value_is_json_or_a_text(text: str, value: object) -> None:
    assert read_value(text)[1] == value


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("x=1e-4..0.1:log", {"type": "float", "low": 1e-4, "high": 0.1, "log": True}),
        ("x=0.5..2.5", {"type": "float", "low": 0.5, "high": 2.5}),
        ("x=16..128:16", {"type": "int", "low": 16, "high": 128, "step": 16}),
        ("x=1..64:log", {"type": "int", "low": 1, "high": 64, "log": True}),
        ("x=0..1:0.25", {"type": "float", "low": 0, "high": 1, "step": 0.25}),
        ("x=lenet5,resnet9", {"type": "categorical", "choices": ["lenet5", "resnet9"]}),
        ("x=true,1,null", {"type": "categorical", "choices": [True, 1, None]}),
    ],
)
def test_a_dimension_is_a_range_or_choices(text: str, dimension: object) -> None:
    assert read_dimension(text) == ("x", dimension)


@pytest.mark.parametrize("text", ["x", "=1", "x=a..b", "x=1..2:fast"])
def test_what_is_no_dimension_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        read_dimension(text)


def test_a_text_of_somebody_else_does_not_steer_the_terminal() -> None:
    assert plain("a\x1b[2Jb\x07\r木\tc") == "a\ufffd[2Jb\ufffd\ufffd木\tc"


def test_lengths_of_time_read_as_people_say_them() -> None:
    assert [duration(value) for value in (None, 1.25, 61.0, 3_660.0)] == [
        "–",
        "1.2 s",
        "1 min 01 s",
        "1 h 01 min",
    ]
