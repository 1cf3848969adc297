"""A report as Markdown."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from api.report.charts import draw
from api.report.parts import Block, Chart, Code, Report, Table, Text

_SPECIAL: Final = re.compile(r"([\\`*_\[\]<>!|~&$])")
# What would begin a heading, a list, a quote or a line below a heading.
_BEGINNING: Final = re.compile(r"^(\d*)([#+\-=.)])")


def write_markdown(report: Report) -> str:
    """Return the report; its charts are pictures within it, defined at the end."""
    charts: list[Chart] = []
    lines = [f"# {plain(report.title)}", "", plain(report.summary), ""]
    for section in report.sections:
        lines += [f"## {plain(section.title)}", ""]
        for block in section.blocks:
            lines += [*_write(block, charts), ""]
    lines += [f"[chart-{place}]: {_data_url(chart)}" for place, chart in enumerate(charts, start=1)]
    return "\n".join(lines).rstrip() + "\n"


def plain(text: str) -> str:
    """Escape what a paragraph could do in Markdown, and keep it on one line."""
    return _BEGINNING.sub(r"\1\\\2", _cell(text))


def _cell(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _write(block: Block, charts: list[Chart]) -> Iterator[str]:
    match block:
        case Text(text):
            yield plain(text)
        case Code(caption, text):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            yield from (plain(caption), "", fence, *text.splitlines(), fence)
        case Table(columns, rows, numbers):
            yield f"| {' | '.join(map(_cell, columns))} |"
            yield f"|{'|'.join('---:' if place in numbers else '---' for place in range(len(columns)))}|"
            yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
        case Chart(title):
            charts.append(block)
            yield f"![{plain(title)}][chart-{len(charts)}]"


def _data_url(chart: Chart) -> str:
    picture = base64.b64encode(draw(chart, is_alone=True).encode()).decode()
    return f"data:image/svg+xml;base64,{picture}"
