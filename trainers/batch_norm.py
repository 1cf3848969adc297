"""BatchNorm over a batch that is divided among processes: the statistics are those of the whole batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm

_PLACES = (0, 2, 3)


def share_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Have every BatchNorm of ``network`` normalise over all ranks; names and values stay as they are."""
    if device.type == "cuda":
        # In place, since the network itself is none. It has fused kernels, for GPUs alone.
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            parent, _, name = path.rpartition(".")
            setattr(network.get_submodule(parent), name, SharedBatchNorm(layer))


class SharedBatchNorm(nn.BatchNorm2d):
    """A BatchNorm2d of a CPU whose batch lies in all ranks; a rank's part may be empty."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        nn.Module.__init__(self)
        if layer.momentum is None or not layer.affine or not layer.track_running_stats:
            raise ValueError("only a BatchNorm with weights and a running mean can be shared")
        self.num_features, self.eps = layer.num_features, layer.eps
        self.momentum: float = layer.momentum
        self.affine, self.track_running_stats = True, True
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)

    def forward(self, features: Tensor) -> Tensor:
        """Return [B, C, H, W], each channel about 0 with a spread of 1 over all ranks, then scaled."""
        if not self.training:
            return super().forward(features)
        mean, variance, count = _measure(features.detach())
        self._note(mean, variance, count)
        normalise: Callable[..., Tensor] = _Normalise.apply
        return normalise(features, self.weight, self.bias, mean, variance, count, self.eps)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor, count: float) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            raise AssertionError("it tracks them")
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)


def _measure(features: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return mean and variance of each channel over all ranks' values, and the number of those.

    Source: T. Chan et al., "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", 1979.
    """
    channels = features.shape[1]
    own = features.new_zeros(2 * channels + 1, dtype=torch.float64)
    if features.numel():
        variance, mean = torch.var_mean(_widen(features), _PLACES, correction=0)
        own = torch.cat([mean.double(), variance.double(), own[-1:] + features.numel() // channels])
    rows = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, own)
    every = torch.stack(rows)
    means, variances, counts = every[:, :channels], every[:, channels:-1], every[:, -1:]
    total = counts.sum()
    mean = (counts * means).sum(0) / total
    variance = (counts * (variances + (means - mean) ** 2)).sum(0) / total
    dtype = _widen(features[:0]).dtype
    return mean.to(dtype), variance.to(dtype), float(total)


def _widen(values: Tensor) -> Tensor:
    """Return bf16 and fp16 as fp32, in which statistics are computed."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


class _Normalise(torch.autograd.Function):
    """(x - mean) / deviation * weight + bias, where mean and variance depend on the x of all ranks."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: float,
        eps: float,
    ) -> Tensor:
        """Return the scaled features."""
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(features, weight, mean, inverse)
        ctx.count = count
        return batch_norm(features, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; those of weight and bias are this rank's own, which DDP averages.

        Source: S. Ioffe and C. Szegedy, "Batch Normalization", 2015, section 3, with sums over all ranks.
        """
        features, weight, mean, inverse = ctx.saved_tensors
        shape = (1, -1, 1, 1)
        slope, centred = _widen(gradient), _widen(features) - mean.view(shape)
        of_bias, of_weight = slope.sum(_PLACES), (slope * centred).sum(_PLACES) * inverse
        sums = torch.stack([of_bias, of_weight])
        dist.all_reduce(sums)
        along, across = sums / ctx.count
        slope = slope - along.view(shape) - centred * (inverse * across).view(shape)
        of_features = (slope * (inverse * weight).view(shape)).to(features.dtype)
        return of_features, of_weight, of_bias, None, None, None, None
