"""Metadata of metrics: direction, range, format, requirements and influences of users."""

import ast
import inspect
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Literal, TypeVar

from headtail._checks import checked
from headtail.exceptions import InvalidInputError
from headtail.metrics.topk import Metric
from headtail.typing import Floats

Better = Literal["higher", "lower"]
Family = Literal["accuracy", "exposure", "popularity", "diversity"]
Needs = Literal["popularity", "catalogue", "targets", "vectors", "times"]
Influence = Callable[..., Floats]
Metrics = Iterable[Metric] | Mapping[str, Metric]

_BY_TARGET = 200  # users that an interval takes where only one group of their items counts

F = TypeVar("F", bound=Callable[..., object])


@checked
@dataclass(frozen=True)
class Facts:
    """Metadata of a metric, set by :func:`better` or as attributes of these names on the function.

    Attributes
    ----------
    better : {"higher", "lower", None}
    title : str
        What it is in plain words, which reports show above its name.
    low, high : float
        Ends of the metric's range, which intervals do not leave.
    influence : function of a TopK, optional
        For a metric that returns one number: takes what the metric takes and returns what each user adds to its error,
        shape (U,), such that the root of the sum of squares is the standard error. It is ``jackknife_influence`` of
        the metric's values without each single user, where these are at hand. From it come the metric's interval and
        paired intervals of its differences. A metric without it is evaluated again without groups of users.
    family : {"accuracy", "exposure", "popularity", "diversity"}, optional
        What it speaks of.
    format : str, default ".4f"
        How its values are written.
    headline : bool, default False
    needs : tuple of {"popularity", "catalogue", "targets", "vectors", "times"}, default ()
        What it cannot do without besides lists: training interactions, what else could be recommended, a test, item
        vectors, or the time of each user's test.
    fewest : int, default 0
        Users that an interval takes at least, where fewer do not show how skewed the metric is.
    """

    better: Better | None = None
    title: str = ""
    low: float = -math.inf
    high: float = math.inf
    influence: Influence | None = None
    family: Family | None = None
    format: str = ".4f"
    headline: bool = False
    needs: tuple[Needs, ...] = ()
    fewest: int = 0


def facts_of(metric: Metric) -> Facts:
    """Return the metadata of a metric; one with options set (a partial) is not a headline."""
    if isinstance(metric, partial):
        facts = facts_of(metric.func)
        options = ", ".join(str(value) for value in metric.keywords.values())
        fewest = _BY_TARGET if "targets" in facts.needs and "group" in metric.keywords else 0
        title = facts.title and f"{facts.title}, {options}"
        return replace(facts, headline=False, title=title, fewest=max(facts.fewest, fewest))
    return Facts(**{f.name: getattr(metric, f.name) for f in fields(Facts) if hasattr(metric, f.name)})


def kept_facts(metrics: Mapping[str, Metric]) -> dict[str, Facts]:
    """Return the metadata that a result keeps: without influences, which cannot be pickled."""
    return {name: replace(facts_of(metric), influence=None) for name, metric in metrics.items()}


@checked
def better(direction: Better | None, **facts: Any) -> Callable[[F], F]:
    """Declare which direction of a metric is better, its range, how it is shown, and its influences.

    Parameters
    ----------
    direction : {"higher", "lower", None}
    **facts
        The others of :class:`Facts`.

    Examples
    --------
    >>> def influence(top):
    ...     return ht.metrics.jackknife_influence((top.lengths.sum() - top.lengths) / (len(top) - 1))
    >>> @better("higher", low=0, influence=influence, format=".1f", headline=True)
    ... def mean_length(top):
    ...     return float(top.lengths.mean())
    >>> mean_length.better
    'higher'
    """
    stated = Facts(direction, **facts)

    def mark(metric: F) -> F:
        for fact in fields(Facts):
            setattr(metric, fact.name, getattr(stated, fact.name))
        return metric

    return mark


def by_name(metrics: Metrics) -> dict[str, Metric]:
    """Return metrics by name, checked."""
    cure = "Give functions, or a mapping from name to function, such as metrics={'gini': headtail.metrics.gini}."
    if not isinstance(metrics, Iterable):
        raise InvalidInputError(f"metrics={metrics!r} is no list. {cure}")
    pairs = metrics.items() if isinstance(metrics, Mapping) else [(getattr(m, "__name__", None), m) for m in metrics]
    found: dict[str, Metric] = {}
    for name, metric in pairs:
        if not callable(metric) or not isinstance(name, str) or not name:
            raise InvalidInputError(f"metrics has {metric!r}, which is no function or has no name. {cure}")
        if name in found:
            raise InvalidInputError(f"metrics has two functions of the name {name!r}. {cure}")
        found[name] = metric
    if not found:
        raise InvalidInputError(f"metrics names nothing to measure. {cure}")
    return found


def definition(metric: Any) -> str:
    """Return the first paragraph of a metric's docstring, with the options that are set."""
    if isinstance(metric, partial):
        options = ", ".join(f"`{name}={value}`".replace("``", "`") for name, value in metric.keywords.items())
        return f"{definition(metric.func)} Here with {options}."
    paragraphs = (metric.__doc__ or _in_source(metric) or "A metric of your own.").strip().split("\n\n")
    return re.sub(r":\w+:(?=`)", "", " ".join(paragraphs[0].split()))  # without the roles of Sphinx


def _in_source(metric: Any) -> str | None:
    """Return the docstring of a function that Python has stripped of it (-OO), None where there is no source."""
    try:
        (function,) = ast.parse(textwrap.dedent(inspect.getsource(metric))).body
        return ast.get_docstring(function)  # type: ignore[arg-type]  # a lambda has another error
    except (OSError, TypeError, ValueError, SyntaxError):
        return None
