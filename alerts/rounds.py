"""One round of the rules: look at what is new, raise what is due, and note how far it got, in one step."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from alerts import texts
from alerts.findings import Finding, find, hold_s, is_polled
from alerts.ports import Store
from alerts.scene import ENDED, Scene
from alerts.states import Holding, advance
from schema import Alert, AlertRule, Look, MetricTail, RuleState

log = logging.getLogger(__name__)

EVENTS_AT_ONCE: Final = 500
# The stream keeps about 10,000: what is behind that is gone anyway.
_MAX_BATCHES: Final = 25
_NOTHING: Final = Holding(is_true=False)
_BAR: Final = "|"


class Rounds:
    """Evaluates the rules."""

    def __init__(self, store: Store, tail: MetricTail, page_url: str) -> None:
        self._store = store
        self._tail = tail
        self._page_url = page_url

    def run(self) -> int:
        """Run a round and return how many alerts it raised; another program's round at the same time wins.

        Raises StoreUnavailable. What was not taken over then is found again by the next round.
        """
        rules = [rule for rule in self._store.alerts.list_rules() if rule.is_enabled]
        if not rules:
            return 0
        raised = 0
        for number in range(_MAX_BATCHES):
            count, is_last = self._run_batch(rules, has_polled=number > 0)
            raised += count
            if is_last:
                break
        return raised

    def _run_batch(self, rules: Sequence[AlertRule], *, has_polled: bool) -> tuple[int, bool]:
        """Look at the next events; returns how many alerts were raised, and whether there is nothing more."""
        look = self._store.alerts.look()
        events = self._store.events.list(after=look.cursor, limit=EVENTS_AT_ONCE)
        scene = Scene(self._store, self._tail, events, self._store.now())
        asked = [rule for rule in rules if not (has_polled and is_polled(rule))]
        changes: dict[str, RuleState | None] = dict(_forgotten(look, rules, scene))
        alerts = [alert for rule in asked for alert in self._evaluate(rule, scene, look, changes)]
        cursor = events[-1].event_id if events else look.cursor
        is_last = len(events) < EVENTS_AT_ONCE
        if not changes and not alerts and cursor == look.cursor:
            return 0, is_last
        if not self._store.alerts.commit(look, cursor, changes, alerts):
            return 0, True
        for alert in alerts:
            log.info("alert rule=%r run_id=%s worker_id=%s", alert.rule_name, alert.run_id, alert.worker_id)
        return len(alerts), is_last

    def _evaluate(
        self, rule: AlertRule, scene: Scene, look: Look, changes: dict[str, RuleState | None]
    ) -> Iterator[Alert]:
        """Yield what a rule raises, and put into ``changes`` how it stands where that is new."""
        seen = set()
        for finding in find(rule, scene, self._page_url):
            field = f"{_name(rule)}{_BAR}{finding.subject}"
            seen.add(field)
            if finding.holding is None or _advance(rule, field, finding.holding, scene, look.states, changes):
                yield _alert(rule, finding, scene)
        if is_polled(rule):
            for field in look.states:
                if field.startswith(_name(rule)) and field not in seen:
                    _advance(rule, field, _NOTHING, scene, look.states, changes)


def _advance(
    rule: AlertRule,
    field: str,
    holding: Holding,
    scene: Scene,
    states: Mapping[str, RuleState],
    changes: dict[str, RuleState | None],
) -> bool:
    old = states.get(field)
    new, is_raised = advance(old, holding, scene.now_s, for_s=hold_s(rule), again_after_s=rule.again_after_s)
    if new != old:
        changes[field] = new
    return is_raised


def _forgotten(look: Look, rules: Sequence[AlertRule], scene: Scene) -> Iterator[tuple[str, None]]:
    """Yield what need not be remembered: of rules that are gone, and of runs that have ended."""
    known = {_name(rule) for rule in rules}
    ended = {event.run_id for event in scene.events if event.kind in (*ENDED, "deleted")}
    for field in look.states:
        name, _, subject = field.partition(_BAR)
        if name not in known or subject in ended:
            yield field, None


def _name(rule: AlertRule) -> str:
    """Name a rule since it began anew: how it stood before counts no more."""
    return f"{rule.rule_id}:{round(1000 * rule.active_since.timestamp())}"


def _alert(rule: AlertRule, finding: Finding, scene: Scene) -> Alert:
    words = finding.say()
    return Alert(
        alert_id=uuid.uuid4().hex,
        rule_id=rule.rule_id,
        rule_name=texts.line(rule.name),
        kind=rule.condition.kind,
        time=scene.now,
        title=texts.line(words.title),
        text=texts.cleaned(words.text),
        run_id=words.run_id,
        worker_id=words.worker_id,
        is_urgent=rule.is_urgent,
        channels=rule.channels,
    )
