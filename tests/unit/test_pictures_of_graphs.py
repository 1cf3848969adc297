from __future__ import annotations

from itertools import pairwise

import pytest

from schema.artifacts import Graph
from views.run import dot, layers


def graph(*ids: str) -> Graph:
    nodes = [
        {"id": name, "type": "Conv2d", "parameters": 1000, "trainable": 1000, "output_shapes": [[1, 8, None]]}
        for name in ids
    ]
    edges = [list(pair) for pair in pairwise(ids)]
    return Graph.model_validate(
        {
            "format": "wattle-graph/1",
            "framework": "torch",
            "nodes": nodes,
            "edges": edges,
            "parameters": 1000 * len(ids),
            "trainable": 1000 * len(ids),
        }
    )


def test_layers_whose_names_begin_alike_are_one_box() -> None:
    network = graph("stem", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "fc")
    nodes, edges = layers.boxes(network, 1)
    assert [node.node_id for node in nodes] == ["stem", "layer1", "fc"]
    assert nodes[1].lines == ("layer1", "3 layers · 3.00\u00a0K", "1 × 8 × ?")
    assert edges == [("stem", "layer1"), ("layer1", "fc")]
    nodes, edges = layers.boxes(network, 3)
    assert len(nodes) == 5
    assert len(edges) == 4
    assert layers.depths(network) == [1, 2, 3]
    assert layers.good_depth(network) == 3


def test_a_picture_never_has_more_boxes_than_can_be_read() -> None:
    network = graph(*(f"block{number}.layer{part}" for number in range(30) for part in range(6)))
    assert layers.depths(network) == [1], "180 boxes are too many"
    assert layers.good_depth(network) == 1
    assert layers.depths(graph(*(f"layer{number}" for number in range(200)))) == [1]
    assert layers.depths(graph()) == [1]


def test_of_names_with_many_parts_a_picture_goes_to_the_twelfth() -> None:
    network = graph("a." * 100 + "x", "a." * 100 + "y", "b")
    assert layers.depths(network) == list(range(1, 13))
    assert [node.node_id for node in layers.boxes(network, 12)[0]] == [".".join("a" * 12), "b"]


def test_the_table_has_every_layer() -> None:
    rows = layers.rows(graph("stem", "fc"))
    assert rows[1] == {
        "Layer": "fc",
        "Type": "Conv2d",
        "Output shape": "1 × 8 × ?",
        "Parameters": 1000,
        "Trainable": 1000,
    }


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"; bad [label="x', r"a\"; bad [label=\"x"),
        ("back\\N", r"back\\N"),
        ("two\nlines", "two lines"),
        ("<b>html</b>", "<b>html</b>"),
    ],
)
def test_what_others_wrote_stays_text_in_a_picture(text: str, written: str) -> None:
    picture = dot.picture([dot.Node("a", (text,), link=text)], [], is_dark=False)
    assert f'label="{written}"' in picture
    assert f'URL="{written}"' in picture


def test_edges_to_nothing_are_left_out_and_names_are_our_own() -> None:
    nodes = [dot.Node("a-b", ("A",)), dot.Node("c d", ("C",))]
    picture = dot.picture(nodes, [("a-b", "c d"), ("a-b", "gone")], is_dark=True)
    assert "n0 -> n1;" in picture
    assert picture.count("->") == 1
    assert "a-b" not in picture


def test_a_long_name_keeps_both_ends() -> None:
    picture = dot.picture([dot.Node("a", ("layer1." * 10 + "conv1",))], [], is_dark=False)
    assert 'label="layer1.layer1.la…er1.layer1.conv1"' in picture
