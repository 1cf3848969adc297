"""kubectl builds every overlay, and what it builds is what we meant."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.manifests import KEDA_KINDS, KEDA_VERSION, KUBERNETES, KUBERNETES_VERSION
from tests.programs import ROOT
from tests.tools import check, need

FOLDERS = sorted(path.parent for path in KUBERNETES.rglob("kustomization.yaml"))
WORKERS = {"ScaledJob": ("spec", "jobTargetRef", "template"), "Deployment": ("spec", "template")}


@cache
def built(folder: Path) -> list[dict[str, Any]]:
    """Every object that kubectl would apply."""
    return list(yaml.safe_load_all(check(need("kubectl", "make tools"), "kustomize", folder)))


def overlay(name: str) -> dict[tuple[str, str], dict[str, Any]]:
    objects = built(KUBERNETES / "overlays" / name)
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def worker_of(objects: dict[tuple[str, str], dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects[kind, name]
    for step in WORKERS[kind]:
        found = found[step]
    (container,) = found["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_every_overlay_builds_objects_that_a_cluster_knows(folder: Path) -> None:
    for found in built(folder):
        if found["apiVersion"] == KEDA_VERSION:
            KEDA_KINDS[found["kind"]].model_validate(found["spec"])
        else:
            kubernetes_validate.validate(found, KUBERNETES_VERSION, strict=True)
        assert found["kind"] == "Namespace" or found["metadata"]["namespace"] == "wattle"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_every_image_that_we_build_comes_from_the_registry_with_a_version(folder: Path) -> None:
    text = yaml.safe_dump_all(built(folder))
    images = {line.split("image: ")[1] for line in text.splitlines() if "image: " in line}
    ours = {image for image in images if "wattle" in image}
    assert ours
    assert all(image.startswith("registry.example.org/") and image.count(":") == 1 for image in ours)
    assert images - ours <= {"redis:7.4.2-bookworm"}


def test_the_page_of_the_operator_builds_the_images_that_are_asked_for() -> None:
    told = (ROOT / "docs" / "production.md").read_text()
    tags = set(re.findall(r"--tag (registry\S+)", told))
    text = yaml.safe_dump_all(built(KUBERNETES / "overlays" / "gpu"))
    assert tags == set(re.findall(r"image: (registry\S+)", text))


def test_workers_of_the_gpu_overlay_have_a_gpu_and_all_else_of_the_base() -> None:
    plain = {(each["kind"], each["metadata"]["name"]): each for each in built(KUBERNETES / "base")}
    with_gpu = overlay("gpu")
    assert set(with_gpu) == set(plain)
    worker = worker_of(with_gpu, "Deployment", "wattle-worker")
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["image"] == "registry.example.org/wattle-worker:0.1.0-cuda"
    assert worker["env"] == worker_of(plain, "Deployment", "wattle-worker")["env"]


def test_the_overlay_with_jobs_has_no_workers_that_are_scaled_away() -> None:
    objects = overlay("scaled-jobs")
    assert ("Deployment", "wattle-worker") not in objects
    assert not [kind for kind, _ in objects if kind == "ScaledObject"]
    worker = worker_of(objects, "ScaledJob", "wattle-gpu-a100")
    assert worker["image"] == "registry.example.org/wattle-worker:0.1.0-cuda"


def test_the_overlay_with_a_redis_elsewhere_starts_none_and_asks_it_over_tls() -> None:
    objects = overlay("external-redis")
    named = {(kind, name) for kind, name in objects if name == "wattle-redis"}
    assert named <= {("TriggerAuthentication", "wattle-redis"), ("NetworkPolicy", "wattle-redis")}
    (trigger,) = objects["ScaledObject", "wattle-worker"]["spec"]["triggers"]
    assert trigger["metadata"]["address"] == "redis.example.org:6380"
    assert trigger["metadata"]["enableTLS"] == "true"
    assert trigger["metadata"]["listName"] == "queue:demand"


def test_a_patch_of_nothing_is_found(tmp_path: Path) -> None:
    kubectl = need("kubectl", "make tools")
    wrong = (
        (KUBERNETES / "overlays" / "gpu" / "worker.yaml")
        .read_text()
        .replace("wattle-worker", "wattle-wroker")
    )
    (tmp_path / "worker.yaml").write_text(wrong)
    text = "resources: [base.yaml]\npatches:\n  - path: worker.yaml\n"
    (tmp_path / "kustomization.yaml").write_text(text)
    (tmp_path / "base.yaml").write_text((KUBERNETES / "base" / "worker.yaml").read_text())
    with pytest.raises(AssertionError, match="no matches for Id Deployment"):
        check(kubectl, "kustomize", tmp_path)
