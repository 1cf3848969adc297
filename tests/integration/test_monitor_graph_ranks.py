"""A network that several processes call together is never called by one of them alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

# One process asks for the graph; the other one waits until it has it, and calls nothing.
SCRIPT = """
import sys
from datetime import timedelta
import torch, torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from training_monitor.media.graphs import draw

rank, place, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
store = dist.FileStore(place, 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)

class Reducing(nn.Linear):
    def forward(self, values):
        found = super().forward(values)
        dist.all_reduce(found)
        return found

network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
if kind == "tensor parallel":
    mesh = init_device_mesh("cpu", (2,))
    parallelize_module(network, mesh, {"0": ColwiseParallel(), "2": RowwiseParallel()})
elif kind == "own exchange":
    network = nn.Sequential(nn.Linear(4, 8), Reducing(8, 2))
elif kind == "copies":
    network = nn.parallel.DistributedDataParallel(network)
if rank == 0:
    drawn = draw(network, torch.ones(3, 4))
    print(drawn.reason or "called", len(drawn.data) > 100)
    store.set("done", "1")
else:
    store.wait(["done"], timedelta(seconds=60))
"""


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("tensor parallel", "it is spread over several processes, which would all have to call it"),
        ("own exchange", "a layer waits for other processes, which would all have to call it"),
        ("copies", "called"),
    ],
)
def test_the_graph_waits_for_no_other_process(kind: str, said: str, tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, rank, str(tmp_path / "store"), kind],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        printed, _ = processes[0].communicate(timeout=120)
        processes[1].communicate(timeout=120)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert printed.strip().endswith(f"{said} True")
