"""Every public verb, and arguments that are right for it."""

import importlib
import inspect
import pkgutil
from functools import cache
from types import SimpleNamespace

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch

import headtail as ht
from headtail import (
    allocation,
    amplification,
    data,
    datasets,
    dials,
    engines,
    exploring,
    integrations,
    losses,
    metrics,
    models,
    reports,
    sae,
    serving,
    subjects,
    tradeoffs,
)
from headtail.reports import Result

# Made by headtail and read by users; nobody calls these.
MADE = {
    "Audit", "Code", "Contrast", "Estimate", "Measurement", "MemoryBound", "Point", "PowerLaw", "Profiles", "Protocol",
    "EngineAudit", "Facts", "Judgement",
    "Relevance", "Shown", "TopK", "World", "Excess",
}  # fmt: skip
# Called by torch at every step of training, where nothing is checked twice.
INNER = {"forward", "forward_with_loss", "states", "encode", "decode", "select", "pre_activations"}
# Called by dials and metrics, which get what is checked already.
BY_OTHERS = (
    "metrics.TopK.",
    "metrics.Profiles.",
    "models.ALS.solve",
    "subjects.Subject.",
    "training.Recipe.",
    "rerank.best",
    "rerank.scores_of",
    "joining.subject_of",
    "integrations.lenskit.item_lists",  # needs LensKit
)
# What goes to a model of the user's, of which the errors are its own.
OF_OTHERS = {
    "sae.activations": {"batches"},
    "integrations.pytorch.vectors": {"users", "items", "user_inputs", "item_inputs"},
}
# Made of verbs that are fuzzed, and a minute long; the commands have a test of their own.
LONG = {"demo.run_demo", "demo.Study"}


def public_verbs():
    """Return every public function, constructor and method by name, found from the public modules."""
    names = [module.name for module in pkgutil.iter_modules(ht.__path__) if module.name[0] != "_"]
    names += [f"integrations.{m.name}" for m in pkgutil.iter_modules(integrations.__path__) if m.name[0] != "_"]
    modules = [importlib.import_module(f"headtail.{name}") for name in names]
    values = {}
    for module in [ht, *modules]:
        home = module.__name__.removeprefix("headtail").removeprefix(".")
        for name in getattr(module, "__all__", None) or [n for n in vars(module) if n[0] != "_"]:
            value = getattr(module, name)
            own = "headtail" if hasattr(module, "__all__") else module.__name__
            if callable(value) and getattr(value, "__module__", "").startswith(own) and home != "cli":
                values.setdefault(id(value), (f"{home}.{name}" if home else name, value))
    found, classes = {}, {value for _, value in values.values() if inspect.isclass(value)}
    for name, value in values.values():
        if getattr(value, "_is_protocol", False) or (value in classes and issubclass(value, Exception)):
            continue
        result = value in classes and issubclass(value, Result) and value is not reports.Report
        if not result and value.__name__ not in MADE:
            found[name] = value
        if value in classes:
            found |= {f"{name}.{n}": getattr(value, n) for n in _methods(value, classes - {value})}
    return {name: value for name, value in found.items() if name not in LONG and not name.startswith(BY_OTHERS)}


def _methods(cls, others):
    """Yield the names of the methods that take arguments and are not those of another public class."""
    module = issubclass(cls, torch.nn.Module)
    inherited = [base for base in cls.__mro__ if base.__module__.startswith("headtail") and base not in others]
    for name, value in {name: value for base in reversed(inherited) for name, value in vars(base).items()}.items():
        if name[0] == "_" or (module and name in INNER) or not callable(getattr(cls, name)):
            continue
        if getattr(value, "__isabstractmethod__", False):
            continue
        own = 0 if isinstance(value, (classmethod, staticmethod)) else 1
        if len(inspect.signature(getattr(cls, name)).parameters) > own:
            yield name


# -- a small world, of which each part is made once --------------------------------------------------------------------


@cache
def world():
    """Interactions of 60 users and 24 items with ratings, times and titles."""
    made = datasets.power_law(60, 24, n_interactions=300, rng=0)
    frame = made.interactions.to_polars()
    n = len(frame)
    frame = frame.with_columns(rating=pl.Series(np.arange(n) % 5 + 1.0), timestamp=pl.Series(np.arange(n) * 60))
    titles = {item: f"film {item}" for item in frame["item_id"].unique().to_list()}
    return made, ht.Interactions.from_frame(frame, titles=titles)


@cache
def split():
    return ht.split_ratio(world()[1], rng=0)


def factors():
    made, known = world()[0], split().train
    return {"queries": made.queries[: known.n_users].copy(), "items": made.items[: known.n_items].copy()}


@cache
def lists():
    return ht.recommend(tuple(factors().values()), split().train, k=5)


def popular_lists():
    popularity = split().train.popularity
    groups = ht.PopularityGroups.by_mass(popularity)
    return {"recs": lists(), "popularity": popularity, "strength": 0.5, "k": 3, "groups": groups}


def lists_of_users():
    groups = ht.PopularityGroups.by_mass(split().train.popularity)
    return {"recs": lists(), "known": split().train, "strength": 0.5, "k": 3, "groups": groups}


@cache
def audit():
    return ht.audit(lists(), split().train, split().test, k=3)


@cache
def engine_audit():
    return engines.audit(lists().to_polars().lazy(), split().train.to_polars().lazy(), k=3, metrics=[metrics.gini])


@cache
def top():
    known = split().train
    seen = []
    ht.audit(lists(), known, split().test, k=3, n_bootstrap=0, item_vectors=factors()["items"], as_of_event=True,
             metrics={"kept": lambda top: seen.append(top) or 1.0})  # fmt: skip
    return seen[0]


def mf():
    """A model of which the lists are more popular than the users' histories, as a trained one's are."""
    model = ht.MF(split().train.n_users, split().train.n_items, 4, rng=0)
    with torch.no_grad():
        model.users[:, 0] = 1
        model.items[:, 0] = torch.tensor(split().train.popularity) / 10
    return model


def sasrec():
    return models.SASRec(split().train.n_items, 6, 4, 1, 1, 8, rng=0)


@cache
def autoencoder():
    return sae.TopKSAE(4, 2, 2, rng=0)


@cache
def contrast():
    return sae.contrast(mf(), split().train, rng=0)


@cache
def neurons():
    return sae.find_neurons(autoencoder(), contrast(), split().train, k=3, n_bootstrap=5)


def tags():
    return {item: ["rare" if code % 4 == 3 else "other"] for code, item in enumerate(split().train.item_ids.tolist())}


@cache
def concepts():
    return sae.find_concepts(neurons(), tags(), min_items=4)


def steered():
    return sae.steer(mf(), autoencoder(), neurons(), alpha_popular=0.5, alpha_niche=0.5, min_d=0)


@cache
def frontier():
    return tradeoffs.sweep(mine(), subject(), progress=False)


def mine():
    return dials.Dial.of("dial", shrunk, (0.0, 0.5))


@cache
def corrected():
    return ht.correct(subject(), split(), dials=["log penalty"], strength=0.1, progress=False)


def witness():
    made = exploring.Witness(subject(), n_users=5)
    made.watching(mine())
    return made


@cache
def relevance():
    return np.linspace(0.1, 0.9, lists().items.size).reshape(lists().items.shape)


def subject():
    return subjects.Subject(tuple(factors().values()), split(), k=3, n_candidates=10)


def shrunk(setting, seed):
    return ht.shrink(**factors(), strength=setting)


@cache
def history():
    return ht.fit(mf(), split().train, epochs=2, batch_size=64, rng=0, progress=False,
                  callbacks=[amplification.SpectrumRecorder(split().train, k=3)])  # fmt: skip


def spectrum():
    return ht.spectrum(**factors(), popularity=split().train.popularity)


@cache
def groups():
    return ht.PopularityGroups.by_mass(split().train.popularity)


def named_factors():
    return ht.Vectors(**factors(), user_ids=split().train.user_ids, item_ids=split().train.item_ids)


def search(queries, n):
    return named_factors().item_ids[np.argsort(-queries @ factors()["items"].T, axis=1)[:, :n]]


def bias():
    return serving.item_bias(np.linspace(0, 1, split().train.n_items), item_ids=split().train.item_ids)


def frame():
    return world()[1].to_polars()


def scores():
    return {"positive": torch.linspace(-1, 1, 4), "negative": torch.linspace(-1, 1, 12).reshape(4, 3)}


def tensors():
    return {name: torch.from_numpy(values) for name, values in factors().items()}


def calibrated():
    return allocation.calibrate(recs=lists(), known=split().train, relevant=split().test, k=3)


def saved(save, thing):
    save(thing, "saved")
    return {"folder": "saved"}


def written(write, thing):
    write(thing, "file.csv")
    return {"path": "file.csv"}


def fitted():
    """What models of other libraries have."""
    users, items = SimpleNamespace(ids=lambda: [1, 2]), SimpleNamespace(ids=lambda: ["a", "b", "c"])
    return SimpleNamespace(user_factors=np.eye(2), item_factors=np.eye(3, 2), user_embeddings=np.eye(2),
                           item_embeddings=np.eye(3, 2), users=users, items=items)  # fmt: skip


def named():
    """What data sets of other libraries have."""
    pairs = pl.DataFrame({"user_id": [1, 2, 2], "item_id": ["a", "b", "c"]})
    return SimpleNamespace(
        get_raw_interactions=lambda: pairs, interaction_table=lambda **_: pairs, uid_field="u", iid_field="i",
        user_id_map=SimpleNamespace(external_ids=[1, 2]), item_id_map=SimpleNamespace(external_ids=["a", "b", "c"]),
        inter_matrix=lambda form: sp.csr_array(np.eye(3, 4)),
        field2id_token={"u": ["[PAD]", "1", "2"], "i": ["[PAD]", "a", "b", "c"]},
    )  # fmt: skip


def checkpoint():
    torch.save({"state_dict": {"user_embedding.weight": torch.eye(2)}}, "x.pth")
    return {"path": "x.pth"}


def ratings_folder():
    from pathlib import Path

    Path("ratings.dat").write_text("1::7::5::978300760\n2::7::3::978302109\n")
    Path("movies.dat").write_text("7::Sabrina (1995)::Comedy\n")
    return {"folder": "."}


def coat_folder():
    from pathlib import Path

    Path("train.ascii").write_text("5 0 4\n0 4 1\n")
    Path("test.ascii").write_text("0 5 0\n4 0 0\n")
    return {"folder": "."}


COLUMNS = {"user": "user_id", "item": "item_id", "rating": "rating", "timestamp": "timestamp", "order": None}
READING = {**COLUMNS, "titles": None, "min_rating": 1.0, "k_core": 1, "duplicates": "first"}
SPLITTING = {"test": 0.2, "validation": 0.1}
POINT = {"method": "dial", "setting": 0.5, "metric": "gini@3"}
AT = {"method": "dial", "relative": False, "against": None, "part": "test"}
CHART = {"kind": "line", "rows": [{"x": 1, "y": 2, "c": "a"}, {"x": 2, "y": 3, "c": "b"}], "x": "x", "y": "y",
"color": "c",
         "title": "t", "caption": "", "x_label": "", "y_label": None, "x_scale": "linear", "y_scale": "log",
         "x_format": ".2f",
         "y_format": None, "reference": 1.0, "low": None, "high": None, "label": None, "connect": False, "chosen": None,
         "stacked": False}  # fmt: skip


def of(*bound, **arguments):
    """Return what a method belongs to, or what a metric measures, and right arguments to fuzz."""
    return bound, arguments


def right(name):
    """Return a verb, as a function of keyword arguments, and arguments that are right for it."""
    bound, arguments = VERBS[name]()
    verb = PUBLIC[name]
    if name == "tradeoffs.Frontier.without":  # the only one that takes any number of positional arguments
        return lambda method: verb(*bound, *([] if method is None else [method])), arguments
    finish = FINISH.get(name, lambda result: result)
    return lambda **given: finish(verb(*bound, **given)), arguments


# Right arguments of each verb, made anew where a call may change them.
VERBS = {
    # nouns
    "Interactions": lambda: of(user_ids=np.arange(3), item_ids=np.arange(2), users=np.array([0, 1, 2]),
        items=np.array([0, 1, 1]), ratings=np.ones(3), timestamps=np.arange(3), order=None,
        item_titles=np.array(["a", "b"], dtype=object)),
    "Interactions.from_frame": lambda: of(frame=frame(), **READING, what="them"),
    "Interactions.contains": lambda: of(split().train, users=np.array([0, 1]), items=np.array([0, 1])),
    "Interactions.sequences": lambda: of(split().train, users=None, max_length=3, codes=np.array([0, 1])),
    "Interactions.user_codes": lambda: of(split().train, user_ids=split().train.user_ids[:3], codes=None),
    "Interactions.subset": lambda: of(split().train, keep=np.array([0, 1])),
    "Interactions.with_items": lambda: of(split().train, item_ids=[100, 101]),
    "Interactions.with_users": lambda: of(split().train, user_ids=[100, 101]),
    "Vectors": lambda: of(queries=np.eye(2), items=np.eye(3, 2), user_ids=["a", "b"], item_ids=np.arange(3)),
    "Interactions.with_titles": lambda: of(split().train, titles={1: "a", 2: "b"}),
    "PopularityGroups": lambda: of(names=("head", "tail"), codes=np.array([0, 1], dtype=np.int8), description="mine",
        popularity=np.array([3, 1])),
    "PopularityGroups.by_mass": lambda: of(popularity=np.arange(9), cuts=(0.2, 0.8)),
    "PopularityGroups.by_rank": lambda: of(popularity=np.arange(9), cuts=(0.2, 0.8)),
    "PopularityGroups.equal_mass": lambda: of(popularity=np.arange(9), n=3),
    "PopularityGroups.mask": lambda: of(groups(), name="head"),
    "PopularityGroups.sum": lambda: of(groups(), values=split().train.popularity),
    "PopularityGroups.shares": lambda: of(groups(), values=split().train.popularity),
    "Recommendations": lambda: of(user_ids=np.arange(2), item_ids=np.arange(3), users=np.array([0, 1]),
        items=np.array([[0, 2], [1, -1]], dtype=np.int32), scores=np.array([[2.0, 1.0], [1.0, np.nan]])),
    "Split": lambda: of(train=split().train, test=split().test, validation=split().validation, description="mine"),
    "Split.with_validation": lambda: of(ht.Split(split().train, split().test), share=0.1, rng=0),
    "Split.from_frame": lambda:
        of(frame=frame().with_columns(split=pl.int_range(pl.len()).mod(2).replace_strict({0: "train", 1:
        "test"})), column="split", train="train", test="test", validation=None, **COLUMNS, titles=None,
        min_rating=None, duplicates="error", overlap="error"),
    "Split.from_frames": lambda: of(train=frame()[::2], test=frame()[1::2], validation=None, **COLUMNS,
        titles=None, min_rating=None, duplicates="error", overlap="train"),
    "split_ratio": lambda: of(interactions=world()[1], **SPLITTING, rng=0),
    "split_time": lambda: of(interactions=world()[1], **SPLITTING),
    "split_leave_last": lambda: of(interactions=world()[1], validation=True),
    "split_debiased": lambda: of(split=ht.split_ratio(world()[1], validation=0.2, rng=0), variant="paper", rng=0),
    "Interactions.of": lambda: of(data=frame(), like=None, what="them"),
    "Recommendations.from_frame": lambda: of(frame=lists().to_polars(), interactions=split().train),
    "Interactions.from_matrix": lambda: of(matrix=np.eye(2, 3), user_ids=["a", "b"], item_ids=[1, 2, 3], what="them"),
    "Recommendations.from_arrays": lambda: of(items=np.array([[0, 1], [1, -1]]), scores=np.array([[2.0, 1.0],
        [1.0, np.nan]]), user_ids=[7, 8], item_ids=["a", "b"]),
    "Recommendations.from_scores": lambda: of(scores=np.eye(3, 4), k=2, user_ids=[1, 2, 3], item_ids=[1, 2, 3, 4],
        known=split().train.to_polars()),
    "Recommendations.head": lambda: of(lists(), k=2),
    "Recommendations.without": lambda: of(lists(), known=split().test),
    # files
    "read_interactions": lambda: of(**written(data.write_interactions, world()[1]), **READING, names=None),
    "data.read_table": lambda: of(**written(data.write_table, frame()), names=None, keyed=("user_id", "group")),
    "data.write_interactions": lambda: of(interactions=world()[1], path="out.inter"),
    "data.write_table": lambda: of(table=frame(), path="out.tsv"),
    "datasets.movielens": lambda: of(**ratings_folder(), k_core=0, min_rating=1.0),
    "datasets.uniform_exposure": lambda: of(**coat_folder(), min_rating=4),
    "datasets.movietweetings": lambda: of(k_core=15, min_rating=None),
    "datasets.checkerboard": lambda: of(n_users=10, n_items=10, validation=True),
    "datasets.power_law": lambda: of(n_users=20, n_items=10, n_interactions=60, exponent=0.7, embedding_dim=2,
        taste=2.0, activity=0.7, offset=-2.0, rng=0),
    "datasets.World.preferences": lambda: of(world()[0], users=np.array([0, 1])),
    # measuring
    "audit": lambda: of(recs=lists().to_polars(), train=split().train.to_polars(),
        test=split().test.to_polars(), k=[2, 3], users=pl.DataFrame({"user_id": split().train.user_ids, "group":
        split().train.user_ids % 2}), items=pl.DataFrame({"item_id": split().train.item_ids, "genre":
        [f"{i % 3}|x" for i in split().train.item_ids]}), as_of_event=True, metrics=None,
        groups=ht.PopularityGroups.by_mass, catalogue=[1, 2, 3], strict=False, n_bootstrap=3,
        item_vectors={i: [1.0, float(i)] for i in split().train.item_ids.tolist()},
        rng=0),
    "engines.audit": lambda: of(recs=lists().to_polars().lazy(), train=split().train.to_polars().lazy(),
        test=split().test.to_polars().lazy(), k=[2, 3], metrics=[metrics.arp, metrics.gini],
        groups=ht.PopularityGroups.by_mass, catalogue=[1, 2, 3], strict=False),
    "engines.recommend": lambda: of(users=pl.LazyFrame({"user_id": [1, 2], "vector": [[1.0, 2.0]] * 2,
        "seen": [[3], []]}), items=np.eye(4, 2), item_ids=[3, 4, 5, 6], k=2, correct=None),
    "engines.rerank": lambda: of(lists=pl.LazyFrame({"user_id": [1], "item_id": [[3, 4]], "score": [[2.0, 1.0]]}),
        correct=lambda recs, known: recs.head(1), item_ids=[3, 4]),
    "engines.EngineAudit.measurement": lambda: of(engine_audit(), name="gini@3", users="all"),
    "compare": lambda: of(audits={"a": audit(), "b": audit()}, baseline="a"),
    "metrics.gate": lambda: of(audit=audit(), fail_if=["gini@3 rises", "arp@3 falls by 1%"], baseline=audit()),
    "describe": lambda: of(interactions=split().train),
    "metrics.Audit.measurement": lambda: of(audit(), name="gini@3", users="all"),
    "metrics.Comparison.report": lambda: of(ht.compare({"a": audit(), "b": audit()}), judged=()),
    "metrics.Audit.report": lambda: of(audit(), judged=metrics.gate(audit(), ["gini@3 > 0.5"])),
    "metrics.Audit.influence": lambda: of(audit(), name="gini@3", user_ids=audit().user_ids),
    "metrics.jackknife_influence": lambda: of(without=np.array([1.0, 2.0, 4.0])),
    "metrics.better": lambda: of(direction="higher", title="t", low=0.0, high=1.0, influence=None,
        family="accuracy", format=".2f", headline=True, needs=("targets",), fewest=1),
    "metrics.novelty": lambda: of(top(), of="users"),
    "metrics.Audit.metrics": lambda: of(audit(), at="_at_"),
    "metrics.arp": lambda: of(top(), normalize=None),
    "metrics.coverage": lambda: of(top(), at_least=1),
    "metrics.entropy": lambda: of(top(), base=2.0, normalize=True),
    "metrics.gini": lambda: of(top(), catalogue="all"),
    "metrics.gini_by_rank": lambda: of(top()),
    "metrics.group_share": lambda: of(top(), group="head", by_rank=True),
    "metrics.hit_rate": lambda: of(top(), group="head"),
    "metrics.mrr": lambda: of(top(), group="head"),
    "metrics.ndcg": lambda: of(top(), group=None, scale=1.0),
    "metrics.precision": lambda: of(top(), group=None),
    "metrics.recall": lambda: of(top(), group=None),
    **dict.fromkeys(
        [f"metrics.{name}" for name in ("aclt", "aplt", "arp_then", "head_share", "ilad", "pce", "pop_reo", "pop_rsp",
                                        "popularity_lift", "popularity_lift_then", "tail_coverage", "tail_exposure",
                                        "tail_share", "upd")],
        lambda: of(top())),
    "baselines.most_popular": lambda: of(train=split().train, k=3, users=[1, 2], exclude_seen=True),
    "baselines.random_items": lambda: of(train=split().train, k=3, users=None, exclude_seen=True, rng=0),
    # libraries, by objects that have what theirs have
    "integrations.implicit.vectors": lambda: of(model=fitted(), user_ids=[1, 2], item_ids=["a", "b", "c"]),
    "integrations.implicit.corrected": lambda: of(
        model=fitted(), vectors=ht.Vectors(np.eye(2), np.eye(3, 2)), user_ids=[7, 8], item_ids=[1, 2, 3]),
    "integrations.rectools.interactions": lambda: of(dataset=named()),
    "integrations.rectools.vectors": lambda: of(model=fitted(), dataset=named()),
    "integrations.lenskit.interactions": lambda: of(dataset=named()),
    "integrations.lenskit.vectors": lambda: of(scorer=fitted(), name="scorer"),
    "integrations.recbole.interactions": lambda: of(dataset=named()),
    "integrations.recbole.vectors": lambda: of(model={f"{side}_embedding.weight": torch.eye(n, 2) for side, n in
        (("user", 3), ("item", 4))}, dataset=named()),
    "integrations.recbole.read_weights": lambda: of(**checkpoint()),
    "integrations.pytorch.vectors": lambda: of(users=torch.nn.Linear(2, 3), items=torch.nn.Embedding(4, 3),
        user_inputs=torch.ones(5, 2), item_inputs=None, user_ids=range(5), item_ids=list("abcd"), batch_size=2),
    "integrations.pytorch.as_model": lambda: of(vectors=(np.eye(3), np.eye(4, 3))),
    # on their way to users
    "serving.retrieve": lambda: of(index=search, vectors=named_factors(), train=split().train, k=3),
    "serving.check": lambda: of(index=search, vectors=named_factors(), train=split().train, k=3, bias=None,
        n_candidates=10, plain=named_factors(), plain_index=search, test=split().test,
        groups=ht.PopularityGroups.by_mass),
    "serving.fewest_candidates": lambda: of(index=search, vectors=named_factors(), train=split().train,
        bias=-0.03 * np.bincount(lists().items[:, :3].ravel(), minlength=24), k=3, keep=0.5, test=split().test,
        groups=ht.PopularityGroups.by_mass),
    "serving.item_bias": lambda: of(source=np.arange(3.0), item_ids=["a", "b", "c"]),
    "serving.BiasTable.of": lambda: of(bias(), item_ids=split().train.item_ids[:3]),
    "serving.BiasTable.added_to": lambda: of(bias(), vectors=named_factors()),
    "serving.BiasTable.formula": lambda: of(bias(), engine="qdrant", k=3, n_candidates=10, field="bias"),
    "serving.BiasTable.to_sql": lambda: of(bias(), table="item_bias"),
    # vectors
    "spectrum": lambda: of(**factors(), popularity=split().train.popularity),
    "data_spectrum": lambda: of(data=split().train, k=3, popularity=None),
    "spectral.Spectrum.left": lambda: of(spectrum(), k=1),
    "spectral.Spectrum.right": lambda: of(spectrum(), k=1),
    "spectral.fit_power_law": lambda: of(popularity=split().train.popularity),
    "spectral.memory_bound": lambda: of(sigma_1=3.0, popularity=split().train.popularity),
    "spectral.memory_bound_power_law": lambda: of(exponent=1.5, sigma_1=3.0, r_max=2.0),
    "spectral.memory_effect": lambda: of(spectra={"a": spectrum()}),
    "spectral.top_item_bound": lambda: of(found=spectrum()),
    "shrink": lambda: of(**factors(), strength=0.5, directions=1, popularity=None),
    "tilt": lambda: of(**factors(), strength=0.1, k=3, seen=split().train, welfare="alpha", aversion=0.5,
        popularity=None, n_users=20, rounds=3, rng=0),
    "penalize_popularity": lambda: of(**factors(), popularity=split().train.popularity, strength=0.5),
    "posthoc.normalize": lambda: of(**factors(), strength=0.5),
    "posthoc.add_bias": lambda: of(**factors(), bias=np.zeros(split().train.n_items)),
    "rerank.add_bias": lambda: of(recs=lists(), bias=np.zeros(split().train.n_items), k=3, order=1.0),
    "rerank.penalize_popularity": lambda: of(
        recs=lists(), popularity=split().train.popularity, strength=0.5, k=3),
    "rerank.spread": lambda: of(recs=lists()),
    "rerank.tilt": lambda: of(recs=lists(), strength=0.1, k=3),
    "rerank.tilt_bias": lambda: of(recs=lists(), strength=0.1, k=3, welfare="alpha", aversion=0.5,
        popularity=split().train.popularity, n_users=20, rounds=20, rng=0),
    "allocation.allocate": lambda: of(recs=lists(), relevance=relevance(), bias=np.zeros(split().train.n_items), k=3,
        gamma=0.5, max_user_loss=0.1),
    "allocation.allocation_bias": lambda: of(recs=lists(), relevance=relevance(), strength=0.5, k=3, welfare="alpha",
        aversion=0.5, gamma=0.5, popularity=split().train.popularity, n_users=20, rounds=3, rng=0),
    "allocation.ndcg_worth": lambda: of(recs=lists(), relevance=relevance(), k=3),
    "allocation.calibrate": lambda: of(recs=lists(), known=split().train, relevant=split().test, k=3,
        codes=np.arange(40), by_item=True, n_users=30, rng=0),
    "allocation.save_relevance": lambda: of(relevance=calibrated(), file="relevance.json"),
    "allocation.load_relevance": lambda: of(file=allocation.save_relevance(calibrated(), "saved.json")),
    "allocation.cross_fitted": lambda: of(recs=lists(), known=split().train, relevant=split().test, k=3,
        by_item=False, rng=0),
    "rerankers.ipr": lambda: of(recs=lists(), popularity=split().train.popularity, strength=0.5, k=3),
    "rerankers.fa_ir": lambda: of(**popular_lists(), significance=0.1),
    "rerankers.p_mmf": lambda: of(**popular_lists(), window=7, lr=0.1, momentum=0.1, rng=0),
    "rerankers.calibrated_popularity": lambda: of(**lists_of_users()),
    "rerankers.xquad": lambda: of(**lists_of_users(), variant="binary"),
    "rerankers.pct": lambda: of(**lists_of_users(), relevance=0.5),
    "rerankers.fewest_protected": lambda: of(share=0.5, k=3, significance=0.1),
    "recommend": lambda: of(model=ht.Vectors(**factors()), interactions=split().train, users=[1, 2], codes=None, k=3,
        exclude_seen=True, device="cpu", batch_size=7),
    "vectors": lambda: of(model=mf(), users=None, codes=np.array([1, 2]), interactions=split().train,
        device="cpu", batch_size=7),
    # models and training
    "MF": lambda: of(n_users=3, n_items=4, embedding_dim=2, rng=0),
    "models.ALS": lambda: of(n_users=3, n_items=4, embedding_dim=2, unobserved_weight=0.1, weight_decay=0.01,
        steps=1, rng=0),
    **{f"{name}.for_data": lambda: of(train=split().train, rng=0)
       for name in ("MF", "models.LightGCN", "models.SASRec")},
    "models.LightGCN": lambda: of(train=split().train, embedding_dim=2, n_layers=1, rng=0),
    "models.LightGCN.from_config": lambda: of(n_users=3, n_items=4, n_interactions=5, embedding_dim=2, n_layers=1),
    "models.XSimGCL": lambda: of(train=split().train, embedding_dim=2, n_layers=1, eps=0.1, contrast_layer=1,
        temperature=0.2, contrast_weight=0.05, rng=0),
    "models.SASRec": lambda: of(n_items=5, max_length=4, embedding_dim=4, n_layers=1, n_heads=2, inner_dim=4,
        dropout=0.1, rng=0),
    "models.SPRINT": lambda: of(n_items=5, attention_weight=0.1, inner_weight=0.1, rng=0),
    "models.MACR": lambda: of(model=mf(), c=1.0, alpha=0.1, beta=0.1, rng=0),
    "models.MACR.from_config": lambda: of(of=mf().config, c=1.0, alpha=0.1, beta=0.1),
    "models.MACR.at": lambda: of(models.MACR(mf()), c=1.0),
    "fit": lambda: of(model=mf(), train=split().train, loss=losses.bpr, n_negatives=2,
        item_weights=np.ones(split().train.n_items), item_values=None, penalties=[ht.ReSN(1e-3)], penalty_every=1,
        validation=split().validation, metric=metrics.ndcg, k=3, epochs=1, batch_size=64, lr=1e-3,
        weight_decay=0.0, patience=1, eval_every=1, checkpoint=None, resume=True, device="cpu", rng=0,
        progress=False, callbacks=[], distributed=False),
    "training.inputs": lambda: of(model=sasrec(),
        interactions=split().train, users=None, codes=np.array([1, 2]), batch_size=3),
    "save_model": lambda: of(model=mf(), folder="model"),
    "load_model": lambda: of(**saved(ht.save_model, mf()), device="cpu"),
    "losses.bpr": lambda: of(**scores(), weight=torch.ones(4)),
    "losses.bce": lambda: of(**scores(), weight=torch.ones(4)),
    "losses.mse": lambda: of(**scores(), link="sigmoid", weight=None),
    "losses.sampled_softmax": lambda: of(**scores(), temperature=1.0, weight=None, log_q=torch.zeros(4, 4)),
    "losses.deconfounded": lambda: of(**scores(), values=torch.ones(4, 4)),
    "losses.pr_entmax": lambda: of(**scores(), values=torch.ones(4, 4)),
    "losses.zerosum": lambda: of(**scores(), share=0.1),
    "losses.inverse_propensity": lambda: of(popularity=split().train.popularity, power=0.5, clip=0.1),
    "ReSN": lambda: of(weight=1e-3, form="linear", distributed=False),
    "ReSN.rayleigh": lambda: of(ht.ReSN(1e-3), **tensors()),
    "ReSN.sigma1_squared": lambda: of(ht.ReSN(1e-3), **tensors()),
    "penalties.LogDet": lambda: of(weight=1e-3),
    # autoencoders
    "sae.TopKSAE": lambda: of(d_in=4, expansion=2, k=2, n_neurons=None, rng=0),
    "sae.fit_sae": lambda: of(sae=sae.TopKSAE(4, 2, 2, rng=0), activations=np.ones((40, 4)) + np.eye(40, 4),
        start="data", validation=0.1, aux_weight=0.5, epochs=1, batch_size=16, lr=1e-3, patience=1, dead_after=10,
        checkpoint=None, resume=True, device="cpu", rng=0, progress=False),
    "sae.activations": lambda: of(model=mf(), batches=[torch.tensor([0, 1])], layer="query", position="last",
        output=0, path=None, progress=False),
    "sae.attach": lambda: of(model=mf(), edit=lambda x: x,
        layer="query", output=0),
    "sae.states": lambda: of(model=sasrec(), interactions=split().train, layer="query",
        batch_size=7),
    "sae.contrast": lambda: of(model=mf(), interactions=split().train, layer="query", by="mass", share=0.2,
        batch_size=7, rng=0),
    "sae.contrast_items": lambda: of(items=np.random.default_rng(0).normal(size=(split().train.n_items, 4)),
        interactions=split().train, by="rank", share=0.2, weighted=True, queries=None, rng=0),
    "sae.synthetic_users": lambda: of(interactions=split().train, which="popular", by="rank", share=0.2,
        max_length=3, rng=0),
    "sae.item_sets": lambda: of(interactions=split().train, by="rank", share=0.2),
    "sae.extreme_users": lambda: of(interactions=split().train, share=0.2),
    "sae.find_neurons": lambda: of(sae=autoencoder(), contrast=contrast(), interactions=split().train, k=3,
        n_bootstrap=3, rng=0),
    "sae.Neurons.select": lambda: of(neurons(), min_d=0.0, top=2, by="cohens_d", sign="both", min_rate=0.0),
    "sae.Neurons.with_effects": lambda: of(neurons(), n_users=8, rng=0, progress=False),
    "sae.Neurons.portraits": lambda: of(neurons(), n_items=3, n_users=2, push=1.0),
    "sae.Neurons.card": lambda: of(neurons(), neuron=int(neurons().index[0])),
    "sae.Neurons.report": lambda: of(neurons(), cards=1),
    "sae.find_concepts": lambda: of(neurons=neurons(), tags=tags(), min_items=4, n_users=30, rng=0),
    "sae.Concepts.items": lambda: of(concepts(), tag="rare"),
    "sae.Concepts.tags_of": lambda: of(concepts(), neuron=int(neurons().index[0]), min_auc=0.5),
    "sae.Concepts.tagged": lambda: of(concepts(), min_auc=0.5),
    "sae.steer_tag": lambda: of(model=mf(), concepts=concepts(), tag="rare", strength=0.5, top=2),
    "sae.personal_strength": lambda: of(contrast=contrast(), interactions=split().train, k=3,
        both_ways=True, bound=2.0, prior=5.0),
    "sae.steer": lambda: of(model=mf(), sae=autoencoder(), neurons=neurons(), alpha_popular=0.5,
        alpha_niche=0.5, variant="v2", layer="query", output=0),
    "sae.neuron_edit": lambda: of(sae=autoencoder(), neurons=neurons(), alpha_popular=0.5, alpha_niche=0.5,
        variant="gated", by="cohens_d", min_d=0.0, top=None, per_user=None, keep_error=True),
    "sae.spree": lambda: of(model=mf(), contrast=contrast(), interactions=split().train, strength=0.5,
        neurons=None, k=3, bound=2.0, prior=5.0, layer="query"),
    "sae.steer_direction": lambda: of(model=mf(), contrast=contrast(), strength=0.5, mode="shift", layer="query"),
    "sae.Steering": lambda: of(sae=autoencoder(), shift=torch.zeros(8), scale=None, gate=None, per_user=None,
        keep_error=True),
    "sae.Direction": lambda: of(direction=torch.ones(4), strength=0.5, mode="project", level=0.0, per_user=None),
    "sae.Steered": lambda: of(model=mf(), edit=sae.Direction(torch.ones(4), strength=0.5), layer="query", output=0),
    "sae.sae_quality": lambda: of(sae=autoencoder(), activations=factors4(), vectors=None, train=None,
        test=None, k=3),
    "sae.stability": lambda: of(saes=[autoencoder(), autoencoder()], activations=factors4()),
    "sae.save_sae": lambda: of(sae=autoencoder(), folder="sae"),
    "sae.load_sae": lambda: of(**saved(sae.save_sae, autoencoder())),
    "sae.save_steered": lambda: of(steered=steered(), folder="steered"),
    "sae.load_steered": lambda: of(**saved(sae.save_steered, steered())),
    "sae.save_neurons": lambda: of(neurons=neurons(), folder="neurons"),
    "sae.load_neurons": lambda: of(**saved(sae.save_neurons, neurons()), interactions=split().train),
    # studies
    "correct": lambda: of(source=tuple(factors().values()), data=split(), validation=None, test=None,
        dials=["log penalty"], strength=0.1, max_loss=0.1, k=3, user_ids=None, item_ids=None, seeds=(0,),
        n_users=9, refine=0, extend=0, rng=0, progress=False),
    "correction.Correction.to_html": lambda: of(corrected(), path="out.html", explorer=True),
    "correction.Correction.explore": lambda: of(corrected(), n_items=5),
    "exploring.Witness": lambda: of(subject=subject(), n_users=5, seed=0, rng=0),
    "exploring.Witness.watching": lambda: of(witness(), dial=mine()),
    "exploring.Witness.trains": lambda: of(witness(), method="dial"),
    "exploring.Witness.shown": lambda: of(witness(), dial=mine(), strength=0.5),
    "exploring.Witness.explore": lambda: of(witness(), frontier=frontier(), chosen=("dial", 0.5), verdict="a",
        max_loss=0.5, n_items=5),
    "joining.split_in_halves": lambda: of(train=split().train, held_out=split().test, rng=0, said="mine"),
    "joining.split_of": lambda: of(train=split().train, validation=split().validation, test=split().test, users=None,
        items=None, rng=0),
    "dials.dial": lambda: of(name="log penalty"),
    "dials.Dial": lambda: of(
        name="mine", make=shrunk, grid=(0.0, 0.5), works_on="vectors", off_at_zero=True, end=None, model=None, about="",
        cost=None),
    "dials.Dial.of": lambda: of(name="mine", make=shrunk, grid=(0.0, 0.5)),
    "dials.Dial.beyond": lambda: of(dials.dial("log penalty"), settings=[0.0, 0.1, 0.2], chosen=0.2),
    "dials.Dial.menu": lambda: of(dials.dial("shrink"), settings=[0.0, 0.5]),
    "dials.more_of": lambda: of(tag="rare", tags=tags()),
    "dials.as_dial": lambda: of(given="log penalty"),
    "dials.is_built_in": lambda: of(given=dials.dial("log penalty")),
    "dials.Dial.at": lambda: of(dials.dial("log penalty"), subject=subject(), strength=0.1, seed=0),
    "dials.Dial.lists": lambda: of(dials.dial("log penalty"), made=shrunk(0.1, 0), subject=subject(), strength=0.1,
                                   known=split().test),
    "dials.Dial.cost_on": lambda: of(dials.dial("log penalty"), subject=subject()),
    "dials.Dial.fits": lambda: of(dials.dial("log penalty"), subject=subject()),
    "training.Recipe": lambda: of(model=ht.MF, sizes={"embedding_dim": 2}, training={"epochs": 1}),
    "subjects.Subject": lambda: of(source=tuple(factors().values()), split=split(), k=3, n_candidates=10,
        autoencoder=None, neurons=None),
    "tradeoffs.sweep": lambda: of(dial="mine", subject=shrunk, grid=[0.0, 0.5], split=split(), k=3, extend=0,
        refine=0, max_loss=0.5, margin=1.0,
        metrics={"ndcg": metrics.ndcg, "gini": metrics.gini}, accuracy="ndcg", unfairness="gini",
        groups=ht.PopularityGroups.by_mass,
        seeds=(0,), n_bootstrap=3, folder=None, identity=None, progress=False),
    "tradeoffs.Frontier.without": lambda: of(frontier(), method=None),
    "tradeoffs.Frontier.settings": lambda: of(frontier(), method="dial"),
    "tradeoffs.Frontier.seeds": lambda: of(frontier(), method="dial"),
    "tradeoffs.Frontier.mean": lambda: of(frontier(), **POINT, part="test"),
    "tradeoffs.Frontier.estimate": lambda: of(frontier(), **POINT, part="test", relative=False),
    "tradeoffs.Frontier.choose": lambda: of(frontier(), method="dial", max_loss=0.5, criterion="gain"),
    "tradeoffs.Frontier.accuracy_at": lambda: of(frontier(), unfairness=0.5, **AT),
    "tradeoffs.Frontier.unfairness_at": lambda: of(frontier(), accuracy=0.1, **AT),
    "tradeoffs.Frontier.hypervolume": lambda: of(frontier(), method="dial", reference=(0.0, 1.0), against=None,
        part="test"),
    "tradeoffs.Frontier.versus": lambda: of(
        frontier() + tradeoffs.sweep("shrink", subject(), grid=[0.0, 0.5], progress=False), method="dial",
        levels=[("gini@3", 0.1)]),
    "tradeoffs.Frontier.best": lambda: of(frontier(), max_loss=0.5),
    "tradeoffs.Frontier.change": lambda: of(
        frontier(), start=("dial", 0.0), end=("dial", 0.5), metric="gini@3", part="test"),
    "tradeoffs.Frontier.front": lambda: of(frontier(), part="test"),
    "tradeoffs.Frontier.notes": lambda: of(frontier(), max_loss=0.5),
    "tradeoffs.Frontier.report": lambda: of(frontier(), max_loss=0.5),
    "tradeoffs.Frontier.chart": lambda: of(frontier(), max_loss=0.5),
    "tradeoffs.Frontier.table": lambda: of(frontier(), max_loss=0.5),
    "amplification.SpectrumRecorder": lambda: of(train=split().train, every=1, k=3, n_users=5,
        groups=ht.PopularityGroups.by_mass, rng=0),
    "amplification.by_dimension": lambda: of(make=lambda d, seed: shrunk(0.0, seed), interactions=split().train,
        dims=(2, 3), k=3, groups=ht.PopularityGroups.by_mass, seed=0, progress=False),
    "amplification.in_training": lambda: of(history=history()),
    "amplification.over_history": lambda: of(recommendations={"a": lists(), "b": lists().to_polars()},
        train=split().train, k=3, groups=ht.PopularityGroups.by_mass),
    # reports
    "reports.Text": lambda: of(markdown="**a**"),
    "reports.Figure": lambda: of(label="a", value=1.0, low=0.5, high=1.5, format=".2f", note="b", code="c",
        before=2.0),
    "reports.Figures": lambda: of(figures=[reports.Figure("a", 1)]),
    "reports.Column": lambda: of(key="a", label="b", format=".2f", note="c", better="higher", low="l", high="h",
        code="d", change=True),
    "reports.Table": lambda: of(columns=[reports.Column("a")], rows=[{"a": 1}, {"a": "x"}], title="t", caption="c"),
    "reports.Chart": lambda: of(**CHART),
    "reports.chart_svg": lambda: of(chart=reports.Chart(**CHART), path="chart.svg", beside=(), narrow=False),
    "reports.Section": lambda: of(title="a", blocks=[reports.Text("b")], folded=True),
    "reports.Report": lambda: of(title="a", blocks=[reports.Text("b")], lede="c"),
    **{f"reports.Result.to_{form}": lambda form=form: of(_shown(), path=f"out.{form}")
       for form in ("html", "markdown", "latex", "json")},
    "reports.Result.to_text": lambda: of(_shown(), width=80, brief=True),
}  # fmt: skip


# What is done with a result that does nothing by itself.
FINISH = {"training.inputs": list, "Vectors": len, "sae.attach": lambda made: _entered(made),
"reports.Table": lambda made: _in_report(made),
          "reports.Chart": lambda made: _in_report(made)}  # fmt: skip
PUBLIC = public_verbs()


def _shown():
    return reports.Report("a", [reports.Text("b"), reports.Chart(**CHART)])


def _entered(context):
    with context as model:
        return model(torch.tensor([0, 1]))


def _in_report(block):
    return reports.Report("r", [block])


def factors4():
    return np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
