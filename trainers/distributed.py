"""The team of several processes: plain DistributedDataParallel, NCCL between GPUs, gloo between CPUs."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from trainers.augmentation import Draw
from trainers.batch_norm import share_batch_norm
from trainers.data import Split
from trainers.team import Forward, take_part, take_share


def backend_of(device: str) -> str:
    """Return what carries gradients between the ranks."""
    return "nccl" if device.startswith("cuda") else "gloo"


class Ranks:
    """This process as one of ``size``; ``meeting`` is a file that all know and none has written yet."""

    def __init__(self, rank: int, size: int, device: torch.device, meeting: Path) -> None:
        self.rank, self.size = rank, size
        self._device = device
        if device.type == "cuda":
            torch.cuda.set_device(device)
        dist.init_process_group(
            backend_of(device.type), init_method=f"file://{meeting}", rank=rank, world_size=size
        )
        # What is agreed on the host must not wait for a GPU's queue.
        self._talk = dist.new_group(backend="gloo") if device.type == "cuda" else dist.group.WORLD
        self._told_s: float | None = None

    def share(self, drawn: Draw) -> Draw:
        """Return this rank's images of the batch."""
        return take_share(drawn, self.rank, self.size)

    def part(self, split: Split) -> Split:
        """Return this rank's run of images."""
        return take_part(split, self.rank, self.size)

    def join(self, network: nn.Module) -> Forward:
        """Return the network under DistributedDataParallel. Its buffers need no broadcast."""
        share_batch_norm(network, self._device)
        devices = [self._device] if self._device.type == "cuda" else None
        with warnings.catch_warnings(category=FutureWarning, action="ignore"):
            # torch 2.13 has another name for the last argument, which 2.10 does not know.
            joined: Forward = DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)
        return joined

    def add(self, figures: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        total = figures.clone()
        dist.all_reduce(total)
        return total

    def gather(self, values: Tensor) -> Tensor:
        """Return every rank's values."""
        rows = [torch.empty_like(values, device="cpu") for _ in range(self.size)]
        dist.all_gather(rows, values.cpu(), group=self._talk)
        return torch.stack(rows)

    def clock(self) -> float:
        """Return rank 0's time: what came with the last agreement, once, else asked for."""
        if self._told_s is None:
            self.agree(0)
        now_s, self._told_s = self._told_s, None
        if now_s is None:
            raise AssertionError("agree tells the time")
        return now_s

    def agree(self, word: int) -> int:
        """Return the greatest word that a rank has said; rank 0's time comes with it."""
        now_s = time.monotonic() if self.rank == 0 else 0.0
        said = torch.tensor([float(word), now_s], dtype=torch.float64)
        dist.all_reduce(said, dist.ReduceOp.MAX, group=self._talk)
        agreed, self._told_s = said.tolist()
        return int(agreed)

    def part_ways(self) -> None:
        """Wait for the others and end the connections."""
        dist.barrier(group=self._talk)
        dist.destroy_process_group()
