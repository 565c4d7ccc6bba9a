"""Splits of interactions into training, validation and test parts that share one catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from headtail import _frames
from headtail._checks import choice, generator, number
from headtail.data.interactions import Duplicates, Interactions, _read
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Codes, IntoFrame

if TYPE_CHECKING:
    import polars as pl

_VALIDATION_LABELS = ("validation", "valid", "val", "dev")


@dataclass(frozen=True, eq=False)
class Split:
    """Parts of one set of interactions, with the same users and items throughout.

    Parameters
    ----------
    train : Interactions
        What models learn from, and what counts as seen.
    test : Interactions
        What figures are reported on.
    validation : Interactions, optional
        What choices are made on: when to stop, which weight.
    description : str
        How the parts were made, for reports.

    Raises
    ------
    InvalidInputError
        If the parts have different users or items, or share a (user, item) pair.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [5, 6, 5], "split": ["train", "test", "train"]})
    >>> Split.from_frame(frame).test.to_polars().rows()
    [(1, 6)]
    """

    train: Interactions
    test: Interactions
    validation: Interactions | None = None
    description: str = "Given."

    def __post_init__(self) -> None:
        parts = self.parts
        for name, part in parts.items():
            for kind in ("user_ids", "item_ids"):
                ours, theirs = getattr(self.train, kind), getattr(part, kind)
                if ours is not theirs and not np.array_equal(ours, theirs):
                    raise InvalidInputError(
                        f"train and {name} have different {kind} ({len(ours):,} and {len(theirs):,}). Make the parts "
                        f"with Split.from_frames, which gives them the same."
                    )
        names = list(parts)
        for i, later in enumerate(names):
            for earlier in names[:i]:
                common = np.flatnonzero(parts[earlier].contains(parts[later].users, parts[later].items))
                if len(common):
                    user, item = parts[later].subset(common[:1]).to_polars().row(0)[:2]
                    raise InvalidInputError(
                        f"{earlier} and {later} share {len(common):,} (user, item) pairs, the first of them user "
                        f"{user!r} with item {item!r}. Keep each pair in one part; "
                        f"Split.from_frame(..., overlap='train') does so."
                    )

    @cached_property
    def known(self) -> Interactions:
        """What is known when the test begins: training and validation together."""
        return self.train if self.validation is None else _join(self.train, self.validation)

    @property
    def whole(self) -> Interactions:
        """All parts together."""
        return _join(self.known, self.test)

    @property
    def parts(self) -> dict[str, Interactions]:
        """The parts by name: `train`, `validation` where there is one, and `test`."""
        validation = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **validation, "test": self.test}

    def with_validation(self, share: float = 0.1, *, rng: RNG = None) -> Self:
        """Return the split with a share of each user's training interactions, drawn at random, as validation part.

        For data that come with a training and a test part alone. The test stays as it is; where it was made another
        way, such as by showing items at random, the validation does not resemble it, but is all there is to choose on.

        Parameters
        ----------
        share : float in (0, 1), default 0.1
            Rounded half up to whole interactions of each user, at least one of which stays in training.
        rng : int, numpy Generator or None
            Random state.

        Raises
        ------
        InvalidInputError
            If there is a validation part, the share is out of range, or a part would be empty.

        Examples
        --------
        >>> import polars as pl
        >>> frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [5, 6, 7], "split": ["train", "train", "test"]})
        >>> split = Split.from_frame(frame).with_validation(0.5, rng=0)
        >>> {name: len(part) for name, part in split.parts.items()}
        {'train': 1, 'validation': 1, 'test': 1}
        """
        if self.validation is not None:
            raise InvalidInputError(
                f"The split has a validation part of {len(self.validation):,} interactions. Use it, or make a split of "
                f"train and test alone first."
            )
        inner = split_ratio(
            self.train,
            test=number("share", share, low=0, high=1, low_open=True, high_open=True),
            validation=None,
            rng=rng,
        )
        said = f"{self.description} Validation: {share:.4g} of each user's training interactions at random, rounded."
        return replace(self, train=inner.train, validation=inner.test, description=said)

    @classmethod
    def from_frame(
        cls,
        frame: IntoFrame,
        column: str = "split",
        *,
        train: str = "train",
        test: str = "test",
        validation: str | None = None,
        user: str | None = None,
        item: str | None = None,
        rating: str | None = None,
        timestamp: str | None = None,
        order: str | None = None,
        titles: "IntoFrame | Mapping[Any, str] | None" = None,
        min_rating: float | None = None,
        duplicates: Duplicates = "error",
        overlap: Literal["error", "train"] = "error",
    ) -> Self:
        """Read a split that one column of a frame gives.

        The catalogue is that of all rows, those below `min_rating` included.

        Parameters
        ----------
        frame : pandas, Polars, PyArrow, DuckDB or PySpark frame
            One row for each interaction.
        column : str, default "split"
            The column that names the part of each row.
        train, test : str
            The names of the parts in that column.
        validation : str, optional
            The name of the validation part; without it, ``validation``, ``valid``, ``val`` or ``dev`` if one of them
            is there.
        user, item, rating, timestamp, order, titles, min_rating, duplicates
            As in :meth:`Interactions.from_frame`, for each part.
        overlap : {"error", "train"}, default "error"
            What to do with a pair in two parts: refuse it, or keep it in the earlier one of train, validation, test.

        Raises
        ------
        InvalidInputError
            If the column holds other names, a part is empty, or parts overlap.
        MissingColumnError
            If a column is not found.
        """
        import polars as pl

        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        table = _read(frame, names | {"part": column}, rating_needed=min_rating is not None)
        part = table["part"].cast(pl.String)
        found = part.unique().sort().to_list()
        if validation is None:
            validation = next((name for name in _VALIDATION_LABELS if name in found), None)
        labels = {"train": train, "validation": validation, "test": test}
        wanted = [label for label in labels.values() if label is not None]
        if set(found) != set(wanted) or len(set(wanted)) < len(wanted):
            raise InvalidInputError(
                f"The column {column!r} holds {', '.join(map(repr, found))}; asked for were "
                f"{', '.join(f'{name}={label!r}' for name, label in labels.items() if label)}. Name each part as the "
                f"column does, and leave rows of other parts out first."
            )
        masks = {name: (part == label).to_numpy() for name, label in labels.items() if label is not None}
        said = f"As the column {column!r} of the data gives it."
        return cls._from_table(table, masks, titles, min_rating, duplicates, overlap, said)

    @classmethod
    def from_frames(
        cls,
        train: IntoFrame,
        test: IntoFrame,
        validation: IntoFrame | None = None,
        *,
        user: str | None = None,
        item: str | None = None,
        rating: str | None = None,
        timestamp: str | None = None,
        order: str | None = None,
        titles: "IntoFrame | Mapping[Any, str] | None" = None,
        min_rating: float | None = None,
        duplicates: Duplicates = "error",
        overlap: Literal["error", "train"] = "error",
    ) -> Self:
        """Read a split whose parts are frames of their own; users and items of all parts make the catalogue.

        The parameters are those of :meth:`from_frame`. Columns besides the ids that only some of the frames have are
        left out, which is logged.

        Raises
        ------
        InvalidInputError
            If a part is empty, ids are of one type here and of another there, or parts overlap.
        MissingColumnError
            If a column is not found.
        """
        import polars as pl

        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        frames = {"train": train, "test": test} | ({} if validation is None else {"validation": validation})
        tables = {n: _read(f, names, rating_needed=min_rating is not None, what=n) for n, f in frames.items()}
        common = [c for c in tables["train"].columns if all(c in table.columns for table in tables.values())]
        for name, table in tables.items():
            if left_out := set(table.columns) - set(common):
                _frames.logger.warning("%s: %s left out, as not all parts have it", name, ", ".join(sorted(left_out)))
            for kind in ("user_id", "item_id"):
                if table[kind].dtype != tables["train"][kind].dtype:
                    raise InvalidInputError(
                        f"{kind} is {tables['train'][kind].dtype} in train and {table[kind].dtype} in {name}. Cast one."
                    )
        whole = pl.concat([table.select(common) for table in tables.values()], how="vertical_relaxed")
        parts = np.repeat(list(tables), [len(table) for table in tables.values()])
        masks = {name: parts == name for name in tables}
        return cls._from_table(whole, masks, titles, min_rating, duplicates, overlap, "As the data gives it.")

    @classmethod
    def _from_table(
        cls,
        table: "pl.DataFrame",
        masks: Mapping[str, NDArray[np.bool_]],
        titles: "IntoFrame | Mapping[Any, str] | None",
        min_rating: float | None,
        duplicates: Duplicates,
        overlap: str,
        said: str,
    ) -> Self:
        choice("overlap", overlap, ("error", "train"))
        whole = Interactions._from_table(table)
        if titles is not None:
            whole = whole.with_titles(titles)
        parts: dict[str, Interactions] = {}
        for name in ("train", "validation", "test"):
            if name not in masks:
                continue
            part = whole.subset(masks[name])
            if min_rating is not None:
                part = part._rated(number("min_rating", min_rating))
            part = part._without_duplicates(duplicates)
            for other, earlier in parts.items():
                shared = earlier.contains(part.users, part.items)
                if overlap == "train" and shared.any():
                    part = part.subset(~shared)
                    said += f" {shared.sum():,} pairs of {name} that are also in {other} were kept in {other} alone."
            parts[name] = part
        return cls(parts["train"], parts["test"], parts.get("validation"), said)


def split_ratio(
    interactions: "Interactions | IntoFrame", *, test: float = 0.2, validation: float | None = 0.1, rng: RNG = None
) -> Split:
    """Give a random share of every user's interactions to the test, and another share to the validation.

    Shares are of all the user's interactions and rounded half up to whole ones; at least one stays in training, the
    validation giving way first. A user with few interactions may therefore be in the training part alone.

    Parameters
    ----------
    interactions : Interactions or frame
        What to split.
    test : float in (0, 1), default 0.2
        Share of each user's interactions that goes to the test.
    validation : float in [0, 1) or None, default 0.1
        Share that goes to the validation; None or 0 makes none.
    rng : int, numpy Generator or None
        Random state.

    Raises
    ------
    InvalidInputError
        If the shares are out of range, or a part would be empty.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"user_id": [1] * 10, "item_id": range(10)})
    >>> split = split_ratio(Interactions.from_frame(frame), rng=0)
    >>> {name: len(part) for name, part in split.parts.items()}
    {'train': 7, 'validation': 1, 'test': 2}
    """
    interactions = Interactions.of(interactions)
    test, validation = _shares(test, validation)
    activity = interactions.activity
    # Half up, with a hair's breadth for shares such as 0.15 * 10 that floating point puts below the half.
    n_test = np.minimum(np.floor(activity * test + 0.5 + 1e-9).astype(int), np.maximum(activity - 1, 0))
    n_validation = np.floor(activity * validation + 0.5 + 1e-9).astype(int)
    n_validation = np.minimum(n_validation, np.maximum(activity - 1 - n_test, 0))
    users = interactions.users
    place = _random_place(users, activity, generator(rng))
    in_test = place < n_test[users]
    in_validation = ~in_test & (place < (n_test + n_validation)[users])
    said = f"At random, {test:.4g} of each user's interactions in the test"
    said += f" and {validation:.4g} in the validation" if validation else ""
    return _split(interactions, in_test, in_validation, f"{said}, rounded; at least one in training.")


def split_leave_last(interactions: "Interactions | IntoFrame", *, validation: bool = True) -> Split:
    """Give every user's last interaction to the test, and the one before it to the validation.

    Time is `order` where known, else `timestamps`; interactions of one time are in the order of the rows. A user with
    one interaction stays in training; with `validation`, a user with two gives none to the validation.

    Parameters
    ----------
    interactions : Interactions or frame
        What to split; needs a time.
    validation : bool, default True
        Whether to make a validation part.

    Raises
    ------
    InvalidInputError
        If no time is known, or a part would be empty.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 8, 9], "timestamp": [30, 10, 20]})
    >>> split_leave_last(Interactions.from_frame(frame)).test.to_polars().rows()
    [(1, 7, 30)]
    """
    interactions = Interactions.of(interactions)
    place = interactions.time_rank
    if place is None:
        raise InvalidInputError(
            "interactions has neither timestamps nor an order, so that no interaction is the last. Name the column "
            "when reading (timestamp=... or order=...), or use split_ratio."
        )
    from_last = interactions.activity[interactions.users] - 1 - place
    in_test = (from_last == 0) & (place > 0)
    in_validation = (from_last == 1) & (place > 0) & validation
    said = "Each user's last interaction in the test"
    said += " and the one before it in the validation" if validation else ""
    return _split(interactions, in_test, in_validation, f"{said}; ties in time by the order of the rows.")


def split_time(interactions: "Interactions | IntoFrame", *, test: float = 0.2, validation: float | None = 0.1) -> Split:
    """Cut at one point in time for all users: what came last is the test.

    All of training is strictly before all of validation, and that before all of the test. Interactions of the very
    time of a cut belong to the later part, which may thus exceed its share. Users and items that first appear after the
    cut stay in the catalogue and have no training interactions.

    Parameters
    ----------
    interactions : Interactions or frame
        What to split; needs timestamps (an `order` within each user does not compare across users).
    test : float in (0, 1), default 0.2
        Share of all interactions that goes to the test.
    validation : float in [0, 1) or None, default 0.1
        Share that goes to the validation; None or 0 makes none.

    Raises
    ------
    InvalidInputError
        If there are no timestamps, the shares are out of range, or a part would be empty.

    Examples
    --------
    >>> import polars as pl
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
            f"interactions has no timestamps.{hint} Name the column when reading (timestamp=...), or use "
            f"split_leave_last or split_ratio."
        )
    ordered = np.sort(times)

    def cut(share: float) -> Any:
        return ordered[min(len(ordered) - 1, int(np.ceil(len(ordered) * (1 - share) - 1e-9)))]

    in_test = times >= cut(test)
    in_validation = ~in_test & (times >= cut(test + validation)) & (validation > 0)
    said = f"By time, the last {test:.4g} of all interactions in the test"
    said += f" and {validation:.4g} before them in the validation" if validation else ""
    return _split(interactions, in_test, in_validation, f"{said}; all of one moment in the later part.")


def split_debiased(split: Split, *, variant: Literal["capped", "paper"] = "capped", rng: RNG = None) -> Split:
    """Rearrange a split so that all items have about the same number of test interactions.

    With t = floor(test interactions / items of the catalogue), every item with more than t test interactions keeps t of
    them, drawn at random, and gives the others back to training; an item with fewer draws what it lacks from its
    training interactions at random. A validation part is rearranged likewise, with its own t.

    Parameters
    ----------
    split : Split
        What to rearrange, for example ``split_ratio(interactions)`` or ``Split(train, test)``.
    variant : {"capped", "paper"}, default "capped"
        "capped" keeps at least half of an item's interactions, and one, in training: where test and validation together
        would take more, their numbers are lowered in proportion. "paper" has no such bound, so that an item with few
        interactions may lose all that it has in training, and no model can rank it then.
    rng : int, numpy Generator or None
        Random state.

    Returns
    -------
    Split
        Its description names the numbers, and the share of the items of each part that have no training interactions.

    Raises
    ------
    InvalidInputError
        If there are fewer test (or validation) interactions than items, so that t would be 0, or a part would be empty.

    References
    ----------
    The debiased testing paradigm of Lin et al., WSDM 2025; the bound is ours.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame(
    ...     {"user_id": [1, 2, 3, 1, 2], "item_id": [7, 7, 7, 8, 8], "split": ["test"] * 2 + ["train"] * 3}
    ... )
    >>> split_debiased(Split.from_frame(frame), rng=0).test.popularity
    array([1, 1])
    """
    choice("variant", variant, ("capped", "paper"))
    if not isinstance(split, Split):
        raise InvalidInputError(f"split is a {type(split).__name__}; give a Split, such as split_ratio(interactions).")
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
    return _made(train, test, validation, said)


def _level(part: Interactions, name: str) -> int:
    """Return how many interactions of a part each item would have were they even."""
    if len(part) < part.n_items:
        raise InvalidInputError(
            f"The {name} part has {len(part):,} interactions for {part.n_items:,} items, less than one an item, so "
            f"that it cannot be debiased. Give it a larger share, or thin out rare items with k_core."
        )
    return len(part) // part.n_items


def _exchange(
    train: Interactions, part: Interactions, wanted: Array, draw: np.random.Generator
) -> tuple[Interactions, Interactions]:
    """Exchange interactions of `part` with those of training until it has as many of each item as wanted."""
    keep = _random_place(part.items, part.popularity, draw) < wanted[part.items]
    missing = np.maximum(wanted - part.popularity, 0)
    give = _random_place(train.items, train.popularity, draw) < missing[train.items]
    return _join(train.subset(~give), part.subset(~keep)), _join(part.subset(keep), train.subset(give))


def _random_place(codes: Codes, counts: Array, draw: np.random.Generator) -> NDArray[np.int64]:
    """Return the place, 0 first, of each interaction in a random order of those with the same code."""
    order = np.lexsort((draw.random(len(codes)), codes))
    starts = np.cumsum(counts) - counts
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - starts[codes[order]]
    return place


def _shares(test: float, validation: float | None) -> tuple[float, float]:
    test = number("test", test, low=0, high=1, low_open=True, high_open=True)
    validation = number("validation", validation or 0, low=0, high=1, high_open=True)
    if test + validation >= 1:
        raise InvalidInputError(f"test={test} and validation={validation} leave nothing for training. Lower one.")
    return test, validation


def _split(interactions: Interactions, in_test: Array, in_validation: Array, said: str) -> Split:
    """Make the parts that two masks tell."""
    train = interactions.subset(~(in_test | in_validation))
    validation = interactions.subset(in_validation) if "validation" in said else None
    return _made(train, interactions.subset(in_test), validation, said)


def _made(train: Interactions, test: Interactions, validation: Interactions | None, said: str) -> Split:
    """Return a split whose description counts who is missing where, and which items nothing can be learned of."""
    parts = {"training": train, "the test": test} | ({} if validation is None else {"the validation": validation})
    known: Array = np.sum([part.activity for part in parts.values()], axis=0) > 0
    for name, part in parts.items():
        if not len(part):
            size = f"{sum(map(len, parts.values())):,} interactions of {known.sum():,} users"
            raise InvalidInputError(
                f"The {name.removeprefix('the ')} part would be empty: {size} are too few, or too many of them are of "
                f"one time. Change the shares, or do without the validation."
            )
    for name, part in parts.items():
        if without := int((known & (part.activity == 0)).sum()):
            said += f" {without:,} of {known.sum():,} users have nothing in {name}."
        found = part.popularity > 0
        if cold := int((found & (train.popularity == 0)).sum()):
            share = cold / found.sum()
            said += f" {cold:,} of the {found.sum():,} items in {name} ({share:.1%}) have no training interactions."
    return Split(train, test, validation, said)


def _join(first: Interactions, second: Interactions) -> Interactions:
    """Return the interactions of both; a rating or time that only one of them has is left out."""

    def both(name: str) -> Any:
        values = getattr(first, name), getattr(second, name)
        return None if values[0] is None or values[1] is None else np.concatenate(values)

    return replace(first, **{name: both(name) for name in ("users", "items", "ratings", "timestamps", "order")})
