"""Every public verb with arguments that are wrong, or nearly right."""

import copy
import inspect
import pickle

import hostile
import numpy as np
import pytest
import verbs
from hypothesis import given, strategies as st

from headtail import recommend
from headtail._checks import LENGTH, list_length
from headtail.exceptions import InvalidInputError

# What these return is a query of Polars, a decorator, a model of others, and what an open context caught.
BOUND = {"engines.rerank", "metrics.better", "integrations.implicit.corrected", "sae.attach"}


def test_every_public_verb_is_fuzzed():
    assert set(verbs.PUBLIC) == set(verbs.VERBS)
    for name, verb in verbs.PUBLIC.items():
        parameters = inspect.signature(verb).parameters.values()
        named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        assert named - set(verbs.right(name)[1]) <= {"self", "top"}, f"{name} has arguments that are not fuzzed"


@pytest.mark.parametrize("name", verbs.VERBS)
def test_right_arguments_are_taken_and_what_they_make_is_pickled_and_copied(name):
    call, arguments = verbs.right(name)
    made = hostile.attempt(call, **arguments)
    assert made is not hostile.REFUSED
    if name not in BOUND:
        copies = pickle.loads(pickle.dumps(made)), copy.deepcopy(made)
        assert " at 0x" in repr(made) or {repr(each) for each in copies} == {repr(made)}


@pytest.mark.parametrize("name", verbs.VERBS)
@given(data=st.data())
def test_wrong_arguments_are_refused(name, data):
    call, arguments = verbs.right(name)
    names = sorted(arguments.keys() - verbs.OF_OTHERS.get(name, set()))
    for changed in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)) if names else ():
        near = hostile.twists(arguments[changed])
        value = data.draw(st.sampled_from(hostile.ANYTHING) | (st.sampled_from(near) if near else st.nothing()))
        arguments[changed] = value
    hostile.attempt(call, **arguments)


def test_lists_are_as_long_and_chance_as_repeatable_by_default_everywhere():
    other = {"sae.TopKSAE", "data_spectrum"}  # k is the number of active neurons, and of directions
    for name, verb in verbs.PUBLIC.items():
        defaults = {p.name: p.default for p in inspect.signature(verb).parameters.values() if p.default is not p.empty}
        assert defaults.get("rng", 0) == 0, name
        assert name in other or defaults.get("k") in (None, LENGTH), name
    assert (LENGTH, list_length(None, 30), list_length(None, 12)) == (20, 20, 12)


def test_a_catalogue_that_is_smaller_than_a_list_is_told_in_the_log(caplog):
    train = verbs.datasets.checkerboard(12, 12).train
    assert recommend(tuple(np.eye(12) for _ in "qv"), train).k == 12
    assert "lists have 12 items, not 20" in caplog.text
    with pytest.raises(InvalidInputError, match="k=13 exceeds the catalogue of 12 items"):
        recommend((np.eye(12), np.eye(12)), train, k=13)
