"""A program: one of two ranks that derive the loss of a batch, or, as rank -1, all of it alone.

``python -m tests.rank_gradients RANK FOLDER NETWORK…``. Rank 0 and rank -1 save gradients and buffers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from trainers.augmentation import Draw
from trainers.distributed import Ranks
from trainers.networks import build_network
from trainers.team import ALONE, Team

COUNT = 9


def derive(name: str, team: Team) -> dict[str, torch.Tensor]:
    """Return gradients and buffers after one batch in fp64, in which rounding hides nothing."""
    chance = torch.Generator().manual_seed(0)
    images = torch.randn(COUNT, 3, 32, 32, generator=chance, dtype=torch.float64)
    labels = torch.randint(0, 10, (COUNT,), generator=chance)
    network = build_network(name, channels=3, side=32, classes=10, seed=0).double()
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in the stub
    forward = team.join(network.train())
    chosen = team.share(Draw(torch.arange(COUNT))).order
    logits = forward(images[chosen].contiguous(memory_format=torch.channels_last))
    (cross_entropy(logits, labels[chosen], reduction="sum") * team.size / COUNT).backward()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {**gradients, **dict(network.named_buffers())}


if __name__ == "__main__":
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    torch.set_num_threads(1)
    team = Ranks(rank, 2, torch.device("cpu"), folder / "meeting") if rank >= 0 else ALONE
    for network_name in sys.argv[3:]:
        derived = derive(network_name, team)
        if rank <= 0:
            save_file(
                {name: value.contiguous() for name, value in derived.items()},
                folder / f"{network_name}{rank}.safetensors",
            )
