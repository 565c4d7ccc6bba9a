"""From what people hold to corrected lists and a report: a table of long lists, vectors in files, a model of implicit.

    python examples/from_what_you_hold.py --output corrected

Each of the three takes two lines. Where `implicit` is not installed, factors of headtail's own ALS stand in for it, and
the output says so. The rows of all vectors are shuffled: their ids join them, whatever their order.
"""

import argparse
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl

import headtail as ht
from headtail.integrations import implicit


def trained(train: ht.Interactions, order: np.ndarray) -> object:
    """Return a model with factors, trained on items in an order of its own."""
    try:
        from implicit.als import AlternatingLeastSquares
        from scipy.sparse import csr_matrix
    except ImportError:
        print("implicit is not installed: headtail's own factors stand in for it")
        model = ht.models.ALS(train.n_users, train.n_items, 32, rng=0)
        ht.fit(model, train, progress=False)
        return SimpleNamespace(user_factors=model.users.numpy(), item_factors=model.items.numpy()[order])
    model = AlternatingLeastSquares(factors=32, random_state=0, num_threads=1)
    model.fit(csr_matrix(train.matrix[:, order]), show_progress=False)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("corrected"))
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)

    split = ht.split_ratio(ht.datasets.movietweetings(), rng=0)
    order = np.random.default_rng(0).permutation(split.train.n_items)
    model, user_ids, item_ids = trained(split.train, order), split.train.user_ids, split.train.item_ids[order]
    options = {"dials": ["log penalty"], "max_loss": 0.05, "progress": False}

    # a model of implicit, and the ids of the rows and columns it was trained on
    vectors = implicit.vectors(model, user_ids, item_ids)
    found = {"a model of implicit": ht.correct(vectors, split, **options)}

    # two .npy files of vectors and two of ids
    for name, values in {"q": vectors.queries, "v": vectors.items, "users": user_ids, "items": item_ids}.items():
        np.save(folder / f"{name}.npy", values)
    files = [np.load(folder / f"{name}.npy") for name in ("q", "v", "users", "items")]
    found["vectors in files"] = ht.correct(ht.Vectors(*files), split, **options)

    # a table of 100 long lists, any frame: user, item, score
    users = user_ids[split.validation.activity > 0][:100]
    table = ht.recommend(vectors, split.train, users=users, k=200).to_polars()
    theirs = {name: part.to_polars().filter(pl.col("user_id").is_in(users)) for name, part in split.parts.items()}
    found["a table of 100 long lists"] = ht.correct(table, **{"data": theirs.pop("train"), **theirs}, **options)

    for name, better in found.items():
        print(f"{name}: {better.verdict}")
        better.lists.to_polars().write_parquet(folder / f"{name}.parquet")
        better.to_html(folder / f"{name}.html")


if __name__ == "__main__":
    main()
