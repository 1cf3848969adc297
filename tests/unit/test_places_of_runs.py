"""In which zones a run can be trained."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from scheduling.places import find_places, is_shared
from schema import Requires, Worker
from tests.planning import worker_in

Mount = namedtuple("Mount", "mountpoint fstype")


def test_a_zone_counts_when_a_worker_of_it_takes_its_queue() -> None:
    deaf = worker_in("GB").model_copy(update={"queues": ("default",)})
    places = find_places(("DE", "FR", "GB"), None, [worker_in("DE"), deaf], checkpoint_url="/x")
    assert places.zones == ("DE",)


def test_what_a_run_requires_counts() -> None:
    needs = Requires(gpus=1)
    big = worker_in("FR").model_copy(update={"gpus": 1})
    places = find_places(("DE", "FR"), needs, [worker_in("DE"), big], checkpoint_url="/x")
    assert places.zones == ("FR",)


def test_zones_are_the_same_in_either_case() -> None:
    assert find_places(("de", "FR"), None, [worker_in("DE")], checkpoint_url="/x").zones == ("de",)


def test_a_run_moves_within_one_host_but_not_to_another_without_a_shared_place(tmp_path: Path) -> None:
    here, there = worker_in("DE"), worker_in("FR", host="two")
    near = worker_in("FR")
    assert find_places(("DE", "FR"), None, [here, near], checkpoint_url=str(tmp_path)).can_move
    assert not find_places(("DE", "FR"), None, [here, there], checkpoint_url=str(tmp_path)).can_move
    assert find_places(("DE", "FR"), None, [here, there], checkpoint_url="s3://bucket/x").can_move


def test_a_run_moves_only_to_workers_of_the_host_its_checkpoints_are_on(tmp_path: Path) -> None:
    def can_move(hosts: frozenset[str] | None, *workers: Worker, url: str = str(tmp_path)) -> bool:
        return find_places(("DE", "FR"), None, workers, checkpoint_url=url, hosts=hosts).can_move

    there = worker_in("FR", host="two")
    assert can_move(frozenset(), there)
    assert can_move(frozenset({"two"}), there)
    assert not can_move(frozenset({"one"}), there)
    assert not can_move(None, there)
    assert not can_move(None)
    assert not can_move(frozenset({"one"}))  # whoever comes may be anywhere
    assert can_move(None, there, url="s3://bucket/x")


def test_a_path_is_shared_on_a_network_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [Mount("/", "ext4"), Mount("/mnt/all", "nfs4"), Mount("/mnt/all/own", "xfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert is_shared("/mnt/all/checkpoints")
    assert is_shared("file:///mnt/all/checkpoints")
    assert not is_shared("/mnt/all/own/checkpoints")
    assert not is_shared("/var/lib")
