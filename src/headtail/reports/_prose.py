"""The small subset of Markdown that prose in a report may use."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

RULES = ("list", "fence", "emphasis", "backticks", "link", "escape", "newline", "entity")


@lru_cache(maxsize=1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    # Raw HTML stays text, and pictures are left out, since they would have to be fetched.
    return MarkdownIt("zero", {"html": False}).enable(list(RULES))


def to_html(markdown: str) -> str:
    """Return paragraphs and lists as HTML, everything else escaped."""
    return str(_parser().render(markdown)).strip()


def to_inline_html(markdown: str) -> str:
    """Return a single line as HTML without a paragraph around it."""
    return str(_parser().renderInline(markdown)).strip()


def tokens(markdown: str) -> "list[Token]":
    """Return the parsed blocks."""
    return _parser().parse(markdown)


def inline_tokens(markdown: str) -> "list[Token]":
    """Return the parsed spans of a single line."""
    return [child for token in _parser().parseInline(markdown) for child in token.children or []]
