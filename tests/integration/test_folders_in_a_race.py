"""A file is written also while others delete the folders that it goes into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainers.places import LocalFolder


@pytest.mark.parametrize("is_made", [False, True], ids=["not yet made", "just made"])
def test_a_folder_that_another_one_deletes_meanwhile_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_made: bool
) -> None:
    folder, make = tmp_path / "run" / "artifacts" / "a", os.mkdir
    deleted: list[Path] = []

    def make_beside_a_delete(path: Path, mode: int = 0o777) -> None:
        """Make a folder; once, the other one deletes what is empty there, right before or after."""
        if not deleted and Path(path) == folder and folder.parent.exists():
            deleted.append(folder)
            if is_made:
                make(path, mode)
                folder.rmdir()
            folder.parent.rmdir()
            if is_made:
                return
        make(path, mode)

    monkeypatch.setattr(os, "mkdir", make_beside_a_delete)
    with LocalFolder(tmp_path / "run" / "artifacts").add("a", "1") as stream:
        stream.write(b"content")
    assert deleted == [folder]
    assert (folder / "1").read_bytes() == b"content"
