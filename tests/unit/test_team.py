"""What each rank takes of the work, and that the parts make up the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.unit.test_loop import make_data, params, start
from trainers.augmentation import Draw, draw
from trainers.data import Split
from trainers.params import CnnHyperParams
from trainers.team import ALONE, Alone, take_part, take_share
from trainers.training import Training


class Member(Alone):
    """One of several ranks that cannot hear the others: it takes its share and adds nothing up."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def share(self, drawn: Draw) -> Draw:
        return take_share(drawn, self.rank, self.size)

    def part(self, split: Split) -> Split:
        return take_part(split, self.rank, self.size)


def members(size: int) -> list[Member]:
    return [Member(rank, size) for rank in range(size)]


@pytest.mark.parametrize(("count", "size"), [(16, 2), (7, 2), (7, 3), (2, 4), (1, 2)])
def test_the_shares_of_a_batch_are_the_batch(count: int, size: int) -> None:
    drawn = draw("crop_flip_cutout", count=count, side=8, generator=torch.Generator())
    shares = [member.share(drawn) for member in members(size)]
    assert sorted(place for share in shares for place in share.order.tolist()) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert drawn.hole_left is not None
    for rank, share in enumerate(shares):
        assert share.hole_left is not None
        assert torch.equal(share.hole_left, drawn.hole_left[rank::size])


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_the_parts_of_a_split_are_the_split(size: int) -> None:
    split = make_data(1).test
    parts: list[Split] = [member.part(split) for member in members(size)]
    labels = [labels for part in parts for _, labels in part.load_all(7)]
    images = [images for part in parts for images, _ in part.load_all(7)]
    ((whole_images, whole_labels),) = split.load_all(1000)
    assert torch.equal(torch.cat(labels), whole_labels)
    assert torch.equal(torch.cat(images), whole_images)
    assert all(batch.is_contiguous(memory_format=torch.channels_last) for batch in images)


def gradients(training: Training, batch: int) -> list[Tensor]:
    """What the training's share of a batch adds to the gradient: plain SGD with rate 1 takes it as it is."""
    before = [value.detach().clone() for value in training.network.parameters()]
    for _ in range(batch):  # skip those before
        next(training._loading)
    training.batch = batch
    training.learn_batch()
    after = training.network.parameters()
    return [old - new.detach() for old, new in zip(before, after, strict=True)]


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("batch", [0, 1], ids=["full", "rest of two images"])
def test_the_mean_of_the_ranks_gradients_is_the_gradient_of_the_batch(
    size: int, label_smoothing: float, batch: int
) -> None:
    hyper_params = params(
        optimizer="sgd", momentum=0.0, learning_rate=1.0, label_smoothing=label_smoothing, batch_size=16
    )
    data = make_data(18)
    alone = Training(start(), data, hyper_params, ALONE)
    whole = gradients(alone, batch)
    ranks = [Training(start(), data, hyper_params, member) for member in members(size)]
    shares = [gradients(rank, batch) for rank in ranks]
    for expected, *parts in zip(whole, *shares, strict=True):
        torch.testing.assert_close(torch.stack(parts).mean(0), expected, rtol=1e-4, atol=1e-6)
    figures = torch.stack([rank.capture().figures for rank in ranks]).sum(0)
    torch.testing.assert_close(figures, alone.capture().figures, rtol=1e-5, atol=1e-6)


def test_every_rank_drops_other_features_and_draws_the_same_images() -> None:
    one, other = (Training(start(), make_data(40), params(), member).capture() for member in members(2))
    assert torch.equal(one.shuffle, other.shuffle)
    assert not torch.equal(one.torch_rng, other.torch_rng)


def test_the_first_rank_draws_as_a_process_that_is_alone() -> None:
    alone = Training(start(), make_data(40), params()).capture()
    first = Training(start(), make_data(40), params(), Member(0, 2)).capture()
    assert torch.equal(alone.torch_rng, first.torch_rng)


def test_a_rank_that_the_state_does_not_know_draws_as_in_a_fresh_training() -> None:
    data = make_data(40)
    state = Training(start(), data, params()).capture()
    second = Training(start(), data, params(), Member(1, 2))
    fresh = second.capture().torch_rng
    second.restore(state)
    assert torch.equal(second.capture().torch_rng, fresh)


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 4, "gpus": 8}, {"gpus": 2, "compile": "default"}, {"gpus": 0}, {"gpus": 65}]
)
def test_gpus_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="gpus"):
        CnnHyperParams.model_validate(wrong)


def test_each_of_the_gpus_may_have_a_single_image() -> None:
    assert CnnHyperParams.model_validate({"batch_size": 8, "gpus": 8}).gpus == 8


def test_a_share_of_nothing_is_empty() -> None:
    assert len(Member(1, 2).share(Draw(torch.arange(1)))) == 0
