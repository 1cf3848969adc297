"""People's own scripts, one after the other for a whole day, each with a TrainingMonitor of its own.

    python -m bench.soak_scripts PLAN API_URL FOLDER

With a line on its input it begins. It prints what it logged as JSON, and lives on until its input ends.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.soak_plan import METRICS, Plan
from tests.pictures import picture
from training_monitor import TrainingMonitor

THREADS: Final = 24
# A script sends its steps in so many parts, and sleeps in between.
PARTS: Final = 20
PATIENCE_S: Final = 60.0
# Every how many-th script does what not all do.
FAILS, IS_CANCELLED, GOES_ON, HAS_HISTOGRAMS, SHOWS_SAMPLES, SAVES = 12, 15, 25, 20, 10, 50


class Scripts:
    """All scripts of the day, on so many threads."""

    def __init__(self, plan: Plan, api_url: str, folder: Path) -> None:
        self._plan, self._api_url, self._folder = plan, api_url, folder
        self._due: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self.accepted: dict[str, int] = {}
        self.errors: list[str] = []

    def run(self) -> None:
        """Run them, each when it is due; the last one ends with the day."""
        threads = [threading.Thread(target=self._serve) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        start_s = time.monotonic()
        for number in range(self._plan.script_runs):
            share = number / self._plan.script_runs
            due_s = start_s + share * (self._plan.seconds - self._plan.script_s)
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._due.put(number)
        for _ in threads:
            self._due.put(None)
        for thread in threads:
            thread.join()

    def _serve(self) -> None:
        while (number := self._due.get()) is not None:
            run_id = self._train(number)
            if run_id is not None and number % GOES_ON == 1:
                self._go_on(number, run_id)

    def _train(self, number: int) -> str | None:
        monitor = self._open(number)
        steps = self._plan.steps_per_script
        monitor.log_text(f"script {number} begins\n{steps} steps")
        for part in range(PARTS):
            for step in range(part * steps // PARTS, (part + 1) * steps // PARTS):
                monitor.log_metrics(
                    {name: 1 / (step + place + 1) for place, name in enumerate(METRICS)}, step
                )
            self._tell_more(monitor, number, part)
            time.sleep(self._plan.script_s / PARTS)
        monitor.add_note(f"note of script {number}")
        monitor.add_tag("number", number)
        return self._finish(monitor, number, steps=steps)

    def _open(self, number: int, *, resume: str | None = None) -> TrainingMonitor:
        return TrainingMonitor(
            f"script-{number}",
            project_name=f"team-{number % 5}",
            params={"learning_rate": 1e-3 * (1 + number % 7), "number": number},
            tags=["soak"],
            resume=resume,
            system_metrics=False,
            api_url=self._api_url,
            spool_dir=self._folder / "spool",
        )

    def _tell_more(self, monitor: TrainingMonitor, number: int, part: int) -> None:
        monitor.log_text(f"part {part} of script {number}")
        if number % HAS_HISTOGRAMS == 0 and part % 5 == 0:
            monitor.log_histogram("weights", np.linspace(-1, 1, 500) * (part + 1), step=part)
        if number % SHOWS_SAMPLES == 0:
            sample = {"image": picture(), "prediction": "cat", "ground_truth": "dog", "confidence": 0.5}
            monitor.log_samples([sample], step=part, loss=1 / (part + 1))
        if number % SAVES == 0 and part == PARTS - 1:
            monitor.save_checkpoint({"weights": np.zeros(1_000, dtype=np.float32)}, epoch=part)

    def _finish(self, monitor: TrainingMonitor, number: int, *, steps: int) -> str | None:
        status = "failed" if number % FAILS == 3 else "cancelled" if number % IS_CANCELLED == 4 else "done"
        is_sent = monitor.finish(status, timeout_s=PATIENCE_S)
        if not is_sent or monitor.run_id is None:
            self.errors.append(f"script {number} was not sent within {PATIENCE_S:g} s")
            return None
        self.accepted[monitor.run_id] = self.accepted.get(monitor.run_id, 0) + steps
        return monitor.run_id

    def _go_on(self, number: int, run_id: str) -> None:
        """Go on with a run that has ended, as a script does that is started again."""
        monitor = self._open(number, resume=run_id)
        monitor.log_metrics(dict.fromkeys(METRICS, 0.5), self._plan.steps_per_script)
        self._finish(monitor, number, steps=1)

    def result(self) -> dict[str, Any]:
        """Return how many steps of each run the API took, each with all METRICS, and what went wrong."""
        return {
            "accepted": self.accepted,
            "errors": len(self.errors),
            "first_error": self.errors[0] if self.errors else None,
        }


if __name__ == "__main__":
    scripts = Scripts(Plan.from_text(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    print("ready", flush=True)
    sys.stdin.readline()
    scripts.run()
    print(json.dumps(scripts.result()), flush=True)
    sys.stdin.read()
