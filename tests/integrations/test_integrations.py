"""What the modules for libraries ask of the objects they are given, without the libraries."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import headtail as ht
from headtail import sae
from headtail.exceptions import InvalidInputError, NotAvailableError, UnreadableFileError
from headtail.integrations import implicit, lenskit, pytorch, recbole, rectools


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: implicit.vectors("x"), "str has no user_factors; give a fitted model of implicit"),
        (lambda: implicit.vectors(SimpleNamespace(user_factors=None)), "has no user_factors"),
        (lambda: implicit.vectors(SimpleNamespace(user_factors=np.ones(3))), r"user_factors .* shape \(3,\)"),
        (lambda: rectools.interactions(None), "NoneType has no get_raw_interactions; give a rectools Dataset"),
        (lambda: rectools.vectors(None, None), "NoneType has no user_id_map; give a rectools Dataset"),
        (lambda: lenskit.vectors(5), "int has no user_embeddings; give a trained scorer"),
        (lambda: lenskit.interactions(5), "int has no interaction_table; give a lenskit Dataset"),
        (lambda: lenskit.item_lists(5), "lists is an int; give Recommendations"),
        (lambda: recbole.interactions(5), "int has no inter_matrix; give a RecBole dataset"),
        (lambda: recbole.vectors({}, 5), "int has no uid_field; give a RecBole dataset"),
        (
            lambda: pytorch.vectors(nn.Linear(2, 2), np.eye(2)),
            r"give user_inputs, what it encodes, such as torch.arange\(n_users\)",
        ),
        (lambda: pytorch.vectors(np.eye(2), np.eye(2), user_inputs=np.eye(2)), "users is an ndarray, which encodes no"),
        (lambda: pytorch.vectors(np.eye(2), nn.Flatten(0), item_inputs=torch.ones(3, 2)), "items"),
        (lambda: pytorch.as_model(5), "give Vectors, or two factors"),
    ],
)
def test_what_they_cannot_read_is_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_without_lenskit_its_lists_cannot_be_made():
    lists = ht.Recommendations.from_arrays(np.array([[0, 1]]))
    try:
        import lenskit as installed  # noqa: F401
    except ImportError:
        with pytest.raises(NotAvailableError, match="pip install lenskit"):
            lenskit.item_lists(lists)


class Evil:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return type(self.target).touch, (self.target,)


def test_a_recbole_checkpoint_runs_no_code(tmp_path):
    weights = {"user_embedding.weight": torch.ones(3, 2), "item_embedding.weight": torch.eye(3, 2)}
    torch.save({"config": Evil(tmp_path / "ran"), "state_dict": weights}, tmp_path / "x.pth")
    tokens = {"u": np.array(["[PAD]", "ann", "bob"]), "i": np.array(["[PAD]", "x", "y"])}
    dataset = SimpleNamespace(uid_field="u", iid_field="i", field2id_token=tokens)
    found = recbole.vectors(tmp_path / "x.pth", dataset)
    assert found.item_ids.tolist() == ["x", "y"]
    np.testing.assert_array_equal(found.items, np.eye(3, 2)[1:])
    assert torch.equal(recbole.read_weights(tmp_path / "x.pth")["item_embedding.weight"], torch.eye(3, 2))
    torch.save(Evil(tmp_path / "ran"), tmp_path / "y.pth")
    (tmp_path / "z.pth").write_bytes(b"none")
    for name in ("y.pth", "z.pth", "missing.pth"):
        with pytest.raises(UnreadableFileError, match=f"{name}"):
            recbole.read_weights(tmp_path / name)
    assert not (tmp_path / "ran").exists()


def test_towers_are_run_in_batches_and_left_as_they_were():
    torch.manual_seed(0)
    users, items = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5)), nn.Embedding(5, 4)
    inputs = torch.randn(7, 3)
    found = pytorch.vectors(users, items, user_inputs=inputs, user_ids=list("abcdefg"), batch_size=2)
    assert users.training and not found.queries.requires_grad
    torch.testing.assert_close(found.queries, users[0](inputs).detach())
    torch.testing.assert_close(found.items, items.weight.detach())
    two = pytorch.vectors(lambda a, b: a + b, items, user_inputs=(inputs[:, :1], inputs[:, 1:2]))
    assert two.queries.shape == (7, 1)


def test_vectors_become_a_model_that_is_steered():
    split = ht.split_ratio(ht.datasets.power_law(60, 30, n_interactions=300, rng=0).interactions, rng=0)
    rng = np.random.default_rng(0)
    pair = ht.Vectors(rng.normal(size=(split.train.n_users, 4)), rng.normal(size=(split.train.n_items, 4)))
    model = pytorch.as_model(pair)
    assert sae.contrast(model, split.train, rng=0).real.shape == (split.train.n_users, 4)
    np.testing.assert_array_equal(
        ht.recommend(model, split.train, k=3).items, ht.recommend(pair._replace(
            queries=pair.queries.astype(np.float32), items=pair.items.astype(np.float32)), split.train, k=3).items
    )  # fmt: skip


def test_a_corrected_model_of_implicit_forgets_what_it_kept_of_its_factors():
    fitted = SimpleNamespace(user_factors=np.eye(2), item_factors=np.eye(2), _item_norms=np.ones(2), _YtY=np.eye(2))
    made = implicit.corrected(fitted, ht.Vectors(np.eye(2), 2 * np.eye(2)))
    assert made._item_norms is None and made._YtY is None, "norms and products are made again of the new factors"
    assert fitted._item_norms is not None and not hasattr(made, "_XtX")


def test_vectors_of_embeddings_stay_what_they_were_when_training_goes_on():
    towers = nn.Embedding(3, 4), nn.Embedding(5, 4)
    found = pytorch.vectors(*towers)
    with torch.no_grad():
        towers[1].weight.zero_()
    assert found.items.any()


def test_a_tower_without_a_row_for_an_input_is_named():
    table = torch.nn.Embedding(3, 2)
    with pytest.raises(InvalidInputError, match="the tower of users has no row for one of its inputs: index out of"):
        pytorch.vectors(table, table, user_inputs=torch.arange(4), item_inputs=torch.arange(3))
