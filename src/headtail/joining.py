"""A recommender and the interactions that it is judged by, joined by their ids."""

from dataclasses import replace
from typing import Any

import numpy as np

from headtail._checks import checked, generator
from headtail._columns import logger
from headtail._factors import as_pair
from headtail._frames import as_native, lookup, read_ids, to_ids
from headtail._printable import counted
from headtail._spelling import respelled
from headtail.data import Interactions, Recommendations, Split
from headtail.data.coded import recoded
from headtail.data.rows import known_ids, narrowed, with_given_ids
from headtail.data.splits import kept_apart
from headtail.exceptions import InvalidInputError
from headtail.subjects import Subject
from headtail.training.recipes import Recipe
from headtail.typing import RNG, Array, Codes


def subject_of(
    source: Any,
    data: Any,
    validation: Any = None,
    test: Any = None,
    *,
    k: int | None = None,
    user_ids: Any = None,
    item_ids: Any = None,
    rng: RNG = 0,
) -> Subject:
    """Join a recommender and the interactions that it is judged by; a Subject has both already."""
    if isinstance(source, Subject):
        others = (validation, test, user_ids, item_ids)
        if data is not source.split or k not in (None, source.k) or any(each is not None for each in others):
            raise InvalidInputError(
                "A Subject has its own interactions, ids and k. Give its split alone: correct(subject, subject.split)."
            )
        return source
    pair = isinstance(source, tuple | list) and len(source) == 2
    lists = not pair and not callable(source) and not isinstance(source, Recipe)
    if not pair and (user_ids is not None or item_ids is not None):
        raise InvalidInputError("user_ids and item_ids name the rows of a pair (Q, V). Leave them out for others.")
    if lists:
        source = as_native(source.to_polars() if isinstance(source, Recommendations) else source, "lists")
        user_ids, item_ids = (read_ids(source, role, "lists").unique() for role in ("user_id", "item_id"))
    if pair:
        vectors = as_pair(*source) if isinstance(source, list) else as_pair(source)
        vectors = with_given_ids(vectors, user_ids, item_ids)
        user_ids, item_ids = vectors.user_ids, vectors.item_ids
    users, items = known_ids("user_id", user_ids), known_ids("item_id", item_ids)
    given = isinstance(data, Split)
    if given and (validation is not None or test is not None):
        raise InvalidInputError("data is a Split, which has its parts. Leave validation and test out.")
    if given and data.validation is None:
        raise InvalidInputError("There is no validation part to choose on. Give one, or split.with_validation(0.1).")
    train = data.train if given else Interactions.of(data, what="train")
    train, gone = narrowed(train, vectors) if pair else (train, "")
    split = data
    if not given:
        split = split_of(train, validation, test, users=users, items=items, rng=rng)
        split = replace(split, description=f"{split.description} {gone}".strip())
        if gone:
            logger.warning("%s", gone)
    else:
        new, alike = _strange(items, split.train.item_ids, "item_id")
        if new and not alike:  # which split_of says
            gone += f" Added: {counted(new, 'item')} that only the recommender knows."
        if gone or new:
            made = split_of(train, split.validation, split.test, items=items, rng=rng)
            said = f"{split.description} {made.description} {gone}"
            split = replace(made, description=" ".join(said.split()))
    if pair:
        source = vectors
        strange, alike = _strange(users, split.train.user_ids, "user_id")
        if strange:
            said = f"Left out: vectors of {counted(strange, 'user')} that the split does not have.{alike}"
            split = replace(split, description=f"{split.description} {said}")
    elif lists:
        source = Recommendations.from_frame(source, split.train)
        split = _of_listed(split, source.users)
    return Subject(source, split, k=k)


def _of_listed(split: Split, users: Codes) -> Split:
    """Return a split whose held-out parts are of these users, as those without lists cannot be corrected."""
    parts, said = dict[str, Any](), [split.description]
    for name, part in split.parts.items():
        listed = np.isin(part.users, users)
        if name != "train" and listed.any() and not listed.all():
            parts[name] = part.subset(listed)
            said.append(f"{(~listed).sum():,} interactions of {name} were left out, whose users have no list.")
            logger.warning("%s", said[-1])
    return replace(split, description=" ".join(said), **parts)


def _strange(own: Array | None, ids: Array, role: str) -> tuple[int, str]:
    """Return how many of a recommender's ids are not among these, and how those are written here."""
    strange = own[lookup(own, ids, f"{role} of the recommender") < 0] if own is not None else ids[:0]
    return len(strange), respelled(strange, ids, role)


@checked
def split_of(
    train: Any,
    validation: Any,
    test: Any = None,
    *,
    users: Array | None = None,
    items: Array | None = None,
    rng: RNG = 0,
) -> Split:
    """Return a split of the given parts; without a test, half of the users' validation part takes its place.

    `users` and `items` that the recommender knows are added to those of the training part.
    """
    if validation is None:
        raise InvalidInputError("validation is missing: what users did after the training part, to choose on.")
    known, said = Interactions.of(train, what="train"), ""
    for role, own in {"item": items, "user": users}.items():
        if own is None:
            continue
        own = to_ids(read_ids(own, f"{role}_id", f"{role}s"))
        new, alike = _strange(own, getattr(known, f"{role}_ids"), f"{role}_id")
        if alike and new == len(own):
            raise InvalidInputError(f"train has none of the {counted(new, role)} of the recommender.{alike}")
        if alike:
            added = f"Added: {counted(new, role)} that only the recommender knows.{alike}"
            said += f" {added}"
            logger.warning("%s", added)
        known = known.with_items(own) if role == "item" else known.with_users(own)
    parts = {"train": known}
    for name, given in {"validation": validation, "test": test}.items():
        if given is None:
            continue
        given = Interactions.of(given, what=name)
        of_users = recoded(given.users, given.user_ids, known.user_ids, f"{name} users") >= 0
        of_items = recoded(given.items, given.item_ids, known.item_ids, f"{name} items") >= 0
        part = Interactions.of(given.subset(of_users & of_items), like=known, what=name)
        if strange := int((~(of_users & of_items)).sum()):
            said += (
                f" Left out of {name}: {counted(strange, 'interaction')}, of {(~of_users).sum():,} the user and of "
                f"{(~of_items).sum():,} the item is neither in train nor known to the recommender."
                f"{respelled(given.user_ids[np.unique(given.users[~of_users])], known.user_ids, 'user_id')}"
                f"{respelled(given.item_ids[np.unique(given.items[~of_items])], known.item_ids, 'item_id')}"
            )
        part, kept = kept_apart(part, parts, name)
        said += kept
        if not len(part):
            raise InvalidInputError(f"Nothing is left of {name}.{said} Check that ids are written alike.")
        parts[name] = part
    said = f"The parts as given.{said}"
    if test is None:
        return split_in_halves(known, parts["validation"], rng, said)
    return Split(known, parts["test"], parts["validation"], said)


@checked
def split_in_halves(train: Interactions, held_out: Interactions, rng: RNG = 0, said: str = "") -> Split:
    """Return a split with one half of the users' held-out interactions as validation, and the other half's as test."""
    first = generator(rng).permutation(train.n_users) % 2 == 0
    if train.n_users != held_out.n_users:
        raise InvalidInputError(
            f"train has {train.n_users} users and held_out {held_out.n_users}; give parts of one whole."
        )
    chooses = first[held_out.users]
    if chooses.all() or not chooses.any():
        raise InvalidInputError("Too few users have something held out to choose on half of them. Give a test part.")
    said += " What was held out, of one half of the users to choose on and of the other half to report on."
    return Split(train, held_out.subset(~chooses), held_out.subset(chooses), said.strip())
