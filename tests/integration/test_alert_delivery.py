"""How channels are told: over real sockets, at most so often, tried again, and never in anybody's way."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from alerts.delivery import BURST, MAX_TRIES
from alerts.sending import MAX_UNANSWERED, PatientSender, send
from redis_db import RedisDB
from schema import Alert, AlertRule, Batch, Status
from tests.alert_parts import Inbox, add_rule, alerting, fill_messages, keep_house, raised
from tests.mail_server import MailServer, mail_server
from tests.programs import wait_until
from tests.records import running
from tests.webhook import Webhook, webhook

SECRET = "Hunter2-Hunter2"  # noqa: S105 - what must not be seen anywhere
ROOT = Path(__file__).resolve().parents[2]
OPS = {"alert_channels": "ops=json://127.0.0.1:9/hook"}


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as receiver:
        yield receiver


@pytest.fixture
def post() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def finish_runs(db: RedisDB, count: int = 1) -> None:
    for _ in range(count):
        db.queue.finish(running(db), Status.DONE)


def tell(db: RedisDB, count: int = 1, *, is_urgent: bool = False, **changes: Any) -> AlertRule:
    """Let a rule raise alerts for the channel ops, without a round."""
    rule = add_rule(db, {"kind": "run_finished"}, channels=("ops",))
    now, look = db.now(), db.alerts.look()
    known: dict[str, Any] = {
        "rule_id": rule.rule_id, "rule_name": rule.name, "kind": "run_finished", "time": now,
        "title": "Run done", "text": "text", "channels": ("ops",), "is_urgent": is_urgent,
    }  # fmt: skip
    alerts = [Alert.model_validate({"alert_id": f"{n}", **known, **changes}) for n in range(count)]
    assert db.alerts.commit(look, look.cursor, {}, alerts)
    return rule


def outcomes(db: RedisDB) -> list[str]:
    return [str(delivery.outcome) for delivery in db.alerts.list_deliveries(1000)][::-1]


def test_a_webhook_and_a_mailbox_are_told_of_a_run_that_ends(
    db: RedisDB, raw: redis.Redis, hook: Webhook, post: MailServer
) -> None:
    add_rule(db, {"kind": "run_finished"}, name="done runs", channels=("ops", "email"))
    program = alerting(
        db,
        alert_channels=f"ops=http://user:{SECRET}@{hook.host}/hook/{SECRET}?room={SECRET}",
        email_notifications="ada@example.org, grace@example.org",
        smtp_url=f"smtp+plain://wattle%40example.org:{SECRET}@127.0.0.1:{post.port}",
    )
    finish_runs(db)
    keep_house(raw, db, program)

    run_id = raised(db)[0].run_id or ""
    assert hook.titles == [f"[Wattle] Run done: run, {run_id[:8]}"]
    assert hook.paths == [f"/hook/{SECRET}?room={SECRET}"]
    assert f"/run?iid={run_id}" in hook.got[0]["message"]
    mail = post.mails[0]
    assert mail.message["subject"] == hook.titles[0]
    assert {address.strip("<>").lower() for to in mail.to for address in [to.partition(":")[2]]} <= {
        "ada@example.org",
        "grace@example.org",
    }
    assert f"/run?iid={run_id}" in str(mail.message.get_content())
    assert len(post.mails) == 2, "one each: nobody sees who else gets it"
    assert outcomes(db) == ["sent", "sent"]
    assert post.logins, "it has logged in"


def test_a_storm_makes_few_messages_that_count_all_of_it(
    db: RedisDB, raw: redis.Redis, hook: Webhook
) -> None:
    add_rule(db, {"kind": "run_finished"}, channels=("ops",))
    finish_runs(db, 1_000)
    program = alerting(db, alert_channels=f"ops=json://{hook.host}")
    for _ in range(10):
        keep_house(raw, db, program)
    assert len(raised(db)) == 1_000
    assert hook.titles == ["[Wattle] 1,000 alerts: rule run_finished ×500"]
    assert "and 980 more" in hook.got[0]["message"]
    assert len(hook.got[0]["message"]) < 3_000


def test_a_channel_gets_so_many_messages_and_the_rest_waits_for_its_turn(
    db: RedisDB, raw: redis.Redis
) -> None:
    inbox = Inbox()
    program = alerting(db, inbox, **OPS, alert_messages_per_hour=20)
    for _ in range(BURST + 3):
        tell(db)
        keep_house(raw, db, program)
    assert len(inbox.told) == BURST
    counted_s = float(str(raw.hget("alerts:channel:ops", "counted_at")))
    raw.hset("alerts:channel:ops", "counted_at", counted_s - 181)
    keep_house(raw, db, program)
    assert [message.title for _, message in inbox.told][-1] == "[Wattle] 3 alerts: rule run_finished ×3"
    keep_house(raw, db, program)
    assert len(inbox.told) == BURST + 1


def test_a_channel_that_fails_is_tried_again_later_and_told_everything(
    db: RedisDB, raw: redis.Redis, hook: Webhook
) -> None:
    program = alerting(db, alert_channels=f"ops=json://{hook.host}")
    hook.status = 503
    tell(db)
    keep_house(raw, db, program)
    assert (outcomes(db), hook.got) == (["retrying"], [])
    state = db.alerts.describe_channels(["ops"])["ops"]
    assert state.failures == 1
    assert state.retry_at is not None
    assert timedelta(seconds=7) < state.retry_at - db.now() < timedelta(seconds=13)
    keep_house(raw, db, program)
    assert outcomes(db) == ["retrying"], "not before its time"

    hook.status = 200
    tell(db)
    fill_messages(raw, "ops")
    keep_house(raw, db, program)
    assert outcomes(db) == ["retrying", "sent"]
    assert hook.titles == ["[Wattle] 2 alerts: rule run_finished ×2"]
    assert db.alerts.describe_channels(["ops"])["ops"].failures == 0


def test_a_channel_that_always_fails_is_given_up_and_does_not_grow(db: RedisDB, raw: redis.Redis) -> None:
    inbox = Inbox()
    inbox.reasons = ["no"] * (MAX_TRIES + 1)
    program = alerting(db, inbox, **OPS)
    tell(db, 3)
    for _ in range(MAX_TRIES):
        fill_messages(raw, "ops")
        keep_house(raw, db, program)
    assert outcomes(db) == ["retrying"] * (MAX_TRIES - 1) + ["given_up"]
    assert db.alerts.describe_channels(["ops"])["ops"].waiting == 0
    tell(db)
    fill_messages(raw, "ops")
    keep_house(raw, db, program)
    assert db.alerts.list_deliveries(1)[0].tries == 1, "what came later has its own tries"


def test_what_could_not_be_told_for_a_day_is_only_counted(db: RedisDB, raw: redis.Redis) -> None:
    inbox = Inbox()
    tell(db, 2, time=db.now() - timedelta(hours=25))
    tell(db)
    keep_house(raw, db, alerting(db, inbox, **OPS))
    ((_, message),) = inbox.told
    assert message.title == "[Wattle] 3 alerts: rule run_finished"
    assert "and 2 more" in message.body


def test_a_hanging_webhook_holds_up_neither_tick_nor_another_channel(
    db: RedisDB, raw: redis.Redis, hook: Webhook
) -> None:
    add_rule(db, {"kind": "run_finished"}, channels=("slow", "quick"))
    with webhook() as quick:
        program = alerting(db, alert_channels=f"slow=json://{hook.host} quick=json://{quick.host}")
        hook.is_hanging = True
        finish_runs(db)
        keep_house(raw, db, program, wait_s=5)
        wait_until(lambda: hook.paths and quick.got)
        # The receiver would keep each of them for ever.
        for _ in range(20):
            finish_runs(db)
            keep_house(raw, db, program, wait_s=0)
        assert len(hook.paths) == 1, "one thread per channel"
        assert sum(thread.name == "alerts to slow" for thread in threading.enumerate()) == 1
        assert all(thread.daemon for thread in threading.enumerate() if "alerts" in thread.name)
        hook.stopped.set()
        program.wait(60)


def test_a_webhook_that_never_answers_is_tried_again_and_keeps_few_threads(
    db: RedisDB, raw: redis.Redis, hook: Webhook
) -> None:
    hook.is_hanging = True
    patient = PatientSender(send, limit_s=0.3)
    program = alerting(db, patient, alert_channels=f"ops=json://{hook.host}")
    for _ in range(MAX_UNANSWERED + 2):
        tell(db)
        fill_messages(raw, "ops")
        keep_house(raw, db, program)
    assert outcomes(db) == ["retrying"] * (MAX_UNANSWERED + 2)
    reasons = [delivery.reason for delivery in db.alerts.list_deliveries(10)][::-1]
    assert reasons[:MAX_UNANSWERED] == ["No answer within 0.3 s."] * MAX_UNANSWERED
    assert "without an answer" in (reasons[-1] or "")
    assert len(hook.paths) == MAX_UNANSWERED
    hook.stopped.set()
    wait_until(lambda: all(thread.name != "message to ops" for thread in threading.enumerate()))
    hook.is_hanging = False
    fill_messages(raw, "ops")
    keep_house(raw, db, program)
    assert outcomes(db)[-1] == "sent"


def test_a_message_of_a_program_that_died_is_told_by_another(db: RedisDB, raw: redis.Redis) -> None:
    tell(db)
    dead = db.alerts.take("ops", hold_s=60, burst=5, refill_s=1, is_quiet=False)
    assert dead is not None
    inbox = Inbox()
    program = alerting(db, inbox, **OPS)
    keep_house(raw, db, program)
    assert inbox.told == [], "it may be about to arrive"
    raw.hset("alerts:channel:ops", "held_until", 1)
    keep_house(raw, db, program)
    assert len(inbox.told) == 1
    # The first one was only slow: what waits now is not its to remove.
    tell(db)
    late = db.alerts.list_deliveries(1)[0]
    assert not db.alerts.settle(dead, late, retry_in_s=None)
    assert db.alerts.describe_channels(["ops"])["ops"].waiting == 1


def test_two_programs_with_the_same_channel_tell_it_once(db: RedisDB, raw: redis.Redis) -> None:
    inbox = Inbox()
    programs = [alerting(db, inbox, **OPS) for _ in range(4)]
    tell(db)
    inbox.is_open.clear()
    for program in programs:
        program.deliver()
    inbox.is_open.set()
    for program in programs:
        program.wait(60)
    assert len(inbox.told) == 1


def test_a_channel_that_is_slow_is_asked_for_once_at_a_time(
    db: RedisDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, taken = Inbox(), list[str]()
    program = alerting(db, inbox, **OPS)
    take = db.alerts.take

    def take_and_note(channel: str, **rest: Any) -> Batch | None:
        taken.append(channel)
        return take(channel, **rest)

    monkeypatch.setattr(db.alerts, "take", take_and_note)
    tell(db)
    inbox.is_open.clear()
    for _ in range(5):
        program.deliver()
    wait_until(lambda: taken)
    inbox.is_open.set()
    program.wait(60)
    assert taken == ["ops"]


PROGRAM = """
import logging
import sys
from alerts import Alerting
from redis_db import RedisDB
from settings import Settings

logging.basicConfig(level=logging.DEBUG)
settings = Settings(_env_file=None, alert_channels=f"ops={sys.argv[2]}")
delivery = Alerting(RedisDB(sys.argv[1]), settings).test("ops", timeout_s=float(sys.argv[3]))
print(delivery and delivery.outcome)
"""


@pytest.mark.slow
def test_a_hanging_channel_does_not_hold_up_the_end_of_a_program(
    db: RedisDB, redis_url: str, hook: Webhook
) -> None:
    hook.is_hanging = True
    # A machine that is busy has not even asked within a second: what hangs then is not the channel.
    for timeout_s in (1, 10, 60):
        command = [sys.executable, "-c", PROGRAM, redis_url, f"json://{hook.host}", str(timeout_s)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
        assert ended.stdout.strip() == "None", "it has not answered"
        if hook.paths:
            break
    assert len(hook.paths) == 1


@pytest.mark.slow
@pytest.mark.parametrize("address", [f"odd://{SECRET}/x", f"json://{SECRET}.invalid/{SECRET}"])
def test_the_library_that_sends_writes_nothing_of_its_own(address: str, db: RedisDB, redis_url: str) -> None:
    command = [sys.executable, "-c", PROGRAM, redis_url, address, "60"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "failed"
    written = ended.stderr.lower()
    assert "apprise" not in written
    assert "urllib3" not in written
    assert "hunter2" not in written


def test_in_quiet_hours_only_urgent_rules_are_told(db: RedisDB, raw: redis.Redis) -> None:
    inbox, now = Inbox(), db.now()
    quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    tell(db, 2, title="Run done")
    tell(db, is_urgent=True, title="Fire")
    keep_house(raw, db, alerting(db, inbox, **OPS, quiet_hours=quiet))
    assert [message.title for _, message in inbox.told] == ["[Wattle] Fire"]
    keep_house(raw, db, alerting(db, inbox, **OPS))
    assert [message.title for _, message in inbox.told][1:] == ["[Wattle] 2 alerts: rule run_finished ×2"]


def test_notifications_that_are_off_send_nothing_and_the_page_has_it(db: RedisDB, raw: redis.Redis) -> None:
    inbox = Inbox()
    add_rule(db, {"kind": "run_finished"}, channels=("ops",))
    finish_runs(db)
    keep_house(raw, db, alerting(db, inbox, **OPS, enable_notifications=False))
    assert (inbox.told, len(raised(db))) == ([], 1)


def test_a_program_tells_only_the_channels_that_it_has(db: RedisDB, raw: redis.Redis) -> None:
    inbox = Inbox()
    tell(db)
    keep_house(raw, db, alerting(db, inbox, alert_channels="other=json://127.0.0.1:9/x"))
    assert inbox.told == []
    keep_house(raw, db, alerting(db, inbox, **OPS))
    assert len(inbox.told) == 1


@pytest.mark.parametrize("status", [200, 500])
def test_no_secret_is_stored_logged_or_told(
    status: int,
    db: RedisDB,
    raw: redis.Redis,
    hook: Webhook,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = status
    url = f"ops=json://user-{SECRET}:{SECRET}@{hook.host}/{SECRET}/x?-key={SECRET}"
    program = alerting(
        db, alert_channels=f"{url} gone=json://user:{SECRET}@127.0.0.1:1/{SECRET} odd=odd://{SECRET}"
    )
    add_rule(db, {"kind": "run_finished"}, channels=("ops", "gone", "odd"))
    finish_runs(db)
    keep_house(raw, db, program)
    program.test("ops", timeout_s=60)

    assert hook.paths
    assert SECRET in hook.paths[0]
    logged = caplog.text + "".join(str(record.args) for record in caplog.records)
    assert SECRET not in logged
    assert "".join(capfd.readouterr()) == "", "a library writes past the log"
    texts = [str(raw.lrange(key, 0, -1)) for key in raw.keys("alerts:waiting:*")]
    texts += [str(raw.hgetall(key)) for key in raw.keys("alerts:channel:*")]
    texts += [str(raw.xrange(key)) for key in ("alerts:deliveries", "alerts:raised")]
    assert len(texts) > 3
    assert SECRET not in "".join(texts)


def test_a_test_is_told_at_once_and_logged(db: RedisDB, hook: Webhook) -> None:
    program = alerting(db, alert_channels=f"ops=json://{hook.host}")
    delivery = program.test("ops", timeout_s=60)
    assert delivery is not None
    assert (delivery.outcome, hook.titles) == ("sent", ["[Wattle] Test"])
    assert [found.is_test for found in db.alerts.list_deliveries(10)] == [True]
