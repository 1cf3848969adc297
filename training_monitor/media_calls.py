"""The calls of a monitor for what is no number: pictures, histograms, graphs, weights, files."""

from __future__ import annotations

import json
import logging
import math
import mimetypes
import operator
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from training_monitor.errors import MonitorError
from training_monitor.media.checkpoints import read_state, write
from training_monitor.media.graphs import draw
from training_monitor.media.histograms import count
from training_monitor.media.images import to_file
from training_monitor.media_log import MediaLog
from training_monitor.models import default_models_folder, fetch_model
from training_monitor.points import NAME
from training_monitor.upload_box import Kind, Upload

log = logging.getLogger(__name__)

CHECKPOINT: Final = "checkpoint.safetensors"
_ARTIFACT: Final = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_MODEL: Final = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_MOST_NAME: Final = 250
_MOST_METRICS_BYTES: Final = 4_096
_MOST_FILES: Final = 1_000
_BINARY: Final = "application/octet-stream"
# The server takes no body of these types: a page that a user visits could send them.
_FORM_TYPES: Final = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


class MediaCalls:
    """What a TrainingMonitor takes beside metrics.

    A call returns once a copy of what it was given is on this machine's disk; it is sent by a thread. Nothing
    raises, ``use_model`` aside: what cannot be taken is said in a warning, and left out.
    """

    api_url: str
    _step: int

    def log_image(self, name: str, image: Any, step: int | None = None) -> None:
        """Keep a picture as it is now.

        image: a figure of matplotlib or plotly, a picture of Pillow, a path, PNG or JPEG bytes, or an array
        or tensor [H, W], [H, W, C] or [C, H, W]. step: else that of the last call of ``log_metrics``.
        """
        self._keep(name, lambda media: _add_image(media, name, image, self._step_of(step)))

    def log_histogram(self, name: str, values: Any, step: int | None = None, *, bins: int = 64) -> None:
        """Log how the values of an array or tensor are spread; NaN and infinities are counted apart."""
        self._keep(name, lambda media: _add_histogram(media, name, values, self._step_of(step), bins))

    def log_graph(self, model: Any, input_sample: Any = None, *, name: str = "graph") -> None:
        """Keep the layers of a network of torch or Keras, and how they are connected.

        input_sample: what a network of torch is called with once for that, in evaluation and without
        gradients: a tensor, a list or tuple of several inputs, or a mapping of named ones.
        """
        self._keep(name, lambda media: _add_graph(media, name, model, input_sample))

    def save_checkpoint(
        self,
        state_dict: Any,
        epoch: int | None = None,
        metrics: Mapping[str, Any] | None = None,
        *,
        name: str = CHECKPOINT,
    ) -> None:
        """Keep a state as the next version of a safetensors file; what JSON can hold goes with it.

        state_dict: nested mappings and lists of tensors, or what has a ``state_dict()``. A state with
        anything else in it is refused, with the reason. metrics: what it achieved: the best are kept.
        """
        self._keep(
            name, lambda media: _add_checkpoint(media, name, state_dict, self._step_of(epoch), metrics)
        )

    def log_artifact(
        self, path: str | Path, name: str | None = None, *, step: int | None = None, kind: Kind = "file"
    ) -> None:
        """Keep a copy of a file, or of all files of a folder, as the next version of that name.

        kind: "file", or "model" for weights in a safetensors file that can be registered.
        """
        self._keep(str(path), lambda media: _add_files(media, Path(path), name, step, kind))

    def register_model(self, name: str, artifact: str = CHECKPOINT, version: int | None = None) -> None:
        """Make saved weights the next version of a model, a candidate.

        artifact: the name of a checkpoint or model of this run; without a version, its newest until now.
        """
        self._keep(name, lambda media: _register(media, name, artifact, version))

    def use_model(self, name: str, folder: str | Path | None = None) -> Path:
        """Return the file of a model, brought here once, checked each time; this run is noted as its user.

        name: ``name:version``; of a name alone it is the version in production, else the newest candidate.
        folder: else the user's cache. Waits for the network. Raises MonitorError when it cannot be had: who
        begins with a model's weights cannot begin without.
        """
        used = fetch_model(self.api_url, name, Path(folder or default_models_folder()))
        self._act("inputs", {"models": [f"{used.name}:{used.version}"]})
        return used.path

    def _keep(self, what: str, add: Callable[[MediaLog], object]) -> None:
        media = None
        try:
            media = self._media()
            if media is not None:
                add(media)
        except Exception as error:  # noqa: BLE001 the outer edge: monitoring must never end a training
            reason = str(error) if isinstance(error, MonitorError) else f"{type(error).__name__}: {error}"
            text = f"{what} is not kept: {reason}"
            if media is None:
                log.warning("%s", text)
            else:
                media.say(text)

    def _step_of(self, step: Any) -> int:
        return check_step(max(self._step, 0) if step is None else step)

    def _media(self) -> MediaLog | None:
        """Return where it is kept; None, and say why, when nothing is kept."""
        raise NotImplementedError

    def _act(self, act: str, body: Mapping[str, Any]) -> None:
        raise NotImplementedError


def _add_image(media: MediaLog, name: str, image: Any, step: int) -> None:
    _check_name(name)
    file = to_file(image)
    if file.note:
        media.say(f"Of {name!r}, {file.note}.")
    media.add(Upload(name, "image", file.content_type, step), len(file.data), _writer(file.data))


def _add_histogram(media: MediaLog, name: str, values: Any, step: int, bins: int) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise MonitorError(f"A histogram is called by 1-250 of A-Z a-z 0-9 _ . / -, not {name!r}.")
    found = count(values, bins)
    media.add_histogram(
        {
            "name": name,
            "step": step,
            "time": time.time(),
            "edges": found.edges,
            "counts": found.counts,
            "nonfinite": found.nonfinite,
        }
    )


def _add_graph(media: MediaLog, name: str, model: Any, sample: Any) -> None:
    _check_name(name)
    graph = draw(model, sample)
    if graph.reason:
        media.say(f"The graph {name} has layers only: {graph.reason}")
    media.add(Upload(name, "graph", "application/json"), len(graph.data), _writer(graph.data))


def _add_checkpoint(
    media: MediaLog, name: str, state: Any, epoch: int, metrics: Mapping[str, Any] | None
) -> None:
    _check_name(name)
    found = read_state(state)
    numbers = _numbers(media, metrics or {})
    metadata = {"format": "pt", "epoch": str(epoch), "metrics": json.dumps(numbers)}
    media.add(
        Upload(name, "checkpoint", _BINARY, epoch, numbers),
        found.size_bytes,
        lambda stream: write(found, metadata, stream),
    )


def _add_files(media: MediaLog, path: Path, name: str | None, step: int | None, kind: Kind) -> None:
    if kind not in ("file", "model"):
        raise MonitorError(f"A file is kept as file or model, not as {kind!r}.")
    step = None if step is None else check_step(step)
    for file, called in _files(path, name or path.resolve().name):
        try:
            _add_file(media, file, Upload(called, kind, _content_type(called), step))
        except (MonitorError, PermissionError, FileNotFoundError) as error:
            # One of a folder must not cost the others.
            media.say(f"{file} is not kept: {error}")


def _add_file(media: MediaLog, file: Path, upload: Upload) -> None:
    _check_name(upload.name)
    if file.exists() and not file.is_file():
        raise MonitorError("it is no file, and may never end.")
    with file.open("rb") as source:
        size_bytes = os.fstat(source.fileno()).st_size
        media.add(upload, size_bytes, lambda stream: _copy(source, stream, size_bytes))


def _files(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    """Yield each file, and what it is called."""
    if not path.is_dir():
        yield path, name
        return
    found = [each for each in sorted(path.rglob("*")) if each.is_file()]
    if len(found) > _MOST_FILES:
        raise MonitorError(f"The folder has {len(found)} files; at most {_MOST_FILES} are taken at once.")
    for each in found:
        yield each, f"{name}/{each.relative_to(path).as_posix()}"


def _register(media: MediaLog, name: str, artifact: str, version: int | None) -> None:
    if not isinstance(name, str) or not _MODEL.fullmatch(name):
        raise MonitorError(f"A model is called by 1-100 of A-Z a-z 0-9 _ . -, not {name!r}.")
    _check_name(artifact)
    media.register(name, artifact, version)


def _writer(data: bytes) -> Callable[[BinaryIO], object]:
    return lambda stream: stream.write(data)


def _copy(source: BinaryIO, stream: BinaryIO, most_bytes: int) -> None:
    """Copy a file that may be growing: there is room for so much of it."""
    while most_bytes > 0 and (piece := source.read(min(most_bytes, 1 << 20))):
        stream.write(piece)
        most_bytes -= len(piece)


def _content_type(name: str) -> str:
    guessed = mimetypes.guess_type(name)[0] or _BINARY
    return _BINARY if guessed in _FORM_TYPES else guessed


def _check_name(name: str) -> None:
    if not isinstance(name, str) or len(name) > _MOST_NAME or not _ARTIFACT.fullmatch(name):
        raise MonitorError(
            f"An artifact is called by parts of A-Z a-z 0-9 _ . - joined by /, none of them . or .., at most "
            f"{_MOST_NAME} characters in all, not {name!r}."
        )


def check_step(step: Any) -> int:
    """Return a step as a number. Raises TypeError or MonitorError when it is none."""
    number = operator.index(step)
    if not 0 <= number < 2**63:
        raise MonitorError(f"A step is an integer from 0, not {step!r}.")
    return number


def _numbers(media: MediaLog, metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are finite numbers, and say which are not."""
    found = {}
    for name, value in metrics.items():
        number = float(value)
        if isinstance(name, str) and NAME.fullmatch(name) and math.isfinite(number):
            found[name] = number
        else:
            media.say(
                f"The metric {name!r} of a checkpoint is left out: it is {number}, or its name is none."
            )
    if len(json.dumps(found)) > _MOST_METRICS_BYTES:
        raise MonitorError(f"The metrics of a checkpoint have at most {_MOST_METRICS_BYTES} bytes as JSON.")
    return found
