"""The forms of WATTLE_REDIS_URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from errors import InvalidInput
from redis_db import RedisDB
from store.address import parse_address

PAGE = (Path(__file__).parents[2] / "docs" / "redis.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("url", "nodes", "options"),
    [
        ("redis://", [("localhost", 6379)], {}),
        ("redis://h", [("h", 6379)], {}),
        ("redis://u:p%40%3A%2F%25@h:7/3", [("h", 7)], {"username": "u", "password": "p@:/%", "db": 3}),
        ("redis://:secret@h", [("h", 6379)], {"password": "secret"}),
        ("redis://[::1]:7", [("::1", 7)], {}),
        ("rediss://h?ssl_ca_certs=/ca.pem", [("h", 6379)], {"ssl": True, "ssl_ca_certs": "/ca.pem"}),
        ("rediss://h?ssl_check_hostname=false", [("h", 6379)], {"ssl": True, "ssl_check_hostname": False}),
        ("unix:///run/redis.sock?db=2", [], {"unix_socket_path": "/run/redis.sock", "db": 2}),
    ],
)
def test_one_server(url: str, nodes: list[tuple[str, int]], options: dict[str, Any]) -> None:
    address = parse_address(url, None)
    assert (address.form, list(address.nodes), address.prefix) == ("server", nodes, "")
    assert {name: value for name, value in address.options.items() if value is not None} == options


def test_the_primary_that_sentinels_know() -> None:
    address = parse_address("rediss+sentinel://u:p%40@a:1,b,[::1]:3/my%2Fservice/2?sentinel_password=s", None)
    assert (address.form, address.service, address.prefix) == ("sentinel", "my/service", "")
    assert address.nodes == (("a", 1), ("b", 26379), ("::1", 3))
    assert address.options == {
        "username": "u", "password": "p@", "db": 2, "ssl": True, "sentinel_password": "s",
    }  # fmt: skip
    assert parse_address("redis+sentinel://a/s", 4).options == {"db": 4}


def test_a_cluster_has_a_prefix_for_all_its_keys() -> None:
    address = parse_address("redis+cluster://:p@a,b:7001,c:7002/0", None)
    assert (address.form, address.prefix) == ("cluster", "{wattle}:")
    assert address.nodes == (("a", 6379), ("b", 7001), ("c", 7002))
    for url in ("redis+cluster://a", "redis+cluster://a/"):
        RedisDB(url, prefix="{wattle}:").close()
        with pytest.raises(InvalidInput, match="prefix"):
            RedisDB(url, prefix="mine:")


@pytest.mark.parametrize(("url", "db"), [("redis+cluster://a/1", None), ("redis+cluster://a", 1)])
def test_a_cluster_has_one_database(url: str, db: int | None) -> None:
    with pytest.raises(InvalidInput, match="database 0 only"):
        parse_address(url, db)


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost", "http://h", "redis://h:port", "redis://h/first", "unix://",
        "redis+sentinel:///service", "redis+sentinel://a,/service", "redis+sentinel://a/s/first",
        "redis+cluster://", "redis+cluster://a:port", "redis+cluster://a,,b", "redis+cluster://a/first",
        "redis+other://a", "unix+sentinel://a/s", "redis://a,b", "redis://h?db=first",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_all_forms(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"WATTLE_REDIS_URL is not valid.*rediss://.*sentinel.*cluster"):
        parse_address(url, None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+sentinel://a:1,b:2", "names no service"),
        ("redis://h?socket_timeout=1000", "socket_timeout"),
        ("redis://h?retry_on_timeout=true", "retry_on_timeout"),
        ("redis://h?ssl_ca_certs=/ca.pem", "rediss"),
        ("redis+cluster://h?sentinel_password=s", "sentinel_password"),
    ],
)
def test_an_option_that_would_do_harm_or_nothing_is_refused(url: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_address(url, None)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:4711#REST@h/0", "redis://u:4711#REST@h", "redis://:4711", "redis://u:REST@/0",
        "redis://u:4711?REST@h/0", "redis://u:4711?REST=x@h", "redis://u:4711?Rest4711=REST@h",
        "redis://u:4711/REST@h", "redis://u:REST4711?db=1",
        "redis+sentinel://u:4711#REST@a/s", "redis+cluster://u:4711?REST@a", "unix:///s?db=1#REST",
    ],
)  # fmt: skip
def test_a_password_with_marks_that_were_not_quoted_is_refused_and_shown_nowhere(url: str) -> None:
    with pytest.raises(InvalidInput, match="WATTLE_REDIS_URL") as refused:
        parse_address(url, None)
    assert not any(part in str(refused.value) for part in ("REST", "4711", "Rest"))
    # A traceback would show what the error came from, too.
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://u:hidden@h:7/3", "h:7 (database 3)"),
        ("unix:///s?db=1", "/s (database 1)"),
        ("redis+sentinel://u:hidden@a,b/s/1?sentinel_password=hidden",
         "service s of the Sentinels a:26379,b:26379 (database 1)"),
        ("redis+cluster://u:hidden@a,b", "the Cluster a:6379,b:6379"),
    ],
)  # fmt: skip
def test_an_address_is_named_without_its_password(url: str, name: str) -> None:
    assert str(parse_address(url, None)) == name


def test_every_option_and_form_is_documented() -> None:
    table = PAGE.split("| option | meaning |")[1].split("##")[0]
    for option in ("db", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname",
                   "sentinel_username", "sentinel_password"):  # fmt: skip
        assert f"`{option}`" in table
    for form in ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://"):
        assert f"| `{form}" in PAGE
