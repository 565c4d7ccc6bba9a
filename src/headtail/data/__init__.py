"""Interactions, recommendations, popularity groups and splits: the nouns that the other floors speak about."""

from headtail.data.files import read_interactions, read_table, write_interactions, write_table
from headtail.data.interactions import Interactions
from headtail.data.popularity import PopularityGroups
from headtail.data.recommendations import Recommendations
from headtail.data.splits import Split
from headtail.data.splitting import split_debiased, split_leave_last, split_ratio, split_time

__all__ = [
    "Interactions", "PopularityGroups", "Recommendations", "Split", "read_interactions", "read_table",
    "split_debiased", "split_leave_last", "split_ratio", "split_time", "write_interactions", "write_table",
]  # fmt: skip
