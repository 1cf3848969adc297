"""Notes in Markdown: what may stand in them, and what others might try."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from views.markdown import is_safe_link, to_html

ELEMENTS = {
    *("div", "p", "h4", "h5", "h6", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"),
    *("br", "hr", "table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {"class", "href", "target", "rel", "start", "style", "title"}


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: dict[str, str] = {}
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name: value or "" for name, value in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data


def check(page: str) -> Seen:
    seen = Seen(page)
    assert seen.elements <= ELEMENTS
    assert set(seen.attributes) <= ATTRIBUTES
    assert all(map(is_safe_link, seen.links))
    return seen


NASTY = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick='x'>b</b> &lt;script&gt;",
    "<style>body{background:url(http://evil)}</style>",
    "<iframe src='http://evil'></iframe>\n\n<svg/onload=alert(1)>",
    "![a](http://evil/a.png)",
    "![a](javascript:alert(1))",
    "![<script>](data:image/svg+xml,<svg onload=alert(1)>)",
    "[![a](http://evil/a.png)](javascript:alert(1))",
    "[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](java\tscript:alert(1))",
    "[a](&#106;avascript:alert(1))",
    "[a](data:text/html,<script>) [b](vbscript:x) [c](file:///etc/passwd) <javascript:alert(1)>",
    "[a](intent://x) [b](//evil) [c](/logout) ![d](blob:x) [e](https://fine)",
    "[a][1]\n\n[1]: javascript:alert(1) 'x'",
    '[a](http://x "\\"onmouseover=alert(1)")',
    '<http://x/"onmouseover="alert(1)>',
    '```"><script>\n</code></pre><script>\n```',
    "`</code><script>`",
    "| a |\n|:-:|\n| <script> |",
    "# <script>\n\nb\n=",
)


@pytest.mark.parametrize("text", NASTY)
def test_nothing_nasty_comes_through(text: str) -> None:
    check(to_html(text))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([*NASTY, "[", "](", "!", "*", "`", "\n", " ", ">", "http://x", '"']), max_size=9)
)
def test_nothing_nasty_comes_through_in_any_order(parts: list[str]) -> None:
    check(to_html("".join(parts)))


def test_a_picture_is_a_link_to_it_and_is_not_loaded() -> None:
    seen = check(to_html("![the *curve*](https://example.org/a.png)"))
    assert "img" not in seen.elements
    assert seen.attributes["href"] == "https://example.org/a.png"
    assert seen.text.strip() == "the curve"


def test_what_is_markdown_is_shown_as_such() -> None:
    text = (
        "# Head\n\n**b** *i* ~~s~~ `c` [l](https://x.org)\n\n- one\n- two\n\n| a | b |\n|---|--:|\n| 1 | 2 |"
    )
    page = to_html(text)
    for part in (
        "<h4>Head</h4>",
        "<strong>b</strong>",
        "<s>s</s>",
        "<code>c</code>",
        "<li>one</li>",
        "<td>1</td>",
    ):
        assert part in page
    assert 'href="https://x.org" target="_blank" rel="noopener noreferrer nofollow"' in page


def test_directives_of_the_page_mean_nothing_in_a_note() -> None:
    text = ":material/delete: :smile: $x^2$ :red[no] -> 32x32"
    assert Seen(to_html(text)).text.strip() == text


@pytest.mark.parametrize("url", ["", "/x", "//evil", "x", "javascript:1", " javascript:1", "about:x"])
def test_only_links_whose_end_is_known_are_links(url: str) -> None:
    assert not is_safe_link(url)
    assert is_safe_link("HTTPS://x")
    assert is_safe_link("mailto:a@b")
