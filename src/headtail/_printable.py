"""Text that others wrote, on a terminal: what would steer or deceive it is shown, and never sent."""

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
