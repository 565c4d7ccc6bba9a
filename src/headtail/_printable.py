"""Text for people: what would steer or deceive a terminal is shown, and never sent; counts agree with their nouns."""

import shlex
import unicodedata

_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, marks of direction and width, surrogates, line separators
_JOINERS = "\u200c\u200d"  # which Persian, Indic scripts and emoji are written with


def printable(text: str) -> str:
    r"""Return `text` with every character that has no shape of its own escaped, as Python writes it.

    Examples
    --------
    >>> print(printable("Amélie \x1b[2J\u202e 雪"))
    Amélie \x1b[2J\u202e 雪
    """
    if text.isprintable():
        return text
    return "".join(
        repr(c)[1:-1] if unicodedata.category(c) in _UNSEEN and not (c in _JOINERS and before > "\x7f") else c
        for before, c in zip(" " + text, text, strict=False)
    )


def counted(n: int, noun: str, one: str = "", many: str = "") -> str:
    """Return how many there are, and the verb for `one` or `many` of them: "1 item is", "2 items are"."""
    return f"{n:,} {noun} {one}".rstrip() if n == 1 else f"{n:,} {noun}s {many}".rstrip()


def kind_of(value: object) -> str:
    """Return the name of the type of a value with its article: "an int", "an ndarray", "a DataFrame"."""
    name = type(value).__name__
    return f"{'an' if name.lower().startswith(('a', 'e', 'i', 'o', 'nd')) else 'a'} {name}"


def python_command(code: str) -> str:
    """Return a shell command that runs `code` in Python, with the names of files in it quoted."""
    plain = not set(code) & set('"$`!\\')
    return "python -c " + (f'"{code}"' if plain else shlex.quote(code))
