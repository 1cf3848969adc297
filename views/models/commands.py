"""What the pages have the API do with models."""

from __future__ import annotations

from schema import ModelVersion, Stage
from views import artifact_source, source


def register(name: str, run_id: str, artifact: str, version: int | None) -> ModelVersion:
    """Make a file of a run the newest version of a model."""
    try:
        return source.api().register_model(name, run_id, artifact, version=version)
    finally:
        artifact_source.forget()


def set_stage(name: str, version: int, stage: Stage, note: str | None) -> ModelVersion:
    """Move a version to another stage."""
    try:
        return source.api().set_stage(name, version, stage, note=note)
    finally:
        artifact_source.forget()


def delete_version(name: str, version: int) -> None:
    """Forget a version of a model; the file of its run stays."""
    try:
        source.api().delete_version(name, version)
    finally:
        artifact_source.forget()
