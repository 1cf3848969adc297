"""A call of a network that is watched leaves nothing behind: no weight, sample, mark or hook has changed."""

from __future__ import annotations

import copy
import io
from typing import Any, Self

import pytest
import torch
from torch import nn

from training_monitor.media.graphs import draw


class Merging(nn.Linear):
    """As layers of LoRA do: in evaluation the weights are merged."""

    def train(self, mode: bool = True) -> Self:
        self.weight.data += 1.0 if mode else -1.0
        return super().train(mode)


def test_layers_that_change_their_weights_for_evaluation_are_left_as_they_are() -> None:
    merging = Merging(4, 4)
    network = nn.Sequential(merging, nn.Dropout(1.0))
    before = merging.weight.clone()
    drawn = draw(network, torch.ones(1, 4))
    assert drawn.reason == ""
    assert torch.equal(merging.weight, before)
    assert [part.training for part in network.modules()] == [True] * 3


@pytest.mark.parametrize("as_numpy", [False, True])
def test_a_layer_that_works_in_place_leaves_the_sample_as_it_is(as_numpy: bool) -> None:
    sample = torch.full((2, 4), -1.0)
    draw(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), sample.numpy() if as_numpy else sample)
    assert torch.equal(sample, torch.full((2, 4), -1.0))


class Position(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(4))

    def forward(self) -> torch.Tensor:
        return self.place


class Remembering(nn.Module):
    """Keeps what it saw in a buffer and in a plain attribute, and gives a parameter away."""

    def __init__(self) -> None:
        super().__init__()
        self.position, self.head = Position(), nn.Linear(4, 2)
        self.register_buffer("seen", torch.zeros(2, 4))
        self.last: Any = None

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.seen.copy_(values)  # type: ignore[operator]
        self.last = values + self.position()
        return torch.as_tensor(self.head(self.last))


def test_no_mark_is_left_on_what_the_network_keeps() -> None:
    network = Remembering()
    graph = draw(network, torch.ones(2, 4))
    assert b'["position","head"]' in graph.data
    assert [vars(tensor) for tensor in (network.position.place, network.seen, network.last)] == [{}] * 3
    copy.deepcopy(network.position)
    saved = io.BytesIO()
    torch.save(network.position.place, saved)
    saved.seek(0)
    assert torch.equal(torch.load(saved, weights_only=True), torch.zeros(4))


class Hookless(nn.Linear):
    def register_forward_hook(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no hooks here")


def test_a_layer_that_takes_no_hook_leaves_none_on_the_others() -> None:
    network = nn.Sequential(nn.Linear(4, 4), Hookless(4, 2))
    assert "no hooks here" in draw(network, torch.ones(1, 4)).reason
    assert not any(part._forward_hooks for part in network.modules())
    assert [part.training for part in network.modules()] == [True] * 3


class NotCalled(nn.Linear):
    """A network whose call would wait for others."""

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        pytest.fail("it is called")


def test_a_network_whose_weights_zero_spreads_is_not_called() -> None:
    network = NotCalled(4, 4)
    network.weight.ds_id = 0  # type: ignore[attr-defined] # as it marks what it spreads
    assert "spread over several processes" in draw(network, torch.ones(1, 4)).reason
