"""A training's report for people, as Markdown or HTML, with plots."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC
from html import escape
from pathlib import Path

from carbon_aware_trainer.equivalents import equivalents_of
from carbon_aware_trainer.errors import CarbonError
from carbon_aware_trainer.monitoring.collector import EpochSummary, MetricsCollector, SessionSummary
from carbon_aware_trainer.monitoring.plots import Plot, to_svg
from carbon_aware_trainer.plans import Decision

_UNKNOWN = "unknown"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#1e293b}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.25rem .75rem;text-align:left;border-bottom:1px solid #e2e8f0}"
    ".wide{overflow-x:auto}svg{width:100%;height:auto}"
)


def write_report(
    path: str | Path,
    collector: MetricsCollector,
    decisions: Sequence[Decision] = (),
    *,
    title: str = "Carbon report",
) -> Path:
    """Write a report by the ending of its name: .html is one file, .md has its plots as SVG beside it.

    Raises CarbonError for another ending or a place that cannot be written.
    """
    path, session, epochs = Path(path), collector.session(), collector.epochs
    plots = plots_of(epochs, decisions)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".html", ".htm"):
            text = _html(title, session, epochs, plots)
        elif path.suffix.lower() == ".md":
            text = _markdown(title, session, epochs, _save(plots, path))
        else:
            raise CarbonError(f"{path.name} has no known ending. Use .html or .md.")
        path.write_text(text, encoding="utf-8")
    except OSError as err:
        raise CarbonError(f"{path} cannot be written: {err.strerror}. Choose another place.") from err
    return path


def plots_of(epochs: Sequence[EpochSummary], decisions: Sequence[Decision]) -> list[Plot]:
    """Return the plots of a report: intensity and pauses, and what each epoch emitted and achieved."""
    ends = (f"epoch {epochs[0].epoch}", f"epoch {epochs[-1].epoch}") if epochs else ("", "")
    co2 = [(float(each.epoch), each.co2_g) for each in epochs if each.co2_g is not None]
    losses = [(float(each.epoch), each.train_loss) for each in epochs if each.train_loss is not None]
    return [
        _intensities(decisions),
        Plot("CO₂ of each epoch", "g", co2, ends, is_bars=True),
        Plot("Training loss", "", losses, ends),
    ]


def _intensities(decisions: Sequence[Decision]) -> Plot:
    known = [(each.at.timestamp(), each.g_per_kwh) for each in decisions if each.g_per_kwh is not None]
    pauses = [
        (one.at.timestamp(), following.at.timestamp())
        for one, following in itertools.pairwise(decisions)
        if one.action == "wait"
    ]
    ends = (decisions[0].at, decisions[-1].at) if decisions else ()
    labels = [f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" for at in ends] or ["", ""]
    return Plot(
        "Carbon intensity, pauses shaded", "g/kWh", known, (labels[0], labels[1]), pauses, is_stepped=True
    )


def _facts(session: SessionSummary) -> list[tuple[str, str]]:
    share = (
        f" ({session.saved_g / session.run_now_co2_g:.1%})"
        if session.saved_g is not None and session.run_now_co2_g
        else ""
    )
    facts = [
        ("From", session.started_at),
        ("To", session.ended_at),
        (
            "Energy",
            _amount(session.energy_kwh, "kWh")
            + _note(session.energy_quality)
            + _without(session.energy_kwh, session.unknown_energy_s),
        ),
        ("CO₂ equivalent", _amount(session.co2_g, "g") + _without(session.co2_g, session.unknown_co2_s)),
        ("Had it never waited", _amount(session.run_now_co2_g, "g")),
        ("Saved, realised", _amount(session.saved_g, "g") + share),
        ("Mean intensity", _amount(session.g_per_kwh, "g/kWh")),
        ("Grid", f"{session.region}, {session.provider}, {session.basis}"),
        ("Running", f"{session.running_s / 3600:.2f} h, {session.steps} steps, {session.epochs} epochs"),
        ("Paused", f"{session.paused_s / 3600:.2f} h in {session.pauses} pauses"),
        ("Best validation loss", _amount(session.best_val_loss, "")),
        ("Best validation accuracy", _amount(session.best_val_accuracy, "")),
    ]
    facts += [
        (each.name.capitalize(), f"{each.amount:.3g} {each.unit}") for each in equivalents_of(session.co2_g)
    ]
    return facts + ([("Why something is unknown", session.reason)] if session.reason else [])


_HEAD = (
    "Epoch",
    "Loss",
    "Validation loss",
    "Accuracy",
    "Running, s",
    "Paused, s",
    "Energy, Wh",
    "CO₂, g",
    "Saved, g",
)


def _rows(epochs: Sequence[EpochSummary]) -> list[tuple[str, ...]]:
    return [
        (
            str(each.epoch),
            *(_number(value) for value in (each.train_loss, each.val_loss, each.val_accuracy)),
            f"{each.running_s:.1f}",
            f"{each.paused_s:.1f}",
            _number(None if each.energy_kwh is None else each.energy_kwh * 1000),
            _number(each.co2_g),
            _number(each.saved_g),
        )
        for each in epochs
    ]


def _markdown(
    title: str, session: SessionSummary, epochs: Sequence[EpochSummary], images: Sequence[tuple[str, str]]
) -> str:
    parts = [f"# {title}", _md_table(("", ""), _facts(session)), "## Epochs", _md_table(_HEAD, _rows(epochs))]
    parts += ["## Plots", *(f"![{name}]({file})" for name, file in images)]
    return "\n\n".join(parts) + "\n"


def _md_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _html(title: str, session: SessionSummary, epochs: Sequence[EpochSummary], plots: Sequence[Plot]) -> str:
    facts = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(session)
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEAD)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in _rows(epochs)
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(title)}</h1><table>{facts}</table><h2>Plots</h2>{''.join(map(to_svg, plots))}"
        f'<h2>Epochs</h2><div class="wide"><table><tr>{head}</tr>{rows}</table></div></body></html>\n'
    )


def _save(plots: Sequence[Plot], path: Path) -> list[tuple[str, str]]:
    """Write the plots beside a report; return their titles and file names."""
    named = [(plot.title, f"{path.stem}-{i}.svg") for i, plot in enumerate(plots, start=1)]
    for plot, (_, name) in zip(plots, named, strict=True):
        path.with_name(name).write_text(to_svg(plot), encoding="utf-8")
    return named


def _amount(value: float | None, unit: str) -> str:
    return _UNKNOWN if value is None else f"{value:.4g} {unit}".rstrip()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _without(known: float | None, unknown_s: float) -> str:
    return "" if known is None or not unknown_s else f", without {unknown_s / 3600:.2f} h that are unknown"


def _note(quality: str | None) -> str:
    return "" if quality is None else f", {quality}"
