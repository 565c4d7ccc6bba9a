"""Training, validation and test parts of interactions that share one catalogue."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, Literal, Self

import numpy as np
import polars as pl

from headtail._checks import checked, generator, number
from headtail._columns import logger
from headtail._printable import counted
from headtail._times import refuse_mixed_units
from headtail.data.coded import ascending
from headtail.data.interactions import Duplicates, Interactions, from_table, rated, read_roles, without_duplicates
from headtail.exceptions import InvalidInputError
from headtail.typing import RNG, Array, Codes, Floats, IntoFrame, Ints, Mask

_VALIDATION_LABELS = ("validation", "valid", "val", "dev")


@checked
@dataclass(frozen=True, eq=False)
class Split:
    """Parts of one set of interactions, with the same users and items throughout, that share no (user, item) pair.

    Parameters
    ----------
    train, test : Interactions
        What models learn from, which counts as seen, and what figures are reported on.
    validation : Interactions, optional
        What choices are made on: when to stop, which weight.
    description : str
        How the parts were made, for reports.

    Examples
    --------
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
        pairs = ascending(np.concatenate([part.sorted_pairs for part in parts.values()]))
        if not (pairs[1:] == pairs[:-1]).any():
            return
        for earlier, later in combinations(parts, 2):
            common = np.flatnonzero(parts[earlier].contains(parts[later].users, parts[later].items))
            if len(common):
                user, item = parts[later].subset(common[:1]).to_polars().row(0)[:2]
                raise InvalidInputError(
                    f"{earlier} and {later} share {len(common):,} (user, item) pairs, the first of them user {user!r} "
                    f"with item {item!r}. Keep each pair in one part; Split.from_frame(..., overlap='train') does so."
                )

    @cached_property
    def known(self) -> Interactions:
        """What is known when the test begins: training and validation together."""
        return self.train if self.validation is None else union(self.train, self.validation)

    @property
    def scale(self) -> float:
        """How many times as many interactions a user of the test has there as one of validation, 1 if a part is empty.

        Examples
        --------
        >>> data = ht.datasets.power_law(400, 60, n_interactions=3000, rng=0).interactions
        >>> round(ht.split_ratio(data, test=0.3, validation=0.1, rng=0).scale, 1)
        2.1
        """
        parts = [part for part in (self.test, self.validation) if part is not None and len(part)]
        if len(parts) < 2:
            return 1.0
        in_test, in_validation = (len(part) / np.count_nonzero(part.activity) for part in parts)
        return float(in_test / in_validation)

    @property
    def whole(self) -> Interactions:
        """All parts together."""
        return union(self.known, self.test)

    @property
    def parts(self) -> dict[str, Interactions]:
        """The parts by name: `train`, `validation` where there is one, and `test`."""
        validation = {} if self.validation is None else {"validation": self.validation}
        return {"train": self.train, **validation, "test": self.test}

    def with_validation(self, share: float = 0.1, *, rng: RNG = 0) -> Self:
        """Return the split with a share of each user's training interactions, drawn at random, as validation part.

        The test stays as it is; where it was made another way, such as by showing items at random, the validation does
        not resemble it.

        Parameters
        ----------
        share : float in (0, 1), default 0.1
            Rounded half up to whole interactions of each user, at least one of which stays in training.
        rng : seed or generator, default 0

        Examples
        --------
        >>> frame = pl.DataFrame({"user_id": [1, 1, 1], "item_id": [5, 6, 7], "split": ["train", "train", "test"]})
        >>> split = Split.from_frame(frame).with_validation(0.5, rng=0)
        >>> {name: len(part) for name, part in split.parts.items()}
        {'train': 1, 'validation': 1, 'test': 1}
        """
        if self.validation is not None:
            raise InvalidInputError(
                f"The split has a validation part of {counted(len(self.validation), 'interaction')}. Use it, or make "
                f"a split of train and test alone first."
            )
        share = number("share", share, low=0, high=1, low_open=True, high_open=True)
        (held_out,) = drawn_shares(self.train, [share], rng)
        inner = made_split(self.train.subset(~held_out), self.train.subset(held_out), None, "")
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
        train, test, validation : str
            The names of the parts in that column; without that of the validation, ``validation``, ``valid``, ``val`` or
            ``dev`` if one of them is there. Other names are an error.
        user, item, rating, timestamp, order, titles, min_rating, duplicates
            As in :meth:`Interactions.from_frame`, for each part.
        overlap : {"error", "train"}, default "error"
            What to do with a pair in two parts: refuse it, or keep it in the earlier one of train, validation, test.
        """
        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        table, roles = read_roles(frame, names | {"part": column}, rating_needed=min_rating is not None)
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
        return cls._from_table(table, roles, masks, titles, min_rating, duplicates, overlap, said)

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
        left out, which is logged; ids must be of one type.
        """
        names = {"user_id": user, "item_id": item, "rating": rating, "timestamp": timestamp, "order": order}
        frames = {"train": train, "test": test} | ({} if validation is None else {"validation": validation})
        read = {n: read_roles(f, names, rating_needed=min_rating is not None, what=n) for n, f in frames.items()}
        tables = {name: table for name, (table, _) in read.items()}
        common = [c for c in tables["train"].columns if all(c in table.columns for table in tables.values())]
        for name, table in tables.items():
            if left_out := set(table.columns) - set(common):
                logger.warning("%s: %s left out, as not all parts have it", name, ", ".join(sorted(left_out)))
            for kind in ("user_id", "item_id"):
                if table[kind].dtype != tables["train"][kind].dtype:
                    raise InvalidInputError(
                        f"{kind} is {tables['train'][kind].dtype} in train and {table[kind].dtype} in {name}. Cast one."
                    )
        try:
            whole = pl.concat([table.select(common) for table in tables.values()], how="vertical_relaxed")
        except pl.exceptions.PolarsError as error:
            kinds = {
                n: ", ".join(f"{c} {t}" for c, t in table.select(common).schema.items()) for n, table in tables.items()
            }
            raise InvalidInputError(f"The parts have columns of different types: {kinds}. Cast them alike.") from error
        parts = np.repeat(list(tables), [len(table) for table in tables.values()])
        masks = {name: parts == name for name in tables}
        return cls._from_table(
            whole, read["train"][1], masks, titles, min_rating, duplicates, overlap, "As the data gives it."
        )

    @classmethod
    def _from_table(
        cls,
        table: pl.DataFrame,
        names: Mapping[str, Any],
        masks: Mapping[str, Mask],
        titles: "IntoFrame | Mapping[Any, str] | None",
        min_rating: float | None,
        duplicates: Duplicates,
        overlap: str,
        said: str,
    ) -> Self:
        whole = from_table(table, names)
        if titles is not None:
            whole = whole.with_titles(titles)
        parts: dict[str, Interactions] = {}
        for name in ("train", "validation", "test"):
            if name not in masks:
                continue
            part = whole.subset(masks[name])
            if min_rating is not None:
                part = rated(part, number("min_rating", min_rating))
            part = without_duplicates(part, duplicates)
            if overlap == "train":
                part, kept = kept_apart(part, parts, name)
                said += kept
            parts[name] = part
        return cls(parts["train"], parts["test"], parts.get("validation"), said)


def drawn_shares(interactions: Interactions, shares: Iterable[float], rng: RNG) -> list[Mask]:
    """Draw shares of every user's interactions at random, rounded half up, as masks; one at least is in none."""
    activity = interactions.activity
    sizes: list[Array] = []
    for share in shares:
        # Half up, with a hair's breadth for shares such as 0.15 * 10 that floating point puts below the half.
        size = np.floor(activity * share + 0.5 + 1e-9).astype(int)
        sizes.append(np.minimum(size, np.maximum(activity - 1 - sum(sizes), 0)))
    drawn = draw_each(interactions.users, activity, sizes, generator(rng))
    return [drawn == number for number in range(len(sizes))]


def draw_each(codes: Codes, counts: Array, sizes: Sequence[Array], draw: np.random.Generator) -> Ints:
    """Draw at random, of the interactions of each code, as many as each of the sizes (n_codes,) says.

    Return for each interaction (n,) the position in `sizes` of what it was drawn for, -1 for nothing.
    """
    each = np.stack([*sizes, counts - sum(sizes)], axis=1)
    labels = np.tile(np.append(np.arange(len(sizes)), -1).astype(np.int8), len(counts))
    drawn = np.empty(len(codes), dtype=np.int8)
    drawn[shuffled(codes, draw.random(len(codes)))] = np.repeat(labels, each.ravel())
    return drawn


def shuffled(codes: Codes, chances: Floats) -> Ints:
    """Return the positions in the order of their codes, and of one code in that of their chances in [0, 1).

    The same as ``numpy.lexsort((chances, codes))``, by one sort of whole numbers that hold the code, as many bits of
    the chance as there is room for, and the position; five times as fast.
    """
    n = len(codes)
    for_position = n.bit_length()
    for_chance = min(53, 63 - for_position - int(codes.max(initial=0)).bit_length())
    keys = codes.astype(np.int64) << for_chance
    keys |= (chances * 2.0**for_chance).astype(np.int64)
    keys <<= for_position
    keys |= np.arange(n)
    keys = ascending(keys)
    order = keys & ((1 << for_position) - 1)
    keys >>= for_position
    same = keys[1:] == keys[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))  # few: their chances differ further down
    order[tied] = order[tied][np.lexsort((chances[order[tied]], keys[tied]))]
    return order


def made_split(train: Interactions, test: Interactions, validation: Interactions | None, said: str) -> Split:
    """Return a split whose description counts the users missing from each part, and the items without training."""
    parts = {"training": train, "the test": test} | ({} if validation is None else {"the validation": validation})
    known: Array = np.sum([part.activity for part in parts.values()], axis=0) > 0
    for name, part in parts.items():
        if not len(part):
            size = f"{counted(sum(map(len, parts.values())), 'interaction')} of {counted(known.sum(), 'user')}"
            raise InvalidInputError(
                f"The {name.removeprefix('the ')} part would be empty: {size} are too few, or too many of them are of "
                f"one time. Change the shares, or do without the validation."
            )
    for name, part in parts.items():
        if without := int((known & (part.activity == 0)).sum()):
            said += (
                f" {without:,} of {counted(known.sum(), 'user')} {'has' if without == 1 else 'have'} nothing in {name}."
            )
        found = part.popularity > 0
        if cold := int((found & (train.popularity == 0)).sum()):
            share = cold / found.sum()
            said += (
                f" {cold:,} of the {found.sum():,} items in {name} ({share:.1%}) {'has' if cold == 1 else 'have'} "
                f"no training interactions."
            )
    return Split(train, test, validation, said)


def kept_apart(part: Interactions, others: Mapping[str, Interactions], name: str) -> tuple[Interactions, str]:
    """Return a part without the pairs that others have, and which of them keep how many."""
    said = ""
    for other, earlier in others.items():
        shared = earlier.contains(part.users, part.items)
        if shared.any():
            part = part.subset(~shared)
            said += f" Kept in {other} alone: {counted(shared.sum(), 'pair')} that {name} has as well."
    return part, said


def union(first: Interactions, second: Interactions) -> Interactions:
    """Return the interactions of both; a rating or time that only one of them has is left out."""

    def both(name: str) -> Any:
        values = getattr(first, name), getattr(second, name)
        if values[0] is None or values[1] is None:
            return None
        joined = np.concatenate(values)
        if name == "timestamps":
            refuse_mixed_units(joined, "The time of two parts")
        return joined

    return replace(first, **{name: both(name) for name in ("users", "items", "ratings", "timestamps", "order")})
