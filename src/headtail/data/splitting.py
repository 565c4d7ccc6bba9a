"""Ways to split interactions: at random, by time, and with items tested equally often."""

from typing import Any, Literal

import numpy as np

from headtail._checks import checked, generator, number
from headtail._printable import counted
from headtail.data.interactions import Interactions
from headtail.data.splits import Split, draw_each, drawn_shares, made_split, union
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, IntoFrame


@checked
def split_ratio(
    interactions: "Interactions | IntoFrame", *, test: float = 0.2, validation: float | None = 0.1, rng: RNG = 0
) -> Split:
    """Give a random share of every user's interactions to the test, and another share to the validation.

    Shares are of all the user's interactions and rounded half up to whole ones; at least one stays in training, the
    validation giving way first. A user with few interactions may therefore be in the training part alone.

    Parameters
    ----------
    interactions : Interactions or frame
    test : float in (0, 1), default 0.2
        Share of each user's interactions that goes to the test.
    validation : float in [0, 1) or None, default 0.1
        Share that goes to the validation; None or 0 makes none.
    rng : seed or generator, default 0

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": [1] * 10, "item_id": range(10)})
    >>> split = split_ratio(Interactions.from_frame(frame), rng=0)
    >>> {name: len(part) for name, part in split.parts.items()}
    {'train': 7, 'validation': 1, 'test': 2}
    """
    interactions = Interactions.of(interactions)
    test, validation = _shares(test, validation)
    in_test, in_validation = drawn_shares(interactions, [test, validation], rng)
    said = f"At random, {test:.4g} of each user's interactions in the test"
    said += f" and {validation:.4g} in the validation" if validation else ""
    return _split(
        interactions, in_test, in_validation if validation else None, f"{said}, rounded; at least one in training."
    )


@checked
def split_leave_last(interactions: "Interactions | IntoFrame", *, validation: bool = True) -> Split:
    """Give every user's last interaction to the test, and, with `validation`, the one before it to the validation.

    Time, which must be known, is `order`, else `timestamps`; interactions of one time are in the order of the rows. A
    user with one interaction stays in training; of two interactions none goes to the validation.

    Parameters
    ----------
    interactions : Interactions or frame
    validation : bool, default True

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 8, 9], "timestamp": [30, 10, 20]})
    >>> split_leave_last(Interactions.from_frame(frame)).test.to_polars().rows()
    [(1, 7, 30)]
    """
    interactions = Interactions.of(interactions)
    place = interactions.time_rank
    if place is None:
        raise InvalidInputError(
            "interactions has neither timestamps nor an order, so that no interaction is the last. Name the column, "
            "as in Interactions.from_frame(..., timestamp='when'), or use split_ratio."
        )
    from_last = interactions.activity[interactions.users] - 1 - place
    in_test = (from_last == 0) & (place > 0)
    in_validation = (from_last == 1) & (place > 0) if validation else None
    said = "Each user's last interaction in the test"
    said += " and the one before it in the validation" if validation else ""
    return _split(interactions, in_test, in_validation, f"{said}; ties in time by the order of the rows.")


@checked
def split_time(interactions: "Interactions | IntoFrame", *, test: float = 0.2, validation: float | None = 0.1) -> Split:
    """Cut at one point in time for all users: what came last is the test.

    All of training is strictly before all of validation, and that before all of the test. Interactions of the very
    time of a cut belong to the later part, which may thus exceed its share. Users and items that first appear after the
    cut stay in the catalogue and have no training interactions.

    Parameters
    ----------
    interactions : Interactions or frame
        What to split; needs timestamps (an `order` within each user does not compare across users).
    test, validation : float or None, default 0.2 and 0.1
        Shares of all interactions; None or 0 makes no validation.

    Examples
    --------
    >>> frame = pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [7, 8, 7, 9], "timestamp": [10, 40, 20, 30]})
    >>> split_time(Interactions.from_frame(frame), test=0.25, validation=None).test.to_polars().rows()
    [(1, 8, 40)]
    """
    interactions = Interactions.of(interactions)
    test, validation = _shares(test, validation)
    times = interactions.timestamps
    if times is None:
        hint = " Its order holds within each user only." if interactions.order is not None else ""
        raise InvalidInputError(
            f"interactions has no timestamps.{hint} Name the column, as in "
            f"Interactions.from_frame(..., timestamp='when'), or use split_leave_last or split_ratio."
        )
    if not len(times):
        raise InvalidInputError("interactions is empty; there is nothing to split. Check the filter.")
    ordered = np.sort(times)

    def cut(share: float) -> Any:
        return ordered[min(len(ordered) - 1, int(np.ceil(len(ordered) * (1 - share) - 1e-9)))]

    in_test = times >= cut(test)
    in_validation = ~in_test & (times >= cut(test + validation)) if validation else None
    said = f"By time, the last {test:.4g} of all interactions in the test"
    said += f" and {validation:.4g} before them in the validation" if validation else ""
    return _split(interactions, in_test, in_validation, f"{said}; all of one moment in the later part.")


@checked
def split_debiased(
    split: "Split | Interactions | IntoFrame", *, variant: Literal["capped", "paper"] = "capped", rng: RNG = 0
) -> Split:
    """Rearrange a split so that all items have about the same number of test interactions.

    With t = floor(test interactions / items of the catalogue), every item with more than t test interactions keeps t of
    them, drawn at random, and gives the others back to training; an item with fewer draws what it lacks from its
    training interactions at random. A validation part is rearranged likewise, with its own t. Parts must have as many
    interactions as there are items. The description names the numbers, and how many items nothing can be learned of.

    Source: the debiased testing paradigm of Lin et al., WSDM 2025; the bound is ours.

    Parameters
    ----------
    split : Split, Interactions or frame
        What to rearrange, for example ``Split(train, test)``; interactions are taken as ``split_ratio(interactions,
        rng=rng)``.
    variant : {"capped", "paper"}, default "capped"
        "capped" keeps at least half of an item's interactions, and one, in training: where test and validation together
        would take more, their numbers are lowered in proportion. "paper" has no such bound, so that an item with few
        interactions may lose all that it has in training, and no model can rank it then.
    rng : seed or generator, default 0

    Examples
    --------
    >>> frame = pl.DataFrame(
    ...     {"user_id": [1, 2, 3, 1, 2], "item_id": [7, 7, 7, 8, 8], "split": ["test"] * 2 + ["train"] * 3}
    ... )
    >>> split_debiased(Split.from_frame(frame), rng=0).test.popularity
    array([1, 1])
    """
    split = split if isinstance(split, Split) else split_ratio(split, rng=rng)
    draw = generator(rng)
    train, test, validation = split.train, split.test, split.validation
    t, t_validation = _level(test, "test"), 0 if validation is None else _level(validation, "validation")
    both = np.full(train.n_items, t + t_validation)
    if variant == "capped":
        both = np.minimum(both, sum(part.popularity for part in split.parts.values()) // 2)
    of_test = (2 * t * both + t + t_validation) // (2 * (t + t_validation))  # in proportion, rounded half up
    train, test = _exchange(train, test, of_test, draw)
    about = "up to" if variant == "capped" else "about"
    said = f"{split.description} Then debiased: {about} {t} test interactions an item"
    if validation is not None:
        train, validation = _exchange(train, validation, both - of_test, draw)
        said += f" and {t_validation} in the validation"
    said += ", exchanged with training at random"
    said += "; at least half of an item's, and one, in training." if variant == "capped" else "."
    return made_split(train, test, validation, said)


def _level(part: Interactions, name: str) -> int:
    """Return how many interactions of a part each item would have were they even."""
    if len(part) < part.n_items:
        raise InvalidInputError(
            f"The {name} part has {counted(len(part), 'interaction')} for {counted(part.n_items, 'item')}, less than "
            f"one an item, so that it cannot be debiased. Give it a larger share, or thin out rare items with k_core."
        )
    return len(part) // part.n_items


def _exchange(
    train: Interactions, part: Interactions, wanted: Array, draw: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """Exchange interactions of `part` with those of training until it has as many of each item as wanted."""
    keep = draw_each(part.items, part.popularity, [np.minimum(wanted, part.popularity)], draw) == 0
    missing = np.clip(wanted - part.popularity, 0, train.popularity)
    give = draw_each(train.items, train.popularity, [missing], draw) == 0
    return union(train.subset(~give), part.subset(~keep)), union(part.subset(keep), train.subset(give))


def _shares(test: float, validation: float | None) -> tuple[float, float]:
    test = number("test", test, low=0, high=1, low_open=True, high_open=True)
    validation = number("validation", validation or 0, low=0, high=1, high_open=True)
    if test + validation >= 1:
        raise InvalidInputError(f"test={test} and validation={validation} leave nothing for training. Lower one.")
    return test, validation


def _split(interactions: Interactions, in_test: Array, in_validation: Array | None, said: str) -> Split:
    """Make the parts that two masks tell; without the second there is no validation."""
    held_out = in_test if in_validation is None else in_test | in_validation
    validation = None if in_validation is None else interactions.subset(in_validation)
    return made_split(interactions.subset(~held_out), interactions.subset(in_test), validation, said)
