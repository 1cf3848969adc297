"""How full memory and disk are, as a worker tells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.programs import wait_until
from work import host
from work.host import HostGauge, total_bytes, used_share


def test_the_share_of_the_disk_is_that_of_the_folder_or_of_where_it_will_be(tmp_path: Path) -> None:
    usage = shutil.disk_usage(tmp_path)
    assert used_share(tmp_path) == pytest.approx(usage.used / (usage.used + usage.free), abs=0.02)
    assert used_share(tmp_path / "not" / "yet") == pytest.approx(used_share(tmp_path), abs=0.02)


def test_what_waits_for_redis_is_the_files_of_the_spool(tmp_path: Path) -> None:
    assert total_bytes(tmp_path / "spool") == 0
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "w.r.1.jsonl").write_bytes(b"x" * 70)
    (tmp_path / "spool" / "v.r.1.jsonl.unreadable").write_bytes(b"x" * 7)
    gauge = HostGauge(tmp_path)
    wait_until(lambda: gauge.spool_bytes == 77)


def test_both_shares_are_known_soon_and_an_old_one_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gauge = HostGauge(tmp_path)
    wait_until(lambda: gauge.disk_share is not None)
    assert 0 < gauge.memory_share <= 1
    assert 0 < (gauge.disk_share or 0) <= 1
    monkeypatch.setattr(host, "_KEPT_S", -1)
    assert gauge.disk_share is None
