"""Ids that look alike and are not: blanks, what is invisible, accents encoded in two ways, upper and lower case."""

from collections.abc import Callable

import polars as pl

from headtail._checks import shown
from headtail.typing import Array

_UNSEEN = r"[\u00ad\u200b\u200e\u200f\u2060\ufeff]"  # of no width; joiners have a meaning in some scripts
_PLAIN = f".str.strip_chars().str.normalize('NFC').str.replace_all(r'{_UNSEEN}', '')"

_WAYS: tuple[tuple[str, str, Callable[[pl.Series], pl.Series]], ...] = (
    ("blanks around them, what is invisible or how accents are encoded", "", lambda ids: ids),
    ("upper and lower case", ".str.to_lowercase()", lambda ids: ids.str.to_lowercase()),
    ("a decimal point and zero at the end", r".str.replace(r'\.0$', '')", lambda ids: ids.str.replace(r"\.0$", "")),
    ("zeros at the beginning", ".str.strip_chars_start('0')", lambda ids: ids.str.strip_chars_start("0")),
)


def _text(ids: Array) -> pl.Series:
    return pl.Series(ids.tolist() if ids.dtype == object else [], dtype=pl.String)


def _plain(ids: pl.Series) -> pl.Series:
    return ids.str.strip_chars().str.normalize("NFC").str.replace_all(_UNSEEN, "")


def _cure(role: str, code: str) -> str:
    return f"frame.with_columns(pl.col({role!r}){code}) in Polars"


def twins(ids: Array, role: str, what: str) -> list[str]:
    """Return a note if distinct ids differ only in blanks, what is invisible or how accents are encoded, else none."""
    text = _text(ids)
    if not text.str.contains(r"^\s|\s$|[^\x00-\x7F]").any():
        return []
    plain = _plain(text)
    twice = plain.is_duplicated()
    if not twice.any():
        return []
    two = text.filter(plain == plain.filter(twice)[0])
    return [
        f"{twice.sum():,} ids of {what}, such as {shown(two[:2])}, "
        f"differ from each other only in blanks around them, what is invisible or how accents are encoded, and count "
        f"as different. Make them one by {_cure(role, _PLAIN)}."
    ]


def respelled(unknown: Array, known: Array, role: str) -> str:
    """Return a sentence that says how unknown ids are written where they are known, empty if that explains none."""
    if not len(unknown) or unknown.dtype != object:
        return ""
    mine, theirs = _plain(_text(unknown)), _plain(_text(known))
    for how, code, written in _WAYS:
        if n := int(written(mine).is_in(written(theirs).implode()).sum()):
            return (
                f" {n:,} of these {'is' if n == 1 else 'are'} known but for {how}; write them alike by "
                f"{_cure(role, _PLAIN + code)}."
            )
    return ""
