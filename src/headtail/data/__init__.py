"""Interactions, recommendations, popularity groups and splits: the nouns that the other floors speak about.

Data that cannot be right (none at all, missing or unknown ids, numbers that are not finite, shapes that do not match,
a pair, or an item of a list, that stands twice) and arguments out of range are an
:class:`~headtail.exceptions.InvalidInputError`, files that cannot be read or written an
:class:`~headtail.exceptions.UnreadableFileError`, columns that are not there a
:class:`~headtail.exceptions.MissingColumnError`.
"""

from headtail.data.files import read_interactions, read_table, write_interactions, write_table
from headtail.data.interactions import Interactions
from headtail.data.popularity import PopularityGroups
from headtail.data.recommendations import Recommendations
from headtail.data.splits import Split
from headtail.data.splitting import split_debiased, split_leave_last, split_ratio, split_time

__all__ = [
    "Interactions",
    "PopularityGroups",
    "Recommendations",
    "Split",
    "read_interactions",
    "read_table",
    "split_debiased",
    "split_leave_last",
    "split_ratio",
    "split_time",
    "write_interactions",
    "write_table",
]
