"""Reports: a small document model, and its renderers to HTML, Markdown, JSON, the terminal and notebooks.

A :class:`Report` is a tree of blocks (:class:`Text`, :class:`Figures`, :class:`Table`, :class:`Chart` and
:class:`Section`) that says what is shown and not how. :class:`Result` is the mixin of everything that headtail shows
to a user.
"""

from headtail.reports.blocks import Block, Chart, Column, Figure, Figures, Section, Table, Text
from headtail.reports.report import Report, Result, chart_svg

__all__ = ["Block", "Chart", "Column", "Figure", "Figures", "Report", "Result", "Section", "Table", "Text", "chart_svg"]
