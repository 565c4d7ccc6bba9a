"""Methods of a subject whose results are cached."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from headtail.data import Interactions

_Method = TypeVar("_Method", bound=Callable[..., Any])
_Made = TypeVar("_Made")


def cached_method(method: _Method) -> _Method:
    """Cache a method by its arguments."""

    @wraps(method)
    def found(self: Any, *key: Any) -> Any:
        named = (method.__name__, *(part.fingerprint if isinstance(part, Interactions) else part for part in key))
        return self.cached(named, lambda: method(self, *key))

    return found  # type: ignore[return-value]


def kept(cache: dict[Any, Any], key: Any, own: str, make: Callable[[], _Made]) -> _Made:
    """Return what is made, from the cache as long as what it is made of, identified by `own`, stays the same."""
    if cache.get(key, ("",))[0] != own:
        cache[key] = own, make()
    found: _Made = cache[key][1]
    return found


def cached_of_all(method: _Method) -> _Method:
    """Cache it on the whole: samples of its users share it."""
    of_one = cached_method(method)
    return wraps(method)(lambda self, *key: of_one(self._of, *key))  # type: ignore[return-value]
