"""What is in deploy/, as tests read it, and the fields that KEDA's own kinds have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from tests.programs import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
KUBERNETES_VERSION = "1.34"
KEDA_VERSION = "keda.sh/v1alpha1"


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Metadata(_Closed):
    """Of the trigger redis; all values are texts. https://keda.sh/docs/latest/scalers/redis-lists/"""

    address: str = Field(pattern=r"^[a-z0-9.-]+:\d+$")
    listName: str  # noqa: N815 - KEDA's names, here and below
    listLength: str = Field("5", pattern=r"^[1-9]\d*$")  # noqa: N815
    activationListLength: str = Field("0", pattern=r"^\d+$")  # noqa: N815
    databaseIndex: str = Field("0", pattern=r"^\d+$")  # noqa: N815
    enableTLS: Literal["true", "false"] = "false"  # noqa: N815


class _Reference(_Closed):
    name: str


class Trigger(_Closed):
    type: Literal["redis"]
    metricType: Literal["AverageValue", "Value"] = "AverageValue"  # noqa: N815
    authenticationRef: _Reference  # noqa: N815
    metadata: _Metadata


class _Fallback(_Closed):
    failureThreshold: int = Field(ge=0)  # noqa: N815
    replicas: int = Field(ge=0)
    behavior: Literal["static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"] = (
        "static"
    )


class _Autoscaler(_Closed):
    behavior: dict[str, Any]


class _Advanced(_Closed):
    horizontalPodAutoscalerConfig: _Autoscaler  # noqa: N815


class ScaledObjectSpec(_Closed):
    scaleTargetRef: _Reference  # noqa: N815
    pollingInterval: int = 30  # noqa: N815
    cooldownPeriod: int = 300  # noqa: N815
    minReplicaCount: int = Field(0, ge=0)  # noqa: N815
    maxReplicaCount: int = Field(100, ge=1)  # noqa: N815
    fallback: _Fallback
    advanced: _Advanced
    triggers: list[Trigger] = Field(min_length=1)


class _Rollout(_Closed):
    strategy: Literal["default", "gradual"]


class _Strategy(_Closed):
    strategy: Literal["default", "custom", "accurate", "eager"]
    multipleScalersCalculation: Literal["max", "min", "avg", "sum"]  # noqa: N815


class ScaledJobSpec(_Closed):
    pollingInterval: int = 30  # noqa: N815
    minReplicaCount: int = Field(0, ge=0)  # noqa: N815
    maxReplicaCount: int = Field(100, ge=1)  # noqa: N815
    successfulJobsHistoryLimit: int = Field(100, ge=0)  # noqa: N815
    failedJobsHistoryLimit: int = Field(100, ge=0)  # noqa: N815
    rollout: _Rollout
    scalingStrategy: _Strategy  # noqa: N815
    triggers: list[Trigger] = Field(min_length=1)
    jobTargetRef: dict[str, Any]  # noqa: N815


class _SecretTarget(_Closed):
    parameter: Literal["username", "password"]
    name: str
    key: str


class TriggerAuthenticationSpec(_Closed):
    secretTargetRef: list[_SecretTarget] = Field(min_length=1)  # noqa: N815


KEDA_KINDS: dict[str, type[BaseModel]] = {
    "ScaledObject": ScaledObjectSpec,
    "ScaledJob": ScaledJobSpec,
    "TriggerAuthentication": TriggerAuthenticationSpec,
}


def manifest_files() -> list[Path]:
    """The files with whole objects; kustomizations and patches are not."""
    patches = {KUBERNETES / "overlays" / "gpu" / "worker.yaml"}
    return [
        path
        for path in sorted(KUBERNETES.rglob("*.yaml"))
        if path.stem != "kustomization" and path not in patches
    ]


def objects() -> list[dict[str, Any]]:
    return [found for path in manifest_files() for found in yaml.safe_load_all(path.read_text())]


def pod_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that is made, with the name of what makes it."""
    for each in objects():
        if each["kind"] in {"Deployment", "StatefulSet"}:
            yield each["metadata"]["name"], each["spec"]["template"]["spec"]
        elif each["kind"] == "ScaledJob":
            yield each["metadata"]["name"], each["spec"]["jobTargetRef"]["template"]["spec"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each["spec"]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def deploy_files() -> list[Path]:
    """Everything in deploy/ but the secrets somebody made there."""
    return [path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts]


def variables() -> set[str]:
    """Every variable of Wattle that anything in deploy/ names, in a comment or not."""
    return {
        name for path in deploy_files() for name in re.findall(r"\bWATTLE_[A-Z0-9_]+\b", path.read_text())
    }
