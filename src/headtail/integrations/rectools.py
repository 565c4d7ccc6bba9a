"""RecTools: its data set and the factors of its models, with external ids.

Its table of recommendations is read by :meth:`headtail.Recommendations.from_frame` and by every verb that takes lists,
and ``lists.to_pandas()`` is such a table.
"""

from typing import Any

from headtail._checks import checked
from headtail.data import Interactions
from headtail.integrations._asking import ask, matrix_of
from headtail.typing import Vectors

_DATASET, _MODEL = "a rectools Dataset", "a fitted model of RecTools that has vectors (ALS, BPR, PureSVD, LightFM)"


@checked
def interactions(dataset: Any) -> Interactions:
    """Return the interactions of a data set, weights as ratings; repeated pairs are summed."""
    return Interactions.from_frame(ask(dataset, "get_raw_interactions", _DATASET)(), duplicates="sum", what="dataset")


@checked
def vectors(model: Any, dataset: Any) -> Vectors:
    """Return the vectors of a model that was fitted to a data set, with its users and items."""
    ids = [ask(ask(dataset, f"{side}_id_map", _DATASET), "external_ids", _DATASET) for side in ("user", "item")]
    if not hasattr(model, "get_vectors"):
        return Vectors(*(matrix_of(model, name, _MODEL) for name in ("user_factors", "item_factors")), *ids)
    try:
        queries, items = model.get_vectors()
    except TypeError:  # LightFM makes them of features
        queries, items = model.get_vectors(dataset)
    return Vectors(queries, items, *ids)
