"""A Lightning training of two processes on the CPU, each with the SDK's callback: run as a program."""
# ruff: noqa: E402 - Lightning imports torchvision, which does not load by itself over a CPU-only torch

from __future__ import annotations

import os
import sys

import torch
from torch import nn

from trainers.torchvision_cpu import declare_operators

declare_operators()

import lightning.pytorch as pl

from training_monitor import TrainingMonitor
from training_monitor.callbacks.lightning import MonitorCallback

EPOCHS, ROWS = 3, 24


class Ranked(pl.LightningModule):
    """Logs its rank, so that a mean over both tells itself from the value of one."""

    def __init__(self, fails_on: int = -1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer, self.fails_on = nn.Linear(4, 1), fails_on

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        if self.current_epoch == 1 and self.global_rank == self.fails_on:
            raise RuntimeError(f"Rank {self.global_rank} fails.")
        rank = float(self.global_rank)
        self.log("own", rank)
        self.log("mean", rank, sync_dist=True)
        self.log("epoch_mean", rank, on_step=False, on_epoch=True, sync_dist=True)
        loss: torch.Tensor = self.layer(batch[0]).square().mean()
        return loss

    def validation_step(self, _batch: list[torch.Tensor], _index: int) -> None:
        self.log("val_mean", float(self.global_rank), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main(mode: str) -> None:
    """Train; mode: whole, cancelled, or fails-<rank>."""
    monitor = TrainingMonitor("ranks", system_metrics=False)
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    if mode == "cancelled" and rank == 0:
        monitor._note_request("cancel")
    data = torch.utils.data.TensorDataset(torch.ones(ROWS, 4))
    loader = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = pl.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=EPOCHS, logger=False, log_every_n_steps=1,
        callbacks=[MonitorCallback(monitor)], enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Ranked(int(mode.removeprefix("fails-")) if mode.startswith("fails-") else -1), loader, loader)
    print(f"epochs={trainer.current_epoch}", flush=True)
    monitor.finish()


if __name__ == "__main__":
    main(sys.argv[1])
