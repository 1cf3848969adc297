"""Channels from the environment, and what of them may be seen."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from alerts import Channels
from alerts.channels import as_json_webhook
from errors import InvalidInput, NotFound
from settings import Settings, load_settings

SECRET = "Hunter2-Hunter2"  # noqa: S105 - what must not be seen anywhere


def channels(**settings: Any) -> Channels:
    return Channels(Settings(_env_file=None, **settings))


def url(name: str, **settings: Any) -> str:
    return channels(**settings).get(name).url.get_secret_value()


def test_channels_come_from_three_settings() -> None:
    found = channels(
        alert_channels="pager=jsons://example.org/a ops=tgram://1/2",
        slack_webhook_url="https://hooks.slack.com/services/a/b/c",
        email_notifications="a@example.org",
        smtp_url="smtp://mail.example.org",
    )
    assert found.names == ("email", "ops", "pager", "slack")


def test_a_plain_webhook_gets_json_with_its_query() -> None:
    plain = as_json_webhook(SecretStr("https://example.org:8443/x?key=1&b"))
    assert plain == SecretStr("jsons://example.org:8443/x?-key=1&-b")
    assert as_json_webhook(SecretStr("http://u:p@example.org/x")) == SecretStr("json://u:p@example.org/x")
    assert as_json_webhook(SecretStr("tgram://1/2")) is None


@pytest.mark.parametrize(
    ("smtp", "wanted"),
    [
        (
            "smtp://ada%40example.org:p%2Fw@mail.example.org",
            "mailtos://ada%40example.org:p%2Fw@mail.example.org:587/",
        ),
        ("smtps://mail.example.org", "mailtos://mail.example.org:465/"),
        ("smtp+plain://127.0.0.1:2525", "mailto://127.0.0.1:2525/"),
    ],
)
def test_mail_goes_through_the_server_of_the_settings(smtp: str, wanted: str) -> None:
    made = url("email", email_notifications="a@example.org, b@example.org", smtp_url=smtp)
    assert made.startswith(wanted)
    assert "to=a%40example.org%2Cb%40example.org" in made
    sender = "ada%40example.org" if "ada" in smtp else "wattle%40"
    assert f"from={sender}" in made


@pytest.mark.parametrize("word", ["false", "No", "0", " ", ""])
def test_mail_can_be_switched_off(word: str) -> None:
    assert channels(email_notifications=word).names == ()


def test_mail_that_is_only_switched_on_goes_to_its_sender() -> None:
    made = url("email", email_notifications="true", smtp_url="smtp://ada%40example.org:x@mail.example.org")
    assert "to=ada%40example.org" in made


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"email_notifications": "a@b.cc"}, "WATTLE_SMTP_URL"),
        ({"email_notifications": "a@b.cc", "smtp_url": f"https://{SECRET}"}, "WATTLE_SMTP_URL"),
        (
            {"alert_channels": f"slack=json://{SECRET}", "slack_webhook_url": f"json://{SECRET}"},
            "called slack",
        ),
        ({"alert_channels": f"a=json://u:{SECRET}/x@y"}, "channel a is not a URL"),
    ],
)
def test_a_channel_that_cannot_be_is_refused_without_its_address(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        channels(**settings)
    assert SECRET not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    "value", [f"{SECRET}", f"a={SECRET}", f"A=json://{SECRET}", f"a=json://x b=json{SECRET}"]
)
def test_a_list_of_channels_that_is_none_is_refused_without_repeating_it(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATTLE_ALERT_CHANNELS", value)
    with pytest.raises(InvalidInput, match="WATTLE_ALERT_CHANNELS") as refused:
        load_settings()
    assert isinstance(refused.value.__cause__, ValidationError)
    assert SECRET not in f"{refused.value} {refused.value.__cause__}"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (f"json://u:{SECRET}@example.org:99/{SECRET}?-key={SECRET}", "json://example.org/***"),
        (f"tgram://{SECRET}/1", "tgram://***"),
        (f"https://hooks.slack.com/services/a/{SECRET}", "https://hooks.slack.com/***"),
        (f"json://u:{SECRET}@[::1]:99/", "json://[::1]/***"),
    ],
)
def test_only_the_kind_and_a_harmless_host_are_shown(address: str, shown: str) -> None:
    channel = channels(alert_channels=f"a={address}").get("a")
    assert channel.address == shown
    assert SECRET not in f"{channel} {channel!r}"


def test_no_part_of_an_address_is_left_in_a_text() -> None:
    address = "jsons://ada:p%2Fss%20word@example.org/T0k3n-1/x?-key=T0k3n-2&rto=9"
    channel = channels(alert_channels=f"a={address}").get("a")
    said = f"POST {address}: /T0k3n-1/x refused p/ss word and p%2Fss%20word, key T0k3n-2, at example.org"
    scrubbed = channel.scrub(said)
    assert not [part for part in ("T0k3n", "p/ss", "p%2Fss", "word") if part in scrubbed]
    assert "refused" in scrubbed
    assert "example.org" in scrubbed
    hidden = channels(alert_channels="a=tgram://B0tT0k3n/1").get("a")
    assert hidden.scrub("no bot B0tT0k3n") == "no bot ***"


def test_a_channel_nobody_set_up_is_not_found_and_those_that_are_there_are_named() -> None:
    with pytest.raises(NotFound, match="Those that are: a"):
        channels(alert_channels="a=json://x").get("b")
    with pytest.raises(NotFound, match="None is"):
        channels().get("b")
