"""What a run needs to be repeated elsewhere: packages, system, processor, driver, and the code's commit.

Nothing here raises, waits for more than some seconds, or calls git where there is no repository.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from training_monitor.repository import find_repository, read_commit

Fact = str | int | bool | None

# What decides about figures, where it is installed; whatever else the process has imported comes after it.
_MATTERING: Final = (
    *("torch", "torchvision", "torchaudio", "lightning", "pytorch-lightning", "accelerate", "transformers"),
    *("tensorflow", "keras", "jax", "jaxlib", "flax", "timm", "datasets", "xgboost", "lightgbm"),
    *("numpy", "scipy", "pandas", "scikit-learn", "pillow", "safetensors", "triton", "nvidia-ml-py"),
    *("nvidia-cudnn-cu12", "nvidia-cublas-cu12", "nvidia-nccl-cu12", "codecarbon", "wattle"),
)
_MOST_PACKAGES: Final = 80
_MOST_CHARACTERS: Final = 2_000
_GIT_S: Final = 5.0


def describe_surroundings(code: Path, *, with_imports: bool = True) -> dict[str, Fact]:
    """Return what is known of this machine and of the code in a folder; what is not known is left out.

    with_imports: list also the packages that this process has imported for no known reason.
    """
    found: dict[str, Fact] = {
        "os": _system(),
        "cpu": _cpu(),
        "gpu_driver": _driver(Path("/proc/driver/nvidia/version")),
        "packages": list_packages(with_imports=with_imports),
        **_code(code),
    }
    return {name: fact for name, fact in found.items() if fact not in (None, "")}


def list_packages(*, with_imports: bool = True) -> str:
    """Return ``name==version, …`` of what matters or is imported: at most 80 packages, 2,000 characters."""
    listed: dict[str, str] = {}
    length = 0
    for name in _names() if with_imports else _MATTERING:
        version = _version(name)
        if version is None or name in listed:
            continue
        length += len(name) + len(version) + len("==, ")
        if len(listed) == _MOST_PACKAGES or length > _MOST_CHARACTERS:
            break
        listed[name] = version
    return ", ".join(f"{name}=={listed[name]}" for name in sorted(listed))


def _names() -> Iterator[str]:
    yield from _MATTERING
    # A copy: another thread may import meanwhile.
    imported = {name.partition(".")[0] for name in list(sys.modules)}
    yield from sorted(imported - sys.stdlib_module_names)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name) or None
    except Exception:  # noqa: BLE001 a broken distribution of somebody else's is one that is not listed
        return None


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}".strip()
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, None) or platform.processor() or None


def _driver(path: Path) -> str | None:
    """Return the version of NVIDIA's driver; its file is there as soon as the driver is loaded."""
    try:
        words = path.read_text(errors="replace").partition("\n")[0].split()
    except OSError:
        return None
    return next((word for word in words if word[0].isdigit() and "." in word), None)


def _code(folder: Path) -> dict[str, Fact]:
    """Return the commit of the checkout a folder is in, and whether files differ from it; {} outside one."""
    repository = find_repository(folder)
    if repository is None:
        return {}
    commit = read_commit(repository)
    return {"git_commit": commit and commit[:12], "git_dirty": _is_dirty(repository.work_tree)}


def _is_dirty(work_tree: Path) -> bool | None:
    """Tell whether files differ from the commit; None where git is not there or takes too long."""
    if shutil.which("git") is None:
        return None
    # No lock and no program of the repository's choice: somebody may be working in it.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(work_tree), "status", "--porcelain"]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            check=True,
            timeout=_GIT_S,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(answer.stdout.strip())
