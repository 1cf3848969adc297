"""A report as one HTML file: no script, no request, both themes, ready for paper."""

from __future__ import annotations

from html import escape
from typing import Final

from api.report.charts import draw
from api.report.parts import Block, Chart, Code, Report, Section, Table, Text

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE: Final = """
:root { color-scheme: light dark; --ground: #fcfcfb; --text: #1d2126; --quiet: #5b626c; --line: #dcdfe3; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1114; --text: #e6e8eb; --quiet: #a2a9b4; --line: #31363d; }
}
body { background: var(--ground); color: var(--text); max-width: 60rem; margin: 0 auto;
  padding: 2rem 1rem 4rem;
  font: 16px/1.5 system-ui, sans-serif; font-variant-ligatures: no-contextual; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .5rem 0; overflow-wrap: anywhere; white-space: pre-line; }
.summary, figcaption { color: var(--quiet); }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
figure { margin: .75rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
td:first-child:not(.number) { min-width: min(12.5rem, 35vw); }
.number { text-align: right; white-space: nowrap; }
pre { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
svg { width: 100%; height: auto; }
@media (max-width: 640px) { svg { font-size: 16px; } }
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid-page; } }
"""


def write_html(report: Report) -> str:
    """Return the report."""
    title = escape(report.title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>{title}</h1><p class="summary">{escape(report.summary)}</p>'
        f"{''.join(map(_section, report.sections))}</main></body></html>\n"
    )


def _section(section: Section) -> str:
    charts = [draw(block) for block in section.blocks if isinstance(block, Chart)]
    pictures = f'<div class="charts">{"".join(charts)}</div>' if charts else ""
    others = (_block(block) for block in section.blocks if not isinstance(block, Chart))
    return f"<section><h2>{escape(section.title)}</h2>{pictures}{''.join(others)}</section>"


def _block(block: Block) -> str:
    match block:
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Code(caption, text):
            return f"<figure><figcaption>{escape(caption)}</figcaption><pre>{escape(text)}</pre></figure>"
        case Table():
            return _table(block)
    raise AssertionError(f"a {type(block).__name__} stands among the charts")


def _table(table: Table) -> str:
    head = "".join(_cell("th", place, text, table) for place, text in enumerate(table.columns))
    rows = (
        f"<tr>{''.join(_cell('td', place, text, table) for place, text in enumerate(row))}</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _cell(tag: str, place: int, text: str, table: Table) -> str:
    kind = ' class="number"' if place in table.numbers else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
