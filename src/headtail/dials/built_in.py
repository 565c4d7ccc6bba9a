"""The built-in dials, their controls and baselines, and look-up by name."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from inspect import unwrap
from typing import Any

from headtail import baselines
from headtail._checks import checked, nearest, number
from headtail.dials import steering, training, vectors
from headtail.dials.allocating import allocation
from headtail.dials.dial import Dial
from headtail.dials.item_bias import cost_of_penalty, cost_of_tilt, item_bias, log_penalty, tilt
from headtail.dials.reranking import by_history, by_popularity
from headtail.dials.vectors import linearly, of_vectors, without_popularity
from headtail.exceptions import InvalidInputError
from headtail.rerankers import calibrated_popularity, fa_ir, ipr, p_mmf, pct, xquad
from headtail.subjects import Lists, Subject
from headtail.typing import IntoFrame


@checked
def dial(name: str) -> Dial:
    """Return a dial of :data:`DIALS` or :data:`CONTROLS`; case, spaces and punctuation of the name do not matter.

    Examples
    --------
    >>> dial("tilt-entropy").name
    'tilt (entropy)'
    """
    known = {_plain(each.name): each for each in (*DIALS, *CONTROLS)}
    if _plain(name) not in known:
        names = [each.name for each in known.values()]
        raise InvalidInputError(f"There is no dial {name!r}. {nearest(name, names)}")
    return known[_plain(name)]


@checked
def more_of(tag: str, tags: "IntoFrame | Mapping[Any, Iterable[str]]") -> Dial:
    """Return a dial that recommends more items with a tag, by the query neurons that show more of them.

    Parameters
    ----------
    tag : str
        Such as "Documentary".
    tags : frame or mapping
        The tags of all items, see :func:`headtail.sae.find_concepts`.

    Examples
    --------
    >>> split = ht.split_ratio(ht.datasets.power_law(200, 60, n_interactions=1600, rng=0).interactions, rng=0)
    >>> tags = {item: ["even" if item % 2 == 0 else "odd"] for item in split.train.item_ids.tolist()}
    >>> more, model = more_of("even", tags), ht.MF(200, 60, 4, rng=0)
    >>> subject = Subject(model, split, k=5, autoencoder={"expansion": 4, "n_active": 3, "epochs": 1})
    >>> shares = [
    ...     (split.train.item_ids[subject.recommend(more.at(subject, strength), split.known).items] % 2 == 0).mean()
    ...     for strength in (0.0, 4.0)
    ... ]
    >>> bool(shares[1] > shares[0])
    True
    """
    return Dial(f"more {tag}", steering.TowardsTag(tag, tags), (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), "model")


@checked
def as_dial(given: str | Dial) -> Dial:
    """Return a dial, by its name or as it is."""
    if not isinstance(given, str | Dial):
        raise InvalidInputError(f"{given!r} is no dial. Give one, by its name or as a Dial.")
    return given if isinstance(given, Dial) else dial(given)


def dials_to_try(
    given: str | Dial | Iterable[str | Dial] | None, subject: Subject, strength: float | None
) -> list[Dial]:
    """Return the dials that are named, one of them at a strength, or all that fit and need no training."""
    if given is None:
        chosen = [each for each in DIALS if each.works_on in ("vectors", "lists") and each.fits(subject)]
    else:
        chosen = [as_dial(each) for each in ([given] if isinstance(given, str | Dial) else given)]
        if not chosen:
            raise InvalidInputError("dials is empty; name at least one, or leave it out for all that fit.")
    names = [each.name for each in chosen]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InvalidInputError(f"dials holds {twice[0]!r} {len(twice)} times. Give each dial once, or another name.")
    if strength is None:
        return chosen
    if number("strength", strength) == 0 or given is None or len(chosen) > 1:
        raise InvalidInputError(
            f"strength={strength!r} is where one dial is to stand, other than 0. Give that dial alone: dials=[...]."
        )
    return [replace(chosen[0], grid=(0.0, float(strength)))]


@checked
def is_built_in(given: Dial) -> bool:
    """Whether this is a built-in dial, whatever its grid."""
    make = unwrap(given.make)
    return any((given.name, make) == (each.name, unwrap(each.make)) for each in (*DIALS, *CONTROLS, *REFERENCES))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


class _With(partial[Any]):
    """A function with arguments; equal to the same function with the same ones, also after pickling."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _With) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash((self.func, self.args, *self.keywords.items()))


_WEIGHTS = (0.0, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_SHARES = (0.0, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
_TOWARDS_ONE = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97, 1.0)
_UP_TO_ALL = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
_PARTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_BIASES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5)

# fmt: off
_OWN: tuple[Dial, ...] = (
    Dial("allocation", allocation, _SHARES, "lists",
         about="gives the places to the items where that costs the least expected relevance"),
    Dial("allocation, nobody loses 10%", _With(allocation, max_user_loss=0.1), _SHARES, "lists",
         about="allocation, where no user may lose a tenth of the expected relevance"),
    Dial("allocation, equal shares", _With(allocation, gamma=1.0), _SHARES, "lists",
         about="allocation in which every user gives up the same share of the expected hits"),
    Dial("allocation, most hits", _With(allocation, gamma=0.0), _SHARES, "lists", cost=2.0,
         about="allocation in which places change where that costs the least expected NDCG"),
    Dial("tilt (alpha-fair)", _With(item_bias, tilt, welfare="alpha"), _SHARES, "lists", cost=cost_of_tilt,
         about="adds a number to all scores of an item, the larger the less the item is shown"),
    Dial("tilt (entropy)", _With(item_bias, tilt, welfare="entropy"), _SHARES, "lists", cost=cost_of_tilt,
         about="adds such a number, with less for the items shown least"),
    Dial("tilt (popularity)", _With(item_bias, tilt, welfare="popularity"), _BIASES, "lists", cost=cost_of_tilt,
         about="takes out the exposure beyond what an item's popularity earns"),
    Dial("log penalty", _With(item_bias, log_penalty), (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8), "lists",
         cost=cost_of_penalty, about="subtracts the logarithm of popularity from the scores"),
    Dial("IPR", _With(by_popularity, ipr), (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0), "lists",
         about="re-ranks long lists by inverse popularity"),
    Dial("calibrated popularity", _With(by_history, calibrated_popularity), _TOWARDS_ONE, "lists", end=1.0,
         about="re-ranks towards each user's own shares of head, mid and tail"),
    Dial("xQuAD", _With(by_history, xquad), _TOWARDS_ONE, "lists", end=1.0,
         about="re-ranks so that head and tail are both covered, by how much each user likes them"),
    Dial("FA*IR", _With(by_popularity, fa_ir), _UP_TO_ALL, "lists", end=1.0,
         about="re-ranks so that the first places of every list, however many, hold a minimum of tail items"),
    Dial("PCT", _With(by_history, pct), _UP_TO_ALL, "lists", end=1.0,
         about="re-ranks towards a mix of popularity for all users together"),
    Dial("P-MMF", _With(by_popularity, p_mmf), (0.0, 0.001, 0.01, 0.1, 1.0), "lists",
         about="re-ranks so that the group of items that is worst off gets the most"),
    Dial("TTEN", _With(of_vectors, vectors.normalized), (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0), end=1.0,
         about="scales item vectors to more even lengths when it recommends"),
    Dial("PPD", _With(linearly, without_popularity), _PARTS, end=1.0,
         about="takes a part of each vector's own popularity direction out of it"),
    Dial("shrink", _With(of_vectors, vectors.shrunk), (0.0, 0.03, 0.06, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0), end=1.0,
         about="takes a part of the first singular direction, which is popularity, out of the vectors"),
    Dial("PopSteer", steering.by_users, _ALPHAS, "model",
         about="turns down the neurons of popular tastes and up those of niche ones"),
    Dial("PopSteer, error dropped", _With(steering.by_users, keep_error=False), _ALPHAS, "model", off_at_zero=False,
         about="PopSteer without the part of the vectors that the autoencoder misses"),
    Dial("PopSteer v1, error dropped", _With(steering.by_users, variant="v1", keep_error=False), _ALPHAS, "model",
         off_at_zero=False, about="PopSteer with the weights of its first paper, without what the autoencoder misses"),
    Dial("PopSteer, gated", _With(steering.by_users, variant="gated"), _ALPHAS, "model",
         about="PopSteer as its authors' code has it: neurons move only for users in whom they are outliers"),
    Dial("PopSteer, damped", _With(steering.by_users, variant="damp"), _ALPHAS, "model",
         about="turns down neurons of popular tastes in proportion to how active they are"),
    Dial("PopSteer, by effect", _With(steering.by_users, by="effect"), _ALPHAS, "model",
         about="PopSteer, on neurons chosen by what a push does rather than by whom they answer to"),
    Dial("PopSteer, damped by effect", _With(steering.by_users, variant="damp", by="effect"), _ALPHAS, "model",
         about="PopSteer in proportion to how active neurons are, chosen by what a push does"),
    Dial("PopSteer, by user", _With(steering.by_users, per_user=True), _ALPHAS, "model",
         about="PopSteer, the stronger the more popular a user's list is than the user's own items"),
    Dial("PopSteer, damped by user", _With(steering.by_users, variant="damp", per_user=True), _ALPHAS, "model",
         about="PopSteer in proportion to how active neurons are, and user by user"),
    Dial("PopSteer, items", steering.by_items, _ALPHAS, "model",
         about="PopSteer on the vectors of items"),
    Dial("PopSteer, items gated", _With(steering.by_items, variant="gated"), _ALPHAS, "model",
         about="PopSteer on the vectors of items: neurons move only for items in which they are outliers"),
    Dial("PopSteer, items damped", _With(steering.by_items, variant="damp"), _ALPHAS, "model",
         about="PopSteer on the vectors of items, in proportion to how active neurons are"),
    Dial("PopSteer, users and items", steering.by_both, _ALPHAS, "model",
         about="PopSteer on both vectors"),
    Dial("SPREE", steering.to_taste, _PARTS, "model",
         about="steers each user towards the popularity of the user's own choices, along one direction"),
    Dial("SPREE, neurons", _With(steering.to_taste, neurons=True), _PARTS, "model",
         about="steers each user towards the popularity of the user's own choices, through neurons"),
    Dial("SPREE, damped neurons", _With(steering.to_taste, neurons=True, variant="damp"), _PARTS, "model",
         about="SPREE through neurons, in proportion to how active they are"),
    Dial("ReSN", training.resn, _WEIGHTS, "training",
         about="penalizes the first singular direction while training"),
    Dial("ReSN, fine-tuned", training.resn_fine_tuned, _WEIGHTS, "training", off_at_zero=False,
         about="penalizes the first singular direction while a finished model is trained further"),
    Dial("LogDet", training.log_det, (0.0, 1e-4, 1e-3, 1e-2, 1e-1), "training",
         about="penalizes collapsed dimensions while training"),
    Dial("Zerosum", training.zerosum, (0.0, 0.01, 0.03, 0.1, 0.3), "training", end=1.0,
         about="trains with a loss on sums of scores"),
    Dial("IPS", training.ips, (0.0, 0.25, 0.5, 0.75, 1.0), "training", end=1.0,
         about="weights the training interactions by inverse propensity"),
    Dial("PD", training.deconfounded, (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25), "training",
         about="trains with popularity as a factor of its own, and leaves it out when it recommends"),
    Dial("PR-Entmax", training.pr_entmax, (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2), "training", off_at_zero=False,
         about="trains with a sparse loss and weights by popularity"),
    Dial("MACR", training.macr, (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0), "training", off_at_zero=False,
         about="trains with a gate for popular items and one for active users, and takes off what the gates explain"),
    Dial("SPRINT", training.sprint, (0.0, 0.1, 0.25, 1.0, 2.5, 5.0, 10.0), "training", model="SASRec",
         about="penalizes the attention and weights by which a few places dominate a transformer, while training"),
)

DIALS: tuple[Dial, ...] = (*_OWN, *(each.menu() for each in _OWN if each.name in ("PopSteer", "PopSteer, damped")))

CONTROLS: tuple[Dial, ...] = (
    Dial("random neurons", steering.random_neurons, (0.0, 0.3, 0.75, 1.5), "model",
         about="PopSteer on neurons drawn at random"),
    Dial("reversed", steering.by_users, (0.0, -0.3, -0.75, -1.5), "model",
         about="PopSteer turned the other way"),
    Dial("noise", steering.noise, (0.0, 0.3, 0.75, 1.5), "model",
         about="random shifts of the vectors, as large as PopSteer's"),
    Dial("dense shift", _With(steering.direction, mode="shift"), (0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6), "model",
         about="one shift between the means of popular and niche tastes, without an autoencoder"),
    Dial("dense projection", _With(steering.direction, mode="project"), (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0),
         "model", end=1.0, about="takes the direction between popular and niche tastes out of the vectors"),
)
# fmt: on


def _most_popular(subject: Subject, strength: float, seed: int) -> Lists:
    return partial(baselines.most_popular, k=subject.k)


def _random_items(subject: Subject, strength: float, seed: int) -> Lists:
    return partial(baselines.random_items, k=subject.k, rng=seed)


REFERENCES: tuple[Dial, ...] = (
    Dial("most popular", _most_popular, (0.0,), "data", False, about="the most popular items that a user has not met"),
    Dial("random", _random_items, (0.0,), "data", off_at_zero=False, about="items at random"),
)
