"""Vectors of every type and layout: what they give is what naive arithmetic gives, or they are refused."""

import hostile
import numpy as np
import torch
import verbs
from hypothesis import given, strategies as st

import headtail as ht
from headtail import posthoc

FORMS = (
    lambda a: a,
    np.asfortranarray,
    lambda a: a[::-1][::-1],
    lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    lambda a: a.astype(np.float64),
    lambda a: a.astype(">f4"),
    lambda a: a.astype(np.float16),
    lambda a: a.astype(np.longdouble),
    lambda a: a.astype(object),
    lambda a: a.round().astype(np.int8),
    lambda a: a > 0,
    lambda a: a.tolist(),
    lambda a: np.ma.masked_array(a),
    lambda a: torch.from_numpy(a),
    lambda a: torch.from_numpy(a).bfloat16(),
    lambda a: torch.from_numpy(a).double().requires_grad_(),
    lambda a: torch.from_numpy(np.ascontiguousarray(a.T)).T,
    lambda a: a.astype(str),
    lambda a: a + 1j,
    lambda a: a * 1e30,
    lambda a: a * np.float32(1e-38),
    lambda a: a * 0,
    lambda a: np.where(a == a.max(), np.nan, a),
    lambda a: np.where(a == a.max(), np.inf, a),
    lambda a: a[:0],
    lambda a: a[:, :0],
    lambda a: a.ravel(),
    lambda a: a[None],
)
FORM = st.sampled_from(FORMS)
VALUES = st.integers(-3, 3) | st.floats(-2, 2, width=16)


@st.composite
def matrices(draw, rows, width):
    values = draw(st.lists(VALUES, min_size=rows * width, max_size=rows * width))
    return np.array(values, dtype=np.float32).reshape(rows, width)


def naive_scores(queries, items):
    return hostile.as_numpy(queries) @ hostile.as_numpy(items).T


@given(data=st.data(), left=FORM, right=FORM, seen=st.booleans())
def test_recommend_is_a_sort_of_the_scores(data, left, right, seen):
    known = verbs.split().train
    width = data.draw(st.integers(1, 4))
    queries, items = (
        form(data.draw(matrices(n, width))) for form, n in ((left, known.n_users), (right, known.n_items))
    )
    k = data.draw(st.integers(1, known.n_items))
    lists = hostile.attempt(ht.recommend, (queries, items), known, k=k, exclude_seen=seen)
    if lists is hostile.REFUSED:
        return
    scores = naive_scores(queries, items)
    if seen:
        scores[known.users, known.items] = -np.inf
    best = -np.sort(-scores, axis=1)[:, :k]
    filled = lists.items >= 0
    assert (filled == np.isfinite(best)).all()
    found = np.take_along_axis(scores, np.maximum(lists.items, 0), axis=1)
    scale = 1e-5 * np.abs(scores[np.isfinite(scores)]).max(initial=1e-30)
    assert np.allclose(found[filled], best[filled], rtol=1e-4, atol=scale)
    assert np.allclose(lists.scores[filled], best[filled], rtol=1e-4, atol=scale)


@given(data=st.data(), left=FORM, right=FORM)
def test_spectrum_and_corrections_are_naive_algebra(data, left, right):
    width = data.draw(st.integers(1, 3))
    queries, items = (form(data.draw(matrices(n, width))) for form, n in ((left, 6), (right, 5)))
    bias = data.draw(
        st.sampled_from([np.arange(5.0), [1, 2, 3, 4, 5], np.float16([1, 0, 0, 0, 1]), np.full(5, np.nan)])
    )
    found = hostile.attempt(ht.spectrum, queries, items, popularity=data.draw(st.sampled_from([None, bias, [0] * 5])))
    if found is not hostile.REFUSED:
        scores = naive_scores(queries, items)
        sigma = np.linalg.svd(scores, compute_uv=False)
        assert np.allclose(found.sigma, sigma[: len(found.sigma)], rtol=1e-3, atol=1e-5 * max(sigma.max(), 1e-30))
    for change, expected in (
        (lambda q, v: ht.shrink(q, v, strength=0.0), 0),
        (lambda q, v: ht.penalize_popularity(q, v, [1, 2, 3, 4, 5], strength=0.0), 0),
        (lambda q, v: posthoc.add_bias(q, v, bias), bias),
        (lambda q, v: ht.tilt(q, v, strength=0.0, k=2), 0),
    ):
        made = hostile.attempt(change, queries, items)
        if made is not hostile.REFUSED:
            scores = naive_scores(queries, items) + np.asarray(expected, dtype=np.float64)
            scale = np.abs(scores).max()
            assert np.allclose(naive_scores(*made), scores, rtol=1e-2, atol=1e-2 * scale)
