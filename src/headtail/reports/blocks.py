"""The document model: what a report shows, independent of the renderer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from headtail._checks import checked, number
from headtail._printable import kind_of
from headtail.exceptions import InvalidInputError
from headtail.reports._values import Value, check_format, clean, clean_rows, finite, show, show_interval, with_ends

SCHEMA = "headtail/report"
SCHEMA_VERSION = 1
_LEAST = 1e-300  # least value on a log axis; its inverse is the largest on any axis


def _set(block: Any, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(block, name, value)


def _text(what: str, value: Any) -> None:
    if not isinstance(value, str):
        raise InvalidInputError(f"{what}={value!r} is not text. Give a string.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"{what}={value!r} holds half of a character: {error}. Decode it anew.") from None


def _check_texts(node: Any) -> None:
    """Raise if a field of type str holds something else."""
    for one in fields(node):
        if one.type is str:
            _text(f"{type(node).__name__}.{one.name}", getattr(node, one.name))


@checked
@dataclass(frozen=True)
class Text:
    """Prose, in a small subset of Markdown: paragraphs, bold, italic, code, links and lists. HTML is shown, not run."""

    markdown: str

    def __post_init__(self) -> None:
        _check_texts(self)


@checked
@dataclass(frozen=True)
class Figure:
    """One key figure.

    Parameters
    ----------
    label : str
        What it is, in a few words.
    value : number, str or None
        None and NaN are shown as an en dash.
    low, high : number, optional
        Ends of the confidence interval.
    format : str
        Python format specification; one that ends with "p", such as "+.1p", is of differences of shares, in points.
    note : str
        The definition; shown on hover and listed at the end of the report.
    code : str
        The name in code, such as ``gini@20``; shown small.
    before : number, str or None
        What the value was before a change.
    """

    label: str
    value: Value
    low: Value = None
    high: Value = None
    format: str | None = ".3f"
    note: str = ""
    code: str = ""
    before: Value = None

    def __post_init__(self) -> None:
        _check_texts(self)
        check_format(self.format, f"Figure {self.label!r}")
        for name in ("value", "low", "high", "before"):
            _set(self, **{name: clean(getattr(self, name), f"Figure {self.label!r}: {name}")})

    @property
    def beside(self) -> list[str]:
        """The interval and the value before, in words, as far as they are known."""
        was = "" if self.before is None else f"was {show(self.before, self.format)}"
        return [text for text in (show_interval(self.low, self.high, self.format), was) if text]


@checked
@dataclass(frozen=True)
class Figures:
    """A strip of key figures."""

    figures: Sequence[Figure]

    def __post_init__(self) -> None:
        _set(self, figures=_all_of(Figure, self.figures, "Figures"))


@checked
@dataclass(frozen=True)
class Column:
    """One column of a :class:`Table`.

    Parameters
    ----------
    key : str
        Name of the value in each row.
    label : str
        Heading; `key` if empty.
    format : str, optional
        Python format specification for the numbers of the column; "<.3f" writes "< 0.001" for less. By default whole
        numbers get thousands separators and others four significant digits.
    note : str
        The definition; shown on hover and listed at the end of the report.
    better : {"higher", "lower"}, optional
        Marks the best cell of the column.
    low, high : str, optional
        Names of the values that hold the ends of the confidence interval, where cells are no figures; shown below the
        number.
    code : str
        The name in code, such as ``gini@20``; shown small.
    change : bool, default False
        The numbers are differences: an arrow says which way they go, or that their interval holds 0. `better` then says
        which way is good.
    """

    key: str
    label: str = ""
    format: str | None = None
    note: str = ""
    better: Literal["higher", "lower"] | None = None
    low: str | None = None
    high: str | None = None
    code: str = ""
    change: bool = False

    def __post_init__(self) -> None:
        _check_texts(self)
        _set(self, label=self.label or self.key)
        check_format(self.format, f"Column {self.key!r}")


@checked
@dataclass(frozen=True)
class Table:
    """Rows under columns; numbers are right-aligned and the best cell of a column with `better` is marked.

    A cell may be a figure with its interval: a :class:`Figure`, or what has a `value`, a `low` and a `high` like it.
    Its `note` and `code` are shown, and its `format` is used where the column has none.
    """

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        _check_texts(self)
        columns = _all_of(Column, self.columns, "Table.columns")
        names = [column.key for column in columns]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise InvalidInputError(f"Table: the column {doubled[0]!r} is there more than once. Remove one of them.")
        if not columns:
            raise InvalidInputError("Table has no columns. Give at least one Column.")
        rows, figures = with_ends(self.rows)
        columns = tuple(
            replace(c, low=f"{c.key} low", high=f"{c.key} high") if c.key in figures else c for c in columns
        )
        keys = [key for c in columns for key in (c.key, c.low, c.high)]
        _set(self, columns=columns, rows=clean_rows(rows, keys, f"Table {self.title!r}"))


@checked
@dataclass(frozen=True)
class Chart:
    """A line, bar or scatter chart of rows.

    Series named head, mid and tail have fixed colors, and training, catalogue and history are gray; any other series
    has the same color and marker throughout a report.

    Parameters
    ----------
    kind : {"line", "bar", "scatter"}
        Bars take categories on `x`, and are horizontal if their names are long; lines and scatters take numbers.
    rows : sequence of dict
        The data; it is also shown as a table.
    x, y : str
        Names of the values on the axes.
    color : str, optional
        Name of the value that identifies the series.
    title, caption : str
        Heading, and a sentence below it in the Markdown subset of :class:`Text`.
    x_label, y_label : str, optional
        Names of the axes; `x` and `y` by default, none if empty.
    x_scale, y_scale : {"linear", "log"}
        A log scale takes positive values only.
    x_format, y_format : str, optional
        Python format specifications of the numbers.
    reference : "diagonal" or number, optional
        A dashed line: y = x, or y at that value.
    low, high : str, optional
        Names of the ends of an interval of y, where y is no figure: a band around lines, error bars elsewhere.
    label : str, optional
        Name of the label of a scatter's point; None for no label.
    connect : bool
        Join the points of each series of a scatter, in the order of the rows.
    chosen : str, optional
        Name of a boolean value that highlights points of a scatter.
    stacked : bool
        Stack the bars of a category instead of placing them side by side.
    """

    kind: Literal["line", "bar", "scatter"]
    rows: Sequence[Mapping[str, Any]]
    x: str
    y: str
    color: str | None = None
    title: str = ""
    caption: str = ""
    x_label: str | None = None
    y_label: str | None = None
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    x_format: str | None = None
    y_format: str | None = None
    reference: Literal["diagonal"] | float | None = None
    low: str | None = None
    high: str | None = None
    label: str | None = None
    connect: bool = False
    chosen: str | None = None
    stacked: bool = False

    def __post_init__(self) -> None:
        _check_texts(self)
        what = f"Chart {self.title!r}"
        rows, figures = with_ends(self.rows)
        low = f"{self.y} low"
        if self.y in figures and any(row.get(low) is not None for row in rows if isinstance(row, Mapping)):
            _set(self, low=low, high=f"{self.y} high")
        keys = (self.x, self.y, self.color, self.low, self.high, self.label, self.chosen)
        _set(self, rows=clean_rows(rows, keys, what))
        _set(self, x_label=self.x if self.x_label is None else self.x_label)
        _set(self, y_label=self.y if self.y_label is None else self.y_label)
        _text("Chart.x_label", self.x_label)
        _text("Chart.y_label", self.y_label)
        check_format(self.x_format, what, points=False)
        check_format(self.y_format, what, points=False)
        if self.reference is not None and not (isinstance(self.reference, str) and self.reference == "diagonal"):
            _set(self, reference=number("reference", self.reference))
            if self.y_scale == "log" and self.reference < _LEAST:
                raise InvalidInputError(f"{what}: reference={self.reference:g} has no place on a log scale.")
        if (self.low is None) != (self.high is None):
            raise InvalidInputError(f"{what}: an interval has two ends. Give both low and high, or neither.")
        if self.kind == "bar" and "log" in (self.x_scale, self.y_scale):
            raise InvalidInputError(f"{what}: bars start at 0, which a log scale does not have. Use kind='scatter'.")
        if self.stacked and (self.kind != "bar" or self.color is None):
            raise InvalidInputError(f"{what}: stacked=True needs kind='bar' and a color.")
        self._check_values(what)
        pairs = [(row[self.x], row[self.color]) for row in self.rows] if self.kind == "bar" and self.color else []
        if len(set(pairs)) < len(pairs):
            twice = next(pair for pair in pairs if pairs.count(pair) > 1)
            raise InvalidInputError(
                f"{what}: there are several bars of {twice[0]!r}, {twice[1]!r}. Give one row for each."
            )

    def _check_values(self, what: str) -> None:
        numeric = {self.y: self.y_scale}
        numeric.update({key: self.y_scale for key in (self.low, self.high) if key is not None})
        if self.kind != "bar":
            numeric[self.x] = self.x_scale
        for key, scale in numeric.items():
            for i, row in enumerate(self.rows):
                value = finite(row[key])
                if (value is None and row[key] is not None) or (value is not None and abs(value) > 1 / _LEAST):
                    raise InvalidInputError(
                        f"{what}: {key!r} of row {i} is {row[key]!r}, which has no place on an axis. "
                        "Give a finite number, or None for a gap."
                    )
                if scale == "log" and value is not None and value < _LEAST:
                    raise InvalidInputError(
                        f"{what}: {key!r} of row {i} is {value:g}, and a log scale takes positive values only. "
                        "Drop that row or use a linear scale."
                    )
                if self.stacked and value is not None and value < 0:
                    raise InvalidInputError(f"{what}: {key!r} of row {i} is {value:g}; stacked bars cannot go below 0.")


@checked
@dataclass(frozen=True)
class Section:
    """A titled part of a report, which may be nested; a folded one is initially closed in HTML."""

    title: str
    blocks: Sequence["Block"]
    folded: bool = False

    def __post_init__(self) -> None:
        _check_texts(self)
        _set(self, blocks=_all_of(_BLOCKS, self.blocks, f"Section {self.title!r}"))


Block: TypeAlias = "Text | Figures | Table | Chart | Section"
_BLOCKS = (Text, Figures, Table, Chart, Section)


def _all_of(kinds: Any, values: Any, what: str) -> tuple[Any, ...]:
    try:
        found: tuple[Any, ...] = tuple(None if isinstance(values, (str, Mapping)) else values)  # type: ignore[arg-type]
    except Exception:  # each kind of thing has errors of its own
        raise InvalidInputError(f"{what} is {kind_of(values)}. Give a list.") from None
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    for i, value in enumerate(found):
        if not isinstance(value, kinds):
            names = ", ".join(kind.__name__ for kind in kinds)
            raise InvalidInputError(f"{what}: entry {i} is {kind_of(value)}. Give {names}.")
    return found


@dataclass(frozen=True)
class Document:
    """A title, an opening and blocks: the content of a :class:`Report`."""

    title: str
    blocks: Sequence[Block]
    lede: str = ""

    def __post_init__(self) -> None:
        _check_texts(self)
        _set(self, blocks=_all_of(_BLOCKS, self.blocks, f"Report {self.title!r}"))

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain dicts and lists; values that are missing or not finite are None."""
        head = {"schema": SCHEMA, "version": SCHEMA_VERSION}
        return head | {"title": self.title, "lede": self.lede, "blocks": [_as_dict(block) for block in self.blocks]}


def _as_dict(node: Any) -> Any:
    if isinstance(node, (*_BLOCKS, Figure, Column)):
        tag = {"type": type(node).__name__.lower()} if isinstance(node, _BLOCKS) else {}
        return tag | {field.name: _as_dict(getattr(node, field.name)) for field in fields(node)}
    if isinstance(node, Mapping):
        return {key: _as_dict(value) for key, value in node.items()}
    if isinstance(node, tuple):
        return [_as_dict(value) for value in node]
    return finite(node) if isinstance(node, float) else node


def walk(blocks: Sequence[Block]) -> Iterator[Block]:
    """Yield every block, including those inside sections."""
    for block in blocks:
        yield block
        if isinstance(block, Section):
            yield from walk(block.blocks)


def definitions(report: Document) -> list[tuple[str, str]]:
    """Return every (term, note) of figures, columns and cells once, in order of appearance."""
    noted: list[tuple[str, str]] = []
    for block in walk(report.blocks):
        if isinstance(block, Figures):
            noted += [(figure.label, figure.note) for figure in block.figures]
        elif isinstance(block, Table):
            noted += [(column.label, column.note) for column in block.columns]
            for column in block.columns:
                noted += [(str(row[column.key]), str(row.get(f"{column.key} note") or "")) for row in block.rows]
    return list(dict.fromkeys((term, note) for term, note in noted if note))
