"""What the SDK makes of arrays, states and networks."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from torch import nn

from training_monitor.errors import MonitorError
from training_monitor.media import images
from training_monitor.media.checkpoints import read_state, write
from training_monitor.media.graphs import draw
from training_monitor.media.histograms import count
from training_monitor.media.images import to_file, to_pixels
from training_monitor.media.pictures import to_png


def test_a_picture_that_packs_badly_is_made_smaller_before_it_is_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed: list[int] = []

    def count_pixels(image: Any) -> bytes:
        packed.append(image.width * image.height)
        return to_png(image)

    monkeypatch.setattr(images, "to_png", count_pixels)
    noise = np.random.default_rng(0).integers(0, 256, (2_500, 2_600, 3), dtype=np.uint8)
    file = to_file(noise)
    assert Image.open(io.BytesIO(file.data)).size == (1_300, 1_250)
    assert "2600 × 2500 is kept as 1300 × 1250" in file.note
    assert sum(packed) < noise.size / 3 * 0.35


def test_a_large_picture_that_packs_well_is_kept_as_it_is() -> None:
    ramp = np.tile(np.linspace(0, 255, 4_096).astype(np.uint8), (4_096, 1))
    ramp[2_000:2_100] = 255 - ramp[2_000:2_100]
    file = to_file(np.dstack([ramp] * 3))
    assert (Image.open(io.BytesIO(file.data)).size, file.note) == ((4_096, 4_096), "")


def graph_of(model: Any, sample: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(draw(model, sample).data)
    return found


@pytest.mark.parametrize(
    "values",
    [
        np.arange(1_000_000, dtype=np.float32).reshape(1_000, 1_000).T,
        torch.randn(777, dtype=torch.bfloat16),
        torch.randint(-5, 5, (50, 50)),
        np.array([True, False, True]),
        [[1, 2], [3, 4]],
    ],
)
def test_every_value_is_counted_once_between_rising_edges(values: Any) -> None:
    found = count(values)
    array = values.float().numpy() if isinstance(values, torch.Tensor) else np.asarray(values, dtype=float)
    assert sum(found.counts) == array.size
    assert (found.edges[0], found.edges[-1]) == (array.min(), array.max())
    assert found.edges == sorted(set(found.edges))
    assert len(found.counts) == len(found.edges) - 1 == 64


@pytest.mark.parametrize(
    "values",
    [
        [0.0], [3.0, 3.0], [-1e-320, 1e-320], [1.0, math.nextafter(1.0, 2)], [-1.79e308, 1.79e308],
        [math.nan], [math.inf, -math.inf, 1.0], [2**63 - 1, 2**63 - 2], [5e-324],
    ],
)  # fmt: skip
def test_hard_values_have_finite_rising_edges(values: list[float]) -> None:
    found = count(np.array(values, dtype=np.int64 if isinstance(values[0], int) else np.float64))
    finite = sum(map(math.isfinite, values))
    assert (sum(found.counts), found.nonfinite) == (finite, len(values) - finite)
    assert all(map(math.isfinite, found.edges))
    assert all(low < high for low, high in zip(found.edges, found.edges[1:], strict=False))
    assert len(found.counts) == len(found.edges) - 1 >= 1


def test_the_histogram_of_even_values_is_even() -> None:
    assert count(np.arange(1_000), bins=4).counts == [250, 250, 250, 250]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ([[0.0, 1.0], [0.5, float("nan")]], [[0, 255], [127, 0]]),
        ([[0.0, 10.0], [5.0, float("inf")]], [[0, 255], [127, 255]]),
        ([[10, 20], [15, 10]], [[0, 255], [127, 0]]),
        ([[True, False], [False, True]], [[255, 0], [0, 255]]),
        ([[7, 7], [7, 7]], [[0, 0], [0, 0]]),
    ],
)
def test_numbers_become_grey_from_the_lowest_to_the_highest(array: Any, expected: Any) -> None:
    assert to_pixels(np.array(array)).tolist() == expected


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((3, 5, 7), (7, 5)),
        ((5, 7, 3), (7, 5)),
        ((1, 5, 7), (7, 5)),
        ((1, 3, 5, 7), (7, 5)),
        ((5_000, 10), (8, 4_096)),
    ],
)
def test_an_array_is_a_picture_of_its_own_size(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    file = to_file(torch.zeros(shape, dtype=torch.uint8))
    assert (file.content_type, Image.open(io.BytesIO(file.data)).size) == ("image/png", size)


def test_whole_numbers_of_a_colour_picture_are_colours_as_they_are() -> None:
    file = to_file(np.full((2, 2, 3), (10, 20, 200)))
    assert Image.open(io.BytesIO(file.data)).getpixel((0, 0)) == (10, 20, 200)


def test_a_picture_in_a_file_is_sent_as_it_is_or_as_png(tmp_path: Path) -> None:
    picture = Image.new("P", (3, 2), 1)
    picture.save(tmp_path / "a.gif")
    picture.convert("RGB").save(tmp_path / "a.jpg")
    jpeg = to_file(tmp_path / "a.jpg")
    assert (jpeg.content_type, jpeg.data) == ("image/jpeg", (tmp_path / "a.jpg").read_bytes())
    assert to_file(str(tmp_path / "a.gif")).content_type == "image/png"
    assert to_file(picture).content_type == "image/png"


class Block(nn.Module):
    """A residual block, whose activation is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.relu(self.first(images))
        return torch.as_tensor(self.relu(self.second(hidden) + images))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block, self.drop, self.head = Block(), nn.Dropout(), nn.Linear(4, 10)
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.head(self.drop(self.block(images).mean((2, 3)))) * self.scale)


def test_a_graph_follows_functions_between_layers_and_layers_called_twice() -> None:
    graph = graph_of(Network(), torch.zeros(2, 4, 8, 8))
    assert [tuple(edge) for edge in graph["edges"]] == [
        ("input", "block.first"), ("block.first", "block.relu"), ("block.relu", "block.second"),
        ("block.second", "block.relu (2)"), ("input", "block.relu (2)"),
        ("block.relu (2)", "drop"), ("drop", "head"),
    ]  # fmt: skip
    nodes = {node["id"]: node for node in graph["nodes"]}
    assert nodes["head"] == {
        "id": "head", "type": "Linear", "parameters": 50, "trainable": 50, "output_shapes": [[2, 10]],
    }  # fmt: skip
    assert (graph["parameters"], graph["trainable"]) == (2 * 148 + 50 + 1, 2 * 148 + 50)


def test_a_graph_leaves_network_sample_and_chance_as_they_were() -> None:
    network, sample = Network(), torch.zeros(1, 4, 8, 8)
    network.drop.eval()
    modes = [part.training for part in network.modules()]
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    graph_of(network, sample)
    assert torch.equal(torch.rand(1), expected)
    assert [part.training for part in network.modules()] == modes
    assert vars(sample) == {}
    assert not any(part._forward_hooks for part in network.modules())


def test_a_network_that_does_not_take_the_sample_has_its_layers() -> None:
    drawn = draw(Network(), torch.zeros(3))
    graph = json.loads(drawn.data)
    assert "does not take this sample" in drawn.reason
    assert graph["edges"] == []
    assert graph["parameters"] == 347


def test_several_inputs_are_one_input_of_the_graph() -> None:
    graph = graph_of(nn.Bilinear(2, 3, 4), (np.zeros((1, 2), np.float32), torch.zeros(1, 3)))
    assert graph["edges"] == [["input", "Bilinear"]]
    assert graph["nodes"][0]["output_shapes"] == [[1, 2], [1, 3]]


def test_weights_that_two_layers_share_are_counted_once() -> None:
    network = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False))
    network[1].weight = network[0].weight
    assert graph_of(network, torch.zeros(1, 3, dtype=torch.int64))["parameters"] == 40


def test_a_file_of_weights_can_be_read_where_byte_order_or_layout_differ() -> None:
    stream = io.BytesIO()
    state = read_state([np.arange(3, dtype=">f8"), np.arange(6, dtype=np.int16).reshape(2, 3).T])
    write(state, {"format": "pt"}, stream)
    found = load(stream.getvalue())
    assert found["0"].tolist() == [0, 1, 2]
    assert found["1"].tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"w": torch.zeros(1).to_sparse()}, "dense"),
        ({"w": torch.zeros(1, device="meta")}, "shape only"),
        ({"w": torch.zeros(1, dtype=torch.complex64)}, "complex64"),
        ({"w": torch.zeros(1), "x": {1, 2}}, "x is a set"),
        ({"w": torch.zeros(1), (1, 2): 3}, "key"),
    ],
)
def test_a_state_that_cannot_be_kept_is_refused(state: Any, reason: str) -> None:
    with pytest.raises(MonitorError, match=reason):
        read_state(state)


def test_a_state_that_holds_itself_is_refused() -> None:
    state: dict[str, Any] = {"w": torch.zeros(1)}
    state["state"] = state
    with pytest.raises(MonitorError, match="deeply"):
        read_state(state)
