"""Graphs in Graphviz' language: the layers of a network, and which run made which model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Shape = Literal["box", "ellipse"]
# Text, edges, fill and border of nodes, of either theme in .streamlit/config.toml.
_LIGHT: Final = ("#191b1f", "#8a8f98", "#f2f2ee", "#cfcfc8")
_DARK: Final = ("#e8eaed", "#7d838e", "#1d2129", "#3a404b")
_LONGEST_LINE = 34


@dataclass(frozen=True)
class Node:
    """A box of the picture; ``accent`` is the colour of its border, ``link`` where a click leads."""

    node_id: str
    lines: tuple[str, ...]
    accent: str | None = None
    link: str | None = None
    shape: Shape = "box"
    is_here: bool = False


def picture(
    nodes: Sequence[Node],
    edges: Sequence[tuple[str, str]],
    *,
    is_dark: bool,
    direction: Literal["TB", "LR"] = "TB",
) -> str:
    """Write the graph; what others wrote in it is text and nothing else."""
    text, edge, fill, border = _DARK if is_dark else _LIGHT
    names = {node.node_id: f"n{place}" for place, node in enumerate(nodes)}
    lines = [
        f"rankdir={direction}; bgcolor=transparent; pad=0.1; ranksep=0.32; nodesep=0.22;",
        'node [style="filled,rounded", fontname="Helvetica", fontsize=11, margin="0.16,0.08"];',
        f'node [fontcolor="{text}", fillcolor="{fill}", color="{border}"];',
        f'edge [color="{edge}", arrowsize=0.6, penwidth=1];',
    ]
    for node in nodes:
        look = [
            f'label="{_label(node.lines)}"',
            f"shape={node.shape}",
            f"penwidth={2.2 if node.is_here else 1}",
        ]
        look += [f'color="{node.accent}"'] if node.accent else []
        look += [f'URL="{_quoted(node.link)}", target="_self"'] if node.link else []
        lines.append(f"{names[node.node_id]} [{', '.join(look)}];")
    known = [(names[a], names[b]) for a, b in edges if a in names and b in names]
    lines += [f"{start} -> {end};" for start, end in known]
    return "digraph {\n" + "\n".join(lines) + "\n}"


def _label(lines: Sequence[str]) -> str:
    return "\\n".join(_quoted(_short(line)) for line in lines)


def _short(line: str) -> str:
    """Cut a long line in its middle: both ends of a layer's name tell it apart."""
    if len(line) <= _LONGEST_LINE:
        return line
    half = (_LONGEST_LINE - 1) // 2
    return f"{line[:half]}…{line[-half:]}"


def _quoted(text: str) -> str:
    r"""Escape text for a quoted string, in which \N, \G and the like mean something of their own."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return printable.replace("\\", "\\\\").replace('"', '\\"')
