"""Which metrics are one chart."""

from __future__ import annotations

import math

import plotly.graph_objects as go

from schema import Series
from views.charts import metric_figure
from views.run.metrics import gaps_text, group_names


def test_the_splits_of_a_figure_are_one_chart() -> None:
    names = ["loss", "train_loss", "val/loss", "validation.accuracy", "accuracy_test", "test", "lr"]
    assert group_names(names) == {
        "accuracy": ["accuracy_test", "validation.accuracy"],
        "loss": ["loss", "train_loss", "val/loss"],
        "lr": ["lr"],
        "test": ["test"],
    }


def test_what_the_machine_does_comes_last() -> None:
    assert list(group_names(["system/cpu", "zeta", "alpha"])) == ["alpha", "zeta", "system/cpu"]


def series(*values: float) -> Series:
    steps = list(range(len(values)))
    return Series(
        steps=steps, values=list(values), times=[0.0] * len(values), total=len(values), is_downsampled=False
    )


def test_a_value_that_is_not_a_number_is_a_gap_and_said() -> None:
    own = {"loss": series(1.0, math.nan, math.inf, 2.0), "val_loss": series(3.0)}
    figure: go.Figure = metric_figure("r1", "loss", own)
    assert figure.data[0].y == (1.0, None, None, 2.0)
    assert figure.data[0].connectgaps is False
    assert [trace.name for trace in figure.data] == ["loss", "val_loss"]
    assert gaps_text(own) == "Gaps are values that are NaN or infinite: loss (2)."
    assert gaps_text({"val_loss": series(3.0)}) == ""


def test_a_name_that_is_longer_than_the_chart_is_cut_in_its_titles() -> None:
    figure = metric_figure("r1", "a_name_" * 20, {"loss": series(1.0)})
    title, axis = figure.layout.title.text, figure.layout.yaxis.title.text
    assert title.startswith(axis.removesuffix("…"))
    assert len(axis) < len(title) <= 48
    assert title.endswith("…")
