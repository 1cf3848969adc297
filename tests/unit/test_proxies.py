"""Whose address counts behind proxies, whatever somebody writes into the header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from api.access.proxies import A_SOCKET, Proxies
from errors import InvalidInput
from settings import load_settings

OURS = ("127.0.0.1", "::1", "10.0.0.0/8", "2001:db8:f::/48")


def client_of(peer: str, forwarded: str | None, trusted: tuple[str, ...] = OURS) -> str:
    headers = [] if forwarded is None else [("X-Forwarded-For", forwarded)]
    environ = EnvironBuilder(headers=headers).get_environ() | {"REMOTE_ADDR": peer}
    return Proxies(trusted).client_address(Request(environ))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("::1", "2001:DB8::7", "2001:db8::7"),
        ("127.0.0.1", "[2001:db8::7]:4433", "2001:db8::7"),
        ("127.0.0.1", "203.0.113.9:4433", "203.0.113.9"),
        ("127.0.0.1", "fe80::1%eth0", "fe80::1"),
        # The right-most that is not one of ours; what stands before it anybody may have written.
        ("127.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.5", "203.0.113.9"),
        ("127.0.0.1", "1.1.1.1,203.0.113.9,2001:db8:f::1", "203.0.113.9"),
        # All of them ours: the first has asked.
        ("127.0.0.1", "10.0.0.7, 10.0.0.5", "10.0.0.7"),
        # Nobody else's word counts.
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("fe80::1%eth0", "1.1.1.1", "fe80::1"),
        # What cannot be read ends it, at the last that could.
        ("127.0.0.1", "1.1.1.1, unknown", "127.0.0.1"),
        ("127.0.0.1", "1.1.1.1, _hidden, 10.0.0.5", "10.0.0.5"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9,", "127.0.0.1"),
        ("127.0.0.1", "999.1.1.1", "127.0.0.1"),
        ("127.0.0.1", "[::1", "::1"),
        ("", "203.0.113.9", A_SOCKET),
    ],
)
def test_the_client_is_the_right_most_who_is_no_proxy_of_ours(
    peer: str, forwarded: str | None, client: str
) -> None:
    assert client_of(peer, forwarded) == client


def test_a_unix_socket_is_trusted_where_that_is_said() -> None:
    assert client_of("", "203.0.113.9", (*OURS, "unix")) == "203.0.113.9"
    assert client_of("", None, (*OURS, "unix")) == A_SOCKET


def test_without_the_setting_the_header_says_nothing() -> None:
    assert client_of("127.0.0.1", "203.0.113.9", ()) == "127.0.0.1"


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=200))
def test_no_header_makes_it_fail(text: str) -> None:
    assert client_of("127.0.0.1", text)


@pytest.mark.parametrize("wrong", ["example.org", "10.0.0.1/8", "10.0.0.0/33", "10.0.0"])
def test_what_is_no_network_is_named(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_TRUSTED_PROXIES", f"127.0.0.1, {wrong}")
    with pytest.raises(InvalidInput, match=f"WATTLE_TRUSTED_PROXIES.*{wrong}"):
        load_settings()


@pytest.mark.parametrize(
    ("wrapped", "plain"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::FFFF:a00:1", "10.0.0.1/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
    ],
)
def test_an_ipv4_proxy_inside_ipv6_is_refused_with_how_to_write_it(
    wrapped: str, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As such an entry it would match nobody: callers are unwrapped before they are looked for."""
    monkeypatch.setenv("WATTLE_TRUSTED_PROXIES", wrapped)
    with pytest.raises(InvalidInput, match=f"WATTLE_TRUSTED_PROXIES.*write it as {plain}"):
        load_settings()


def test_proxies_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATTLE_TRUSTED_PROXIES", "127.0.0.1, 2001:db8::/32 , unix")
    assert load_settings().trusted_proxies == ("127.0.0.1", "2001:db8::/32", "unix")
