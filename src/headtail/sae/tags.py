"""Tags of items, such as genres, in whatever form they come."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from headtail._checks import integer, nearest, shown
from headtail._frames import is_frame, to_table
from headtail._printable import kind_of
from headtail.data import Interactions
from headtail.exceptions import InvalidInputError, MissingColumnError
from headtail.metrics.attributes import one_a_row
from headtail.typing import Array


@dataclass(frozen=True)
class TaggedItems:
    """Which items (I, T) have the tags with enough of them, the codes of those with any tag, and the other tags."""

    names: tuple[str, ...]
    has: Array
    tagged: Array
    dropped: tuple[str, ...]


def place_of(tag: str, names: tuple[str, ...], dropped: tuple[str, ...]) -> int:
    """Return where a tag stands among names; `dropped` are those with too few items."""
    if tag not in names:
        few = "Too few items have it, or lack it, to tell" if tag in dropped else "There is no such tag"
        raise MissingColumnError(f"tag {tag!r}: {few[0].lower()}{few[1:]}. {nearest(tag, names)}")
    return names.index(tag)


def read_tags(tags: Any, interactions: Interactions, *, min_items: int = 10) -> TaggedItems:
    """Return which items have which tags; raise if most have none, or no tag has enough."""
    codes = {item: code for code, item in enumerate(interactions.item_ids.tolist())}
    given = [(item, tag.strip()) for item, tag in _pairs(tags) if tag.strip()]
    pairs = [(codes[item], tag) for item, tag in given if item in codes]
    if not pairs:
        raise InvalidInputError(
            f"none of the items with tags, {shown(dict(given))}, is in the interactions, {shown(codes)}. Give "
            f"ids of the same kind and spelling."
            if given
            else "tags holds no tag. Give tags for most of the items."
        )
    names = sorted({tag for _, tag in pairs})
    places = {name: place for place, name in enumerate(names)}
    has = np.zeros((interactions.n_items, len(names)), dtype=bool)
    for code, tag in pairs:
        has[code, places[tag]] = True
    known = np.flatnonzero(interactions.popularity)
    tagged = known[has[known].any(axis=1)]
    if 2 * len(tagged) < len(known):
        raise InvalidInputError(
            f"only {len(tagged):,} of the {len(known):,} items with interactions have a tag, too few to say which "
            f"neuron speaks for what. Give tags for most of them."
        )
    counts = has[tagged].sum(axis=0)
    enough = np.minimum(counts, len(tagged) - counts) >= integer("min_items", min_items, low=1)
    if not enough.any():
        raise InvalidInputError(
            f"none of the {len(names)} tags has {min_items} items and is missing from as many "
            f"({names[counts.argmax()]!r} has {counts.max()} of {len(tagged)}). Give coarser or finer tags, or a "
            f"lower min_items."
        )
    order = [t for t in np.argsort(-counts, kind="stable") if enough[t]]
    dropped = tuple(names[t] for t in np.flatnonzero(~enough))
    return TaggedItems(tuple(names[t] for t in order), has[:, order], tagged, dropped)


def _pairs(tags: Any) -> list[tuple[Any, str]]:
    """Return pairs of an item id and a tag."""
    if isinstance(tags, Mapping):
        several = {item: given.split("|") if isinstance(given, str) else given for item, given in tags.items()}
        pairs: list[tuple[Any, str]] = []
        for item, given in several.items():
            if not isinstance(given, Iterable) or isinstance(given, bytes):
                raise InvalidInputError(
                    f"tags of {item!r} is {given!r}; give a list of tags, empty where there are none."
                )
            for tag in given:
                if isinstance(tag, Iterable) and not isinstance(tag, str):
                    raise InvalidInputError(f"tags of {item!r} hold {tag!r}; give each tag as text.")
                if tag is not None and tag == tag:  # no NaN
                    pairs.append((item, str(tag)))
        return pairs
    if not is_frame(tags):
        raise InvalidInputError(f"tags is {kind_of(tags)}; give a frame or a mapping from item ids to tags.")
    table = to_table(tags, required=("item_id",), optional=("genres",), what="tags")
    if "genres" not in table.columns:
        raise MissingColumnError("tags has no column of tags; there should be one of the name 'genres' or 'tags'.")
    if not isinstance(table["genres"].dtype, (pl.List, pl.Array)):
        table = table.with_columns(pl.col("genres").cast(pl.String))
    table = one_a_row(table.select("item_id", "genres"), "genres").drop_nulls()
    return list(zip(table["item_id"].to_list(), map(str, table["genres"].to_list()), strict=True))
