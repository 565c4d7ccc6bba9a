"""The small subset of Markdown that prose in a report may use."""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from headtail._printable import printable

RULES = ("list", "fence", "emphasis", "backticks", "link", "escape", "newline", "entity")

# Raw HTML stays text, and pictures are left out, since they would have to be fetched.
_PARSER = MarkdownIt("zero", {"html": False}).enable(list(RULES))


def _text(_: Any, tokens: Sequence[Token], at: int, *__: Any) -> str:
    """Write the sign of numbers as typography does, but in code."""
    return escape(re.sub(r"(?<![\w-])-(?=\d)", "−", tokens[at].content))


_PARSER.add_render_rule("text", _text)


def _shown(markdown: str) -> str:
    return "\n".join(map(printable, markdown.split("\n")))


def to_html(markdown: str) -> str:
    """Return paragraphs and lists as HTML, everything else escaped."""
    return str(_PARSER.render(_shown(markdown))).strip()


def to_inline_html(markdown: str) -> str:
    """Return a single line as HTML without a paragraph around it."""
    return str(_PARSER.renderInline(printable(markdown))).strip()


def tokens(markdown: str) -> list[Token]:
    """Return the parsed blocks."""
    return _PARSER.parse(_shown(markdown))


def inline_tokens(markdown: str) -> list[Token]:
    """Return the parsed spans of a single line."""
    return [child for token in _PARSER.parseInline(markdown) for child in token.children or []]
