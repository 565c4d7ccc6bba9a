"""Published re-rankings of long lists against popularity bias: longer lists in, shorter and re-ordered ones out.

Each takes :class:`~headtail.data.Recommendations` with scores and longer than `k`, and what it knows of the items
(their popularity) or of the users (their history). The tail is the last of the popularity groups. Where scores are
weighed against something else, they are scaled to run from 0 to 1 within each list, so that a strength means the same
for any recommender. What adds one number to the scores of each item is in :mod:`headtail.rerank`.

What they share: `recs`, the long lists; `known` (Interactions), the users' histories, without which a user's list
is only shortened, or `popularity`, the training interactions or how many of them each item has, of shape (n_items,);
`k`, the length of the new lists; `groups`, PopularityGroups or a function from popularity to them, of which the last is
the tail. A strength of 0 only shortens the lists. They return Recommendations; those of the greedy ones stand in the
order of the choice, and have as scores k for the first item of a list, k - 1 for the second and so on. Lists without
scores or shorter than `k`, numbers out of range, and interactions or popularity of other users or items are an
:class:`~headtail.exceptions.InvalidInputError`.
"""

from headtail.rerankers.calibration import calibrated_popularity
from headtail.rerankers.diversification import xquad
from headtail.rerankers.inverse_popularity import ipr
from headtail.rerankers.max_min import p_mmf
from headtail.rerankers.representation import fa_ir, fewest_protected
from headtail.rerankers.two_sided import pct

__all__ = ["calibrated_popularity", "fa_ir", "fewest_protected", "ipr", "p_mmf", "pct", "xquad"]
