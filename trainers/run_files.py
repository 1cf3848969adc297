"""All files a run has left: models, checkpoints, artifacts; their sizes and their deletion. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from trainers.artifact_files import FOLDERS
from trainers.checkpoint_names import is_checkpoint
from trainers.places import open_folder
from trainers.saved_models import NAMES


class FileSizes(NamedTuple):
    """What a run has left; None where its place cannot be read."""

    model_bytes: int | None
    checkpoint_bytes: int | None
    artifact_bytes: int | None
    problem: str | None
    """Which place cannot be read, or emptied, and why."""

    @property
    def are_none(self) -> bool:
        """Whether it is known that nothing is left."""
        return (self.model_bytes, self.checkpoint_bytes, self.artifact_bytes) == (0, 0, 0)


class _Kind(NamedTuple):
    """One sort of files, and where they are."""

    title: str
    url: str
    is_ours: Callable[[str], bool]


class RunFiles:
    """The files of runs. They may share a place."""

    def __init__(self, *, model_url: str, checkpoint_url: str, artifact_url: str) -> None:
        self._models = _Kind("models", model_url, lambda name: name in NAMES)
        self._checkpoints = _Kind("checkpoints", checkpoint_url, is_checkpoint)
        self._artifacts = _Kind("artifacts", artifact_url, lambda name: name in FOLDERS)

    @property
    def urls(self) -> tuple[str, str, str]:
        """Where they are: models, checkpoints, artifacts."""
        return self._models.url, self._checkpoints.url, self._artifacts.url

    def measure(self, run_id: str) -> FileSizes:
        """Tell how large they are."""
        problems: list[str] = []
        model_bytes = _try(_measure, self._models, run_id, problems)
        checkpoint_bytes = _try(_measure, self._checkpoints, run_id, problems)
        artifact_bytes = _try(_measure, self._artifacts, run_id, problems)
        return FileSizes(model_bytes, checkpoint_bytes, artifact_bytes, _listed(problems))

    def delete(self, run_id: str) -> FileSizes:
        """Delete them and tell how large they were; a file that is gone already is no problem.

        Whatever fails is told, not raised: nobody can bring back what has been deleted before it.
        """
        before = self.measure(run_id)
        problems: list[str] = []
        for kind in (self._models, self._checkpoints, self._artifacts):
            _try(_clear, kind, run_id, problems)
        return before._replace(problem=_listed(problems))


def _try(act: Callable[[_Kind, str], int], kind: _Kind, run_id: str, problems: list[str]) -> int | None:
    try:
        return act(kind, run_id)
    except OSError as error:
        problems.append(f"{kind.title} in {run_id}: {error}")
        return None


def _measure(kind: _Kind, run_id: str) -> int:
    folder = open_folder(kind.url, run_id)
    return sum(folder.measure(name) for name in folder.list_ours(kind.is_ours))


def _clear(kind: _Kind, run_id: str) -> int:
    open_folder(kind.url, run_id).clear(kind.is_ours)
    return 0


def _listed(problems: Iterable[str]) -> str | None:
    return "; ".join(problems) or None
