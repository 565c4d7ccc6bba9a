"""The data of a chart as a table."""

from headtail.reports._values import Value
from headtail.reports.blocks import Chart, Column, Table


def data_table(chart: Chart, limit: int) -> tuple[Table, int]:
    """Return the data of a chart as a table of about `limit` evenly spaced rows at most, and the number of all rows.

    Lines and bars get a column per series where x and series identify every row.
    """
    table = _spread(chart) or _flat(chart)
    n = len(table.rows)
    if n <= limit:
        return table, n
    kept = sorted({round(i * (n - 1) / (limit - 1)) for i in range(limit)})
    return Table(table.columns, [table.rows[i] for i in kept]), n


def _spread(chart: Chart) -> Table | None:
    names = list(dict.fromkeys(row[chart.color] for row in chart.rows)) if chart.color else []
    pairs = {(row[chart.x], row[chart.color]) for row in chart.rows} if chart.color else set()
    if chart.kind == "scatter" or chart.low or len(names) < 2 or len(pairs) < len(chart.rows):
        return None
    cells: dict[Value, dict[str, Value]] = {}
    for row in chart.rows:
        # Series can have any name, so their columns are numbered.
        cells.setdefault(row[chart.x], {"x": row[chart.x]})[f"y{names.index(row[chart.color or ''])}"] = row[chart.y]
    columns = [Column("x", chart.x_label or chart.x, chart.x_format)]
    columns += [Column(f"y{i}", str(name), chart.y_format) for i, name in enumerate(names)]
    return Table(columns, list(cells.values()))


def _flat(chart: Chart) -> Table:
    columns = {key: Column(key) for key in (chart.color, chart.label) if key}
    columns[chart.x] = Column(chart.x, chart.x_label or chart.x, chart.x_format)
    columns[chart.y] = Column(chart.y, chart.y_label or chart.y, chart.y_format, low=chart.low, high=chart.high)
    columns |= {chart.chosen: Column(chart.chosen)} if chart.chosen else {}
    return Table(list(columns.values()), chart.rows)
