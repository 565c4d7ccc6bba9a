"""Training and serving of sequential models: what penalties see, histories, validation, resuming to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import StoppedError, same, stop_at, weights

from headtail.data import Interactions, split_leave_last
from headtail.exceptions import CheckpointMismatchError, InvalidInputError
from headtail.losses import bce, sampled_softmax
from headtail.metrics import ndcg
from headtail.models import MF, SASRec
from headtail.penalties import ReSN
from headtail.training import fit, inputs, recommend, vectors
from headtail.training.loop import Validation
from headtail.typing import Vectors

N_USERS, N_ITEMS, LENGTH = 30, 12, 5


def cycle():
    """A world in which item i + 1 always follows item i, from any beginning; every user stops somewhere."""
    rng = np.random.default_rng(0)
    users, items, order = [], [], []
    for user in range(N_USERS):
        begin, n = rng.integers(N_ITEMS), rng.integers(4, N_ITEMS - 1)
        users += [user] * n
        items += [(begin + step) % N_ITEMS for step in range(n)]
        order += list(range(n))
    codes = np.array(users, dtype=np.int32), np.array(items, dtype=np.int32)
    return Interactions(np.arange(N_USERS) + 100, np.arange(N_ITEMS), *codes, order=np.array(order))


SPLIT = split_leave_last(cycle())
SOFTMAX = {"loss": sampled_softmax, "n_negatives": "all"}
SETTINGS = {"epochs": 6, "eval_every": 2, "batch_size": 40, "lr": 0.01, "weight_decay": 0, "rng": 0}


def model(seed=0, **more):
    return SASRec(N_ITEMS, LENGTH, 8, n_layers=1, n_heads=1, inner_dim=16, rng=seed, **more)


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [SOFTMAX, {"loss": bce, "n_negatives": 3}])
def test_it_learns_what_follows_what(objective):
    m = model(dropout=0)
    fit(m, SPLIT.train, **objective, **{**SETTINGS, "epochs": 60})
    lists = recommend(m, SPLIT.known, k=1)
    assert (lists.items[SPLIT.test.users, 0] == SPLIT.test.items).mean() > 0.9  # one in five by chance


def test_the_loss_is_the_mean_over_all_interactions():
    """One by one, from nothing but the items before; with a learning rate of nearly nothing the weights stand still."""
    train = SPLIT.train
    m = SASRec(N_ITEMS, N_ITEMS, 8, dropout=0, rng=0)
    losses = []
    for user in range(N_USERS):
        history = [i for i in train.sequences(codes=[user], max_length=N_ITEMS)[0].tolist() if i >= 0]
        # A state's position is counted from the end of its window, so the whole history goes in at once.
        before = torch.tensor([[-1, *history[:-1]]])
        states, items = m.states(before)
        losses.append(torch.nn.functional.cross_entropy(states[0] @ items.T, torch.tensor(history), reduction="none"))
    history = fit(m, train, **SOFTMAX, epochs=1, batch_size=37, lr=1e-12, weight_decay=0, rng=0)
    assert history.rows[0]["loss"] == pytest.approx(torch.cat(losses).mean().item(), rel=1e-5)


def test_penalties_see_the_queries_that_users_are_served_by():
    """The state at the end of each window: what the model serves before the last item of training is known."""
    seen = []

    def spy(queries, items):
        seen.append((queries.detach().clone(), items.detach().clone()))
        return 0 * queries.sum()

    train = SPLIT.train
    m = SASRec(N_ITEMS, N_ITEMS, 8, dropout=0, rng=0)  # one window a user
    from_last = train.activity[train.users] - 1 - train.time_rank
    expected, items = vectors(m, interactions=train.subset(from_last > 0))
    fit(m, train, **SOFTMAX, penalties=[spy], epochs=1, batch_size=10**6, lr=1e-12, rng=0)
    queries = seen[0][0]
    assert queries.shape == expected.shape
    distances = torch.cdist(queries, expected, compute_mode="donot_use_mm_for_euclid_dist")
    assert distances.amin(dim=0).max() < 1e-4
    assert distances.amin(dim=1).max() < 1e-4
    torch.testing.assert_close(seen[0][1], items)


def test_resn_lowers_the_spectral_norm():
    norms = []
    for penalties in ((), (ReSN(0.05),)):
        m = model(dropout=0)
        history = fit(m, SPLIT.train, **SOFTMAX, penalties=penalties, **{**SETTINGS, "epochs": 30})
        norms.append(ReSN(1).sigma1_squared(*vectors(m, interactions=SPLIT.train)))
    assert history.rows[-1].keys() == {"epoch", "loss", "ReSN", "seconds"}
    assert norms[1] < norms[0]


def test_all_items_as_negatives_for_a_model_of_users():
    """The first step of plain gradient descent is that of the naive loss; Adam's moves follow the gradient's sign."""
    m = MF(N_USERS, N_ITEMS, 4, rng=0)
    users, items = (torch.from_numpy(codes.astype(np.int64)) for codes in (SPLIT.train.users, SPLIT.train.items))
    queries, vectors_ = m(users)
    expected = torch.nn.functional.cross_entropy(queries @ vectors_.T, items)
    expected.backward()
    before, slopes = weights(m), {name: weight.grad.clone() for name, weight in m.named_parameters()}
    history = fit(m, SPLIT.train, **SOFTMAX, epochs=1, batch_size=10**6, lr=1e-3, weight_decay=0, rng=0)
    assert history.rows[0]["loss"] == pytest.approx(expected.item(), rel=1e-5)
    for name, weight in m.named_parameters():
        clear = slopes[name].abs() > 1e-5
        moved = (weight - before[name])[clear]
        torch.testing.assert_close(moved, -1e-3 * slopes[name][clear].sign(), rtol=1e-2, atol=0)


def test_users_who_have_met_everything_do_no_harm_without_draws():
    whole = Interactions(np.arange(2), np.arange(3), np.repeat([0, 1], 3).astype(np.int32), np.tile([0, 1, 2], 2))
    assert len(fit(MF(2, 3, 2, rng=0), whole, **SOFTMAX, epochs=1, rng=0).rows) == 1


@pytest.mark.parametrize("objective", [SOFTMAX, {"loss": sampled_softmax, "n_negatives": 3}])
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_run_that_was_stopped_resumes_to_the_same_bits(tmp_path, objective, epoch):
    """Dropout, windows, negatives and Adam's moments included."""
    settings = {**SETTINGS, **objective, "validation": SPLIT.validation, "penalties": (ReSN(1e-3),), "k": 3}
    whole = model(dropout=0.3)
    history = fit(whole, SPLIT.train, **settings)
    with pytest.raises(StoppedError):
        fit(model(dropout=0.3), SPLIT.train, **settings, checkpoint=tmp_path, callbacks=[stop_at(epoch)])
    m = model(dropout=0.3)
    resumed = fit(m, SPLIT.train, **settings, checkpoint=tmp_path)
    assert same(weights(whole), weights(m))
    assert [row["ndcg@3"] for row in resumed.rows] == [row["ndcg@3"] for row in history.rows]
    with pytest.raises(CheckpointMismatchError, match=r"n_negatives: .* in the checkpoint, 7 now"):
        fit(model(dropout=0.3), SPLIT.train, **{**settings, "n_negatives": 7}, checkpoint=tmp_path)
    turned = replace(SPLIT.train, order=-SPLIT.train.time_rank)
    with pytest.raises(CheckpointMismatchError, match=r"train: .* in the order .* in the checkpoint"):
        fit(model(dropout=0.3), turned, **settings, checkpoint=tmp_path)


# -- serving -----------------------------------------------------------------------------------------------------------


def test_inputs_are_codes_or_histories_in_the_order_asked():
    train = SPLIT.train
    users = np.array([3, 0, 7])
    codes = list(inputs(MF(N_USERS, N_ITEMS, 2), train, codes=users, batch_size=2))
    assert [batch.tolist() for batch in codes] == [[3, 0], [7]]
    batches = list(inputs(model(), train, codes=users, batch_size=2))
    whole = np.concatenate([np.pad(b, ((0, 0), (LENGTH - b.shape[1], 0)), constant_values=-1) for b in batches])
    np.testing.assert_array_equal(whole, train.sequences(codes=users, max_length=LENGTH))
    assert all((batch[:, 0] >= 0).any() for batch in batches)  # cut to the longest
    assert sum(len(batch) for batch in inputs(model(), train)) == N_USERS


def test_recommend_scores_by_the_history_given():
    m = model().eval()
    for known in (SPLIT.train, SPLIT.known):
        queries, items = vectors(m, interactions=known, batch_size=7)
        sequences = torch.from_numpy(known.sequences(max_length=LENGTH))
        torch.testing.assert_close(queries, m(sequences).queries)
        lists, expected = recommend(m, known, k=4), recommend((queries, items), known, k=4)
        np.testing.assert_array_equal(lists.items, expected.items)
        some = recommend(m, known, users=[107, 103], k=4)
        np.testing.assert_array_equal(some.items, expected.items[[7, 3]])


def test_a_user_without_history_gets_what_everybody_begins_with():
    m = model(dropout=0)
    first = SPLIT.train.subset(SPLIT.train.time_rank == 0)
    fit(m, first, **SOFTMAX, **{**SETTINGS, "epochs": 150})
    nobody = SPLIT.train.subset(np.zeros(len(SPLIT.train), dtype=bool))
    best = recommend(m, nobody, k=1).items[:, 0]
    assert len(set(best.tolist())) == 1
    assert first.popularity[best[0]] == first.popularity.max()


def test_validation_equals_a_naive_count():
    m = model().eval()
    queries, items = m(torch.from_numpy(SPLIT.train.sequences(max_length=LENGTH)))
    scores, gains = (queries @ items.T).detach().numpy(), []
    for user, wanted in zip(SPLIT.validation.users, SPLIT.validation.items, strict=True):
        seen = set(SPLIT.train.items[SPLIT.train.users == user].tolist())
        rank = sum(scores[user, i] > scores[user, wanted] for i in range(N_ITEMS) if i not in seen)
        gains.append(1 / np.log2(rank + 2) if rank < 4 else 0)
    assert Validation(SPLIT.train, SPLIT.validation, ndcg, 4)(m) == pytest.approx(np.mean(gains))


def test_a_stranger_with_states_trains_too():
    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.n_items, self.max_length = N_ITEMS, LENGTH
            self.table = torch.nn.Embedding(N_ITEMS + 1, 8, padding_idx=N_ITEMS)
            self.cell = torch.nn.GRU(8, 8, batch_first=True)

        def states(self, sequences):
            states, _ = self.cell(self.table(sequences % (N_ITEMS + 1)))
            return Vectors(states, self.table.weight[:-1])

        def forward(self, sequences):
            states, items = self.states(sequences)
            return Vectors(states[:, -1], items)

    torch.manual_seed(0)
    m = Recurrent()
    history = fit(m, SPLIT.train, **SOFTMAX, **{**SETTINGS, "epochs": 40})
    assert history.rows[-1]["loss"] < 0.6 * history.rows[0]["loss"]
    assert recommend(m, SPLIT.known, k=3).items.shape == (N_USERS, 3)


# -- bad input ---------------------------------------------------------------------------------------------------------


def timeless():
    return Interactions(np.arange(2), np.arange(3), np.array([0, 1], np.int32), np.array([0, 1], np.int32))


def test_without_time_nothing_sequential_works():
    m = SASRec(3, rng=0)
    for act in (lambda: fit(m, timeless()), lambda: recommend(m, timeless(), k=1), lambda: list(inputs(m, timeless()))):
        with pytest.raises(InvalidInputError, match="neither timestamps nor an order"):
            act()


def test_vectors_of_a_sequential_model_need_histories():
    with pytest.raises(InvalidInputError, match="SASRec is sequential, so it needs histories; give interactions="):
        vectors(model())
    with pytest.raises(InvalidInputError, match="codes has shape"):
        list(inputs(model(), SPLIT.train, codes=[]))


def test_a_model_of_another_catalogue_is_refused():
    for act in (lambda m: fit(m, SPLIT.train), lambda m: recommend(m, SPLIT.train, k=1)):
        with pytest.raises(InvalidInputError, match=r"the model has n_items=13 and .* 12"):
            act(SASRec(13, rng=0))


def test_a_sequential_model_without_states_is_told_what_lacks():
    class Bare(torch.nn.Linear):
        n_items, max_length = N_ITEMS, LENGTH

    with pytest.raises(InvalidInputError, match=r"Bare has max_length, .* no method states\(sequences\)"):
        fit(Bare(2, 2), SPLIT.train)


def test_a_word_that_is_no_number_of_negatives():
    with pytest.raises(InvalidInputError, match="n_negatives='every' is not a whole number"):
        fit(model(), SPLIT.train, n_negatives="every")
