"""What an image is built from is enough to install the programs and to run them, which needs no Docker."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from cli.redis_server import RedisServer
from redis_db import RedisDB
from schema import Status
from settings import Settings
from tests.manifests import DEPLOY
from tests.ports import own_port
from tests.programs import ROOT, Programs, wait_until
from tests.tools import check, need
from trainers import validator

DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
# The client's own reading of .dockerignore.
_CONTEXT = """
import os, sys
from docker.utils.build import exclude_paths
lines = [line.strip() for line in open(".dockerignore")]
kept = exclude_paths(".", [line for line in lines if line and not line.startswith("#")])
print(*sorted(path for path in kept if os.path.isfile(path)), sep="\\n")
"""


@cache
def context() -> list[str]:
    """The files that a build is sent, which COPY . . brings into the image."""
    python = ROOT / ".venv-tools" / "bin" / "python"
    if not python.exists():
        pytest.skip("docker's client is not installed: make tools")
    ended = subprocess.run([python, "-c", _CONTEXT], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in ended.stdout.splitlines() if "__pycache__" not in path]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like /app of an image."""
    app = tmp_path_factory.mktemp("image") / "app"
    for name in context():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, app / name)
    return app


def install_line(dockerfile: Path) -> list[str]:
    """What follows ``pip install`` first in a Dockerfile, with its arguments put in."""
    text = dockerfile.read_text().replace("\\\n", " ")
    arguments = dict(re.findall(r'^ARG (\w+)="?([^"\n]*)"?$', text, re.MULTILINE))
    line = re.search(r"^RUN /opt/venv/bin/pip install (.*)$", text, re.MULTILINE)
    assert line is not None
    put_in = re.sub(r"\$(\w+)", lambda found: arguments[found[1]], line[1])
    return [word.strip("\"'") for word in put_in.split()]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_has_nothing_to_say(path: Path) -> None:
    check(need("hadolint", "make tools"), path)


def test_an_image_has_every_file_of_every_package_and_no_other() -> None:
    kept = set(context())
    listed = check("git", "-C", str(ROOT), "ls-files").split("\n")
    rooms = {name.split("/")[0] for name in kept if "/" in name} - {"deploy"}
    lost = {name for name in listed if name.split("/")[0] in rooms} - kept
    assert not lost
    assert not {name for name in kept if name.split("/")[0] in {"tests", "bench", "docs", ".git", "data"}}
    assert {name for name in kept if name.startswith("deploy/")} == {
        f"deploy/docker/{name}" for name in ("healthy.py", "server.Dockerfile", "worker.Dockerfile")
    }
    assert not [name for name in kept if name.endswith((".env", ".log")) or "/secrets" in f"/{name}"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_what_is_copied_between_stages_is_where_it_was_put(path: Path) -> None:
    stages = re.split(r"^FROM ", path.read_text(), flags=re.MULTILINE)[1:]
    named = {found[1]: stage for stage in stages if (found := re.match(r"\S+ AS (\S+)", stage))}
    copied = re.findall(r"^COPY --from=(\S+) (\S+) (\S+)$", path.read_text(), re.MULTILINE)
    assert copied
    for stage, source, target in copied:
        assert source == target, "an editable install and a virtual environment know their place"
        built = named[stage]
        assert source in {"/opt/venv", "/app"}
        assert "/opt/venv/bin/pip install" in built


def test_extra_packages_are_installed_where_they_are_asked_for() -> None:
    """The line with the build argument, as sh runs it in the build."""
    for path in DOCKERFILES:
        lines = re.findall(r"^RUN (if \[ -n .*)$", path.read_text(), re.MULTILINE)
        assert lines
        for line in lines:
            told = line.replace("/opt/venv/bin/pip", "echo pip")
            for given, wanted in (("", ""), ("s3fs==1 boto3", "pip install s3fs==1 boto3\n")):
                ended = subprocess.run(
                    ["sh", "-c", told],
                    env={"EXTRA_PACKAGES": given},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                assert ended.stdout == wanted


@pytest.fixture
def server_environment(image: Path, tmp_path: Path) -> Path:
    """A fresh environment in which the line of server.Dockerfile was run."""
    check(sys.executable, "-m", "venv", tmp_path / "venv")
    pip = tmp_path / "venv" / "bin" / "pip"
    # Compiled it would take a minute longer, and the image compiles nothing either while it runs.
    wanted = install_line(DEPLOY / "docker" / "server.Dockerfile")
    command = [str(pip), "install", "--quiet", "--no-compile", *wanted]
    ended = subprocess.run(command, cwd=image, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return tmp_path / "venv" / "bin"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_files_and_packages_of_the_image_are_enough_for_api_and_page(
    image: Path, server_environment: Path, own_redis: RedisServer, tmp_path: Path
) -> None:
    ports = {"backend": own_port(), "page": own_port()}
    environment = {
        "PATH": f"{server_environment}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        "WATTLE_DATA_DIR": str(tmp_path / "data"),
        "WATTLE_REDIS_URL": own_redis.url,
        "WATTLE_PORT": str(ports["backend"]),
        "WATTLE_PAGE_PORT": str(ports["page"]),
        "WATTLE_API_URL": f"http://127.0.0.1:{ports['backend']}",
    }
    page = ["streamlit", "run", "frontend.py", "--server.address", "127.0.0.1", "--server.port"]
    commands = {"backend": ["python", "backend.py"], "page": [*page, str(ports["page"])]}
    with (tmp_path / "log").open("wb") as output:
        started = [
            subprocess.Popen(
                [server_environment / command[0], *command[1:]],
                cwd=image, env=environment, stdout=output, stderr=subprocess.STDOUT,
            )
            for command in commands.values()
        ]  # fmt: skip
    try:
        for program in commands:
            wait_until(
                lambda program=program: is_healthy(program, server_environment, image, environment),  # type: ignore[misc]
                timeout_s=120, what=(tmp_path / "log").read_text(), every_s=1,
            )  # fmt: skip
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
    # What a test needs, or torch, is not there.
    missing = subprocess.run(
        [server_environment / "python", "-c", "import torch"], capture_output=True, check=False
    )
    assert missing.returncode == 1


def is_healthy(program: str, place: Path, app: Path, environment: Mapping[str, str]) -> bool:
    """The image's own check."""
    command = [str(place / "python"), "deploy/docker/healthy.py", program]
    return not subprocess.run(command, cwd=app, env=environment, capture_output=True, check=False).returncode


@pytest.fixture
def programs(own_redis: RedisServer, tmp_path: Path) -> Iterator[Programs]:
    started = Programs(redis_url=own_redis.url, data_dir=tmp_path / "data")
    yield started
    started.stop()


@pytest.mark.slow
def test_the_files_of_the_image_are_enough_for_a_worker(
    image: Path, programs: Programs, own_redis: RedisServer, tmp_path: Path
) -> None:
    with RedisDB(own_redis.url) as db:
        params = validator(Settings(data_dir=tmp_path))(
            {"trainer": "cnn", "dataset": "digits", "num_epochs": 1}
        )
        run_id = db.queue.submit(params).run_id
        only_here = {"PYTHONPATH": str(image), "PYTHONDONTWRITEBYTECODE": "1"}
        programs.start(str(image / "worker.py"), "--device", "cpu", "--threads", "1", environment=only_here)
        wait_until(lambda: db.runs.get(run_id).status.is_final, what=run_id)
        assert db.runs.get(run_id).status is Status.DONE, programs.output()
        # The file of its program, not one beside the tests.
        (worker,) = db.workers.list_live()
        assert str(image / "worker.py") in Path(f"/proc/{worker.pid}/cmdline").read_text()
