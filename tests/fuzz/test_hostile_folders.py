"""Saved models, autoencoders, runs and sweeps, damaged: refused, or what was saved."""

import json
import shutil
from functools import cache
from pathlib import Path

import hostile
import pytest
import torch
import verbs
from hypothesis import given, strategies as st

import headtail as ht
from headtail import sae, tradeoffs

VALUES = st.sampled_from([None, True, -1, 0, 1.5, 2**40, "x", "MF", [], [1], {}, {"a": 1}, float("nan"), "\ud800"])


def _trained(folder, epochs=2):
    return ht.fit(verbs.mf(), verbs.split().train, validation=verbs.split().validation, k=3, epochs=epochs,
    eval_every=1,
                  batch_size=64, checkpoint=folder, rng=0, progress=False)  # fmt: skip


def _autoencoder(folder, epochs=2):
    rows = torch.arange(80.0).reshape(20, 4).sin()
    return sae.fit_sae(
        sae.TopKSAE(4, 2, 2, rng=0), rows, validation=0.2, epochs=epochs, checkpoint=folder, rng=0, progress=False
    )


def _swept(folder):
    return tradeoffs.sweep(verbs.mine(), verbs.subject(), folder=folder, progress=False)


# How a folder is written, how it is read, and what of the result must be as it was.
KINDS = {
    "model": (lambda f: ht.save_model(verbs.mf(), f), ht.load_model, lambda m: m.state_dict()),
    "sasrec": (lambda f: ht.save_model(verbs.sasrec(), f), ht.load_model, lambda m: m.state_dict()),
    "autoencoder": (lambda f: sae.save_sae(verbs.autoencoder(), f), sae.load_sae, lambda m: m.state_dict()),
    "steered": (lambda f: sae.save_steered(verbs.steered(), f), sae.load_steered, lambda m: m.state_dict()),
    "run": (_trained, lambda f: _trained(f, 2), None),
    "run of an autoencoder": (_autoencoder, lambda f: _autoencoder(f, 2), None),
    "sweep": (_swept, _swept, None),
}


@cache
def original(kind):
    """The files of a saved folder, by name, and what reading it gives."""
    write, read, kept = KINDS[kind]
    shutil.rmtree("original", ignore_errors=True)
    write("original")
    files = {p.relative_to("original"): p.read_bytes() for p in sorted(Path("original").rglob("*")) if p.is_file()}
    return files, kept(read("original")) if kept else None


def _leaves(value, path=()):
    """Yield the way to every value inside JSON."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _leaves(inner, (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], new)
    return copy


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_folders(kind, data):
    _, read, kept = KINDS[kind]
    files, before = original(kind)
    shutil.rmtree("folder", ignore_errors=True)
    hit = data.draw(st.sampled_from(sorted(files)))
    in_json = hit.suffix == ".json" and data.draw(st.booleans())
    for name, content in files.items():
        if name == hit and in_json:
            values = json.loads(content)
            way = data.draw(st.sampled_from(list(_leaves(values))))
            content = json.dumps(_replaced(values, way, data.draw(VALUES))).encode()
        elif name == hit:
            content = data.draw(hostile.mutated(content))
        (Path("folder") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("folder") / name).write_bytes(content)
    found = hostile.attempt(read, "folder")
    if found is not hostile.REFUSED and before is not None and hit.suffix != ".json":
        after = kept(found)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before), (
            "damaged weights were taken for good ones"
        )
