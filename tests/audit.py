"""Known vulnerabilities of what constraints.txt pins, as pip-audit reports them: ``python -m tests.audit``.

Exit code 1 where one is known, 2 where pip-audit itself fails, 0 where none is known, and where nobody can be
asked: that is said, and is no reason to stop a machine without a way out.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from tests.pins import CONSTRAINTS
from tests.programs import ROOT

PIP_AUDIT: Final = ROOT / ".venv-tools" / "bin" / "pip-audit"
# PyPI's own, then that of the Open Source Vulnerabilities.
SERVICES: Final = (("--vulnerability-service", "pypi"), ("--vulnerability-service", "osv"))
# All of them together take 40 s where each answer takes a fifth of a second.
LIMIT_S: Final = 150.0
_ANSWER_S: Final = 10
# What pip-audit ends with when the way, or the service behind it, is the trouble.
_NO_ANSWER: Final = re.compile(
    r"^(requests\.exceptions\.\w+|urllib3\.exceptions\.\w+|pip_audit\._service\.interface\.ServiceError)\b"
    r"|^ERROR:pip_audit\._cli:(Could not connect|PyPI is not redirecting)",
    re.MULTILINE,
)


class Outcome(Enum):
    """What an audit came to."""

    NONE_KNOWN = "no vulnerability is known"
    NOT_LOOKED_UP = "not looked up"
    FOUND = "vulnerabilities are known"
    BROKEN = "pip-audit failed"


EXIT_CODES: Final = {Outcome.NONE_KNOWN: 0, Outcome.NOT_LOOKED_UP: 0, Outcome.FOUND: 1, Outcome.BROKEN: 2}


@dataclass(frozen=True)
class Verdict:
    """What pip-audit reported, in words."""

    outcome: Outcome
    text: str


def audit(pins: Path, service: Sequence[str], *, limit_s: float = LIMIT_S) -> Verdict:
    """Ask one service about every pin of a file."""
    command = [str(PIP_AUDIT), "--requirement", str(pins), "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(_ANSWER_S), *service]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
    except FileNotFoundError:
        return Verdict(Outcome.BROKEN, "pip-audit is not installed. Run: make tools")
    except subprocess.TimeoutExpired:
        return Verdict(Outcome.NOT_LOOKED_UP, f"no report within {limit_s:g} s")
    return judge(ended.stdout, ended.stderr)


def judge(report: str, errors: str) -> Verdict:
    """Say what a report means; without one, why there is none.

    report: JSON, one entry a pin, with its vulnerabilities or with the reason why it was not looked up.
    """
    if not report.strip():
        last = errors.strip().rpartition("\n")[2]
        outcome = Outcome.NOT_LOOKED_UP if _NO_ANSWER.search(errors) else Outcome.BROKEN
        return Verdict(outcome, last)
    pins: list[dict[str, Any]] = json.loads(report)["dependencies"]
    found = [(pin, one) for pin in pins for one in pin.get("vulns", ())]
    if found:
        lines = [
            f"{pin['name']} {pin['version']}: {one['id']}, "
            f"mended in {', '.join(one['fix_versions']) or 'no version'}"
            for pin, one in found
        ]
        return Verdict(Outcome.FOUND, "\n".join(lines))
    unknown = [pin["name"] for pin in pins if "skip_reason" in pin]
    if len(unknown) == len(pins):
        # So an index answers that mirrors packages and nothing that is told about them.
        return Verdict(Outcome.NOT_LOOKED_UP, f"none of {len(pins)} packages is known there")
    left_out = f"; not known there: {', '.join(unknown)}" if unknown else ""
    return Verdict(
        Outcome.NONE_KNOWN, f"{len(pins) - len(unknown)} of {len(pins)} packages looked up{left_out}"
    )


def main(pins: Path = CONSTRAINTS, services: Sequence[Sequence[str]] = SERVICES) -> int:
    """Ask one service after the other until one has an answer; return the exit code."""
    for service in services:
        verdict = audit(pins, service)
        sys.stderr.write(f"audit of {pins.name} by {service[1]}: {verdict.outcome.value}. {verdict.text}\n")
        if verdict.outcome is not Outcome.NOT_LOOKED_UP:
            break
    else:
        sys.stderr.write(
            "### SKIPPED: nobody could be asked about vulnerabilities; this says nothing about them.\n"
        )
    return EXIT_CODES[verdict.outcome]


if __name__ == "__main__":
    sys.exit(main())
