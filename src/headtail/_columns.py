"""Roles of the columns of a table."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from headtail._checks import nearest, shown
from headtail.exceptions import InvalidInputError, MissingColumnError

logger = logging.getLogger("headtail")

ALIASES: dict[str, tuple[str, ...]] = {
    "user_id": ("user", "userid", "uid", "query_id", "queryid", "query", "customer_id", "customerid", "reviewer_id",
                "reviewerid", "session_id", "sessionid", "visitor_id", "visitorid", "account_id", "account", "customer",
                "visitor", "listener", "listener_id", "viewer", "viewer_id", "reader", "reader_id", "member",
                "member_id", "buyer", "buyer_id", "client_id", "username", "user_name", "shopper", "shopper_id",
                "profile_id", "subscriber", "subscriber_id", "user_idx", "user_pseudo_id", "anonymous_id",
                "household_key", "household_id", "device_id", "uuid", "session"),
    "item_id": ("item", "itemid", "iid", "movie_id", "movieid", "product_id", "productid", "asin", "artist_id",
                "artistid", "track_id", "song_id", "business_id", "book_id", "game_id", "article_id", "news_id",
                "doc_id", "document_id", "product", "sku", "track", "trackid", "song", "songid", "movie", "book",
                "bookid", "game", "article", "isbn", "video", "video_id", "content_id", "parent_asin", "recipe_id",
                "sku_id", "product_code", "show_id", "episode_id", "podcast_id", "hotel_id", "restaurant_id", "job_id",
                "post_id", "item_idx", "venue_id", "poi_id", "anime_id", "app_id", "appid", "ad_id", "adid", "aid",
                "stockcode", "stock_code", "click_article_id", "offer_id", "course_id", "recommendation",
                "recommendations", "recommended_items", "recommendeditems", "recommended_item_ids", "recs", "item_ids"),
    "rating": ("weight", "score", "stars", "overall", "plays", "play_count", "playcount", "quantity", "qty", "count",
               "value", "label", "relevance", "book_rating", "click", "clicked", "is_click", "is_clicked"),
    "timestamp": ("time", "datetime", "unix_timestamp", "event_time", "ts", "time_ms", "unixreviewtime", "date",
                  "t_dat"),
    "order": ("position", "step"),
    "rank": ("position", "place"),
    "score": ("prediction", "predictions", "predicted", "pred", "preds", "est", "estimate", "estimated_rating",
              "predicted_rating", "prediction_score", "predicted_score", "pred_score", "pred_rating", "scores",
              "y_score", "y_pred", "y_hat", "similarity", "yhat", "logit", "proba", "probability"),
    "truth": ("rating", "relevance", "weight", "label", "r_ui", "y_true", "y", "target", "true_rating", "actual",
              "actual_rating", "ground_truth", "stars", "clicked", "click"),
    "title": ("item_title", "movie_title", "name", "artist", "artist_name"),
    "item_title": ("movie_title",),
    "genres": ("genre", "category", "categories", "tags", "tag"),
    "group": ("segment", "cohort", "gender"),
}  # fmt: skip
KNOWN = {name for role, aliases in ALIASES.items() for name in (role, *aliases)}


def called(column: Any, role: str) -> str:
    """Return what to call a column in messages: its name, and its role where that is another."""
    return role if column == role else f"{column!r} ({role})"


def normalized(name: Any) -> str:
    """Return a name in lower case, with underscores between its words and not around them."""
    return str(name).lower().replace("-", "_").replace(" ", "_").strip("_")


def ranking_columns(names: Iterable[Any], what: str) -> tuple[dict[str, str], list[str]]:
    """Choose the columns that rank recommendations, with notes where there was a choice.

    A rank is preferred to a score, a predicted score to what looks like a true rating, and any of them to the order of
    the rows.

    Returns
    -------
    columns : dict of str to str
        Of `rank` and `score` those that are there.
    notes : list of str
    """
    names = list(names)
    ranks, scores, truths = (
        [name for alias in (role, *ALIASES[role]) for name in names if normalized(name) == alias]
        for role in ("rank", "score", "truth")
    )
    if not scores:  # some recommenders give their predictions such a name
        scores = [name for name in truths if normalized(name) in ("rating", "relevance", "weight")]
    if not ranks and not scores:
        return {}, [
            f"{what} has neither a rank nor a score (there are: {shown(names, len(names))}), so that the order of "
            f"the rows ranks each user's recommendations, the first one best. If one holds scores, name it 'score'."
        ]
    chosen, *unused = ranks or dict.fromkeys([*scores, *truths])
    notes = []
    if unused or chosen in truths:
        rest = f"; {shown(unused, len(unused))} not used" if unused else ""
        notes.append(f"{chosen!r} ranks the recommendations of {what}{rest}.")
    return {role: found[0] for role, found in (("rank", ranks), ("score", scores)) if found}, notes


def resolve_columns(
    names: Iterable[Any],
    required: Iterable[str],
    optional: Iterable[str] = (),
    given: Mapping[str, Any] | None = None,
    what: str = "the table",
) -> dict[str, Any]:
    """Find the column of each role: the given one, the role's own name, or a common alias, in that order.

    Returns
    -------
    dict
        Role to column name, for the required roles and the optional ones that exist. Names that are not text, which
        pandas allows, must be given.
    """
    names = list(names)
    if len(set(names)) < len(names):
        doubled = next(n for n in names if names.count(n) > 1)
        raise InvalidInputError(f"{what} has the column {doubled!r} more than once. Rename or drop one of them.")
    named = {role: name for role, name in (given or {}).items() if name is not None}
    twice = [name for name in named.values() if list(named.values()).count(name) > 1]
    if twice:
        raise InvalidInputError(f"{twice[0]!r} of {what} is named for more than one role. Give each its own column.")
    required = list(required)
    found: dict[str, Any] = {}
    for role in [*required, *optional]:
        if role in named:
            if named[role] not in names:
                raise MissingColumnError(f"{what} has no column {named[role]!r}. {nearest(named[role], names)}")
            found[role] = named[role]
            continue
        accepted = [role, *ALIASES.get(role, ())]
        taken = [*found.values(), *named.values()]
        usual = {normalized(n): n for n in reversed(names) if isinstance(n, str) and n not in taken}
        match = role if role in names and role not in taken else next((usual[a] for a in accepted if a in usual), None)
        if match is not None:
            found[role] = match
        elif role in required:
            cure = f"Rename one to {role!r}"
            if role in (given or {}):
                cure = f"Give {role.removesuffix('_id')}=... with the name of the right one"
            if names and not any(normalized(name) in KNOWN for name in names):
                cure += ". If these are data, the table has no header: name its columns where it is read"
            if role == "item_id" and sum(not isinstance(name, str) for name in names) > len(names) / 2:
                cure += ". If each column is an item, make interactions by headtail.Interactions.from_matrix(frame)"
            lacking = [
                r for r in required if r not in {role, *found, *named} and not usual.keys() & {r, *ALIASES.get(r, ())}
            ]
            nor = "".join(f" There is no {r!r} either." for r in lacking)
            raise MissingColumnError(
                f"{what} has no column {role!r}, nor one of its usual names ({', '.join(accepted[1:5])} ...). "
                f"{nearest(role, [name for name in names if name not in taken] or names)}{nor} {cure}."
            )
    renamed = {role: name for role, name in found.items() if role != name}
    if renamed:
        logger.info("%s: read %s", what, ", ".join(f"{name!r} as {role}" for role, name in renamed.items()))
    return found
