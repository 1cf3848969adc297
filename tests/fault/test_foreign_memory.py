"""What other users of the machine put where the memory of sessions is: it is none of ours."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from training_monitor.orphans import find_memory, give_back_memory
from training_monitor.ownership import NOTE_BYTES, Owner
from training_monitor.spool import adopt, create, open_spool

LONG_AGO_S = 7_200.0
HEAD = {"session": "s", "api_url": "http://x", "host": platform.node(), "key": "k", "experiment": {}}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A session whose head says that the memory is a file of someone."""
    folder = tmp_path / "trap"
    folder.mkdir(mode=0o700)
    (tmp_path / "thesis").write_bytes(b"x" * (6 << 20))
    (tmp_path / "thesis").chmod(0o600)
    (folder / "head.json").write_text(json.dumps(HEAD | {"memory": str(tmp_path / "thesis")}))
    return folder


@pytest.fixture
def bait(trap: Path, tmp_path: Path) -> Path:
    """Memory that says it is that session's, old enough to be given back."""
    content = memoryview(bytearray(NOTE_BYTES))
    Owner.of(trap).note(content)
    (tmp_path / "shm").mkdir()
    bait = tmp_path / "shm" / "wattle-s"
    bait.write_bytes(content)
    bait.chmod(0o600)
    then_s = time.time() - LONG_AGO_S
    os.utime(bait, (then_s, then_s))
    return bait


def test_no_file_is_deleted_that_a_head_names_as_its_memory(trap: Path, bait: Path) -> None:
    assert [path for path, _ in find_memory(bait.parent)] == [bait]
    give_back_memory(bait.parent)
    with pytest.raises(ValueError, match="no memory of the session"):
        adopt(trap)
    assert (trap.parent / "thesis").exists()
    assert sorted(path.name for path in trap.iterdir()) == ["head.json"]


def test_memory_is_given_back_by_its_own_session_alone(trap: Path, bait: Path) -> None:
    (trap / "head.json").write_text(json.dumps(HEAD | {"memory": str(trap / "wattle-s")}))
    (trap / "wattle-s").write_bytes(b"x")
    give_back_memory(bait.parent)
    assert (trap / "wattle-s").exists()
    assert bait.exists()


def give_away(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make something another user's")
    os.chown(path, 54_321, 54_321)


def replace_by_link(path: Path) -> None:
    path.symlink_to(path.rename(path.parent / "x"))


@pytest.mark.parametrize(
    "change",
    [lambda path: path.chmod(0o644), give_away, replace_by_link],
    ids=["others can read it", "another user's", "a link"],
)
def test_memory_that_is_not_ours_alone_is_not_looked_at(bait: Path, change: Callable[[Path], object]) -> None:
    change(bait)
    assert list(find_memory(bait.parent)) == []


@pytest.mark.parametrize("which", [".", "head.json"])
def test_a_session_of_another_user_is_not_taken(tmp_path: Path, which: str) -> None:
    spool = create(tmp_path, "http://x", {"name": "other"})
    spool.close()
    give_away(spool.folder / which)
    with pytest.raises(PermissionError, match="another user's"):
        adopt(spool.folder)
    spool._forget_memory()


def test_a_session_under_a_new_name_is_taken_with_its_memory(tmp_path: Path) -> None:
    spool = create(tmp_path, "http://x", {"name": "moved"})
    spool.close()
    moved = spool.folder.rename(tmp_path / "moved")
    (found := adopt(moved)).close()  # type: ignore[union-attr]
    assert found is not None
    assert found.head.memory is not None
    assert not Path(found.head.memory).exists()


@pytest.mark.parametrize("is_link", [True, False])
def test_nothing_is_kept_in_a_folder_for_temporary_files_that_another_user_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    root = tmp_path / "file"
    root.touch()
    planted = tmp_path / f"wattle-spool-{os.getuid()}"
    if is_link:
        (tmp_path / "theirs").mkdir()
        planted.symlink_to(tmp_path / "theirs")
    else:
        planted.mkdir()
        give_away(planted)
    assert open_spool(root, "http://x", {"name": "none"}, is_strict=False) is None
    assert list(planted.iterdir()) == []
