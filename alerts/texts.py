"""What alerts say: a line and a text each, with nothing in it that a mail or a chat would obey."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from alerts.sending import Message
from schema import Alert, Run, Worker

MAX_TITLE_CHARACTERS: Final = 150
MAX_TEXT_CHARACTERS: Final = 1_500
_MAX_MESSAGE_CHARACTERS: Final = 400
_LISTED: Final = 20
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# A run's error may quote anything; nobody who can fail a run shall be able to call a whole channel.
_MENTION: Final = re.compile(r"@(?=everyone|here|channel|all|room)|<(?=[@#!])", re.IGNORECASE)


def cleaned(text: str, limit: int = MAX_TEXT_CHARACTERS) -> str:
    """Return foreign text without control characters and calls to everybody, cut to ``limit``."""
    safe = _MENTION.sub(lambda found: f"{found[0]}\u200b", _CONTROL.sub(" ", text)).strip()
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def line(text: str) -> str:
    """Return foreign text as one line that fits a subject."""
    return cleaned(" ".join(text.split()), MAX_TITLE_CHARACTERS)


def run_label(run: Run) -> str:
    """Name a run: what it trains, and its short id."""
    parts = [run.hyper_params.get(name) for name in ("network", "dataset", "optimizer")]
    own = " · ".join(str(part) for part in parts if part) or str(run.hyper_params.get("trainer", "run"))
    title = run.name or own
    mark = " (simulated)" if run.simulated else ""
    return f"{title}{mark}, {run.run_id[:8]}"


def run_facts(run: Run, page_url: str) -> str:
    """Say where a run stands, and where to look."""
    epochs = [f"{run.epochs_done} of {run.num_epochs} epochs"] if run.num_epochs else []
    facts = [*epochs, f"project {run.options.project}"]
    if run.best_accuracy is not None:
        facts.append(f"best test accuracy {100 * run.best_accuracy:.2f} %")
    if run.last_loss is not None:
        facts.append(f"last test loss {run.last_loss:.4g}")
    if run.co2_g is not None:
        facts.append(f"{grams(run.co2_g)} of CO₂")
    return f"{', '.join(facts)}.\n{page_url.rstrip('/')}/run?iid={run.run_id}"


def error_text(run: Run) -> str:
    """Say why a run failed."""
    if run.error is None:
        return run.status_reason or "No reason is known."
    first = run.error.message.strip() or "no message"
    hint = f"\n{run.error.hint}" if run.error.hint else ""
    return f"{run.error.kind}: {first[:_MAX_MESSAGE_CHARACTERS]}{hint}"


def worker_label(worker: Worker) -> str:
    """Name a worker and its host."""
    return f"{worker.name} on {worker.host}" if worker.name != worker.host else worker.name


def span(duration_s: float) -> str:
    """Write a length of time."""
    for unit, unit_s in (("h", 3600.0), ("min", 60.0)):
        if duration_s >= 2 * unit_s:
            return f"{duration_s / unit_s:.3g} {unit}"
    return f"{duration_s:.3g} s"


def grams(value_g: float) -> str:
    """Write a mass of CO₂."""
    return f"{value_g / 1000:.3g} kg" if value_g >= 1000 else f"{value_g:.3g} g"


def compose(alerts: Sequence[Alert], left_out: int, page_url: str) -> Message:
    """Put alerts into one message: one as it is, several as a list."""
    if len(alerts) == 1 and not left_out:
        alert = alerts[0]
        when = f"{alert.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        return Message(f"[Wattle] {alert.title}", f"{alert.text}\n\nRule {alert.rule_name}, {when}.")
    total = len(alerts) + left_out
    named = Counter(alert.rule_name for alert in alerts).most_common(3)
    names = ", ".join(f"{name} ×{count}" if count > 1 else name for name, count in named)
    lines = [f"- {alert.time.astimezone(UTC):%H:%M:%S} {alert.title}" for alert in alerts[:_LISTED]]
    if total > len(lines):
        lines.append(f"- and {total - len(lines):,} more")
    lines.append(f"\nTimes are UTC. {page_url.rstrip('/')}/alerts")
    return Message(line(f"[Wattle] {total:,} alerts: {names}"), "\n".join(lines))
