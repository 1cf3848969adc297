"""Brings a session's files and histograms to the server: each until it is answered, each once."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from training_monitor.connection import Connection
from training_monitor.delivery import Courier
from training_monitor.errors import MonitorError, ServerAway, ServerRefused
from training_monitor.histogram_log import HistogramLog
from training_monitor.journal import Chunk
from training_monitor.upload_box import WEIGHTS, Registration, Upload, UploadBox, Waiting
from training_monitor.wire import unpack_texts

log = logging.getLogger(__name__)

_PIECE_BYTES: Final = 1 << 20
_HISTOGRAMS_AT_ONCE: Final = 64
# A file that does not go through while the server answers everything else is spoken of then.
_SAID_AFTER: Final = 5
# Of so many in a row it is not the file's fault; the next one waits as long as the sender does.
_MOST_IN_A_ROW: Final = 3
_GONE: Final = (404, 410)
_TOO_LARGE: Final = 413
_FAILED: Final = 500
_BUSY: Final = 503

Histogram = dict[str, Any]


class GivenUp(MonitorError):
    """The time to send has ended within a file."""


class Uploader:
    """The way of one session's files; of one thread.

    run: what tells the run, once there is one. give_up: asked within a file whether to stop.
    """

    def __init__(
        self,
        session: str,
        box: UploadBox,
        histograms: HistogramLog,
        connection: Connection,
        *,
        run: Callable[[], str | None],
        give_up: Callable[[], bool] = bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on where the folder says the session is."""
        self._session, self._box, self._connection = session, box, connection
        self._run, self._give_up, self._clock = run, give_up, clock
        self._histograms = histograms
        self._courier = Courier(histograms.journal, self._send_histograms)
        self._hashes: dict[int, str] = {}
        self._failed_in_a_row = 0
        self._apart: set[int] = set()
        self._takes_no_histograms = False
        self._said: set[str] = set()
        self.refusal: str | None = None
        """Why the server takes no file of this run any more."""

    @property
    def is_done(self) -> bool:
        """Whether the server has all, or will take nothing."""
        is_sent = self._box.is_empty and self._histograms.is_kept and self._courier.is_done
        return self.refusal is not None or is_sent

    def send_next(self) -> bool:
        """Send something; False when nothing can be. Raises ServerAway, KeyNeeded, OSError: try later."""
        if self.refusal is not None or self._run() is None:
            return False
        self._histograms.keep()
        if self._courier.send_next():
            return True
        waiting = self._box.next(self._clock())
        if waiting is None:
            return False
        self._send(waiting)
        return True

    def _send(self, waiting: Waiting) -> None:
        begun_s = self._clock()
        try:
            if isinstance(waiting.item, Registration):
                self._register(waiting.item, waiting.number)
                version = None
            else:
                version = self._upload(waiting.item, waiting)
        except ServerRefused as error:
            self._note_refused(waiting, error)
        except ServerAway as error:
            self._note_failed(waiting, error, begun_s)
        except FileNotFoundError as error:
            log.warning("A file cannot be read, it is lost path=%s: %s", waiting.data, error)
            self._box.settle(waiting.number)
        else:
            self._failed_in_a_row = 0
            self._hashes.pop(waiting.number, None)
            self._box.settle(waiting.number, version)

    def _upload(self, upload: Upload, waiting: Waiting) -> int | None:
        data = waiting.data
        if waiting.number not in self._hashes:
            self._hashes[waiting.number] = _hash(data, self._give_up)
        params: dict[str, Any] = {"kind": upload.kind, "sha256": self._hashes[waiting.number]}
        if upload.step is not None:
            params["step"] = upload.step
        if upload.metrics:
            params["metrics"] = json.dumps(dict(upload.metrics))
        with data.open("rb") as stream:
            answer = self._connection.post_file(
                f"/api/artifacts/{self._run()}/{quote(upload.name)}",
                self._pieces(stream),
                params=params,
                content_type=upload.content_type,
                size_bytes=data.stat().st_size,
            )
        return int(answer["version"]) if upload.kind in WEIGHTS else None

    def _pieces(self, stream: Any) -> Iterator[bytes]:
        while piece := stream.read(_PIECE_BYTES):
            if self._give_up():
                raise GivenUp("The time to send has ended.")
            yield piece

    def _register(self, wanted: Registration, number: int) -> None:
        version = wanted.version
        if wanted.upload is not None:
            version = self._box.version_of(wanted.upload)
            if version is None:
                self._say(f"{wanted.model} is not registered: the server did not take {wanted.artifact}.")
                return
        body = {"name": wanted.model, "run_id": self._run(), "artifact": wanted.artifact}
        # Sent again after a lost answer it is the same version.
        key = f"{self._session}-model-{number}"
        self._connection.post("/api/models", body | ({"version": version} if version else {}), key=key)

    def _note_refused(self, waiting: Waiting, error: ServerRefused) -> None:
        item = waiting.item
        if isinstance(item, Upload) and error.status in _GONE:
            self._check_gone(error)
            self.refusal = f"the run {self._run()} is gone: {error}"
            log.warning("No more files are sent: %s", self.refusal)
            return
        what = f"the model {item.model}" if isinstance(item, Registration) else f"the {item.kind} {item.name}"
        self._say(f"The server refuses {what}, it is lost: {error}")
        self._box.settle(waiting.number)

    def _check_gone(self, error: ServerRefused) -> None:
        """Raise ServerAway where the run is there: what is missing is the route, which a proxy may hide."""
        try:
            self._connection.get(f"/api/experiments/{self._run()}")
        except ServerRefused as answer:
            if answer.status in _GONE:
                return
        raise ServerAway(f"The server has the run {self._run()}, and takes no files now: {error}")

    def _note_failed(self, waiting: Waiting, error: ServerAway, begun_s: float) -> None:
        """Raise on, unless it is this file's fault: others are sent then, and it is tried again."""
        if not _is_about_one(error):
            raise error
        self._connection.get(f"/api/experiments/{self._run()}")
        self._failed_in_a_row += 1
        now_s = self._clock()
        if self._box.put_off(waiting.number, now_s, now_s - begun_s) == _SAID_AFTER:
            log.warning(
                "A file did not go through %d times, others are sent meanwhile path=%s: %s It may be larger "
                "than the server's WATTLE_MAX_ARTIFACT_MIB, or take longer than a proxy waits.",
                *(_SAID_AFTER, waiting.data, error),
            )
        if self._failed_in_a_row >= _MOST_IN_A_ROW:
            raise error

    def _send_histograms(self, chunks: list[Chunk], seq: int) -> int:
        histograms = list(unpack_texts(chunk.data for chunk in chunks))
        used = 0
        for used, start in enumerate(range(0, len(histograms), _HISTOGRAMS_AT_ONCE), start=1):
            self._send_part(histograms[start : start + _HISTOGRAMS_AT_ONCE], seq + used - 1)
        return used

    def _send_part(self, part: Sequence[Histogram], seq: int) -> None:
        if self._takes_no_histograms:
            return
        if seq not in self._apart:
            try:
                self._post_histograms(self._session, seq, part)
            except ServerRefused as error:
                if error.status in _GONE:
                    self._check_gone(error)
                    self._takes_no_histograms = True
                    self._say(f"No more histograms are sent: {error}")
                    return
                self._apart.add(seq)
            else:
                return
        # Nothing of a refused body is stored. One name must not cost the others theirs.
        for name in dict.fromkeys(histogram["name"] for histogram in part):
            own = f"{self._session}h{zlib.crc32(name.encode()):08x}"
            try:
                self._post_histograms(own, seq, [each for each in part if each["name"] == name])
            except ServerRefused as error:
                self._say(f"The server refuses the histograms of {name}: {error}")

    def _post_histograms(self, session: str, seq: int, histograms: Sequence[Histogram]) -> None:
        body = {"session": session, "seq": seq, "histograms": list(histograms)}
        self._connection.post(f"/api/histograms/{self._run()}", body)

    def _say(self, what: str) -> None:
        """Say something, and the same never again."""
        if what not in self._said:
            self._said.add(what)
            log.warning("%s", what)


def _is_about_one(error: ServerAway) -> bool:
    """Whether the server, or a proxy before it, may have failed over this very request.

    Such are no answer, or none of Wattle's, and a proxy that gave up waiting; a busy server speaks of all.
    """
    if error.status is None:
        return error.__cause__ is not None
    return error.status == _TOO_LARGE or (error.status >= _FAILED and error.status != _BUSY)


def _hash(path: Path, give_up: Callable[[], bool]) -> str:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            if give_up():
                raise GivenUp("The time to send has ended.")
            found.update(piece)
            time.sleep(0)  # lets the loop go on
    return found.hexdigest()
