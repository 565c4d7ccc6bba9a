from . import (
    allocation as allocation,
    amplification as amplification,
    baselines as baselines,
    data as data,
    datasets as datasets,
    dials as dials,
    exceptions as exceptions,
    losses as losses,
    metrics as metrics,
    models as models,
    penalties as penalties,
    posthoc as posthoc,
    reports as reports,
    rerank as rerank,
    rerankers as rerankers,
    sae as sae,
    serving as serving,
    spectral as spectral,
    tradeoffs as tradeoffs,
    training as training,
)
from .correction import correct as correct
from .data import (
    Interactions as Interactions,
    PopularityGroups as PopularityGroups,
    Recommendations as Recommendations,
    Split as Split,
    read_interactions as read_interactions,
    split_debiased as split_debiased,
    split_leave_last as split_leave_last,
    split_ratio as split_ratio,
    split_time as split_time,
)
from .metrics import audit as audit, compare as compare, describe as describe
from .models import MF as MF
from .penalties import ReSN as ReSN
from .posthoc import penalize_popularity as penalize_popularity, shrink as shrink, tilt as tilt
from .spectral import data_spectrum as data_spectrum, spectrum as spectrum
from .training import (
    fit as fit,
    load_model as load_model,
    recommend as recommend,
    save_model as save_model,
    vectors as vectors,
)
from .typing import Vectors as Vectors
