"""Whatever is sent, the answer is a 4xx that names the reason, and nothing is queued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from backend import create_app
from redis_db import RedisDB
from settings import Settings

VALID = b'{"hyper_params": {"optimizer": "adam", "learning_rate": 0.01, "num_epochs": 2}}'
FIELDS = (
    "trainer", "num_epochs", "seed", "dataset", "network", "optimizer", "learning_rate", "weight_decay",
    "momentum", "batch_size", "validation_fraction",
)  # fmt: skip

NOT_JSON = [
    b"",
    b"null",
    b" ",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf" + VALID,
    VALID.decode().encode("utf-16"),
    VALID.decode().encode("utf-32"),
    VALID + b"x",
    VALID + VALID,
    VALID[:-1],
    b"hyper_params=1",
    b"<xml/>",
    b"NaN",
    b"Infinity",
    b"undefined",
    b"'a'",
    b"{'num_epochs': 2}",
    b"{num_epochs: 2}",
    b'{"num_epochs": 2,}',
    b'{"num_epochs": 02}',
    b'{"num_epochs": +2}',
    b'{"num_epochs": 0x2}',
    b'{"num_epochs": .5}',
    b'{"num_epochs" 2}',
    b'{"num_epochs": 2 // two\n}',
    b'{"learning_rate": NaN}',
    b'{"learning_rate": Infinity}',
    b'{"learning_rate": -Infinity}',
    b'{"learning_rate": 1e999}',
    b'{"learning_rate": -1e999}',
    b'{"trainer": "\\ud800"}',
    b'{"trainer": "\\udfff\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"options": {"tags": ["\\ud800"]}, "hyper_params": {}}',
    b'{"trainer": "\xff"}',
    b'{"trainer": "\xed\xa0\x80"}',
    b'{"trainer": "a\nb"}',
    b'{"trainer": "\\x41"}',
    b'{"trainer": "\\u00"}',
    b'{"trainer": "cnn\\u0000"}',
    b'{"a\\u0000": 1}',
    b'{"hyper_params": {}, "options": {"tags": ["a\\u0000b"]}}',
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    b'{"num_epochs": ' + b"9" * 100_000 + b"}",
    b'{"learning_rate": 1e' + b"9" * 100_000 + b"}",
]
NOT_A_REQUEST: list[object] = [
    True,
    0,
    1.5,
    "text",
    "",
    [],
    [{}],
    [{"num_epochs": 2}],
    {"hyper_params": None},
    {"hyper_params": []},
    {"hyper_params": [1]},
    {"hyper_params": "adam"},
    {"hyper_params": 3},
    {"hyper_params": True},
    {"hyper_params": {"hyper_params": {}}},
    {"hyper_params": {}, "num_epochs": 2},
    {"hyper_params": {}, "iid": "a"},
    {"hyper_params": {}, "": 1},
    {"hyper_params": {}, "options": None},
    {"hyper_params": {}, "options": []},
    {"hyper_params": {}, "options": "high"},
    {"hyper_params": {}, "options": {"color": "red"}},
    {"hyper_params": {}, "options": {"queue": ""}},
    {"hyper_params": {}, "options": {"queue": "a b"}},
    {"hyper_params": {}, "options": {"queue": "a\n"}},
    {"hyper_params": {}, "options": {"queue": "../x"}},
    {"hyper_params": {}, "options": {"queue": "a:b"}},
    {"hyper_params": {}, "options": {"queue": "x" * 65}},
    {"hyper_params": {}, "options": {"queue": 1}},
    {"hyper_params": {}, "options": {"queue": None}},
    {"hyper_params": {}, "options": {"priority": "urgent"}},
    {"hyper_params": {}, "options": {"priority": 1}},
    {"hyper_params": {}, "options": {"tags": "one"}},
    {"hyper_params": {}, "options": {"tags": [""]}},
    {"hyper_params": {}, "options": {"tags": [" "]}},
    {"hyper_params": {}, "options": {"tags": ["x" * 65]}},
    {"hyper_params": {}, "options": {"tags": [1]}},
    {"hyper_params": {}, "options": {"tags": ["x"] * 33}},
    {"hyper_params": {}, "options": {"tags": {"a": "b"}}},
    {"options": {"queue": "default"}},
    {"learning_rat": 0.1},
    {"": 1},
    {" num_epochs": 2},
    {"NUM_EPOCHS": 2},
    {"__class__": "x"},
    {"__proto__": {"num_epochs": 2}},
    {"model_config": {}},
    {"🐟": 1},
    {"x" * 100_000: 1},
    {f"field_{number}": number for number in range(20_000)},
]
# Every field of the trainer, with what none of them takes.
WRONG_VALUES: list[object] = [
    None, True, [], {}, [1], {"a": 1}, "", "x" * 5_000, "\ud83d\udc1f", "1", -1, 1e308, 10**400, -(10**400),
]  # fmt: skip

QUERY_NAMES = ["sort", "order", "status", "limit", "cursor", "fields", "after"]
HEADER_NAMES = [
    "Host", "Origin", "Content-Type", "Idempotency-Key", "Sec-Fetch-Site", "Accept", "Content-Length",
]  # fmt: skip


@pytest.fixture
def api(db: RedisDB, tmp_path: Path) -> Iterator[FlaskClient]:
    """A client of an app over an empty store, which has to be as empty at the end."""
    yield create_app(Settings(data_dir=tmp_path), db).test_client()
    assert db.queue.length() == 0
    assert db.runs.list().total == 0


def refuse(api: FlaskClient, body: bytes, **headers: str) -> dict[str, str]:
    """Post ``body``; it has to be refused in the shape of every error."""
    reply = api.post("/train", data=body, content_type="application/json", headers=headers)
    assert 400 <= reply.status_code < 500, (reply.status_code, body[:200])
    assert len(reply.data) < 50_000
    error = reply.get_json()["error"]
    assert error.keys() == {"code", "message", "details"}
    assert error["message"]
    assert all(detail.keys() == {"field", "message"} for detail in error["details"])
    if reply.status_code == 422:
        assert error["details"]
    return {"code": error["code"], "message": error["message"]}


def test_the_body_that_the_cut_off_ones_come_from_is_taken(db: RedisDB, tmp_path: Path) -> None:
    api = create_app(Settings(data_dir=tmp_path), db).test_client()
    assert api.post("/train", data=VALID, content_type="application/json").status_code == 201


@pytest.mark.parametrize("body", NOT_JSON, ids=lambda body: repr(body[:30]))
def test_what_is_not_json_is_malformed(api: FlaskClient, body: bytes) -> None:
    assert refuse(api, body)["code"] == "malformed"


@pytest.mark.parametrize("value", NOT_A_REQUEST, ids=lambda value: repr(value)[:40])
def test_json_that_is_no_request_is_invalid(api: FlaskClient, value: object) -> None:
    assert refuse(api, json.dumps(value).encode())["code"] == "invalid_input"


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_takes_a_wrong_value(api: FlaskClient, field: str) -> None:
    for value in WRONG_VALUES:
        refuse(api, json.dumps({"hyper_params": {field: value}}).encode())


@pytest.mark.parametrize("length", range(1, len(VALID), 5))
def test_a_body_that_was_cut_off_is_refused(api: FlaskClient, length: int) -> None:
    refuse(api, VALID[:length])


def test_a_body_that_is_too_large_is_refused(api: FlaskClient) -> None:
    assert refuse(api, b'{"trainer": "' + b"x" * 2_000_000 + b'"}')["code"] == "body_too_large"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
quietly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


@quietly
@given(body=st.binary(max_size=400))
@example(body=b"\x1f\x8b\x08\0")
def test_noise_is_refused(api: FlaskClient, body: bytes) -> None:
    assume(not is_object(body))
    refuse(api, body)


@quietly
@given(value=anything)
def test_a_field_that_no_trainer_has_is_refused(api: FlaskClient, value: object) -> None:
    refuse(api, json.dumps({"hyper_params": {"no such field": value}}).encode())


@quietly
@given(name=st.text(max_size=80), value=anything)
def test_a_sibling_of_hyper_params_that_is_not_options_is_refused(
    api: FlaskClient, name: str, value: object
) -> None:
    assume(name not in ("hyper_params", "options"))
    refuse(api, json.dumps({"hyper_params": {}, name: value}).encode())


@quietly
@given(value=anything)
def test_hyper_params_that_are_no_object_are_refused(api: FlaskClient, value: object) -> None:
    assume(not isinstance(value, dict))
    refuse(api, json.dumps({"hyper_params": value}).encode())


@quietly
@given(
    path=st.sampled_from(["/experiments", "/api/runs", f"/api/runs/{'0' * 32}/log", "/status/", "/healthz"]),
    tail=st.text(max_size=40),
    query=st.dictionaries(
        st.sampled_from(QUERY_NAMES) | st.text(max_size=8),
        st.text(max_size=60),
        max_size=4,
    ),
)
def test_no_address_gives_a_server_error(
    api: FlaskClient, path: str, tail: str, query: dict[str, str]
) -> None:
    assert api.get(path, query_string=query).status_code < 500
    assert api.get(f"/status/{tail}").status_code < 500


@quietly
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "Host",
                "Origin",
                "Content-Type",
                "Idempotency-Key",
                "Sec-Fetch-Site",
                "Accept",
                "Content-Length",
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    )
)
def test_no_header_gives_a_server_error(api: FlaskClient, headers: dict[str, str]) -> None:
    reply = api.post("/train", data=b"[]", headers=headers)
    assert 400 <= reply.status_code < 500
