import copy
import pickle
import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

import headtail as ht
from headtail import _sampled_exposure, exploring, posthoc, rerank
from headtail.dials import CONTROLS, DIALS, REFERENCES, Dial, dial, is_built_in, item_bias, more_of
from headtail.dials.vectors import without_popularity
from headtail.exceptions import InvalidInputError, NotAvailableError
from headtail.sae import neuron_edit
from headtail.subjects import Subject
from headtail.training import Recipe, ranking

K = 5
CHEAP = [each for each in DIALS if each.works_on in ("vectors", "lists")]


@pytest.fixture(scope="module")
def split():
    return ht.split_ratio(ht.datasets.power_law(200, 80, n_interactions=1400, rng=0).interactions, rng=0)


@pytest.fixture(scope="module")
def factors(split):
    rng = np.random.default_rng(0)
    popular = np.log1p(split.train.popularity)[:, None]
    return ht.Vectors(
        np.append(rng.normal(size=(200, 6)), np.ones((200, 1)), 1), np.append(rng.normal(size=(80, 6)), popular, 1)
    )


@pytest.fixture(scope="module")
def subjects(split, factors):
    long = ht.recommend(factors, split.train, k=80)
    model = ht.models.ALS(200, 80, 8, rng=0)
    ht.fit(model, split.train)
    autoencoder = {"expansion": 4, "n_active": 4, "epochs": 2}
    return {
        "vectors": Subject(factors, split, k=K),
        "lists": Subject(long, split, k=K),
        "model": Subject(model, split, k=K, autoencoder=autoencoder),
    }


def ordered(train):
    return replace(train, order=np.arange(len(train)))


def concentration(subject, made, metric="gini"):
    lists = subject.recommend(made, subject.split.train)
    return ht.audit(lists, subject.split.train, k=K, n_bootstrap=0)[f"{metric}@5"]


def aim(subject, name, made):
    """What a dial lowers: Gini, popularity, the distance from the users' mixes, or how little the worst group gets."""
    if name != "P-MMF":
        return concentration(subject, made, {"calibrated popularity": "upd", "PPD": "arp"}.get(name, "gini"))
    popularity = subject.split.train.popularity
    groups = ht.PopularityGroups.by_mass(popularity)
    slots = np.bincount(subject.recommend(made, subject.split.train).items.ravel(), minlength=len(popularity))
    return -(groups.shares(slots) / groups.shares(popularity)).min()


def test_every_dial_has_a_name_of_its_own_and_begins_with_nothing():
    names = [each.name for each in (*DIALS, *CONTROLS)]
    assert len(set(names)) == len(names)
    assert all(dial(name.upper().replace(" ", "-")).name == name for name in names)
    assert all(each.grid[0] == 0 and each.about for each in (*DIALS, *CONTROLS))


def test_a_recipe_of_als_takes_the_corrections_that_have_a_closed_form(split):
    subject = Subject(Recipe(ht.models.ALS, {"embedding_dim": 8}), split, k=K)
    assert subject.source.epochs == 12 and subject.plain(0).embedding_dim == 8
    plain = concentration(subject, subject.plain(0))
    for name, strength in (("ReSN", 0.1), ("IPS", 1.0)):
        assert concentration(subject, dial(name).at(subject, strength, 0)) < plain
    for name, why in {
        "ReSN, fine-tuned": "ALS is solved for anew in every epoch",
        "LogDet": "ALS has a closed form of ReSN alone",
        "Zerosum": "ALS is solved for in closed form, without loss",
    }.items():
        with pytest.raises(InvalidInputError, match=why):
            dial(name).at(subject, 0.1, 0)


def test_losses_that_are_told_the_popularity_of_items(split):
    subject = Subject(Recipe(ht.models.MF, {"embedding_dim": 4}, {"epochs": 20}), split, k=K)
    model, shares = ht.MF(200, 80, 4, rng=0), split.train.popularity / len(split.train)
    ht.fit(model, split.train, loss=ht.losses.deconfounded, item_values=shares**0.1, epochs=20, rng=0)
    again = dial("PD").at(subject, 0.1).state_dict()
    assert all((value == again[key]).all() for key, value in model.state_dict().items())
    prior, none = (concentration(subject, dial("PR-Entmax").at(subject, strength), "arp") for strength in (0.4, 0.0))
    assert prior < 0.8 * none


@pytest.mark.parametrize("name", ht.models.MODELS)
def test_a_recipe_trains_as_fit_does(split, name):
    sizes = {"embedding_dim": 4}
    model = ht.models.MODELS[name].for_data(ordered(split.train), rng=3, **sizes)
    ht.fit(model, ordered(split.train), epochs=1, rng=3)
    again = Recipe(type(model), sizes, {"epochs": 1}).train(ordered(split.train), 3)
    assert all((value == again.state_dict()[key]).all() for key, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")  # in a world this small biases hardly settle
@pytest.mark.parametrize("each", CHEAP, ids=lambda each: each.name)
@pytest.mark.parametrize("form", ["vectors", "lists"])
def test_strength_zero_is_off_and_more_of_it_spreads_exposure(subjects, each, form):
    subject = subjects[form]
    if not each.fits(subject):
        with pytest.raises(NotAvailableError, match=f"{each.name!r} works on vectors, and this is a subject of lists"):
            each.at(subject, 0.1)
        return
    plain, off = (subject.recommend(made, subject.split.train) for made in (subject.plain(0), each.at(subject, 0.0)))
    np.testing.assert_array_equal(plain.items, off.items)
    before = 0.0 if each.name == "P-MMF" else each.grid[1]  # its caps hold at any strength
    weak, strong = (aim(subject, each.name, each.at(subject, strength)) for strength in (before, each.grid[-3]))
    assert strong < weak - 0.01


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")
@pytest.mark.parametrize("each", [each for each in CHEAP if each.works_on == "lists"], ids=lambda each: each.name)
def test_lists_of_the_whole_catalogue_are_corrected_like_vectors(subjects, each):
    """Exposure and spread are counted alike over the catalogue and over lists that hold all of it but what is known."""
    vectors, lists = (
        concentration(subjects[form], each.at(subjects[form], each.grid[-3])) for form in ("vectors", "lists")
    )
    assert vectors == pytest.approx(lists, abs=0.05)


@pytest.mark.parametrize(
    "each", [each for each in (*DIALS, *CONTROLS) if each.works_on == "model"], ids=lambda each: each.name
)
def test_neuron_dials_change_the_side_they_name(subjects, each):
    subject = subjects["model"]
    made = each.at(subject, each.grid[-1])
    if "menu" in each.name:
        assert len(np.unique(each.make.choices(subject, each.grid[-1], 0, subject.split.train))) > 1
        return
    plain, steered = subject.vectors(0), subject.vectors_of(made)
    assert np.allclose(plain.items, steered.items) is not ("items" in each.name)
    assert np.allclose(plain.queries, steered.queries) is ("items" in each.name and "users" not in each.name)


class Towers(torch.nn.Module):
    """A model of users whose layers have names of their own."""

    def __init__(self, queries, items):
        super().__init__()
        self.left, self.right = (torch.nn.Embedding.from_pretrained(each) for each in (queries, items))

    def forward(self, users):
        return ht.Vectors(self.left(users), self.right.weight)


@pytest.mark.parametrize("form", ["vectors", "float64", "a model without these layers", "a sample of users"])
@pytest.mark.parametrize("name", ["PopSteer", "PopSteer, items", "PopSteer, by user", "SPREE", "PopSteer, menu"])
def test_vectors_alone_are_steered_as_the_model_that_they_are_of(subjects, form, name):
    model, split = subjects["model"], subjects["model"].split
    pair = [torch.from_numpy(each) for each in model.vectors(0)[:2]]
    source = {"float64": tuple(each.double().numpy() for each in pair), "vectors": ht.Vectors(*pair)}.get(form)
    given = Subject(source or Towers(*pair), split, k=K, autoencoder=model.autoencoder)
    given, like = (each.sample(100, rng=1) if "sample" in form else each for each in (given, model))
    strength = dial(name).grid[-1]
    made = [each.recommend(dial(name).at(each, strength), each.split.train) for each in (given, like)]
    np.testing.assert_array_equal(made[0].items, made[1].items)
    assert not np.array_equal(made[0].items, like.recommend(like.plain(0), split.train).items)
    if name == "PopSteer":
        assert given.found_neurons(0) is not None


def test_items_are_steered_for_whatever_is_known(split):
    """Of a sequential model queries follow from what is known, and steered items stay as they are."""
    parts = ht.Split(*(ordered(part) for part in (split.train, split.test, split.validation)))
    model = ht.models.SASRec(80, max_length=8, embedding_dim=8, rng=0)
    subject = Subject(model, parts, k=K, autoencoder={"expansion": 4, "n_active": 4, "epochs": 2})
    neurons, known = subject.neurons(0, "item"), subject.split.known
    queries, items = subject.vectors(0, known)
    edited = neuron_edit(neurons.source.sae, neurons)(torch.from_numpy(items)).detach().numpy()
    both = subject.vectors_of(dial("PopSteer").at(subject, 1.0), known).queries
    for name, side in (("PopSteer, items", queries), ("PopSteer, users and items", both)):
        found = subject.recommend(dial(name).at(subject, 1.0), known)
        np.testing.assert_array_equal(found.items, ht.recommend((side, edited), known, k=K).items)


@pytest.mark.parametrize("n_users", [None, 40])
def test_histories_are_encoded_once_for_all_edits_of_the_ends(split, monkeypatch, n_users):
    split = replace(split, **{name: ordered(part) for name, part in split.parts.items()})
    model, sae = ht.models.SASRec(80, max_length=8, embedding_dim=8, rng=0), ht.sae.TopKSAE(8, 4, k=4, rng=0)
    subject = Subject(model, split, k=K)
    subject = subject if n_users is None else subject.sample(n_users)
    shifts = torch.randn(3, sae.n_neurons, generator=torch.Generator().manual_seed(0))
    edits = [ht.sae.Steering(sae, shift) for shift in shifts]
    queries, items = ht.sae.Steered(model, edits[0]), ht.sae.Steered(model, edits[1], "item")
    made = [model, queries, items, ht.sae.Steered(queries, edits[2], "model.item")]
    expected = [ht.recommend(each, split.known, codes=subject.codes, k=K) for each in made]
    calls, forward = [], ht.models.SASRec.forward
    monkeypatch.setattr(ht.models.SASRec, "forward", lambda self, x: calls.append(len(x)) or forward(self, x))
    for each, lists in zip(made, expected, strict=True):
        found = subject.recommend(each, split.known)
        np.testing.assert_array_equal(found.items, lists.items)
        np.testing.assert_array_equal(found.scores, lists.scores)
    assert len(calls) == 1
    assert len({lists.items.tobytes() for lists in expected}) == len(made)  # each edit did something
    inside = ht.sae.Steered(model, edits[0], "norm")  # it changes what histories are encoded to
    np.testing.assert_array_equal(
        subject.recommend(inside, split.known).items, ht.recommend(inside, split.known, codes=subject.codes, k=K).items
    )
    with torch.no_grad():
        model.items.mul_(-1)
    again = ht.recommend(queries, split.known, codes=subject.codes, k=K)
    np.testing.assert_array_equal(subject.recommend(queries, split.known).items, again.items)


def test_what_is_not_said_of_the_autoencoder_is_as_usual(split):
    subject = Subject(ht.MF.for_data(split.train, embedding_dim=4, rng=0), split, k=K, autoencoder={"epochs": 1})
    sae = subject.neurons(0).source.sae
    assert (sae.n_neurons, sae.k) == (64, 32)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_dials_are_the_same_after_a_copy(again, split):
    for each in (*DIALS, *CONTROLS, *REFERENCES):
        assert again(each) == each and hash(again(each)) == hash(each) and is_built_in(again(replace(each, end=9.0)))
    assert dial("tilt (entropy)") != replace(dial("tilt (alpha-fair)"), name="tilt (entropy)")
    assert again(more_of("rare", {1: ["rare"]})).make.tags == {1: ["rare"]}
    assert again(Dial.of("mine", np.divmod)).at(Subject(None, split, k=K), 7, 2) == (3, 1)


@pytest.mark.filterwarnings("ignore:strength=:UserWarning")
@pytest.mark.parametrize(
    "name",
    ["allocation", "tilt (entropy)", "log penalty", "PCT", "IPR", "shrink", "PopSteer", "SPREE", "PopSteer, menu"],
)
def test_what_a_dial_makes_recommends_the_same_after_a_copy(subjects, name):
    subject, known = subjects["model"], subjects["model"].split.known
    made = dial(name).at(subject, 0.2)
    for sent in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        np.testing.assert_array_equal(subject.recommend(sent, known).items, subject.recommend(made, known).items)


def test_a_pickled_subject_leaves_its_candidates_behind_and_makes_the_same_again(subjects):
    subject, known = subjects["model"], subjects["model"].split.known
    made = [subject.recommend(dial(name).at(subject, 0.2), known).items for name in ("allocation", "IPR")]
    sent = pickle.loads(pickle.dumps(subject))
    assert subject.candidates(0, known).items.size and not any(key[0] == "candidates" for key in sent._cache)
    for name, items in zip(("allocation", "IPR"), made, strict=True):
        np.testing.assert_array_equal(sent.recommend(dial(name).at(sent, 0.2), known).items, items)


def test_what_is_costly_is_made_once(subjects):
    subject = subjects["model"]
    assert subject.neurons(0) is subject.neurons(0)
    assert subject.candidates(0, subject.split.train) is subject.candidates(0, subject.split.train)


def test_a_dial_of_ones_own(subjects):
    def louder(subject, strength, seed):
        queries, items = subject.vectors(seed)
        return ht.Vectors(queries, items * (1 + strength))

    mine = Dial("louder", louder, (0, 1, 2))
    subject = subjects["vectors"]
    np.testing.assert_allclose(mine.at(subject, 1).items, 2 * subject.vectors(0).items)


@pytest.mark.parametrize("n_users", [200, 70])
@pytest.mark.parametrize("form", ["vectors", "lists"])
def test_what_a_dial_of_ones_own_makes_is_joined_by_its_ids(subjects, form, n_users):
    subject, rng = subjects["vectors"].sample(n_users), np.random.default_rng(0)
    users, items, rows = rng.permutation(200), rng.permutation(80), rng.permutation(200)

    def vectors(subject, strength, seed, known=None):
        queries, of_items, user_ids, item_ids = (lambda v: (*v, v.user_ids, v.item_ids))(subject.vectors(seed))
        return ht.Vectors(queries[users], of_items[items] ** 2, user_ids[users], item_ids[items])

    def lists(subject, strength, seed):
        def of(known):
            found = ht.recommend(vectors(subject, strength, seed), known, k=K)
            codes = [np.argsort(order).astype(np.int32) for order in (users, items)]
            return ht.Recommendations(
                found.user_ids[users], found.item_ids[items], codes[0][found.users][rows],
                codes[1][found.items][rows], found.scores[rows],
            )  # fmt: skip

        return of

    plain = Dial("mine", lambda subject, *_: (subject.vectors(0).queries, subject.vectors(0).items ** 2), (0, 1))
    shuffled = replace(plain, make=vectors if form == "vectors" else lists)
    for known in (subject.split.train, subject.split.known):
        expected, found = (subject.recommend(each.at(subject, 1), known) for each in (plain, shuffled))
        assert len(found) == n_users
        np.testing.assert_array_equal(found.users, expected.users)
        np.testing.assert_array_equal(found.items, expected.items)
        np.testing.assert_array_equal(found.item_ids, subject.split.train.item_ids)
    if form == "vectors":
        again = subject.vectors_of(shuffled.at(subject, 1))
        np.testing.assert_array_equal(again.items, subject.vectors(0).items ** 2)


def test_a_dial_cannot_change_what_all_dials_share(split, factors):
    given = ht.Vectors(factors.queries.copy(), factors.items.copy())
    subject = Subject(given, split, k=K)

    def in_place(subject, strength, seed):
        queries, items = subject.vectors(seed)
        items *= 1 - strength
        return ht.Vectors(queries, items)

    mine = Dial("mine", in_place, (0, 0.5))
    for _ in range(2):
        np.testing.assert_array_equal(mine.at(subject, 0.5).items, factors.items / 2)
    np.testing.assert_array_equal(subject.vectors(0).items, factors.items)
    np.testing.assert_array_equal(given.items, factors.items)
    for counts in (split.train.popularity, split.train.activity):
        with pytest.raises(ValueError, match="read-only"):
            counts += 1


def test_lists_of_a_dial_with_items_that_nobody_knows(subjects):
    subject = subjects["vectors"]
    strange = ht.Recommendations(
        subject.split.train.user_ids, np.array([-7]), np.array([3]), np.array([[0]], dtype=np.int32)
    )
    with pytest.raises(InvalidInputError, match=r"items that the interactions do not have, such as -7"):
        subject.recommend(lambda known: strange, subject.split.train)


@pytest.mark.parametrize("grid", [(), (0.1, 0.2), (0, 0.2, 0.1), (0, float("nan")), (0, 10**400)])
def test_grids_begin_with_nothing_and_run_one_way(grid):
    with pytest.raises(InvalidInputError, match=r"grid of 'mine'|The grid of 'mine'"):
        Dial("mine", lambda *_: None, grid)


def test_unknown_names_and_sources(split, factors):
    with pytest.raises(InvalidInputError, match=r"There is no dial 'tilt entropi'.*tilt"):
        dial("tilt entropi")
    with pytest.raises(InvalidInputError, match="str cannot be corrected"):
        Subject("model", split)
    lists = ht.recommend(factors, split.train, k=10)
    with pytest.raises(InvalidInputError, match="longest list has 10 items and k=20"):
        Subject(lists, split, k=20)


def test_lists_with_ranks_alone_are_corrected_by_their_places(split, factors):
    lists = ht.recommend(factors, split.train, k=40)
    ranked, scored = (Subject(each, split, k=5) for each in (replace(lists, scores=None), lists))
    assert scored.decisions() == [] and "no scores" in ranked.decisions()[0]
    for name in ("FA*IR", "PCT"):  # they ask for the order alone
        ours, theirs = (dial(name).at(each, 0.6, 0)(split.train).items for each in (ranked, scored))
        np.testing.assert_array_equal(ours, theirs)
        assert (ours != lists.items[:, :5]).any()
    worth = replace(lists, scores=np.broadcast_to(1 / np.log2(np.arange(40) + 2), lists.items.shape))
    for name in ("xQuAD", "IPR", "tilt (entropy)"):
        ours, theirs = (dial(name).at(each, 0.4, 0) for each in (ranked, Subject(worth, split, k=5)))
        ours, theirs = (each.recommend(made, split.train).items for each, made in ((ranked, ours), (scored, theirs)))
        np.testing.assert_array_equal(ours, theirs)
    found = ht.correct(replace(lists, scores=None), split, dials=["FA*IR", "xQuAD"], k=5, progress=False)
    assert any("no scores" in note for note in found.notes)


def test_only_a_recipe_is_trained_again(subjects):
    with pytest.raises(NotAvailableError, match=r"ReSN.*works on training"):
        dial("ReSN").at(subjects["model"], 1e-3)


def test_lists_leave_out_what_is_known_by_then(subjects, split):
    subject = subjects["lists"]
    lists = subject.recommend(dial("tilt (entropy)").at(subject, 0.1), split.known)
    rows, columns = np.nonzero(lists.items >= 0)
    assert not split.known.contains(lists.users[rows], lists.items[rows, columns]).any()


# -- lists ------------------------------------------------------------------------------------------------------------


def naive_bias(lists, bias, k, order):
    found = []
    for items, scores in zip(lists.items, lists.scores, strict=True):
        kept = [(score, item) for score, item in zip(scores, items, strict=True) if item >= 0]
        kept = sorted(kept, key=lambda pair: -(pair[0] + bias[pair[1]]))[:k]
        found.append([item for _, item in sorted(kept, key=lambda pair: -(pair[0] + order * bias[pair[1]]))])
    return found


@pytest.mark.parametrize("order", [0.0, 0.3, 1.0])
def test_a_bias_chooses_the_set_and_its_share_the_order(factors, split, order):
    lists = ht.recommend(factors, split.train, k=30)
    bias = np.random.default_rng(1).normal(size=80)
    assert rerank.add_bias(lists, bias, k=7, order=order).items.tolist() == naive_bias(lists, bias, 7, order)


def test_lists_without_what_is_known_close_up(split, factors):
    lists = ht.recommend(factors, split.train, k=30)
    fewer = lists.without(split.validation)
    known = set(zip(split.validation.users.tolist(), split.validation.items.tolist(), strict=True))
    for user, before, after in zip(lists.users.tolist(), lists.items.tolist(), fewer.items.tolist(), strict=True):
        left = [item for item in before if (user, item) not in known]
        assert after == left + [-1] * (30 - len(left))


def test_a_recipe_trains_and_trains_on(split):
    class Small(ht.MF):
        @classmethod
        def for_data(cls, train, rng, **sizes):
            return cls(train.n_users, train.n_items, rng=rng, **sizes)

    subject = Subject(Recipe(Small, {"embedding_dim": 4}, {"epochs": 2, "batch_size": 512}), split, k=K)
    assert subject.form == "training"
    plain = subject.vectors(0)
    for name in ("ReSN", "LogDet", "Zerosum", "IPS", "ReSN, fine-tuned"):
        corrected = subject.vectors_of(dial(name).at(subject, dial(name).grid[-1]))
        assert not np.allclose(plain.items, corrected.items), name
    trained_on = subject.vectors_of(dial("ReSN, fine-tuned").at(subject, 0.0))
    assert not np.allclose(plain.items, trained_on.items)
    assert dial("ReSN").at(subject, 0.0) is subject.plain(0)


@pytest.mark.parametrize("name", ["tilt (alpha-fair)", "log penalty"])
def test_the_order_of_a_bias_is_validations(split, name):
    """No other order of the same items has a higher NDCG there; the test's lists are ordered by the same share."""
    model = ht.models.ALS(200, 80, 8, rng=0)
    ht.fit(model, split.train)
    subject = Subject(ht.Vectors(*(matrix.numpy() for matrix in ht.vectors(model))), split, k=5)
    made = dial(name).at(subject, 0.1)

    def accuracy(order, known, wanted):
        shown = ht.recommend(made.vectors(known), known, k=5)
        sort = np.argsort(-(shown.scores - (1 - order) * made.bias[shown.items]), axis=1, kind="stable")
        lists = replace(shown, items=np.take_along_axis(shown.items, sort, axis=1), scores=None)
        found = ht.audit(lists, split.train, wanted, k=5, metrics=[ht.metrics.ndcg], n_bootstrap=0, strict=False)
        return lists, found["ndcg@5"]

    values = {order: accuracy(order, split.train, split.validation)[1] for order in (1.0, 0.75, 0.5, 0.25, 0.0)}
    assert values[made.order] == max(values.values()) > min(values.values())
    for known in (split.train, split.known):
        np.testing.assert_array_equal(made(known).items, accuracy(made.order, known, split.test)[0].items)


@pytest.mark.parametrize("n_best", [1, 3 * K])
def test_one_pass_over_all_scores_serves_validation_and_test(split, factors, monkeypatch, n_best):
    """Half of the users come to know their best items, more than the longer lists hold beyond k, or one."""
    chosen = np.zeros((200, 80), dtype=int)
    np.put_along_axis(chosen, ht.recommend(factors, split.train, k=n_best).items, 1, axis=1)
    chosen[::2] = 0
    later = ht.Interactions.from_matrix(chosen, user_ids=split.train.user_ids, item_ids=split.train.item_ids)
    split = replace(split, validation=later, test=split.test.subset(np.zeros(len(split.test), dtype=bool)))
    served, serve = [], ranking.recommend
    monkeypatch.setattr(
        ranking, "recommend", lambda *args, **given: served.append(given["codes"]) or serve(*args, **given)
    )
    subject = Subject(factors, split, k=K)
    for known in (split.train, split.known):
        found = subject.recommend(subject.source, known)
        expected = serve(factors, known, k=K)
        np.testing.assert_array_equal(found.items, expected.items)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
    assert [None if codes is None else len(codes) for codes in served] == ([None] if n_best == 1 else [None, 100])


@pytest.mark.parametrize("name", ["tilt (alpha-fair)", "log penalty"])
def test_one_pass_over_all_scores_serves_a_bias(split, factors, monkeypatch, name):
    served, serve = [], ranking.recommend
    monkeypatch.setattr(ranking, "recommend", lambda *args, **given: served.append(args[1]) or serve(*args, **given))
    subject = Subject(factors, split, k=K)
    made = dial(name).at(subject, 0.1)
    for known in (split.train, split.known):
        subject.recommend(made, known)
    assert len(served) == 1


@pytest.mark.parametrize(("strength", "mostly"), [(0.05, False), (0.8, False), (20.0, True)])
def test_candidates_serve_a_bias_where_no_other_item_can_reach_the_list(monkeypatch, strength, mostly):
    split = ht.split_ratio(ht.datasets.power_law(200, 800, n_interactions=4000, rng=0).interactions, rng=0)
    n_users, n_items = split.train.n_users, split.train.n_items
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(n_users, 3)), rng.normal(size=(n_items, 3))
    subject, served, serve = Subject(factors, split, k=K, n_candidates=n_items // 16), [], ranking.recommend
    made = dial("log penalty").at(subject, strength)
    monkeypatch.setattr(
        ranking, "recommend", lambda *args, **given: served.append(given["codes"]) or serve(*args, **given)
    )
    made.order = 1.0
    found, expected = made(split.known), serve(made.vectors(split.known), split.known, k=K)
    np.testing.assert_array_equal(found.items, expected.items)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5)
    assert (sum(map(len, served)) > n_users / 2) == mostly


def test_vectors_that_are_filled_anew_are_served_as_they_are(split, factors):
    subject, (queries, items) = Subject(factors, split, k=K), factors
    filled = queries, np.array(items)
    for known in (split.train, split.known):
        subject.recommend(filled, known)
    filled[1][:] = items[::-1]
    expected = ht.recommend((queries, items[::-1]), split.known, k=K)
    np.testing.assert_array_equal(subject.recommend(filled, split.known).items, expected.items)


def test_macr_is_trained_once_and_served_with_any_c(split):
    subject = Subject(Recipe(ht.models.MF, {"embedding_dim": 4}, {"epochs": 30, "batch_size": 256}), split, k=K)
    weak, strong = (dial("MACR").at(subject, c) for c in (0.0, 4.0))
    assert (weak.c, strong.c) == (0.0, 4.0) and weak.model is strong.model
    assert concentration(subject, strong, "arp") < concentration(subject, weak, "arp")
    assert Subject(strong, split, k=K).fingerprint != Subject(weak, split, k=K).fingerprint
    with pytest.raises(InvalidInputError, match="SASRec is not a model that learns of users"):
        dial("MACR").at(Subject(Recipe(ht.models.SASRec, {"embedding_dim": 4}), split, k=K), 1.0)


def test_sprint_trains_sasrec_with_its_penalty(split):
    ordered_split = replace(split, train=ordered(split.train))
    sizes = {"embedding_dim": 4, "max_length": 8}
    subject = Subject(Recipe(ht.models.SASRec, sizes, {"epochs": 1}), ordered_split, k=K)
    model = dial("SPRINT").at(subject, 2.5)
    assert (model.attention_weight, model.max_length) == (2.5, 8)
    with pytest.raises(NotAvailableError, match="training of SASRec, and this is a subject of training of MF"):
        dial("SPRINT").at(Subject(Recipe(ht.MF, {"embedding_dim": 4}), split, k=K), 1.0)


def test_ppd_equals_a_naive_one(split, factors):
    train, strength = split.train, 0.7
    q, v = (table / np.linalg.norm(table, axis=1, keepdims=True) for table in factors[:2])
    met = [(u, i) for u, row in enumerate(train.matrix.toarray()) for i in np.flatnonzero(row)]

    def scaled(values):
        low, high = min(values.values()), max(values.values())
        return {key: (value - low) / (high - low) for key, value in values.items()}

    p = scaled({i: np.mean([q[u] @ v[i] for u in range(200)]) for i in range(80)})
    r = {}
    for u, i in met:
        alike = [1 / (1 + np.exp(-v[i] @ v[j])) - p[i] * p[j] for w, j in met if w == u]
        r[u, i] = np.mean(alike)
    r = scaled(r)
    b = scaled({(u, i): p[i] - r[u, i] for u, i in met})

    def less(vector, others):  # of (weight, unit vector)
        popular = sum(w * e for w, e in others) / sum(w for w, _ in others)
        wanted = sum((1 - w) * e for w, e in others) / sum(1 - w for w, _ in others)
        direction = popular - 0.5 * wanted
        direction /= np.linalg.norm(direction)
        return vector - strength * (vector @ direction) * direction

    made = dial("PPD").at(Subject(factors, split, k=K), strength)
    for u in (0, 7, 150):
        others = [(b[u, i], v[i]) for w, i in met if w == u]
        np.testing.assert_allclose(made.queries[u], less(factors[0][u], others), rtol=1e-9)
    for i in (0, 3, 60):
        others = [(b[u, i], q[u]) for u, j in met if j == i]
        np.testing.assert_allclose(made.items[i], less(factors[1][i], others), rtol=1e-9)


def test_ppd_where_a_user_did_nothing():
    train = ht.Interactions.from_matrix(np.array([[1, 1], [0, 0], [0, 1]]))
    queries = np.random.default_rng(0).normal(size=(3, 2))
    vectors = ht.Vectors(queries, np.array([[1.0, 0.5], [0.2, 1.0]]))
    assert np.array_equal(without_popularity(vectors, train, 1.0).queries[1], queries[1])


def test_lists_of_ones_own_may_be_a_frame_and_longer_than_k():
    split = ht.split_ratio(ht.datasets.power_law(120, 60, n_interactions=900, rng=0).interactions, rng=0)
    random = np.random.default_rng(0)
    pair = random.normal(size=(120, 4)), random.normal(size=(60, 4))
    popularity = dict(zip(split.train.item_ids.tolist(), split.train.popularity.tolist(), strict=True))

    def rarer(subject, strength, known):
        table = subject.candidates(0, known).to_polars().drop("rank")
        fall = pl.col("item_id").replace_strict(popularity, return_dtype=pl.Float64)
        return table.with_columns(score=pl.col("score") - strength * fall)

    def as_frame(subject, strength, seed):
        return lambda known: rarer(subject, strength, known).sample(fraction=1.0, shuffle=True, seed=1)

    def as_recommendations(subject, strength, seed):
        return lambda known: ht.Recommendations.from_frame(rarer(subject, strength, known), known).head(5)

    made = [Dial("mine", make, (0.0, 0.02), "lists") for make in (as_frame, as_recommendations)]
    options = {"k": 5, "max_loss": 0.99, "progress": False, "refine": 0, "extend": 0}
    frame, lists = (ht.correct(pair, split, dials=[each], **options) for each in made)
    assert frame.frontier.points == lists.frontier.points
    assert frame.lists.k == 5 and frame.lists.to_polars().equals(lists.lists.to_polars())


@pytest.mark.parametrize("made", [None, pl.DataFrame({"user_id": [1], "item_id": [2]}), 3.0])
def test_a_dial_of_ones_own_that_returns_something_else_is_named(made):
    split = ht.split_ratio(ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions, rng=0)
    subject = Subject((np.ones((60, 2)), np.ones((30, 2))), split, k=5)
    said = f"The dial 'mine' at strength 0.5 returned a {type(made).__name__}. Return a model, vectors"
    with pytest.raises(InvalidInputError, match=said):
        Dial("mine", lambda subject, strength, seed: made, (0.0, 0.5)).at(subject, 0.5)
    with pytest.raises(InvalidInputError, match=said):  # also where the lists that it makes are watched
        exploring.Witness(subject).watching(Dial("mine", lambda *of: made, (0.0, 0.5))).at(subject, 0.5)


def nan(queries):
    queries = queries.copy()
    queries[3, 1] = np.nan
    return queries


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda q, v: (nan(q), v), "queries or items hold values that are NaN"),
        (lambda q, v: (q[:-1], v), "user_ids holds 60 ids for 59 rows"),
        (lambda q, v: (q[:, :3], v), "queries has shape (60, 3) and items (30, 4)"),
        (lambda q, v: (None, None), "queries is a NoneType"),
        (lambda q, v: lambda known: None, "lists is a NoneType"),
        (lambda q, v: lambda known: ht.recommend((q, v), known, k=2), "its longest list has 2 of k=5 items"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_a_dial_of_ones_own_makes_is_refused_with_its_name_and_strength(made, said):
    split = ht.split_ratio(ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions, rng=0)
    pair = np.random.default_rng(0).normal(size=(60, 4)), np.random.default_rng(1).normal(size=(30, 4))
    dial, subject = Dial("mine", lambda *_: made(*pair), (0.0, 0.5)), Subject(pair, split, k=5)
    named = re.escape(f"What the dial 'mine' made at strength 0.5: {said}")
    menu = dial.menu().at(subject, 0.1)
    for verb in (
        lambda: ht.tradeoffs.sweep(dial, subject),
        lambda: ht.correct(pair, split, dials=[dial], k=5, strength=0.5, progress=False),
        lambda: exploring.Witness(subject).shown(dial, 0.5),
        lambda: menu(split.train),
    ):
        with pytest.raises(InvalidInputError, match=f"^{named}"):
            verb()


def test_users_without_a_list_at_a_setting_keep_the_plain_one_of_a_menu_and_are_told_by_correct():
    split = ht.split_ratio(ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions, rng=0)
    pair = np.random.default_rng(0).normal(size=(60, 4)), np.random.default_rng(1).normal(size=(30, 4))
    dial = Dial("some", lambda *_: lambda known: ht.recommend(pair, known, k=5, codes=np.arange(20)), (0.0, 0.5))
    subject = Subject(pair, split, k=5)
    menu = dial.menu()
    lists = subject.recommend(menu.at(subject, 0.1), split.train)
    plain = subject.recommend(pair, split.train)
    assert lists.users.tolist() == list(range(60))
    np.testing.assert_array_equal(lists.items[20:], plain.items[20:])
    assert set(menu.make.choices(subject, 0.1, 0, split.train)[20:]) == {0.0}
    found = ht.correct(pair, split, dials=[dial], k=5, strength=0.5, progress=False)
    assert found.notes[-1] == "The correction leaves 200 of 300 places empty; 40 users have no list any more."


def test_dials_at_zero_share_the_lists_of_the_recommender_as_it_is(split, factors, monkeypatch):
    served, serve = [], ranking.recommend
    monkeypatch.setattr(ranking, "recommend", lambda *args, **given: served.append(args[1]) or serve(*args, **given))
    subject = Subject(tuple(matrix.copy() for matrix in factors), split, k=K)
    for each in (dial("shrink"), dial("TTEN"), dial("log penalty")):
        for known in (split.train, split.known):
            found = each.lists(each.at(subject, 0.0), subject, 0.0, known)
            np.testing.assert_array_equal(found.items, serve(factors, known, k=K).items)
    assert len(served) == 1
    subject.source.items[:] = subject.source.items[::-1].copy()  # not the recommender that it was
    found = subject.recommend(subject.plain(), split.train)
    np.testing.assert_array_equal(found.items, serve(subject.source, split.train, k=K).items)


@pytest.mark.parametrize("welfare", ["alpha", "entropy", "popularity"])
def test_tilts_of_a_dial_share_their_sample_and_are_the_same_as_alone(split, factors, monkeypatch, welfare):
    counted, count = [], _sampled_exposure.counter_of_vectors
    monkeypatch.setattr(_sampled_exposure, "counter_of_vectors", lambda *given: counted.append(1) or count(*given))
    subject = Subject(factors, split, k=K)
    strengths = (0.05, 0.2, 0.4)
    found = [item_bias.tilt(subject, strength, 3, welfare=welfare) for strength in strengths]
    assert len(counted) == 1
    for strength, bias in zip(strengths, found, strict=True):
        alone = posthoc.tilt(factors, seen=split.train, strength=strength, k=K, welfare=welfare, rng=3)
        np.testing.assert_array_equal(bias, alone.items[:, -1])


class Signed(torch.nn.Module):
    """Two tables, a sign that no weight tells, and a graph and a count that no training changes."""

    def __init__(self, factors):
        super().__init__()
        self.users, self.items = (torch.nn.Parameter(torch.from_numpy(part).float()) for part in factors[:2])
        self.sign = 1.0
        self.register_buffer("graph", torch.eye(3).to_sparse())
        self.register_buffer("phase", torch.ones(2, dtype=torch.complex64))

    def forward(self, users):
        return self.sign * self.users[users], self.items

    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


def test_models_with_sparse_buffers_and_state_of_other_kinds_are_corrected(split, factors):
    options = {"dials": ["shrink"], "k": K, "max_loss": 0.5, "progress": False}
    of_model, of_factors = (ht.correct(source, split, **options) for source in (Signed(factors), factors))
    assert of_model.comparison.audits["corrected"]["gini@5"] == pytest.approx(
        of_factors.comparison.audits["corrected"]["gini@5"], abs=0.01
    )
    prints = [Subject(Signed(factors), split, k=K).fingerprint for _ in range(2)]
    other = Signed(factors)
    other.graph = 2 * other.graph
    assert prints[0] == prints[1] != Subject(other, split, k=K).fingerprint


def test_a_recipe_of_what_makes_no_models_is_refused(factors):
    for model in (ht.MF(4, 6, 2, rng=0), Signed, lambda **sizes: None):
        with pytest.raises(InvalidInputError, match=r"no class with for_data\(train"):
            Recipe(model)


def test_a_recommender_that_changes_between_two_sweeps_is_told(split, factors):
    model = Signed(factors)
    own = ht.Vectors(*(part.copy() for part in factors[:2]))
    for source, weights in ((model, model.users.data), (own, own.queries)):
        subject = Subject(source, split, k=K)
        weights *= -1  # before its first use
        first = ht.tradeoffs.sweep("shrink", subject, [0.0, 0.1])
        assert first.points == ht.tradeoffs.sweep("shrink", Subject(source, split, k=K), [0.0, 0.1]).points
        weights *= -1
        with pytest.raises(InvalidInputError, match="was changed since it was first used here"):
            ht.tradeoffs.sweep("log penalty", subject)


def test_a_dial_that_trains_the_recommender_itself_on_is_told(split, factors):
    def tuned(subject, strength, seed):
        model = subject.plain(seed)
        with torch.no_grad():
            next(model.parameters()).mul_(1 + strength)
        return model

    for source in (Signed(factors), factors):
        with pytest.raises(InvalidInputError, match="The dial 'tuned' at strength 1 changed the recommender itself"):
            ht.correct(source, split, dials=[Dial("tuned", tuned, (0.0, 1.0), "model")], k=K, progress=False)


def test_a_folder_of_another_setting_that_no_weight_tells_is_refused(split, factors, tmp_path):
    model = Signed(factors)
    subject = Subject(model, split, k=K)
    first = ht.tradeoffs.sweep("shrink", subject, [0.0, 0.1], folder=tmp_path)
    again = ht.tradeoffs.sweep("shrink", Subject(model, split, k=K), [0.0, 0.1, 0.2], folder=tmp_path)
    assert again.points[:2] == first.points
    model.sign = -1.0
    with pytest.raises(ht.exceptions.CheckpointMismatchError, match="holds a sweep of something else"):
        ht.tradeoffs.sweep("shrink", Subject(model, split, k=K), [0.0, 0.1], folder=tmp_path)


def test_models_are_corrected_and_trained_where_the_caller_is_in_inference_mode(split, factors):
    sae = {"expansion": 2, "n_active": 3, "epochs": 1}
    recipe = Recipe(ht.MF, {"embedding_dim": 4}, {"epochs": 1})
    with torch.inference_mode():
        steered = ht.tradeoffs.sweep("PopSteer", Subject(Signed(factors), split, k=K, autoencoder=sae), [0.0, 0.5])
        trained = ht.tradeoffs.sweep("ReSN", Subject(recipe, split, k=K), [0.0, 1e-3])
    outside = ht.tradeoffs.sweep("PopSteer", Subject(Signed(factors), split, k=K, autoencoder=sae), [0.0, 0.5])
    assert steered.points == outside.points
    assert trained.points == ht.tradeoffs.sweep("ReSN", Subject(recipe, split, k=K), [0.0, 1e-3]).points
