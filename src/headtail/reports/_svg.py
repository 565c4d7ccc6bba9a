"""Charts as SVG, each drawn for a wide and for a narrow space; text has the same size in both."""

import re
from dataclasses import dataclass
from html import escape
from importlib import resources

from headtail.reports._bars import draw_bars
from headtail.reports._lines import draw_lines, draw_points
from headtail.reports._series import PATHS, Style, Styles, series_of
from headtail.reports._vega import Frame, render
from headtail.reports.blocks import Chart

WIDE = Frame(total=920, narrow=False, size=13.0, height=400)
NARROW = Frame(total=360, narrow=True, size=12.5, height=280)


@dataclass(frozen=True)
class Drawing:
    """An SVG element and whether its series are labelled in it, so that it needs no legend."""

    svg: str
    labelled: bool


def draw(chart: Chart, styles: dict[str, Style], frame: Frame) -> Drawing:
    """Draw a chart into a frame."""
    kinds = {"line": draw_lines, "scatter": draw_points, "bar": draw_bars}
    frame, layers, labelled = kinds[chart.kind](chart, styles, frame)
    return Drawing(render(frame, layers), labelled)


_MARGIN = 12
_LINE, _CHARACTER, _KEY = 24, 7.2, 30  # height of a legend's line, width of a letter and of a key with its gaps


def standalone(chart: Chart) -> str:
    """Return a picture that stands alone, in the colors of a light page, with a legend where the series need one."""
    names = series_of(chart)
    styles = Styles([chart]).of(names)
    drawing = draw(chart, styles, WIDE)
    lines = [] if drawing.labelled or len(names) < 2 else _legend(chart.kind, styles)
    found = re.match(r'<svg [^>]*viewBox="0 0 (\S+) (\S+)"[^>]*>', drawing.svg)
    assert found is not None
    width, height = float(found[1]), float(found[2])
    top = _LINE * len(lines)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-_MARGIN} {-top} {width + 2 * _MARGIN:g} {height + top:g}" '
        f'width="{width + 2 * _MARGIN:g}" height="{height + top:g}" font-family="sans-serif">'
        "<style>text { paint-order: stroke; stroke-linejoin: round; font-variant-numeric: tabular-nums; }</style>"
        f'<rect x="{-_MARGIN}" y="{-top}" width="100%" height="100%" fill="var(--ht-surface)"/>'
        f"{''.join(lines)}{drawing.svg[found.end() :]}"
    )
    css = resources.files("headtail.reports").joinpath("report.css").read_text(encoding="utf-8")
    colors = dict(re.findall(r"--ht-([\w-]+): (?:light-dark\()?(#\w+)", css))
    return re.sub(r"var\(--ht-([\w-]+)\)", lambda name: colors[name[1]], svg)


def _legend(kind: str, styles: dict[str, Style]) -> list[str]:
    """Return the lines of a legend, the first one uppermost."""
    rows: list[list[str]] = [[]]
    x = 0.0
    for name, style in styles.items():
        width = _KEY + _CHARACTER * len(name)
        path = PATHS["square" if kind == "bar" else style.marker]
        if rows[-1] and x + width > WIDE.total:
            rows.append([])
            x = 0.0
        rows[-1].append(
            f'<path d="{path}" transform="translate({x + 9:g},-4.5)" fill="{style.css}"/>'
            f'<text x="{x + 20:g}" font-size="{WIDE.size:g}" fill="var(--ht-text)">{escape(name)}</text>'
        )
        x += width
    n = len(rows)
    return [f'<g transform="translate(0,{_LINE * (i - n) + 17})">{"".join(row)}</g>' for i, row in enumerate(rows)]
