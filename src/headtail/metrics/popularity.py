"""How popular the recommended items are, in absolute terms and against each user's own taste.

Metrics that return an array have one number a list, shape (U,).
"""

from functools import partial
from typing import Literal

import numpy as np

from headtail._checks import checked
from headtail._stats import jensen_shannon
from headtail._top import ranges
from headtail.exceptions import InvalidInputError
from headtail.metrics.facts import better
from headtail.metrics.topk import Standings, TopK, blocks
from headtail.metrics.user_groups import ByGroup, UserGroups
from headtail.typing import Array, Codes, Floats

_of_popularity = partial(better, family="popularity", needs=("popularity",))
_then_of = partial(better, family="popularity", needs=("popularity", "times"))


@_of_popularity("lower", title="Popularity of what is shown", low=0, format=",.1f", headline=True, fewest=100)
@checked
def arp(top: TopK, *, normalize: Literal["max", "total"] | None = None) -> Floats:
    """Average recommendation popularity: mean number of training interactions of the items in a user's list.

    Formula: mean_u (1/|L_u|) sum_{i in L_u} r_i. In interactions, 0 to max r; lower is less popular.

    Source: Yin et al., "Challenging the long tail recommendation", VLDB 2012.

    Parameters
    ----------
    top : TopK
    normalize : {None, "max", "total"}, default None
        Divide by the popularity of the most popular item (evidently) or by all interactions (RecTools).
    """
    scale = {None: 1, "max": top.popularity.max(), "total": top.popularity.sum()}
    return np.asarray(top.mean_popularity / scale[normalize])


@_of_popularity("higher", title="Surprise of what is shown, in bits", low=0, format=".2f")
@checked
def novelty(top: TopK, *, of: Literal["users", "interactions"] = "users") -> Floats:
    """Mean self-information of the items in a user's list: how rare it is to have chosen them, in bits.

    Formula: mean_u (1/|L_u|) sum_{i in L_u} -log2 p_i, with p_i = max(r_i, 1) / n, r_i the training interactions of
    item i and n the number of users with any. Range 0 (all have chosen them) to log2 n, higher is less popular.

    Source: Vargas and Castells, "Rank and relevance in novelty and diversity metrics for recommender systems", RecSys
    2011; Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010.

    Parameters
    ----------
    top : TopK
    of : {"users", "interactions"}, default "users"
        What n counts. Of users it is inverse user frequency (RecTools' `MeanInvUserFreq`); of all interactions p_i is
        the chance that a choice is of item i, and the metric the expected free discovery of Vargas and Castells.
    """
    train = top.profiles.train
    n = {"users": int(np.count_nonzero(train.activity)), "interactions": len(train)}
    return top.mean(np.log2(max(n[of], 1) / np.maximum(top.popularity, 1)))


@_of_popularity("higher", title="Tail items in a list, share", low=0, high=1, format=".1%")
def aplt(top: TopK) -> Floats:
    """Average percentage of long-tail items in a user's list, as a share. Range 0 to 1, higher favors the tail more.

    Formula: mean_u |L_u in tail| / |L_u|; the tail is the last of the popularity groups.

    Source: Abdollahpouri, Burke and Mobasher, "Managing popularity bias with personalized re-ranking", FLAIRS 2019.
    """
    return top.group_slots[:, -1] / np.where(top.lengths > 0, top.lengths, np.nan)


@_of_popularity("higher", title="Tail items in a list, number", low=0, format=".2f")
def aclt(top: TopK) -> Floats:
    """Average number of long-tail items in a user's list. Range 0 to k, higher favors the tail more.

    Formula: mean_u |L_u in tail|; the tail is the last of the popularity groups.

    Source: Abdollahpouri, Burke and Mobasher, "Managing popularity bias with personalized re-ranking", FLAIRS 2019.
    """
    return np.where(top.lengths > 0, top.group_slots[:, -1], np.nan)


def _taste(top: TopK) -> tuple[Floats, Floats]:
    """Return the mean popularity of each user's history and of the list, NaN without one or the other."""
    own = np.append(top.profiles.mean_popularity, np.nan)[top.users]  # -1, a user that training lacks, picks the last
    return _both(own, top.mean_popularity)


def _both(own: Array, shown: Array) -> tuple[Floats, Floats]:
    unknown = np.isnan(own) | np.isnan(shown)
    return np.where(unknown, np.nan, own), np.where(unknown, np.nan, shown)


def _lift(own: Array, shown: Array) -> float:
    total = np.nansum(own)
    return float(np.nansum(shown) / total - 1) if total > 0 else float("nan")


def _lift_by_group(groups: UserGroups, own: Array, shown: Array) -> tuple[Floats, Floats]:
    own, shown = own[groups.rows], shown[groups.rows]
    (mean, _, _), (mean_shown, _, _) = groups.mean(own), groups.mean(shown)
    ratio = mean_shown / mean
    return ratio - 1, groups.mean((shown - groups.each(ratio) * own) / groups.each(mean))[1]


@_of_popularity(
    "lower",
    title="More popular than own taste by",
    low=-1,
    influence=ByGroup(lambda groups: _lift_by_group(groups, *_taste(groups.top))),
    format="+.1%",
    headline=True,
    fewest=100,
)
def popularity_lift(top: TopK) -> float:
    """How much more popular the lists are than the users' own histories: 0 is the same, 1 is twice as popular.

    Formula: (mean_u q_u - mean_u p_u) / mean_u p_u, with p_u and q_u the mean popularity of user u's training items and
    recommended items. Above -1; above 0 the recommender amplifies popularity. Users without history are left out.

    Source: Abdollahpouri et al., "The connection between popularity bias, calibration, and fairness in recommendation",
    RecSys 2020.
    """
    return _lift(*_taste(top))


def _then(top: TopK, rows: Array, items: Codes) -> Floats:
    """Return the mean popularity of items of each row as of the row's event, shape (U,); NaN without any."""
    if top.times is None:
        raise InvalidInputError(
            "Popularity as of an event needs times. Give as_of_event=True, or leave the metric out."
        )
    rows, items = rows[known := np.isfinite(top.times[rows])], items[known]
    counts = top.profiles.popularity_before(items, top.times[rows])
    n = np.bincount(rows, minlength=len(top)).astype(np.float64)
    return np.bincount(rows, weights=counts, minlength=len(top)) / np.where(n > 0, n, np.nan)


def _shown_then(top: TopK) -> Floats:
    rows, ranks = np.nonzero(top.items >= 0)
    return _then(top, rows, top.items[rows, ranks])


@_then_of("lower", title="Popularity then of what is shown", low=0, format=",.1f", fewest=100)
def arp_then(top: TopK) -> Floats:
    """Average popularity of the items in a user's list as of the user's event, the first test interaction.

    Formula: mean_u (1/|L_u|) sum_{i in L_u} r_i(t_u), r_i(t) the training interactions of item i before t and t_u the
    time of user u's first test interaction. As :func:`arp`, which counts what came later too: a split that leaves out
    each user's last interactions has later ones of others in training. Lower is less popular. NaN for users without a
    test.

    Source: Ji, Sun, Zhang and Li, "A re-visit of the popularity baseline in recommender systems", SIGIR 2020.
    """
    return _shown_then(top)


def _chosen_and_shown(top: TopK) -> tuple[Floats, Floats]:
    """Return the mean popularity then of what each user chose and is shown, NaN without one or the other."""
    return _both(_then(top, top.target_rows, top.target_items), _shown_then(top))


@_then_of(
    "lower", title="More popular then than what was chosen by", low=-1, format="+.1%",
    influence=ByGroup(lambda groups: _lift_by_group(groups, *_chosen_and_shown(groups.top))),
    fewest=100,
)  # fmt: skip
def popularity_lift_then(top: TopK) -> float:
    """How much more popular the lists are than what the users then chose, both as of each user's event.

    Formula: (mean_u q_u - mean_u w_u) / mean_u w_u, with q_u and w_u the mean r_i(t_u) of user u's recommended items
    and test items, as in :func:`arp_then`. Above -1; above 0 the lists are more popular than the choices. Users without
    a list or a test are left out.
    """
    return _lift(*_chosen_and_shown(top))


@_of_popularity("lower", title="Distance from own taste", low=0, high=1, headline=True)
def upd(top: TopK) -> Floats:
    """User popularity deviation: how far each list's mix of popularity groups is from the user's own mix.

    Formula: mean_u JSD(P_u, Q_u), the Jensen-Shannon divergence in bits between the shares of head, mid and tail items
    in user u's training items (P) and list (Q). Range 0 (same mix) to 1, lower is better calibrated. NaN for users
    without history.

    Source: Abdollahpouri et al., "User-centered evaluation of popularity bias in recommender systems", UMAP 2021 (there
    the users are first grouped; here each user counts alone).
    """
    values = np.empty(len(top))
    for part in blocks(len(top)):
        history, slots = top.histories[part], top.group_slots[part]
        with np.errstate(invalid="ignore"):
            own, shown = (counts / counts.sum(axis=1, keepdims=True) for counts in (history, slots))
        values[part] = np.where(np.isnan(own[:, 0] + shown[:, 0]), np.nan, jensen_shannon(own, shown))
    return values


@_of_popularity("lower", title="Distance from own popularity", low=0, high=0.5)
def pce(top: TopK) -> Floats:
    """Popularity calibration error: how far each list lies from where the user's own history lies in popularity.

    Formula: mean_u mean_{j in H_u} |F_u(r_j) - G_u(r_j)|, H_u the training items of user u, and F_u and G_u the shares
    of the list and of the history with a popularity below r_j, half of those with just that popularity counted too.
    Range 0 (the same mix) to 0.5 (all of the list more popular than all of the history, or all less), lower is better
    calibrated. NaN for users without history.

    Four numbers compare a list with the user's own choices. `popularity_lift` compares means over all users: the most
    popular items dominate it, and users who get too popular lists cancel against those who get too rare ones. `upd`
    compares each user's shares of the popularity groups, by the Jensen-Shannon divergence (JSD): no user cancels
    another, but how far an item is from another within a group does not count, nor on which side a list is off, and
    short lists of few groups are noisy. `pce` compares every user's whole distribution, by ranks: no cut into groups,
    no weight of the extremes. A list that is too popular and one that is too rare count alike in both; the lift's sign
    says which prevails.

    Source: The popularity quantile calibration of Schirmer et al., "Aligning recommendations with user popularity
    preferences" (SPREE), FAccT 2026, arXiv 2604.01036. Here all quantiles of a history count, and ties are split in
    half, so that the history itself has no error, however short it is.
    """
    found = np.full(len(top), np.nan)
    met = np.append(np.diff(top.profiles.standings.starts) > 0, False)  # -1, a user that training lacks, picks the last
    rows = np.flatnonzero(met[top.users] & (top.lengths > 0))
    for block in blocks(len(rows)):
        part = rows[block]
        found[part] = _calibration_error(top.profiles.standings, top.users[part], top.items[part], top.lengths[part])
    return found


def _calibration_error(own: Standings, users: Codes, items: Codes, lengths: Array) -> Floats:
    counts = own.starts[users + 1] - own.starts[users]
    row = np.repeat(np.arange(len(users)), counts)
    places = ranges(own.starts[users], counts)
    level = own.level[places]
    twice = np.full(len(row), items.shape[1], dtype=np.int32)  # the slots below each level, and half of those at it
    for shown in np.append(own.levels, np.int32(len(own.levels)))[items.T]:  # -1, where a list has ended, is above all
        twice += np.sign(level - shown.take(row))
    error = own.weight[places] * np.abs(twice / (2 * lengths[row]) - own.below[places])
    return np.asarray(np.bincount(row, weights=error, minlength=len(users)), dtype=np.float64)
