"""An observer's process, seen from the benchmark."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.energy_ratios import Figure

ROOT = Path(__file__).resolve().parents[2]


class ObserverProcess:
    """Begins and ends spans in another process; one that ends or reads nothing gives the reason."""

    def __init__(self, name: str, program: Sequence[str]) -> None:
        """program: the interpreter and its arguments. Waits until the observer is ready."""
        self.name, self.covers = name, ""
        self.reason: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="wattle-bench-")
        self._errors = Path(self._folder.name) / "stderr"
        if not Path(program[0]).is_file():
            self.reason = f"There is no {Path(program[0]).name} of {name}'s environment. Run: make peers"
            return
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.covers = str(self._hear().get("covers", ""))

    def begin(self) -> None:
        """Begin a span; returns once the observer has."""
        self._ask("begin")

    def end(self) -> Figure:
        """End it."""
        answer = self._ask("end")
        reason = answer.get("reason") or self.reason
        return Figure(answer.get("joules", {}), answer.get("span_s"), answer.get("core_share"), reason)

    def __enter__(self) -> ObserverProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
        self._folder.cleanup()

    def _ask(self, question: str) -> dict[str, Any]:
        if self._process is None or self.reason is not None:
            return {}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended: what it said last is in its errors
            return self._explain_its_end()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        """Read an answer; a reason at the start, or the end of the process, is its reason for good."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            return self._explain_its_end()
        answer: dict[str, Any] = json.loads(line)
        if not self.covers and "reason" in answer:
            self.reason = str(answer["reason"])
        return answer

    def _explain_its_end(self) -> dict[str, Any]:
        last = self._errors.read_text(errors="replace").strip().rpartition("\n")[2]
        self.reason = f"{self.name} ended: {last or 'it said nothing'}"
        return {"reason": self.reason}
