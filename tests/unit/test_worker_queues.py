"""Which queues a worker has by default, and which runs with requirements it takes besides."""

from __future__ import annotations

import re

import pytest

from schema import QUEUE_PATTERN, Requires
from tests.records import TORCH_WORKER
from work.routing import default_queues, list_queues


def test_a_worker_has_the_queues_of_its_host_gpu_and_zone() -> None:
    queues = default_queues(host="node-7", gpu_name="NVIDIA H200", zone="DEU")
    assert queues == ("host-node-7", "gpu-h200", "zone-deu", "default")


@pytest.mark.parametrize(
    ("gpu_name", "queue"),
    [
        ("NVIDIA GeForce RTX 4090", "gpu-rtx-4090"),
        ("Tesla V100-SXM2-16GB", "gpu-v100-sxm2-16gb"),
        ("NVIDIA A100 80GB PCIe", "gpu-a100-80gb-pcie"),
    ],
)
def test_the_kind_of_a_gpu_is_its_name_without_the_maker(gpu_name: str, queue: str) -> None:
    assert default_queues(host="h", gpu_name=gpu_name, zone=None)[1] == queue


def test_whatever_a_host_is_called_its_queues_have_valid_names() -> None:
    for host in ("Büro PC", "x" * 200, "node.example.org", "___", ""):
        queues = default_queues(host=host, gpu_name=None, zone=None)
        assert queues[-1] == "default"
        assert all(re.fullmatch(QUEUE_PATTERN, queue) for queue in queues)


def test_runs_whose_requirements_a_worker_meets_come_before_the_others_of_their_queue() -> None:
    worker = TORCH_WORKER.model_copy(
        update={"queues": ("fast", "default"), "gpus": 2, "gpu_memory_gib": 40.0, "zone": "DEU"}
    )
    requirements = {
        "default.gpus-2": ("default", Requires(gpus=2)),
        "default.gpus-4": ("default", Requires(gpus=4)),
        "fast.mem-40": ("fast", Requires(min_gpu_memory_gib=40)),
        "other.gpus-1": ("other", Requires(gpus=1)),
        "default.zone-fra": ("default", Requires(zone="FRA")),
    }
    assert list_queues(worker, requirements) == ["fast.mem-40", "fast", "default.gpus-2", "default"]
    assert list_queues(TORCH_WORKER, requirements) == ["default"]
