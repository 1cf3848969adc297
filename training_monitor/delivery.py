"""Brings what a spool keeps to the server: each batch until it is answered, each once."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from training_monitor.connection import Connection
from training_monitor.errors import ServerRefused
from training_monitor.journal import Chunk, Journal
from training_monitor.points import Column, PointReader
from training_monitor.spool import Spool
from training_monitor.wire import encode_points, split, unpack_texts

log = logging.getLogger(__name__)

_BYTES_AT_ONCE: Final = 512 << 10
_LINES_AT_ONCE: Final = 1_000
_GONE: Final = (404, 410)

# Sends the chunks of a batch with the sequence numbers from one on; returns how many it used.
Send = Callable[[list[Chunk], int], int]


class Courier:
    """Sends one journal. A batch that was not answered is sent again as it was, with its number."""

    def __init__(self, journal: Journal, send: Send) -> None:
        """Take the journal; the batch that it notes may have arrived or not."""
        self._journal, self._send = journal, send
        self._batch = journal.current()
        self._next_seq = max(journal.place.seq, 1)

    def send_next(self) -> bool:
        """Send a batch; False when there is none. Raises what sending raises."""
        if not self._batch and not self._journal.is_empty:
            self._batch = self._journal.next_chunks(self._next_seq, _BYTES_AT_ONCE)
        if not self._batch:
            return False
        used = self._send(self._batch, self._journal.place.seq)
        self._next_seq, self._batch = self._journal.place.seq + used, []
        return True

    @property
    def is_done(self) -> bool:
        """Whether all that was kept has been answered."""
        return not self._batch and self._journal.is_empty


class Delivery:
    """The way of one session to the server; of one thread.

    on_request: told what the server asks of the run, such as "cancel". on_refusal: told why the server takes
    nothing of this run any more. facts: asked once, before the run is made, what else to say of it.
    """

    def __init__(
        self,
        spool: Spool,
        connection: Connection,
        *,
        on_request: Callable[[str], object] = str,
        on_refusal: Callable[[str], object] = str,
        facts: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """Go on where the spool says the session is."""
        self._spool, self._connection = spool, connection
        self._on_request, self._on_refusal = on_request, on_refusal
        self._facts: Callable[[], Mapping[str, Any]] | None = facts
        self.run_id = spool.run_id
        self.refusal: str | None = None
        """Why the server takes nothing of this run any more."""
        self._refused: set[str] = set()
        self._apart: set[int] = set()
        self._beats = 0
        self._acted = (0, 0)
        self._reader = PointReader()
        self._read_again(spool.journals["points"])
        self._couriers = [
            Courier(spool.journals["points"], self._send_points),
            Courier(spool.journals["lines"], self._send_lines),
            Courier(spool.journals["acts"], self._send_acts),
        ]

    def send_next(self) -> bool:
        """Send something; False when there is nothing. Raises ServerAway or KeyNeeded: try again later."""
        if self.refusal is not None:
            return False
        if self.run_id is None:
            self.open()
        return any(courier.send_next() for courier in self._couriers)

    def open(self) -> None:
        """Make the run, or resume it; once, however often it is tried. Raises what Connection raises."""
        self._learn()
        head = self._spool.head
        try:
            body = {**head.experiment, "session": head.session}
            run = self._connection.post("/api/experiments", body, key=head.key)
        except ServerRefused as error:
            name = head.experiment.get("name")
            # Not silenced: what is logged is kept, and can be sent when this is mended.
            self.refusal = f"the server does not take the run {name!r}: {error}"
            log.warning("Nothing is sent: %s What is logged is kept in %s", self.refusal, self._spool.folder)
            raise
        self.run_id = str(run["iid"])
        self._spool.keep_run_id(self.run_id)

    def _learn(self) -> None:
        """Say more of the run before the first try to make it: the second has to say the same."""
        facts, self._facts = self._facts, None
        if facts is not None:
            try:
                self._spool.add_facts(facts())
            except OSError as error:
                log.warning("Packages and commit of the run are not noted: %s", error)

    def beat(self) -> None:
        """Say that the run lives, and hear what is asked of it. Raises what Connection raises."""
        if self.run_id is not None and self.refusal is None:
            # A sequence of its own: the numbers of batches belong to what is kept.
            self._beats += 1
            body = {"session": f"{self._spool.head.session}b", "seq": self._beats, "points": {}}
            self._hear(self._connection.post(f"/api/metrics/{self.run_id}", body))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def settle(self, *, has_all_sent: bool) -> None:
        """Give the spool up: deleted with nothing to keep, set aside when the run was never begun."""
        if self.refusal is not None and self.is_unwanted:
            folder = self._spool.set_aside(self.refusal)
            log.warning(
                "What was logged is kept in %s: %s Mend its head.json or the server and run "
                "python -m training_monitor replay --refused, or delete the folder.",
                folder,
                self.refusal,
            )
        elif has_all_sent:
            self._spool.discard()
        else:
            self._spool.close()

    @property
    def is_unwanted(self) -> bool:
        """Whether the server would not even begin the run, so that it has nothing of it."""
        return self.refusal is not None and self.run_id is None

    @property
    def is_done(self) -> bool:
        """Whether the server has all, or will take nothing."""
        return self.refusal is not None or all(courier.is_done for courier in self._couriers)

    def _read_again(self, points: Journal) -> None:
        """Learn the shapes that were defined before the place."""
        for chunk in points.scan(points.place.segment):
            if chunk.end <= points.place.start:
                self._reader.read(chunk.data)

    def _send_points(self, chunks: list[Chunk], seq: int) -> int:
        columns = self._reader.read(b"".join(chunk.data for chunk in chunks))
        used = 0
        for used, part in enumerate(split(columns), start=1):
            self._send_part(part, seq + used - 1)
        return used

    def _send_part(self, part: Mapping[str, Column], seq: int) -> None:
        wanted = {name: column for name, column in part.items() if name not in self._refused}
        if seq not in self._apart:
            try:
                self._post_points(encode_points(self._spool.head.session, seq, wanted))
            except ServerRefused as error:
                if self._note_gone(error):
                    return
                # From now on: the server may go away after some of them, which it would take again as one.
                self._apart.add(seq)
            else:
                return
        # Nothing of a refused body is stored. One metric must not cost the others their points.
        for column in wanted.values():
            self._send_column(column, seq)

    def _send_column(self, column: Column, seq: int) -> None:
        # Each has a sequence of its own: a number says what has come, and these come one by one.
        session = f"{self._spool.head.session}m{zlib.crc32(column.name.encode()):08x}"
        try:
            self._post_points(encode_points(session, seq, {column.name: column}))
        except ServerRefused as error:
            if not self._note_gone(error):
                self._refused.add(column.name)
                log.warning("No more points of %s are sent, the server refuses them: %s", column.name, error)

    def _post_points(self, body: bytes) -> None:
        self._hear(self._connection.post(f"/api/metrics/{self.run_id}", body))

    def _send_lines(self, chunks: list[Chunk], seq: int) -> int:
        lines = list(unpack_texts(chunk.data for chunk in chunks))
        used = 0
        for used, start in enumerate(range(0, len(lines), _LINES_AT_ONCE), start=1):
            some = lines[start : start + _LINES_AT_ONCE]
            body = {"session": self._spool.head.session, "seq": seq + used - 1, "lines": some}
            self._try("lines of the log", f"/api/logs/{self.run_id}", body)
        return used

    def _send_acts(self, chunks: list[Chunk], seq: int) -> int:
        for number, act in enumerate(unpack_texts(chunk.data for chunk in chunks)):
            if (seq, number) <= self._acted:
                continue  # a note would be there twice
            session, body = self._spool.head.session, act["body"]
            if act["act"] == "status":
                # Of a run that another session has resumed meanwhile it ends nothing.
                body = {**body, "session": session}
            path = f"/api/experiments/{self.run_id}/{act['act']}"
            # The same after any death: the bytes of a batch keep their number.
            self._try(act["act"], path, body, key=f"{session}-{seq}-{number}")
            self._acted = (seq, number)
        return 1

    def _try(self, what: str, path: str, body: Mapping[str, Any], *, key: str | None = None) -> None:
        if self.refusal is not None:
            return
        try:
            self._hear(self._connection.post(path, body, key=key))
        except ServerRefused as error:
            if not self._note_gone(error):
                log.warning("The server refuses the %s run_id=%s: %s", what, self.run_id, error)

    def _hear(self, answer: Any) -> None:
        request = answer.get("request") if isinstance(answer, dict) else None
        if isinstance(request, str):
            self._on_request(request)

    def _note_gone(self, error: ServerRefused) -> bool:
        """Stop for good when there is no such run."""
        if error.status in _GONE and self.refusal is None:
            self._refuse(f"the run {self.run_id} is gone: {error}")
        return self.refusal is not None

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        log.warning("Nothing more is sent: %s", reason)
        self._on_refusal(reason)
