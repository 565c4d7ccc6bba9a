"""Argument checks, with errors that name the argument, its value and the cure."""

import difflib
import functools
import importlib
import inspect
import logging
import math
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from headtail._printable import counted
from headtail.exceptions import (
    HeadtailError,
    InvalidCallError,
    InvalidInputError,
    NotAvailableError,
    NotEnoughMemoryError,
)
from headtail.typing import RNG, Array, Codes

LENGTH = 20  # default length of lists
_LISTED = 50  # names that a hint lists
_MOST = 2**31 - 1  # codes have 32 bits, so no count is larger
_NO_NUMBERS = (bool, np.bool_, np.timedelta64, type(np.ma.masked))  # not numbers here, though Python and numpy add them
_LARGEST = 1e15  # beyond it single precision overflows, and what is added to it is lost

F = TypeVar("F", bound=Callable[..., Any])


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return a hint that lists the known names, the one that begins with `name`, or is most like it, first."""
    known, name = list(known), (name if isinstance(name, str) else _brief(name)).lower()
    texts = [str(k).lower() for k in known]
    close = difflib.get_close_matches(name, texts, n=1, cutoff=0.6)
    close = close or [text for text in texts if len(name) > 2 and text.startswith(name)]
    meant = f"Did you mean {shown([known[texts.index(close[0])]])}? " if close else ""
    more = f" ({len(known):,} in all)" if len(known) > _LISTED else ""
    return f"{meant}There are: {shown(known, _LISTED) or 'none'}{more}."


def shown(values: Iterable[Any], most: int = 5) -> str:
    """Format the first values as Python does, without numpy's wrappers, for messages."""
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    return ", ".join(map(_brief, values[:most])) + (" ..." if len(values) > most else "")


def choice(name: str, value: Any, options: Iterable[str]) -> str:
    """Return `value` if it is one of `options`."""
    options = tuple(options)
    if not isinstance(value, str) or value not in options:
        raise InvalidInputError(f"{name}={_brief(value)} is not known. {nearest(value, options)}")
    return str(value)


def number(
    name: str,
    value: Any,
    *,
    low: float = -_LARGEST,
    high: float = _LARGEST,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return `value` as a float if it is a finite number in the range."""
    bounded = low > -_LARGEST or high < _LARGEST
    bounds = f" in {'(' if low_open else '['}{low:g}, {high:g}{')' if high_open else ']'}" if bounded else ""
    try:
        if isinstance(value, _NO_NUMBERS):
            raise TypeError
        result = float(value + 0)  # text is no number, though float() reads it
    except OverflowError:
        result = math.inf
    except Exception:  # each kind of array and frame has errors of its own
        raise InvalidInputError(f"{name}={_brief(value)} is not a number; give one{bounds}.") from None
    below = result <= low if low_open else result < low
    above = result >= high if high_open else result > high
    if not math.isfinite(result) or below or above:
        raise InvalidInputError(f"{name}={_brief(value)} is out of range; give a finite number{bounds}.")
    return result


def integer(name: str, value: Any, *, low: int = 0, high: int = _MOST) -> int:
    """Return `value` as an int if it is whole and in the range."""
    upto = f" and at most {high}" if high < _MOST else ""
    if isinstance(value, _NO_NUMBERS) or not isinstance(value, (int, np.integer)):
        raise InvalidInputError(f"{name}={_brief(value)} is not a whole number; give one of at least {low}{upto}.")
    if not low <= value <= high:
        upto = f" and at most {high}" if value > high else upto
        raise InvalidInputError(f"{name}={_brief(value)} is out of range; give a whole number of at least {low}{upto}.")
    return int(value)


def list_length(k: int | None, n_items: int) -> int:
    """Return the length of lists: `k` if there are as many items; by default 20 or, with a warning, all items."""
    if k is not None:
        if integer("k", k, low=1) > n_items:
            raise InvalidInputError(f"k={k} exceeds the catalogue of {n_items} items; lower k.")
        return int(k)
    if n_items < LENGTH:
        logging.getLogger("headtail").warning("lists have %d items, not %d: there are no more", n_items, LENGTH)
    return min(LENGTH, n_items)


def user_codes(codes: Any, n_users: int) -> Codes:
    """Return `codes` as int32 if they are valid user codes, at least one; they may repeat."""
    values = np.asarray(codes)
    if values.ndim != 1 or not len(values) or values.dtype.kind not in "iu":
        raise InvalidInputError(
            f"codes has shape {values.shape} and type {values.dtype}; give at least one whole number, such as "
            f"interactions.user_codes(ids) returns them."
        )
    wrong = values[(values < 0) | (values >= n_users)]
    if len(wrong):
        raise InvalidInputError(
            f"codes holds {wrong[0]}; there are {n_users} users, so give 0 to {n_users - 1}, or ids as users=."
        )
    return values.astype(np.int32)


def finite(name: str, values: Array, cure: str = "Remove or replace those rows first.") -> None:
    """Raise if any of the `values` is NaN or infinite, saying how many and where the first one is."""
    if not np.issubdtype(values.dtype, np.floating):
        return
    bad = ~np.isfinite(values)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = first[0] if len(first) == 1 else first
        raise InvalidInputError(
            f"{name} holds {counted(int(bad.sum()), 'value', 'that is', 'that are')} not finite; the first is "
            f"{values[first]} at {place}. {cure}"
        )


@contextmanager
def raised_by(whose: str) -> Iterator[None]:
    """Let errors name the user's own function that they come from, but for lack of memory."""
    try:
        yield
    except HeadtailError as error:
        if whose not in str(error):
            error.args = (f"{whose}: {error}",)
        raise
    except Exception as error:
        if NotEnoughMemoryError.is_meant_by(error):
            raise
        raise InvalidInputError(
            f"{whose} raised {type(error).__name__}: {error}. The traceback above says where; mend it there."
        ) from error


def generator(rng: RNG) -> np.random.Generator:
    """Return a numpy generator for a seed, a generator or None."""
    seed = isinstance(rng, (int, np.integer)) and not isinstance(rng, _NO_NUMBERS) and rng >= 0
    if rng is not None and not seed and not isinstance(rng, np.random.Generator):
        raise InvalidInputError(
            f"rng={_brief(rng)} is neither a seed nor a numpy Generator; give an int of at least 0, such as rng=0."
        )
    return np.random.default_rng(rng)


def pandas() -> Any:
    """Import pandas, which headtail itself does not need."""
    try:
        return importlib.import_module("pandas")
    except ImportError:
        raise NotAvailableError(
            "to_pandas() needs pandas, which is not installed. Install it (pip install pandas) or use to_polars()."
        ) from None


_KINDS: dict[Any, tuple[type, ...]] = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
    bool: (bool, np.bool_),
    Sequence: (Sequence, np.ndarray),
}
_NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    np.ndarray: "an array",
    type(None): "None",
    Callable: "a function",
}


def checked(verb: F) -> F:
    """Decorate a public function, or a class's constructor and public methods, to explain errors by arguments.

    If an argument is not of its annotated type, any error from further down becomes one that names the argument, and a
    call that does not match the signature becomes one that lists the parameters. Calls that work are left alone, and so
    are the function's own errors. Only flags, since any value has a truth value, and choices are checked beforehand.
    """
    if isinstance(verb, type):
        for name, member in list(vars(verb).items()):
            if name.startswith("_") and name != "__init__":
                continue
            if isinstance(member, types.FunctionType):
                setattr(verb, name, checked(member))
            elif isinstance(member, classmethod):
                setattr(verb, name, classmethod(checked(member.__func__)))
        return verb

    places = verb.__code__.co_varnames
    flags = {name for name, kind in verb.__annotations__.items() if kind in (bool, "bool")}
    choices = {name: options for name, kind in verb.__annotations__.items() if (options := _options(kind))}

    @functools.wraps(verb)
    def call(*args: Any, **kwargs: Any) -> Any:
        for name, value in (*zip(places, args, strict=False), *kwargs.items()):
            if isinstance(value, np.ma.MaskedArray) and value.ndim and (n := int(np.count_nonzero(value.mask))):
                raise InvalidInputError(f"{name} has {counted(n, 'masked value')}. Leave out or fill what is masked.")
            if name in flags and not isinstance(value, (bool, np.bool_)):
                raise InvalidInputError(f"{name}={_brief(value)} is neither True nor False.")
            if name in choices and (value is not None or None not in choices[name]):
                choice(name, value, filter(None, choices[name]))
        try:
            return verb(*args, **kwargs)
        except HeadtailError:
            raise
        except Exception as error:
            signature = inspect.signature(verb)
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError as wrong:
                name, taken = verb.__qualname__.removesuffix(".__init__"), ", ".join(signature.parameters)
                raise InvalidCallError(f"{name}(): {wrong}; its arguments are {taken}.") from None
            for name, value in given.items():
                hint = _hint(verb, signature.parameters[name])
                if not _fits(value, hint):
                    raise InvalidInputError(
                        f"{name}={_brief(value)} is of type {type(value).__name__}; give {_described(hint)}."
                    ) from error
            if NotEnoughMemoryError.is_meant_by(error):
                raise NotEnoughMemoryError(f"{error}. {NotEnoughMemoryError.cure}".lstrip(". ")) from error
            raise

    return typing.cast(F, call)


def _options(hint: Any) -> tuple[Any, ...]:
    """Return what an annotation allows if that is one of several words, or None: empty for other annotations."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if not all(typing.get_origin(kind) is typing.Literal or kind is type(None) for kind in kinds):
        return ()
    return tuple(word for kind in kinds for word in typing.get_args(kind) or (None,))


def _hint(verb: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """Return the annotation of one parameter, or Any if it cannot be resolved."""
    if parameter.annotation is parameter.empty or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
        return Any
    try:
        one: Any = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
        # Names imported only for type checking are resolved from the loaded modules.
        loaded = {name: sys.modules.get(module) for name, module in (("pl", "polars"), ("torch", "torch"))}
        known = (
            loaded | vars(sys.modules.get("headtail.data", types)) | getattr(inspect.unwrap(verb), "__globals__", {})
        )
        return typing.get_type_hints(one, known)[parameter.name]
    except (NameError, TypeError, AttributeError):  # a name that is nowhere, a union with one that is text
        return Any


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is typing.Literal:
        return any(isinstance(value, type(one)) for one in inner)
    if origin is np.ndarray:
        return _is_array(value, typing.get_args(inner[1])[0])
    if hint is Any or not isinstance(origin or hint, type):
        return True
    kind = origin or hint
    if getattr(kind, "_is_protocol", False):
        return callable(value)
    if isinstance(value, np.ndarray) and kind in (Iterable, Sequence) and not _is_list_of(value, inner):
        return False
    if not isinstance(value, _KINDS.get(kind, kind)) or (isinstance(value, _NO_NUMBERS) and kind in (int, float)):
        return False
    if kind in (Iterable, Sequence):
        try:
            next(iter(value), None)
        except Exception:  # a tensor without dimensions, a sparse matrix
            return False
    if issubclass(kind, Mapping):
        return all(_fits(one, inner[1]) for one in value.values()) if inner else True
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return kind not in (Iterable, Sequence)
    if kind is tuple and inner and inner[-1] is not Ellipsis:
        return len(value) == len(inner) and all(map(_fits, value, inner))
    return not (inner and isinstance(value, (Collection, np.ndarray))) or all(_fits(one, inner[0]) for one in value)


def _is_list_of(array: Array, inner: Sequence[Any]) -> bool:
    return array.ndim == 1 and (not inner or array.dtype.kind == "O" or _fits(np.zeros((), array.dtype)[()], inner[0]))


def _is_array(value: Any, kind: Any) -> bool:
    kinds = "iu" if _is_kind(kind, np.integer) else "biuf" if _is_kind(kind, np.floating) else "biufmMUO"
    plain = isinstance(value, np.ndarray) and not np.ma.isMaskedArray(value)
    return plain and value.ndim > 0 and value.dtype.kind in kinds


def _is_kind(kind: Any, parent: type) -> bool:
    return isinstance(typing.get_origin(kind) or kind, type) and issubclass(typing.get_origin(kind) or kind, parent)


def _described(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_described, inner)))
    if origin is typing.Literal:
        return ", ".join(map(repr, inner))
    kind = Callable if getattr(origin or hint, "_is_protocol", False) else origin or hint
    if kind not in _NAMES and isinstance(kind, type) and issubclass(kind, Iterable) and inner:
        each = _described(inner[-1] if issubclass(kind, Mapping) else inner[0])
        return f"{'a mapping' if issubclass(kind, Mapping) else 'a list'} whose every value is {each}"
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def _brief(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # an integer of more than 4,300 digits, a list too deep, a broken object
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 100 else f"{text[:100]} ..."
