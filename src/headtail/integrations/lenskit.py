"""LensKit: its data set and the embeddings of its scorers out, lists back in.

An ``ItemListCollection`` is read by ``Recommendations.from_frame(collection.to_df())``.
"""

import importlib
from typing import Any

import numpy as np

from headtail._checks import checked
from headtail._printable import kind_of
from headtail.data import Interactions, Recommendations
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.integrations._asking import ask, beside, matrix_of
from headtail.typing import Vectors

_DATASET = "a lenskit Dataset"
_SCORER = "a trained scorer that has embeddings (ImplicitMFScorer, BiasedMFScorer), or a pipeline with one"


@checked
def interactions(dataset: Any) -> Interactions:
    """Return the interactions of a data set; repeated pairs are summed."""
    table = ask(dataset, "interaction_table", _DATASET)(format="pandas", original_ids=True)
    return Interactions.from_frame(table, duplicates="sum", what="dataset")


@checked
def vectors(scorer: Any, name: str = "scorer") -> Vectors:
    """Return the embeddings of a scorer with their ids; biases become two more coordinates.

    Parameters
    ----------
    scorer : component or pipeline
    name : str, default "scorer"
        Of the component, where a pipeline is given.

    Notes
    -----
    These are the trained embeddings, also of a scorer that recomputes users' embeddings from the history in a query
    (``user_embeddings="prefer"`` off).
    """
    if hasattr(scorer, "component"):
        scorer = scorer.component(name)
    queries, items = (matrix_of(scorer, f"{side}_embeddings", _SCORER) for side in ("user", "item"))
    bias = getattr(scorer, "bias", None)
    if bias is not None:
        of_users, of_items = (0.0 if b is None else b for b in (bias.user_biases, bias.item_biases))
        queries = beside(queries, 1.0, np.asarray(of_users) + bias.global_bias)
        items = beside(items, of_items, 1.0)
    ids = [np.asarray(ask(scorer, f"{side}s", _SCORER).ids()) for side in ("user", "item")]
    return Vectors(queries, items, *ids)


@checked
def item_lists(lists: Recommendations) -> Any:
    """Return lists as an ``ItemListCollection``, by user."""
    if not isinstance(lists, Recommendations):
        raise InvalidInputError(f"lists is {kind_of(lists)}; give Recommendations.")
    try:
        data = importlib.import_module("lenskit.data")
    except ImportError:
        raise NotAvailableError("LensKit is not installed. Install it: pip install lenskit.") from None
    return data.ItemListCollection.from_df(lists.to_pandas(), ["user_id"])
