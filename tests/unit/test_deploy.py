"""What is in deploy/ names settings, files, commands and objects that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from settings import Settings
from tests.manifests import (
    DEPLOY,
    KEDA_KINDS,
    KEDA_VERSION,
    KUBERNETES,
    KUBERNETES_VERSION,
    compose,
    deploy_files,
    manifest_files,
    objects,
    pod_specs,
    variables,
)
from tests.programs import ROOT
from work.arguments import parse
from work.signals import STOP_LIMIT_S

SECRETS = {
    "wattle": {"WATTLE_REDIS_URL"},
    "wattle-worker": {"WATTLE_REDIS_URL"},
    "wattle-redis": {"users.acl"},
    "wattle-keda": {"username", "password"},
}
# Of the secret wattle.
OPTIONAL_KEYS = {"WATTLE_DATABASE_URL", "WATTLE_ADMIN_TOKEN", "WATTLE_METRICS_TOKEN", "WATTLE_API_TOKEN"}
OURS = ("backend.py", "worker.py", "frontend.py", "deploy/docker/healthy.py")


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [each for each in objects() if each["kind"] == kind]


def test_every_variable_is_a_setting() -> None:
    known = {f"WATTLE_{name.upper()}" for name in Settings.model_fields}
    assert variables()
    assert variables() <= known


@pytest.mark.parametrize("path", manifest_files(), ids=lambda path: path.name)
def test_every_object_has_the_fields_its_kind_has(path: Path) -> None:
    for found in yaml.safe_load_all(path.read_text()):
        if found["apiVersion"] != KEDA_VERSION:
            kubernetes_validate.validate(found, KUBERNETES_VERSION, strict=True)
            continue
        KEDA_KINDS[found["kind"]].model_validate(found["spec"])
        if found["kind"] == "ScaledJob":
            job = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": found["metadata"],
                "spec": found["spec"]["jobTargetRef"],
            }
            kubernetes_validate.validate(job, KUBERNETES_VERSION, strict=True)


def test_a_misspelt_field_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"selektor": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


@pytest.mark.parametrize("folder", [path.parent for path in KUBERNETES.rglob("kustomization.yaml")], ids=str)
def test_what_a_kustomization_names_exists(folder: Path) -> None:
    read = yaml.safe_load((folder / "kustomization.yaml").read_text())
    base = {(each["kind"], each["metadata"]["name"]) for each in objects()}
    assert all((folder / name).exists() for name in read["resources"])
    for patch in read.get("patches", []):
        if "path" in patch:
            patched = yaml.safe_load((folder / patch["path"]).read_text())
            assert (patched["kind"], patched["metadata"]["name"]) in base
        else:
            assert (patch["target"]["kind"], patch["target"]["name"]) in base
            assert yaml.safe_load(patch["patch"])


def test_every_file_of_the_base_is_in_its_kustomization() -> None:
    folder = KUBERNETES / "base"
    read = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(read["resources"]) == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}


def test_objects_that_pods_refer_to_exist() -> None:
    names = {kind: {each["metadata"]["name"] for each in of_kind(kind)} for kind in ("ConfigMap",)}
    claims = {each["metadata"]["name"] for each in of_kind("PersistentVolumeClaim")}
    for _, pod in pod_specs():
        for volume in pod["volumes"]:
            assert volume.get("configMap", {}).get("name") in {None, *names["ConfigMap"]}
            assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}
            if mounted := volume.get("secret"):
                assert {item["key"] for item in mounted["items"]} <= SECRETS[mounted["secretName"]]
        for container in pod["containers"]:
            given = [each["configMapRef"]["name"] for each in container.get("envFrom", [])]
            assert set(given) <= names["ConfigMap"]
            asked = [
                each["valueFrom"]["secretKeyRef"] for each in container.get("env", []) if "valueFrom" in each
            ]
            for each in asked:
                assert each["key"] in (OPTIONAL_KEYS if each.get("optional") else SECRETS[each["name"]])
    for each in of_kind("TriggerAuthentication"):
        asked = [(target["name"], target["key"]) for target in each["spec"]["secretTargetRef"]]
        assert set(asked) == {("wattle-keda", key) for key in SECRETS["wattle-keda"]}


def test_the_page_of_the_operator_names_every_key_that_may_be_added() -> None:
    told = (ROOT / "docs" / "production.md").read_text()
    assert {key for key in OPTIONAL_KEYS if f"`{key}`" in told} == OPTIONAL_KEYS


def test_only_the_backend_has_the_user_of_redis_that_reaches_everything() -> None:
    secrets = {
        (container["name"], each["valueFrom"]["secretKeyRef"]["name"])
        for _, pod in pod_specs()
        for container in pod["containers"]
        for each in container.get("env", [])
        if each["name"] == "WATTLE_REDIS_URL"
    }
    assert secrets == {("backend", "wattle"), ("worker", "wattle-worker")}
    assert not any(
        "secretRef" in each
        for _, pod in pod_specs()
        for one in pod["containers"]
        for each in one.get("envFrom", [])
    )
    given = {
        name: service["env_file"]
        for name, service in compose()["services"].items()
        if "./secrets/backend.env" in service.get("env_file", [])
    }
    assert set(given) == {"backend"}


def test_the_page_of_compose_reads_what_the_script_makes_room_for() -> None:
    page = compose()["services"]["page"]
    (mount,) = page["volumes"]
    folder, there, rights = mount.split(":")
    files = [word.partition("=")[2] for word in page["command"] if word.startswith("--secrets.files=")]
    assert files == ["/app/.streamlit/secrets.toml", f"{there}/secrets.toml"]
    assert (folder, rights) == ("./secrets/streamlit", "ro")
    assert "mkdir streamlit" in (DEPLOY / "make_secrets.sh").read_text()


def test_redis_has_the_same_settings_in_a_pod_as_in_a_container() -> None:
    (in_pod,) = (each["data"]["redis.conf"] for each in of_kind("ConfigMap") if "redis.conf" in each["data"])
    read = [set(re.findall(r"^(\w.*)$", text, re.MULTILINE)) for text in (in_pod, redis_conf())]
    # Where its files are, and how large it is.
    differing = {line.split()[0] for line in read[0] ^ read[1]}
    assert differing == {"aclfile", "maxmemory"}


def redis_conf() -> str:
    return (DEPLOY / "redis" / "redis.conf").read_text()


def test_only_the_ingress_and_prometheus_reach_the_api() -> None:
    """A rule without a namespace would let pods of our own in, one without a pod all of a namespace."""
    policies = [each["spec"] for each in of_kind("NetworkPolicy")]
    assert {"podSelector": {}, "policyTypes": ["Ingress"]} in policies, "who has no rule is let in by nobody"
    rules = [
        (
            place["namespaceSelector"]["matchLabels"],
            place.get("podSelector"),
            [port["port"] for port in rule["ports"]],
        )
        for policy in policies
        if policy["podSelector"].get("matchLabels") == {"app": "wattle-server"}
        for rule in policy["ingress"]
        for place in rule["from"]
    ]
    name = "kubernetes.io/metadata.name"
    prometheus = {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}
    assert rules == [
        ({name: "ingress-nginx"}, None, [5000, 8501]),
        ({name: "monitoring"}, prometheus, [5000]),
    ]
    (settings,) = (each["data"] for each in of_kind("ConfigMap") if "WATTLE_DATA_DIR" in each["data"])
    assert "wattle-server.wattle.svc" in settings["WATTLE_ALLOWED_HOSTS"].split(",")


def test_every_pod_runs_as_nobody_special_and_can_write_only_where_it_has_to() -> None:
    for name, pod in pod_specs():
        assert pod["securityContext"]["runAsNonRoot"], name
        assert not pod["automountServiceAccountToken"], name
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"], name
            assert not rights["allowPrivilegeEscalation"], name
            assert rights["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_every_worker_has_longer_to_stop_than_a_checkpoint_takes() -> None:
    given = [pod["terminationGracePeriodSeconds"] for name, pod in pod_specs() if pod_is_a_worker(pod)]
    services = compose()["services"]
    given += [int(services[name]["stop_grace_period"].rstrip("s")) for name in ("worker", "worker-cuda")]
    unit = (DEPLOY / "systemd" / "wattle-worker@.service").read_text()
    given += [int(found) for found in re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)]
    assert len(given) == 5
    assert min(given) > STOP_LIMIT_S + 10


def pod_is_a_worker(pod: dict[str, Any]) -> bool:
    return any(container["name"] == "worker" for container in pod["containers"])


def test_workers_are_started_with_arguments_they_know() -> None:
    arguments = [
        container["args"] for _, pod in pod_specs() for container in pod["containers"] if "args" in container
    ]
    arguments.append(compose()["services"]["worker-cuda"]["command"])
    unit = (DEPLOY / "systemd" / "wattle-worker@.service").read_text()
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    arguments.append(shlex.split(line.replace("%i", "cuda:0").replace("%H", "host"))[2:])
    assert len(arguments) == 4
    for each in arguments:
        parse(each)


def test_every_program_that_is_started_exists() -> None:
    for path in deploy_files():
        for name in re.findall(r"[\w./]*\b(?:backend|worker|frontend|healthy)\.py\b", path.read_text()):
            assert name in OURS, (path, name)
    assert all((ROOT / name).exists() for name in OURS)


def test_nothing_is_published_but_on_this_machine() -> None:
    ports = [port for service in compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_page_of_the_operator_names_every_profile() -> None:
    profiles = {name for service in compose()["services"].values() for name in service.get("profiles", [])}
    told = (ROOT / "docs" / "production.md").read_text()
    assert set(re.findall(r"--profile (\w+)", told)) == profiles


def test_no_manifest_has_a_password() -> None:
    for path in deploy_files():
        text = path.read_text()
        assert not re.search(r"rediss?://[^\s$]*:[^\s$@]+@", text), path
    assert all(each["kind"] != "Secret" for each in objects())


@pytest.mark.parametrize("path", sorted((DEPLOY / "docker").glob("*.Dockerfile")), ids=lambda path: path.name)
def test_images_are_pinned_and_run_as_nobody_special(path: Path) -> None:
    text = path.read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:\d+\.\d+\.\d+-slim-\w+$", text, re.MULTILINE)
    bases = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    assert {base for base, _ in bases} <= {"${PYTHON_IMAGE}", *(name for _, name in bases)}
    # But for what whoever builds asks for besides.
    ours = re.findall(r"pip install (?!\$EXTRA_PACKAGES)(\S+ \S+)", text)
    assert set(ours) == {"--constraint constraints.txt"}
    assert "USER 10001:10001" in text
    assert "HEALTHCHECK" in text
    images = [service["image"] for service in compose()["services"].values()]
    tagged = [image for image in images if not image.startswith("wattle-")]
    assert all(re.search(r":v?\d+\.\d+", image) for image in tagged)


def test_the_page_of_the_operator_names_the_build_arguments_and_a_version_that_is_pinned() -> None:
    told = (ROOT / "docs" / "production.md").read_text()
    arguments = {
        name
        for path in (DEPLOY / "docker").glob("*.Dockerfile")
        for name in re.findall(r"^ARG (\w+)", path.read_text(), re.MULTILINE)
    }
    assert arguments == {"PYTHON_IMAGE", "EXTRAS", "EXTRA_PACKAGES"}
    assert all(name in told for name in arguments)
    versions = set(re.findall(r"\bfsspec==([\d.]+\d)", told))
    assert versions == set(
        re.findall(r"^fsspec==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    )


def test_an_image_gets_the_whole_product_and_nothing_else() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    programs = {
        "alerts",
        "api",
        "carbon_aware_trainer",
        "catalog",
        "cli",
        "client",
        "leaderboard",
        "scheduling",
    }
    rooms = {
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and path.name not in {"tests", "bench", "deploy", "docs", "examples", "data"}
        and not path.name.startswith(".") and (path / "__init__.py").exists()
    }  # fmt: skip
    assert programs < rooms
    assert rooms <= kept
    assert {"*.py", "constraints.txt", "pyproject.toml", "static", ".streamlit/**"} <= kept
    assert ".streamlit/secrets.toml" in (ROOT / ".dockerignore").read_text().splitlines()[-1]
    assert not kept & {"tests", "bench", "data", ".env", "deploy/secrets"}
