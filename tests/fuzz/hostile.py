"""What a fuzzed call may do, and the values that it is given."""

import contextlib
import datetime
import decimal
import fractions
import inspect
import math
import operator
import re
import resource
import signal
import unicodedata
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse as sp
import torch
from hypothesis import strategies as st

import headtail
from headtail import Interactions, Vectors
from headtail.exceptions import HeadtailError
from headtail.reports import Report, Result

HERE = Path(__file__).parent
OUTCOMES: Counter[str] = Counter()
REFUSED = object()
SECONDS, MEMORY = 30, 4 << 30


class HangError(BaseException):
    """A call that takes too long; no `except Exception` may hide it."""


@contextlib.contextmanager
def _limits():
    """Stop what hangs, and what asks for more memory than a small input can need."""

    def stop(*_):
        raise HangError(f"no answer after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    resource.setrlimit(resource.RLIMIT_DATA, (pages * resource.getpagesize() + MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def attempt(call, *args, **kwargs):
    """Return what a call returns, or REFUSED after a HeadtailError; whatever else it raises or warns is a finding."""
    with _limits(), warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", r"(tilt with )?strength=", UserWarning)  # documented
        try:
            result = call(*args, **kwargs)
            look_at(result)
        except HeadtailError as error:
            message = str(error)
            assert message and len(message) < 5000, f"a message of {len(message)} characters"
            assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in message), (
                f"the message does not print: {message!r}"
            )
            taken = inspect.signature(call).parameters
            hands_on = any(each.kind is each.VAR_KEYWORD for each in taken.values())  # takes what another one takes
            assert hands_on or not (strange := foreign_arguments(message, {*taken, *kwargs})), (
                f"{strange} is no argument of it: {message}"
            )
            OUTCOMES["refused"] += 1
            return REFUSED
    OUTCOMES["accepted"] += 1
    return result


def foreign_arguments(message, taken):
    """Return the arguments that a message advises and that are not taken: here, or by the function beside them."""
    *_, cure = re.split(r"[.;:] |, so ", message.removesuffix(".").replace("...", "…"))
    strange = set()
    for function, inside in re.findall(r"([A-Z]\w+(?:\.\w+)?)\(([^()]*)", cure):
        if not hasattr(headtail, function.partition(".")[0]):  # of another library
            continue
        known = inspect.signature(operator.attrgetter(function)(headtail)).parameters
        strange |= {name for name in re.findall(r"(\w+)=", inside) if name not in known}
    flat = re.sub(r"\([^()]*\)", "", cure)  # the calls above, and values as Python writes them
    outside = re.sub(r"\w+(?:\.\w+)?\([^()]*", "", flat)
    return strange | {name for name in re.findall(r"(?<![\w.'\"])([a-z]\w*)=", outside) if name not in taken}


def look_at(result):
    """Show a result in every form it has; vectors are finite."""
    repr(result)
    if isinstance(result, (Result, Report)):
        for form in (
            result.to_json,
            result.to_markdown,
            result.to_latex,
            *([result.to_html] if isinstance(result, Report) else []),
        ):
            form().encode("utf-8")
    if isinstance(result, Vectors):
        for part in result:
            assert np.isfinite(as_numpy(part)).all(), "vectors that are not finite"


def as_numpy(values):
    """Return an array or tensor as float64."""
    values = values.detach().double().numpy() if isinstance(values, torch.Tensor) else values
    return np.asarray(values, dtype=np.float64)


# -- values that nobody expects ----------------------------------------------------------------------------------------

ENDLESS = [1]
ENDLESS.append(ENDLESS)


class Broken:
    """What nothing can be asked of."""

    def __bool__(self):
        raise RuntimeError("no truth")

    __len__ = __iter__ = __eq__ = __float__ = __add__ = __array__ = __bool__
    __hash__ = object.__hash__


NUMBERS = (
    None, True, -1, 0, 1, 2, 3, 1.5, -0.0, 0.5, math.nan, math.inf, -math.inf, 1e300, 5e-324, 2**31, 2**63,
    -(2**63) - 1,
    10**400, np.int8(2), np.uint64(2**64 - 1), np.float16("nan"), np.float32(0.1), np.bool_(True), 1 + 2j,
    fractions.Fraction(1, 3), decimal.Decimal("NaN"), decimal.Decimal("0.1"), np.datetime64("NaT"),
    1e308, 1e15, np.longdouble("1e4000"), np.timedelta64(1, "D"), decimal.Decimal("1e400"),
)  # fmt: skip
TEXTS = ("", "x", "\ud800", "a\0b", "\x1b[31m", "\u202e", "🙂", "y" * 5000, b"bytes", "1", "mass", "user_id")
CONTAINERS = (
    [], (), {}, [[]], [1, [2]], [None], ["a", 1], {"a": 1}, {1: "a"}, {1}, [1, 2], (0.2, 0.8), [math.nan], ["a"],
    range(3),
    ["\ud800"], [10**400], [b"a"], ENDLESS, frozenset([1]), bytearray(b"a"), memoryview(b"ab"), {1: 2}.keys(), [[1, 2]],
)  # fmt: skip
THINGS = (
    object(), Broken(), np.random.default_rng(0),
    Ellipsis, NotImplemented, slice(1), math, datetime.date(2020, 1, 1), datetime.timedelta(1),
    Path("missing"),
    Path(), np.array(3), np.zeros(0), np.zeros((0, 3)), np.zeros((2, 0)), np.ones((2, 3)), np.ones((2, 2, 2)),
    np.array(["a", None], dtype=object), np.array([1, "a"]), np.array([True, False]), np.ma.masked_array([1, 2], [0,
    1]),
    np.array([1 + 1j]), np.array(["2020"], dtype="datetime64[ns]"), np.array([(1, 2)], dtype=[("a", int), ("b", int)]),
    torch.zeros(0), torch.ones(2, 3), torch.ones(3, dtype=torch.bfloat16), torch.tensor(math.nan), torch.ones(2,
    device="meta"),
    torch.eye(2).to_sparse(), sp.eye_array(3), sp.csr_matrix((2, 2)), np.matrix([[1, 2]]),
    pl.DataFrame(), pl.DataFrame({"a": [1]}), pl.DataFrame({"user_id": [1], "item_id": [1]}), pl.Series("a", [1]),
    pl.DataFrame({"user_id": [[1]], "item_id": [{"a": 1}]}), pl.LazyFrame({"user_id": [1]}), pl.col("a"),
    pd.DataFrame(), pd.DataFrame({0: [1]}), pd.Series([1]), pd.DataFrame({"user_id": [1, "a"], "item_id": [None,
    pd.NA]}),
    pa.table({"user_id": [1]}), pa.array([1]), Interactions.from_frame(pl.DataFrame({"user_id": [1],
    "item_id": ["a"]})),
)  # fmt: skip
ANYTHING = (*NUMBERS, *TEXTS, *CONTAINERS, *THINGS)


def twists(value):
    """Return values that are nearly the one that would be right."""
    if isinstance(value, Vectors):
        return [value[::-1], (value[0],), (*value, value[0]), tuple(map(as_numpy, value))]
    if isinstance(value, (np.ndarray, torch.Tensor)):
        return _array_twists(value)
    if isinstance(value, pl.DataFrame):
        return _frame_twists(value)
    if isinstance(value, Interactions):
        frame = value.to_polars()
        return [frame, frame.to_pandas(), value.matrix, value.subset(np.zeros(len(value), bool)), value.subset([0]),
                value.with_items(np.array([10**6]))]  # fmt: skip
    if isinstance(value, bool):
        return [not value, int(value), str(value)]
    if isinstance(value, (int, float)):
        return [-value, value + 1, float(value), str(value), np.float32(value), np.array(value), [value], value * 1e30,
                torch.tensor(value)]  # fmt: skip
    if isinstance(value, (str, Path)):
        return [str(value).upper(), f"{value} ", str(value).encode(), Path(value), str(value) * 300, [value]]
    if isinstance(value, (list, tuple)):
        return [
            list(value),
            tuple(value),
            value[:1],
            [*value, *value],
            [*value, None],
            iter(value),
            set(map(id, value)),
        ]
    if isinstance(value, dict):
        return [
            {},
            list(value),
            dict.fromkeys(value),
            {str(k) + "\ud800": v for k, v in value.items()},
            {**value, 5: 5},
        ]
    if callable(value) and not isinstance(value, torch.nn.Module):
        return [lambda *_, answer=answer, **__: answer for answer in (None, 5, "x", math.nan, [], np.zeros((2, 2)))]
    return []


@np.errstate(all="ignore")
def _array_twists(value):
    if isinstance(value, torch.Tensor):
        kinds = [value.double(), value.half(), value.bfloat16(), value.long(), value.bool(), value.to(torch.complex64),
                 value.to_sparse(), value.detach().requires_grad_(value.is_floating_point())]  # fmt: skip
        value = value.numpy(force=True)
    else:
        kinds = [
            value.astype(kind)
            for kind in ("OU" if value.dtype == object else (">f8", "f2", "g", "O", "?", "i1", "c8", "U"))
        ]
        kinds += [
            value.tolist(),
            np.ma.masked_array(value),
            *([] if value.dtype == object else [torch.from_numpy(value.copy())]),
        ]
    spoiled = []
    for odd in (math.nan, math.inf, 1e300, -1, 1e-320):
        wrong = value.astype(object if value.dtype == object else np.float64)
        wrong.flat[:1] = odd
        spoiled.append(wrong)
    shapes = [value[::-1], value[:0], value[:1], np.repeat(value, 2, axis=0)[::2], np.asfortranarray(value), value.T,
    value[None],
              value[..., None], np.broadcast_to(value[:1], value.shape), value[:0].T, value.ravel()]  # fmt: skip
    return [*kinds, *spoiled, *shapes]


def _frame_twists(value):
    first = value.columns[0]
    return [
        value.to_pandas(), value.to_arrow(), value.lazy(), value.clear(), value.head(1), value.drop(first),
        value.reverse(),
        pl.concat([value, value]), value.with_columns(pl.lit(None).alias(first)), value.cast(pl.String),
        value.cast(pl.Categorical) if value[first].dtype == pl.String else value.cast({first: pl.Float32}),
        value.rename(str.upper), value.with_columns(pl.lit("x").alias("\ud83d".encode("utf-8", "replace").decode())),
        value.to_pandas().set_index(first), value.to_pandas().astype(object),
        value.to_pandas().set_axis(range(value.width), axis=1),
        value.with_columns(pl.concat_list(first).alias(first)), value.with_columns(pl.all().reverse()),
        pd.DataFrame(value.to_pandas().to_numpy(), columns=pd.MultiIndex.from_product([["a"], value.columns])),
    ]  # fmt: skip


# -- tables, and the bytes of files ------------------------------------------------------------------------------------

_NUMBERS = st.integers(-3, 12) | st.sampled_from([2**31, 2**53 + 1, 2**63 - 1, -(2**63)])
_WORDS = st.sampled_from(
    ["a", "b", "A", "7", "007", "1.0", "1e3", "-0", "NA", "nan", "NULL", "null", "None", r"\N", "<NA>", "true", "é",
    "e\u0301",
     "🙂", " a", "a b", "a,b", "a;b", "a\tb", "a|b", 'a"b', '"a"', "a\nb", "#a", "'", "=1+1", "2020-01-01", "\u202e",
     "x" * 300]
) | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4)  # fmt: skip
IDS = st.lists(_NUMBERS, min_size=1, max_size=5, unique=True) | st.lists(_WORDS, min_size=1, max_size=5, unique=True)


@st.composite
def tables(draw):
    """Draw interactions, each pair once, as a Polars frame: ids, and perhaps ratings and times."""
    users, items = draw(IDS), draw(IDS)
    pairs = draw(
        st.lists(st.tuples(st.sampled_from(users), st.sampled_from(items)), min_size=1, max_size=12, unique=True)
    )
    columns = {"user_id": [u for u, _ in pairs], "item_id": [i for _, i in pairs]}
    times = st.integers(0, 2**31).filter(lambda t: not 10**7 <= t < 10**8)  # eight digits may be a date
    for name, values in (("rating", st.floats(-5, 5, width=32)), ("timestamp", times)):
        if draw(st.booleans()):
            columns[name] = draw(st.lists(values, min_size=len(pairs), max_size=len(pairs)))
    return pl.DataFrame(columns)


def pairs_of(interactions):
    """Return the (user, item) pairs as text, sorted; whole numbers as such."""
    return sorted((str(u), str(i)) for u, i in interactions.to_polars().select("user_id", "item_id").iter_rows())


def naive_pairs(table):
    """Return the pairs of a table as :func:`pairs_of` does."""
    return sorted((str(u), str(i)) for u, i in table.select("user_id", "item_id").iter_rows())


def names_a_gap(table):
    """Whether an id is a word that is written for a missing one, or nothing at all."""
    ids = {str(word).strip().lower() for name in ("user_id", "item_id") for word in table[name]}
    return not ids.isdisjoint({"", "na", "n/a", "nan", "null", "none", r"\n", "<na>", "nat", "#n/a"})


def same_pairs(found, given):
    """Compare pairs, decimals by their value: a text file may say 1.0 where the id is 1."""

    def number(word):
        try:
            return float(word)
        except ValueError:
            return word

    return len(found) == len(given) and sorted(map(str, [tuple(map(number, p)) for p in found])) == sorted(
        map(str, [tuple(map(number, p)) for p in given])
    )


@st.composite
def mutated(draw, seed):
    """Draw bytes that differ from those of a good file in a few places."""
    made = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(made)))
        upto = min(len(made), at + draw(st.sampled_from([0, 1, 2, 8, 100, 10**6])))
        some = st.binary(max_size=8) | st.sampled_from(
            [b'"', b"\0", b"\r", b"\n\n", b"\xff\xfe", b",", b"\t", b"nan", b"9" * 30]
        )
        made[at:upto] = draw(some | st.just(bytes(made[at:upto]) * 2))
    return bytes(made)
