"""Notes in Markdown as HTML of our own: it runs nothing, loads nothing and leads nowhere odd."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ALLOWED: Final = ("http:", "https:", "mailto:")
# Below the headings of the page, of which a note is a part.
_FIRST_LEVEL: Final = 4
_LAST_LEVEL: Final = 6
_PARSER: Final = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False}).enable(
    ["table", "strikethrough"]
)


def to_html(text: str) -> str:
    """Turn the Markdown of a note into HTML.

    HTML in it is shown as it was written, pictures become links, and links lead to http, https and mailto or
    are text. Nothing else has a meaning: no icons, formulas or colours.
    """
    tokens = [_lowered(token) for token in _PARSER.parse(text)]
    for token in tokens:
        if token.children is not None:
            token.children = list(_safe(token.children))
    inner = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return f'<div class="note-text">{inner}</div>'


def is_safe_link(url: str) -> bool:
    """Tell whether a link may be one; without a scheme it is not known where it leads."""
    # Browsers leave these out before they look for the scheme.
    scheme = _SCHEME.match(re.sub(r"[\x00-\x20]", "", url))
    return scheme is not None and scheme[0].lower() in _ALLOWED


def _lowered(token: Token) -> Token:
    if token.type in ("heading_open", "heading_close"):
        level = min(int(token.tag[1]) + _FIRST_LEVEL - 1, _LAST_LEVEL)
        token.tag = f"h{level}"
    return token


def _safe(tokens: Iterable[Token]) -> Sequence[Token]:
    """Return the tokens of a line without pictures and without links that are none."""
    safe: list[Token] = []
    links: list[bool] = []
    for token in tokens:
        if token.type == "link_open":
            links.append(is_safe_link(str(token.attrs.get("href", ""))))
            if links[-1]:
                safe.append(_link(str(token.attrs["href"])))
        elif token.type == "link_close":
            if links.pop():
                safe.append(token)
        elif token.type == "image":
            safe += _in_place_of(token, is_within_link=any(links))
        else:
            safe.append(token)
    return safe


def _in_place_of(image: Token, *, is_within_link: bool) -> Sequence[Token]:
    """Return the words of a picture, which lead to it where they may."""
    alternative = "".join(child.content for child in image.children or ())
    words = Token("text", "", 0, content=alternative.strip() or "picture")
    url = str(image.attrs.get("src", ""))
    if is_within_link or not is_safe_link(url):
        return [words]
    return [_link(url), words, Token("link_close", "a", -1)]


def _link(url: str) -> Token:
    attributes: dict[str, str | int | float] = {
        "href": url,
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }
    return Token("link_open", "a", 1, attrs=attributes)
