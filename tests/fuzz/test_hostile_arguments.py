"""Every public verb with arguments that are wrong, or nearly right."""

import inspect

import hostile
import pytest
import verbs
from hypothesis import given
from hypothesis import strategies as st


def test_every_public_verb_is_fuzzed():
    assert set(verbs.PUBLIC) == set(verbs.VERBS)
    for name, verb in verbs.PUBLIC.items():
        parameters = inspect.signature(verb).parameters.values()
        named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        assert named - set(verbs.right(name)[1]) <= {"self", "top"}, f"{name} has arguments that are not fuzzed"


@pytest.mark.parametrize("name", verbs.VERBS)
def test_right_arguments_are_taken(name):
    call, arguments = verbs.right(name)
    assert hostile.attempt(call, **arguments) is not hostile.REFUSED


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
