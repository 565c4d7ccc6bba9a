"""Ids, titles and names that look like Markdown or HTML are shown as they are, in every result that names them."""

import dataclasses

import polars as pl
import pytest

import headtail as ht
from headtail import amplification, sae, tradeoffs

NAME = "[click](https://elsewhere.example/)<img src=x>**n**"
WORLD = ht.datasets.power_law(60, 24, n_interactions=350, rng=0).interactions


def named(codes):
    return pl.Series(codes).cast(pl.String) + NAME


SPLIT = ht.split_ratio(
    ht.Interactions.from_frame(pl.DataFrame({"user_id": named(WORLD.users), "item_id": named(WORLD.items)})), rng=0
)
RECS = ht.baselines.most_popular(SPLIT.known, k=5).to_polars()
GROUPS = dataclasses.replace(
    ht.PopularityGroups.by_mass(SPLIT.train.popularity), names=(NAME, "mid", "t" + NAME), description=NAME
)


def slots(top):
    return float(top.slots.max())


def audit(recs=RECS):
    return ht.audit(recs, SPLIT.train, SPLIT.test, k=5, metrics={NAME: slots, **METRICS}, groups=GROUPS, n_bootstrap=0)


METRICS = {"gini": ht.metrics.gini, "ndcg": ht.metrics.ndcg}


def neurons():
    model = ht.MF.for_data(SPLIT.train, embedding_dim=4, rng=0)
    return sae.find_neurons(sae.TopKSAE(4, 4, 2, rng=0), sae.contrast(model, SPLIT.train, rng=0), SPLIT.train)


def concepts():
    ids = SPLIT.train.item_ids
    tags = pl.DataFrame(
        {"item_id": [*ids, ids[0]], "tag": [["a", "b"][n % 2] + NAME for n in range(len(ids))] + [NAME]}
    )
    return sae.find_concepts(neurons(), tags, min_items=2)


def sweep():
    pair = ht.vectors(ht.MF.for_data(SPLIT.train, embedding_dim=4, rng=0))
    return tradeoffs.sweep(NAME, lambda s, seed: ht.shrink(*pair, strength=s), [0, 0.3], SPLIT, k=5, progress=False)


@pytest.mark.parametrize("make", [
    audit,
    lambda: ht.compare({NAME: audit(), "second": audit(ht.baselines.random_items(SPLIT.known, k=5, rng=0))}),
    lambda: ht.audit(RECS, SPLIT.train, k=5, n_bootstrap=0, strict=False, catalogue=[NAME]),
    lambda: ht.describe(SPLIT.train),
    lambda: amplification.over_history({NAME: RECS}, SPLIT.train, groups=GROUPS, k=5),
    neurons, concepts, sweep,
], ids=("audit", "compare", "cold", "describe", "histories", "neurons", "concepts", "sweep"))  # fmt: skip
def test_no_name_becomes_markup(make):
    made = make()
    page, markdown = made.to_html(), made.to_markdown()
    for markup in ('href="https://elsewhere', "<img src=x", "<strong>n</strong>"):
        assert markup not in page
    for line in markdown.splitlines():
        shown = line.split("`")[::2]  # code shows what it holds
        assert not any("[click](" in part or "<img" in part or "**n**" in part for part in shown), line
