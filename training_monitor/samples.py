"""The live mosaic: samples of a batch and what the network says of them. Only the newest is worth sending."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from training_monitor.connection import Connection
from training_monitor.errors import MonitorError, ServerRefused
from training_monitor.media.pictures import Picture, encode, freeze

log = logging.getLogger(__name__)

TILES: Final = 16
# Faster than a mosaic can be looked at; what comes between is left out.
_GAP_S: Final = 0.05

Update = dict[str, Any]


class SampleFeed:
    """Sends updates of the mosaic in a thread of its own; what cannot be sent at once is forgotten."""

    def __init__(
        self,
        connection: Connection,
        run_id: Callable[[], str | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the way to the server, and what tells the run, once there is one."""
        self._connection, self._run_id, self._clock = connection, run_id, clock
        self._newest: Update | None = None
        self._has_some = threading.Event()
        self._is_closed = False
        self._has_said = False
        self._sent_s = float("-inf")
        self._thread = threading.Thread(target=self._send_all, name="training_monitor samples", daemon=True)
        self._thread.start()

    def add(
        self, samples: Sequence[Mapping[str, Any]], *, iteration: int, loss: float, batch_size: int
    ) -> None:
        """Take an update; of more than 16 samples, 16 evenly spread ones.

        Raises MonitorError for a picture that is none.
        """
        now_s = self._clock()
        if now_s - self._sent_s < _GAP_S:
            return
        self._sent_s = now_s
        some = (
            [samples[index * len(samples) // TILES] for index in range(TILES)]
            if len(samples) > TILES
            else samples
        )
        self._newest = {
            "iteration": int(iteration),
            "loss": _in_json(float(loss)),
            "batch_size": int(batch_size),
            "samples": [_freeze(sample, index) for index, sample in enumerate(some)],
        }
        self._has_some.set()

    def close(self) -> None:
        """Send no more."""
        self._is_closed = True
        self._has_some.set()

    def _send_all(self) -> None:
        while not self._is_closed:
            self._has_some.wait()
            self._has_some.clear()
            update, self._newest = self._newest, None
            run_id = self._run_id()
            if update is not None and run_id is not None:
                self._send({**update, "run_id": run_id})
        self._connection.close()

    def _send(self, update: Update) -> None:
        try:
            samples = [{**sample, "image_b64": encode(sample["image_b64"])} for sample in update["samples"]]
            self._connection.post("/rpc/batch_update", {**update, "samples": samples})
        except ServerRefused as error:
            # Said once: a loop that shows wrong pictures does so a thousand times.
            log.log(
                logging.DEBUG if self._has_said else logging.WARNING,
                "The samples of step %s are not shown, the server refuses them: %s",
                update["iteration"],
                error,
            )
            self._has_said = True
        except MonitorError as error:
            log.debug("an update of the mosaic was not taken: %s", error)
        except Exception:  # the outer edge: monitoring must never end a training
            log.exception("An update of the mosaic failed.")


def _in_json(number: float) -> float | str:
    """Write what is no number as its word."""
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}
    return "NaN" if math.isnan(number) else words.get(number, number)


def _freeze(sample: Mapping[str, Any], index: int) -> Update:
    picture: Picture = freeze(sample["image"])
    confidence = float(sample["confidence"])
    if math.isnan(confidence):
        raise MonitorError("The confidence of a sample has to be a number from 0 to 1, not NaN.")
    return {
        "sample_id": str(sample.get("sample_id", index)),
        "prediction": str(sample["prediction"]),
        "ground_truth": str(sample["ground_truth"]),
        "confidence": confidence,
        "image_b64": picture,
    }
