"""Dials that train the model with a correction; torch is imported only when one is used."""

import math
from functools import partial
from typing import Any

import numpy as np

from headtail.subjects import Subject

FINE_TUNING = 0.25  # of the plain model's epochs
_DRAWN = 64  # negatives per positive for PR-Entmax, which needs hard ones among them


def resn(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with ReSN."""
    from headtail.penalties import ReSN

    return subject.train(seed, penalties=[ReSN(strength)])


def resn_fine_tuned(subject: Subject, strength: float, seed: int) -> Any:
    """Return the plain model, fine-tuned with ReSN."""
    from headtail.penalties import ReSN

    epochs = math.ceil(FINE_TUNING * subject.source.epochs)
    return subject.train(seed, start=subject.plain(seed), penalties=[ReSN(strength)], epochs=epochs)


def log_det(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with a penalty on dimensional collapse."""
    from headtail.penalties import LogDet

    return subject.train(seed, penalties=[LogDet(strength)])


def zerosum(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with Zerosum in place of its loss."""
    from headtail import losses

    return subject.train(seed, loss=partial(losses.zerosum, share=strength))


def ips(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with positives weighted by inverse propensity."""
    from headtail.losses import inverse_propensity

    return subject.train(seed, item_weights=inverse_propensity(subject.split.train.popularity, power=strength))


def deconfounded(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with PDA's deconfounded loss, and served without popularity (PD)."""
    from headtail import losses

    return subject.train(seed, loss=losses.deconfounded, item_values=_shares(subject) ** strength)


def pr_entmax(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with PR-Entmax in place of its loss."""
    from headtail import losses

    prior = strength * np.log(_shares(subject) + 1e-6)
    return subject.train(seed, loss=losses.pr_entmax, n_negatives=_DRAWN, item_values=prior)


def macr(subject: Subject, strength: float, seed: int) -> Any:
    """Return the model trained with MACR, once for all strengths, and served with this c."""
    return subject.cached(("MACR", seed), lambda: _macr(subject, seed)).at(strength)


def _macr(subject: Subject, seed: int) -> Any:
    from headtail.losses import bce
    from headtail.models import MACR

    model = MACR(_untrained(subject, seed), rng=seed)
    return subject.train(seed, start=model, loss=bce, n_negatives=1)


def sprint(subject: Subject, strength: float, seed: int) -> Any:
    """Return SASRec trained with SPRINT."""
    from headtail.models import SPRINT

    return subject.train(seed, start=_untrained(subject, seed, SPRINT, attention_weight=strength))


def _untrained(subject: Subject, seed: int, kind: Any = None, **more: Any) -> Any:
    """Return the untrained model, or one of another class with the same sizes."""
    source = subject.source
    return (kind or source.model).for_data(subject.split.train, rng=seed, **source.sizes, **more)


def _shares(subject: Subject) -> Any:
    """Return each item's share of the training interactions."""
    popularity = subject.split.train.popularity
    return popularity / popularity.sum()
