from __future__ import annotations

import json
import math

import numpy as np
import pytest

from schema import HistogramSeries, HistogramsReply
from views import artifact_source
from views.histograms import choose_rows, on_one_scale
from views.run.histograms import nonfinite_text
from views.run.media_charts import heat_map_figure, ridges_figure


def test_counts_of_steps_with_other_bins_are_spread_over_common_ones() -> None:
    spread = on_one_scale([[0, 1, 2], [0, 4]], [[30, 10], [8]], bins=4)
    assert spread is not None
    low, high = spread.edges[0], spread.edges[-1]
    # All but the last two thousandths of the widest step.
    assert (low, high) == (pytest.approx(0.0, abs=0.002), pytest.approx(4.0, abs=0.003))
    assert spread.shares[0] == pytest.approx([0.75, 0.25, 0, 0], abs=0.002)
    assert spread.shares[1] == pytest.approx([0.25] * 4, abs=0.002)


def test_nothing_is_lost_but_the_tails() -> None:
    generator = np.random.default_rng(0)
    edges, counts = [], []
    for width in (0.1, 1.0, 3.0):
        tallies, own = np.histogram(generator.normal(0, width, 10_000), bins=64)
        edges.append([float(edge) for edge in own])
        counts.append([int(count) for count in tallies])
    spread = on_one_scale(edges, counts)
    assert spread is not None
    assert spread.shares.sum(axis=1) == pytest.approx([1, 1, 1], abs=0.0011)
    # The middle of each is where it was.
    assert spread.shares @ spread.centres == pytest.approx([0, 0, 0], abs=0.1)


def test_a_step_without_a_finite_value_is_a_gap_and_without_any_there_is_nothing() -> None:
    spread = on_one_scale([[0, 1], [0, 1]], [[0], [5]], bins=3)
    assert spread is not None
    assert np.isnan(spread.shares[0]).all()
    assert spread.shares[1].sum() == pytest.approx(1, abs=0.002)
    assert on_one_scale([[0, 1]], [[0]]) is None
    assert on_one_scale([], []) is None


@pytest.mark.parametrize(
    "edges", [[1.0, math.nextafter(1.0, 2.0)], [-1.7e308, 1.7e308], [0.0, 5e-324]], ids=str
)
def test_extreme_bins_are_drawn_without_a_warning(edges: list[float]) -> None:
    spread = on_one_scale([edges], [[7]])
    assert spread is not None
    assert np.isfinite(spread.edges).all()
    assert np.isfinite(spread.shares).all()
    assert json.loads(ridges_figure("run", "w", [0], spread))["data"]


def test_of_many_steps_some_are_drawn_as_ridges_with_the_first_and_the_newest() -> None:
    assert choose_rows(3, 24) == [0, 1, 2]
    assert choose_rows(300, 3) == [0, 150, 299]
    assert choose_rows(0, 24) == []
    spread = on_one_scale([[0, 1, 2]] * 300, [[1, 2]] * 300)
    assert spread is not None
    figure = json.loads(ridges_figure("run", "weights", list(range(300)), spread))
    assert len(figure["data"]) == 2 * 24
    assert figure["layout"]["yaxis"]["ticktext"][0] == "0"
    assert figure["layout"]["yaxis"]["ticktext"][-1] == "299"
    # The newest in front: it is drawn last, at the bottom.
    assert figure["data"][-1]["y"][0] < figure["data"][1]["y"][0]


def test_a_heat_map_has_a_column_for_each_step() -> None:
    spread = on_one_scale([[0, 1], [0, 1]], [[0], [5]])
    assert spread is not None
    trace = heat_map_figure("run", "weights", [10, 20], spread).data[0]
    assert list(trace.x) == ["10", "20"]
    assert trace.z.shape == (72, 2)


class Server:
    """The route of a histogram that has so many steps; asked: behind which number it was asked."""

    def __init__(self) -> None:
        self.came = 0
        self.asked: list[int] = []

    def read_histograms(self, _iid: str, names: list[str], *, after: int) -> HistogramsReply:
        self.asked.append(after)
        numbers = list(range(after + 1, self.came + 1))
        count = len(numbers)
        series = HistogramSeries(
            steps=numbers,
            times=[0.0] * count,
            edges=[[0, 1]] * count,
            counts=[[1]] * count,
            nonfinite=[0] * count,
            numbers=numbers,
            stride=1,
        )
        return HistogramsReply(histograms={names[0]: series})


def test_only_steps_that_are_new_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(artifact_source, "api", lambda: server)
    # As the page is told: the last one is another run's under the same name.
    for server.came in (3, 3, 4, 250, 2):
        found = artifact_source.read_histogram("a" * 32, "weights", server.came)
        assert found is not None
        assert found.steps == list(range(1, server.came + 1))
    assert server.asked == [0, 3, 4, 0]


def test_values_that_are_no_numbers_are_said() -> None:
    def series(*nonfinite: int) -> HistogramSeries:
        count = len(nonfinite)
        return HistogramSeries(
            steps=[10 * place for place in range(count)],
            times=[0.0] * count,
            edges=[[0, 1]] * count,
            counts=[[1]] * count,
            nonfinite=list(nonfinite),
            numbers=list(range(1, count + 1)),
            stride=1,
        )

    assert nonfinite_text({"a": series(0, 0)}) == ""
    assert nonfinite_text({"a": series(0, 3), "b": series(1, 2000)}) == (
        "Values that are NaN or infinite are left out: a (at step 10, up to 3 values), "
        "b (at 2 steps, first at 0, up to 2\u2009000 values)."
    )
