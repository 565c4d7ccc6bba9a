"""A canvas of characters for lines and points: each cell holds 2 x 4 braille dots, or a marker, in one color."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


class Canvas:
    r"""Draws in cells of the terminal; positions are from 0 to 1, from the left and from the bottom.

    Examples
    --------
    >>> canvas = Canvas(4, 2)
    >>> canvas.line((0.0, 0.0), (1.0, 1.0), "red")
    >>> canvas.mark((1.0, 0.0), "●", "blue")
    (3, 1)
    >>> print("\n".join("".join(character for character, _ in row) for row in canvas.rows()))
    ⠀⠀⡠⠊
    ⡠⠊⠀●
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots = [[0] * width for _ in range(height)]
        self._colors: list[list[str]] = [[""] * width for _ in range(height)]
        self._marks: list[list[str]] = [[""] * width for _ in range(height)]

    def _dot(self, x: int, y: int, color: str) -> None:
        row, column = y // 4, x // 2
        self._dots[row][column] |= DOTS[y % 4][x % 2]
        self._colors[row][column] = color

    def _at(self, point: tuple[float, float]) -> tuple[int, int]:
        x = min(max(point[0], 0.0), 1.0) * (2 * self.width - 1)
        y = (1 - min(max(point[1], 0.0), 1.0)) * (4 * self.height - 1)
        return round(x), round(y)

    def line(self, start: tuple[float, float], end: tuple[float, float], color: str, *, gap: int = 0) -> None:
        """Draw a straight line; with `gap`, only every (gap + 1)-th dot of it."""
        (x0, y0), (x1, y1) = self._at(start), self._at(end)
        n = max(abs(x1 - x0), abs(y1 - y0), 1)
        for i in range(0, n + 1, gap + 1):
            self._dot(round(x0 + (x1 - x0) * i / n), round(y0 + (y1 - y0) * i / n), color)

    def mark(self, point: tuple[float, float], marker: str, color: str) -> tuple[int, int]:
        """Put a marker into the cell at `point`; return the cell's column and row."""
        x, y = self._at(point)
        self._marks[y // 4][x // 2] = marker
        self._colors[y // 4][x // 2] = color
        return x // 2, y // 4

    def write(self, cell: tuple[int, int], text: str, color: str) -> bool:
        """Write `text` beside a cell if its place is free of markers and other text."""
        column, row = cell
        for start in (column + 2, column - 1 - len(text)):
            free = start >= 0 and start + len(text) <= self.width
            if free and not any(self._marks[row][max(start - 1, 0) : start + len(text) + 1]):
                for i, character in enumerate(text):
                    self._marks[row][start + i] = character
                    self._colors[row][start + i] = color
                return True
        return False

    def rows(self) -> list[list[tuple[str, str]]]:
        """Return the rows from the top, each a list of (character, color)."""
        return [
            [
                (self._marks[r][c] or chr(0x2800 + self._dots[r][c]), self._colors[r][c])
                for c in range(self.width)
            ]
            for r in range(self.height)
        ]  # fmt: skip
