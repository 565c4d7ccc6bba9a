"""A character canvas for lines and points: each cell holds 2 x 4 braille dots, or a marker, in one color."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Canvas:
    r"""Draws in terminal cells; positions run from 0 to 1, from the left and from the bottom.

    Examples
    --------
    >>> canvas = Canvas(4, 2)
    >>> canvas.line((0.0, 0.0), (1.0, 1.0), "red")
    >>> canvas.mark((1.0, 0.0), "●", "blue")
    >>> print("\n".join("".join(character for character, _ in row) for row in canvas.rows()))
    ⠀⠀⡠⠊
    ⡠⠊⠀●
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots: dict[tuple[int, int], int] = {}
        self._marks: dict[tuple[int, int], str] = {}
        self._colors: dict[tuple[int, int], str] = {}

    def _at(self, point: tuple[float, float]) -> tuple[int, int]:
        x, y = (min(max(part, 0.0), 1.0) for part in point)
        return round(x * (2 * self.width - 1)), round((1 - y) * (4 * self.height - 1))

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, *, gap: int = 0) -> None:
        """Draw a straight line; with `gap`, only every (gap + 1)-th dot of it."""
        (x0, y0), (x1, y1) = self._at(start), self._at(end)
        n = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(0, n + 1, gap + 1):
            x, y = round(x0 + (x1 - x0) * i / n), round(y0 + (y1 - y0) * i / n)
            cell = y // 4, x // 2
            self._dots[cell] = self._dots.get(cell, 0) | DOTS[y % 4][x % 2]
            self._colors[cell] = color

    def mark(self, point: tuple[float, float], marker: str, color: str, label: str = "") -> None:
        """Put a marker into the cell at `point`, and a label beside it where there is room."""
        x, y = self._at(point)
        row, column = y // 4, x // 2
        self._put(row, column, marker, color)
        for start in (column + 2, column - 1 - len(label)):
            around = range(start - 1, start + len(label) + 1)
            free = start >= 0 and start + len(label) <= self.width
            if free and not any((row, i) in self._marks for i in around if i != column):
                self._put(row, start, label, color)
                return

    def _put(self, row: int, column: int, text: str, color: str) -> None:
        for i, character in enumerate(text):
            self._marks[row, column + i], self._colors[row, column + i] = character, color

    def rows(self) -> list[list[tuple[str, str]]]:
        """Return the rows from the top, each a list of (character, color)."""

        def shown(cell: tuple[int, int]) -> tuple[str, str]:
            return self._marks.get(cell) or chr(0x2800 + self._dots.get(cell, 0)), self._colors.get(cell, "")

        return [[shown((row, column)) for column in range(self.width)] for row in range(self.height)]
