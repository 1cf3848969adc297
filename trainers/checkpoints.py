"""Where the checkpoints of a run are kept: the last two, each complete or not there at all.

A checkpoint is a folder ``step-<n>`` with ``state.safetensors`` and ``state.json``. The JSON carries the
SHA-256 of the tensors, so that a kill between the two files cannot mix two steps.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from typing import Final

from errors import CheckpointInvalid
from schema import Checkpoint
from trainers.checkpoint_names import name_step, read_step
from trainers.encoding import State, decode_state, encode_state
from trainers.places import Folder, open_folder

log = logging.getLogger(__name__)

FORMAT: Final = 2
KEPT: Final = 2
TENSORS_FILE, STATE_FILE = "state.safetensors", "state.json"


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint and drop all but the last two. Raises OSError, and the others stay whole."""
        tensors, state = encode_state(checkpoint.state)
        digest = hashlib.sha256(tensors).hexdigest()
        head = {"format": FORMAT, "step": checkpoint.step, "sha256": digest, "state": state}
        document = json.dumps(head, allow_nan=False, separators=(",", ":")).encode()
        self._folder.write(name_step(checkpoint.step), {TENSORS_FILE: tensors, STATE_FILE: document})
        for step in sorted(self._steps())[:-KEPT]:
            self._folder.delete(name_step(step))

    def find_newest(self) -> Checkpoint | None:
        """Return the newest whole checkpoint; None without one. A torn one is logged and passed over."""
        for step in sorted(self._steps(), reverse=True):
            try:
                return Checkpoint(step, self._load(name_step(step), step))
            except CheckpointInvalid as error:
                log.warning("checkpoint passed over step=%d: %s", step, error)
        return None

    def _load(self, name: str, step: int) -> State:
        try:
            head = json.loads(self._folder.read(name, STATE_FILE))
            tensors = self._folder.read(name, TENSORS_FILE)
        except (OSError, ValueError) as error:
            raise CheckpointInvalid(f"{name} is not complete: {error}") from error
        if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("step") != step:
            raise CheckpointInvalid(f"{name} was not written by this version of Wattle.")
        if head.get("sha256") != hashlib.sha256(tensors).hexdigest():
            raise CheckpointInvalid(f"{name} is torn: {TENSORS_FILE} is not the file {STATE_FILE} names.")
        return decode_state(tensors, head.get("state"))

    def _steps(self) -> Iterator[int]:
        for name in self._folder.list_names():
            if (step := read_step(name)) is not None:
                yield step


def open_checkpoints(url: str, run_id: str) -> Checkpoints:
    """Return the checkpoints of a run under ``url``. Raises OSError on a bad place."""
    return Checkpoints(open_folder(url, run_id))
