"""What a run notes of the machine and of its code."""

from __future__ import annotations

import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from training_monitor import surroundings
from training_monitor.facts import Lookout
from training_monitor.repository import find_repository, read_commit
from training_monitor.surroundings import describe_surroundings, list_packages


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    git(folder, "init")
    (folder / "train.py").write_text("pass")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "first")
    return folder


def test_the_commit_is_told_and_whether_files_differ_from_it(checkout: Path) -> None:
    inside = checkout / "deep"
    inside.mkdir()
    clean = describe_surroundings(inside)
    assert clean["git_commit"] == git(checkout, "rev-parse", "HEAD")[:12]
    assert clean["git_dirty"] is False
    (checkout / "train.py").write_text("print()")
    assert describe_surroundings(checkout)["git_dirty"] is True


def test_without_git_the_commit_is_read_and_nobody_says_that_it_is_clean(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = git(checkout, "rev-parse", "HEAD")[:12]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = describe_surroundings(checkout)
    assert found["git_commit"] == commit
    assert "git_dirty" not in found


def test_a_git_that_hangs_or_fails_costs_nothing_but_the_answer(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(*_: object, timeout: float, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "git_dirty" not in describe_surroundings(checkout)


def test_outside_a_checkout_git_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "find_repository", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("git was asked"))
    assert "git_commit" not in describe_surroundings(tmp_path)


def test_packed_branches_further_work_trees_and_a_commit_by_itself_are_read(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    git(checkout, "pack-refs", "--all")
    git(checkout, "worktree", "add", str(checkout.parent / "second"), "-b", "side")
    git(checkout, "checkout", "--detach")
    for folder in (checkout, checkout.parent / "second"):
        repository = find_repository(folder)
        assert repository is not None
        assert read_commit(repository) == commit


@pytest.mark.parametrize("head", ["", "ref: refs/heads/none", "no commit", "ref: ../../../etc/passwd"])
def test_a_repository_that_cannot_be_read_has_no_commit(head: str, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text(head)
    repository = find_repository(tmp_path)
    assert repository is not None
    assert read_commit(repository) is None


def test_packages_are_those_that_matter_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"numpy=={metadata.version('numpy')}" in list_packages().split(", ")
    chosen = set(list_packages(with_imports=False).split(", "))
    assert chosen < set(list_packages().split(", ")), "what is imported besides comes after it"
    assert not any(name.startswith("pytest==") for name in chosen)
    monkeypatch.setattr(surroundings, "_version", lambda name: f"{len(name)}" * 40)
    assert len(list_packages()) <= 2_000


def test_what_breaks_while_looking_leaves_the_run_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise MemoryError

    monkeypatch.setattr("training_monitor.facts.describe_surroundings", fail)
    assert Lookout().facts() == {}
