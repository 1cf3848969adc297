"""How models and their versions read on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from schema import Artifact, ModelVersion, Stage
from views import format as fmt
from views.look import short_id

_FIGURES_SHOWN = 4


@dataclass(frozen=True)
class Family:
    """All versions of one model, newest first."""

    name: str
    versions: tuple[ModelVersion, ...]

    @property
    def newest(self) -> ModelVersion:
        """The version that was registered last."""
        return self.versions[0]

    @property
    def production(self) -> ModelVersion | None:
        """The version in production, if there is one."""
        return next((version for version in self.versions if version.stage == "production"), None)


def families(versions: Sequence[ModelVersion]) -> list[Family]:
    """Put the versions of a model together; the model with the newest version comes first."""
    groups: dict[str, list[ModelVersion]] = {}
    for version in versions:
        groups.setdefault(version.name, []).append(version)
    return [
        Family(name, tuple(sorted(own, key=lambda version: -version.version))) for name, own in groups.items()
    ]


def figures_text(metrics: Mapping[str, float]) -> str:
    """Write what weights achieve, the accuracies first: accuracy 0.97 · loss 0.1; "" when it is not known."""
    ordered = sorted(metrics.items(), key=lambda pair: ("acc" not in pair[0], "loss" not in pair[0], pair[0]))
    shown = [f"{name} {value:.4g}" for name, value in ordered[:_FIGURES_SHOWN]]
    if len(ordered) > _FIGURES_SHOWN:
        shown.append(f"{len(ordered) - _FIGURES_SHOWN} more")
    return " · ".join(shown)


def file_text(artifact: Artifact) -> str:
    """Name one version of a file: weights.safetensors · v3 · step 300."""
    step = "" if artifact.step is None else f" · step {fmt.count(artifact.step)}"
    return f"{artifact.name} · v{artifact.version}{step}"


def origin_text(version: ModelVersion, now: datetime) -> str:
    """Say which file of a run a version is, how large, and since when it is registered."""
    artifact = version.artifact
    which = f" v{artifact.version}" if artifact.version else ""
    parts = [f"{artifact.name}{which}", fmt.size(artifact.size_bytes)]
    if artifact.sha256:
        parts.append(f"SHA-256 {short_id(artifact.sha256)}…")
    return " · ".join([*parts, f"registered {fmt.ago(version.created_at, now)}"])


def consequence(versions: Sequence[ModelVersion], changed: ModelVersion, stage: Stage) -> str:
    """Say what else a change of stage does; "" for nothing."""
    if stage != "production":
        return ""
    former = next((own for own in versions if own.name == changed.name and own.stage == "production"), None)
    if former is None or former.version == changed.version:
        return ""
    return f"Version {former.version}, which is in production now, becomes archived."
