"""The optimizers by name."""

from __future__ import annotations

from torch import nn, optim

from trainers.params import CnnHyperParams


def build_optimizer(network: nn.Module, hyper_params: CnnHyperParams) -> optim.Optimizer:
    """Return a fresh optimizer of all the network's parameters, fused where torch has that."""
    parameters = network.parameters()
    rate, decay, momentum = hyper_params.learning_rate, hyper_params.weight_decay, hyper_params.momentum
    match hyper_params.optimizer:
        case "adam":
            return optim.Adam(parameters, lr=rate, weight_decay=decay, fused=True)
        case "adamw":
            return optim.AdamW(parameters, lr=rate, weight_decay=decay, fused=True)
        case "sgd":
            # torch refuses Nesterov without momentum, where it would mean nothing.
            nesterov = hyper_params.nesterov and momentum > 0
            return optim.SGD(
                parameters, lr=rate, weight_decay=decay, momentum=momentum, nesterov=nesterov, fused=True
            )
        case "rmsprop":
            return optim.RMSprop(parameters, lr=rate, weight_decay=decay)
