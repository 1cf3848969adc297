"""Another program that a benchmark asks: a line of question, a JSON object in a line of answer."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[1]


class Conversation:
    """A program that greets and then answers; ``reason`` says why it cannot, or no longer."""

    def __init__(
        self, name: str, program: Sequence[str], *, environment: Mapping[str, str] | None = None
    ) -> None:
        """program: the interpreter and its arguments. Waits for the greeting."""
        self.name = name
        self.greeting: dict[str, Any] = {}
        self.reason: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="wattle-bench-")
        self._errors = Path(self._folder.name) / "stderr"
        if not Path(program[0]).is_file():
            self.reason = f"There is no {Path(program[0]).name} of {name}'s environment. Run: make peers"
            return
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                program,
                cwd=ROOT,
                env=environment and dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.greeting = self._hear()

    def ask(self, question: str) -> dict[str, Any]:
        """Return the answer; one that has ended answers with its reason, one that never was with nothing."""
        if self._process is None or self.reason is not None:
            return {}
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended: what it said last is in its errors
            return self._explain_its_end()
        return self._hear()

    def close(self) -> None:
        """End the program: no more questions, and after ten seconds no more patience."""
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else self._explain_its_end()
        return answer

    def _explain_its_end(self) -> dict[str, Any]:
        last = self._errors.read_text(errors="replace").strip().rpartition("\n")[2]
        self.reason = f"{self.name} ended: {last or 'it said nothing'}"
        return {"reason": self.reason}
