from collections import UserList, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from headtail._checks import checked, choice, finite, generator, integer, nearest, number
from headtail._printable import counted
from headtail.exceptions import InvalidCallError, InvalidInputError, NotEnoughMemoryError
from headtail.reports import Text


def test_nearest_names_the_likely_one_and_lists_all():
    assert nearest("usr_id", ["user_id", "item_id"]) == "Did you mean 'user_id'? There are: 'user_id', 'item_id'."
    assert nearest("zzz", ["user_id"]) == "There are: 'user_id'."
    assert nearest("tilt by", ["tilt, by relevance", "IPR"]) == "There are: 'tilt, by relevance', 'IPR'."
    assert nearest("9", range(60)).endswith("48, 49 ... (60 in all).")
    assert nearest("zzz", []) == "There are: none."
    assert nearest("user_id", ["USER_ID"]).startswith("Did you mean 'USER_ID'?")


def test_choice():
    assert choice("form", "linear", ("linear", "sigmoid")) == "linear"
    with pytest.raises(InvalidInputError, match=r"form='linaer' is not known. Did you mean 'linear'"):
        choice("form", "linaer", ("linear", "sigmoid"))


def test_choices_are_checked_before_the_call():
    @checked
    def shown(part: Literal["validation", "test"] = "test", by: Literal["rank", "mass"] | None = None) -> str:
        return "test" if part == "test" else f"validation by {by}"

    assert [shown(), shown("validation"), shown(part="validation", by="rank")] == [
        "test", "validation by None", "validation by rank"
    ]  # fmt: skip
    with pytest.raises(InvalidInputError, match=r"part='tset' is not known. Did you mean 'test'"):
        shown("tset")
    with pytest.raises(InvalidInputError, match=r"by=1 is not known. There are: 'rank', 'mass'"):
        shown(by=1)
    with pytest.raises(InvalidInputError, match="part=None is not known"):
        shown(None)


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25), 1])
def test_number_in_range_is_returned_as_float(value):
    result = number("share", value, low=0, high=1)
    assert isinstance(result, float)
    assert result == value


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), float("inf"), -float("inf")])
def test_number_out_of_range(value):
    with pytest.raises(InvalidInputError, match=r"share=.* is out of range; give a finite number in \[0, 1\]"):
        number("share", value, low=0, high=1)


def test_number_without_bounds_names_none():
    with pytest.raises(InvalidInputError, match=r"alpha=nan is out of range; give a finite number\.$"):
        number("alpha", float("nan"))


def test_number_open_bounds_exclude_their_ends():
    with pytest.raises(InvalidInputError, match=r"in \(0, 1\]"):
        number("share", 0, low=0, high=1, low_open=True)
    with pytest.raises(InvalidInputError, match=r"in \[0, 1\)"):
        number("share", 1, low=0, high=1, high_open=True)
    assert number("share", 1, low=0, high=1, low_open=True) == 1


@pytest.mark.parametrize("value", ["many", None, [1]])
def test_number_of_another_type(value):
    with pytest.raises(InvalidInputError, match="is not a number"):
        number("weight", value)


@pytest.mark.parametrize("value", [True, 1.0, "3", None])
def test_integer_refuses_what_is_not_whole(value):
    with pytest.raises(InvalidInputError, match=r"k=.* is not a whole number"):
        integer("k", value)


def test_integer_range():
    assert integer("k", np.int32(3), low=1, high=3) == 3
    with pytest.raises(InvalidInputError, match="k=0 is out of range; give a whole number of at least 1"):
        integer("k", 0, low=1)
    with pytest.raises(InvalidInputError, match="at least 1 and at most 3"):
        integer("k", 4, low=1, high=3)


def test_finite_says_how_many_and_where():
    finite("scores", np.array([1.0, 2.0]))
    finite("codes", np.array([1, 2]))
    with pytest.raises(InvalidInputError, match="scores holds 2 values that are not finite; the first is nan at 1"):
        finite("scores", np.array([1.0, np.nan, np.inf]))
    with pytest.raises(InvalidInputError, match=r"the first is inf at \(1, 0\)"):
        finite("scores", np.array([[1.0, 2.0], [np.inf, 0.0]]))


def test_generator():
    given = np.random.default_rng(1)
    assert generator(given) is given
    assert generator(3).random() == generator(np.int64(3)).random()
    assert isinstance(generator(None), np.random.Generator)
    with pytest.raises(InvalidInputError, match="neither a seed nor a numpy Generator"):
        generator("seed")


class TestChecked:
    def test_an_error_from_below_names_the_argument_of_another_type(self):
        @checked
        def first(values: Sequence[float], k: int = 1, how: Literal["up", "down"] = "up") -> float:
            return sorted(values, reverse=how == "down")[k]

        assert first([1, 2], k=True) == 2  # what works is let alone
        with pytest.raises(InvalidInputError, match=r"k='x' is of type str; give a whole number\."):
            first([1, 2], k="x")
        with pytest.raises(
            InvalidInputError, match=r"values=\[1, None\] .* give a list whose every value is a number\."
        ):
            first([1, None])
        with pytest.raises(IndexError):  # of the right type, so that it is nobody's argument
            first([1.0], k=5)

    def test_a_call_that_does_not_fit_names_what_the_function_takes(self):
        @checked
        def shrunk(vectors: list[float], *, strength: float) -> list[float]:
            return [value * (1 - strength) for value in vectors]

        for arguments in ({"factor": 0.5}, {}, {"strength": 0.5, "factor": 0.5}):
            with pytest.raises(InvalidCallError, match=r"shrunk\(\): .*; its arguments are vectors, strength\."):
                shrunk([1.0], **arguments)
        assert issubclass(InvalidCallError, TypeError)

    def test_arrays_functions_and_own_errors(self):
        @checked
        def applied(values: NDArray[np.integer], change: Callable[[Any], Any] | None) -> Any:
            integer("size", len(values), low=2)
            return change(values[0] + 1)

        with pytest.raises(InvalidInputError, match="give an array"):
            applied(["a", "b"], abs)
        with pytest.raises(InvalidInputError, match=r"change=3 is of type int; give a function or None\."):
            applied(np.arange(2), 3)
        with pytest.raises(InvalidInputError, match="size=1 is out of range"):
            applied(["a"], 3)

    @pytest.mark.parametrize("value", ["no", 0, 1 + 2j, None, np.array([])])
    def test_a_flag_is_true_or_false(self, value):
        @checked
        def audit(recs: str, strict: bool = True, note: bool | None = None) -> bool:
            return bool(strict)

        assert [audit("a"), audit("a", False), audit("a", strict=np.bool_(True))] == [True, False, True]
        for given, options in ((("a", value), {}), (("a",), {"strict": value})):
            with pytest.raises(InvalidInputError, match=r"^strict=.* is neither True nor False"):
                audit(*given, **options)
        audit("a", note=None)

    @pytest.mark.parametrize("values", [np.array([]), np.array([1.5])])
    def test_an_array_of_numbers_is_no_list_of_objects(self, values):
        @checked
        def report(given: Sequence[Text] = ()) -> int:
            return 1 if given and given[0].markdown else 0

        with pytest.raises(InvalidInputError, match=r"given=.* is of type ndarray; give a list whose every"):
            report(values)

    def test_constructors(self):
        @checked
        @dataclass(frozen=True)
        class Pair:
            left: int
            total: int = field(init=False)

            def __post_init__(self) -> None:
                object.__setattr__(self, "total", self.left + 1)

        assert Pair(1).total == 2
        with pytest.raises(InvalidInputError, match="left='1' is of type str"):
            Pair("1")

    def test_public_methods_of_a_class(self):
        @checked
        class Counter:
            def upto(self, n: int) -> list[int]:
                return list(range(n))

            @classmethod
            def of(cls, sizes: dict[str, int]) -> int:
                return sum(sizes.values())

            def _inner(self, n: int) -> list[int]:
                return list(range(n))

        assert Counter().upto(2) == [0, 1]
        assert Counter.of({"a": 1}) == 1
        for call in (lambda: Counter().upto("2"), lambda: Counter.of({"a": "1"})):
            with pytest.raises(InvalidInputError, match="is of type"):
                call()
        with pytest.raises(TypeError, match="'str' object"):
            Counter()._inner("2")


@pytest.mark.parametrize(
    "value", [10**5000, np.timedelta64(1, "D"), bytearray(b"a"), True, np.True_, np.ma.masked], ids=type
)
def test_values_that_look_like_numbers_or_cannot_be_written(value):
    for check in (number, integer):
        with pytest.raises(InvalidInputError, match=r"a=(<int>|np.timedelta64|bytearray|(np.)?True|masked)"):
            check("a", value)
    with pytest.raises(InvalidInputError, match="rng="):
        generator(-value if isinstance(value, int) else value)


def test_a_list_is_looked_at_whatever_its_kind():
    @checked
    def joined(texts: Sequence[str]) -> str:
        return "".join(texts)

    for wrong in ((1,), deque([1]), bytearray(b"a"), UserList([None])):
        with pytest.raises(InvalidInputError, match=r"texts=.* give a list whose every value is text"):
            joined(wrong)


def test_what_does_not_fit_into_memory_says_so():
    @checked
    def large(error: Exception) -> None:
        raise error

    for error in (MemoryError("Unable to allocate 3 TiB"), RuntimeError("you can't allocate memory"), MemoryError()):
        with pytest.raises(NotEnoughMemoryError, match="Give less at a time") as caught:
            large(error)
        assert isinstance(caught.value, MemoryError) and str(error) in str(caught.value)


def test_a_mask_is_not_dropped():
    class Kept:
        @checked
        def largest(self, values: NDArray[np.int64]) -> int:
            return int(np.asarray(values).max())

    values = np.ma.masked_array([1, 9, 5], [False, True, True])
    with pytest.raises(InvalidInputError, match="values has 2 masked values"):
        Kept().largest(values)
    assert Kept().largest(np.ma.masked_array([1, 9])) == 9


def test_counts_agree_with_their_nouns():
    assert [counted(n, "row", "has", "have") for n in (0, 1, np.int64(1), 2, 1234)] == [
        "0 rows have", "1 row has", "1 row has", "2 rows have", "1,234 rows have",
    ]  # fmt: skip
    assert counted(np.int64(2), "value") == "2 values" and counted(1, "value") == "1 value"
