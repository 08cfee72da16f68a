"""Plain data as bytes and back."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partita.core import plain
from partita.core.plain import NotPlain, elements, joined, length, pack, unpack

Point = namedtuple("Point", ["x", "y"])


class Colour(enum.Enum):
    RED = 1
    ALSO = "x"


class Number(enum.IntEnum):
    ONE = 1


@dataclass(frozen=True)
class Feed:
    name: str
    days: tuple[dt.date, ...] = ()


class Frame(msgspec.Struct, frozen=True):
    rows: int
    inner: Any = None


CLASSES: dict[str, type] = {f"{c.__module__}:{c.__qualname__}": c for c in (Point, Colour, Number, Feed, Frame)}
resolve: Callable[[str], type] = CLASSES.__getitem__

zones = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), ZoneInfo("America/New_York")])
hashable = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("Cs",))),
    st.binary(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=zones),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.complex_numbers(allow_nan=False),
    st.sampled_from(Colour),
    st.just(Number.ONE),
    st.builds(PurePosixPath, st.sampled_from(["/a/b", "x", "."])).map(lambda p: Path(p)),
)
values = st.recursive(
    hashable,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), inner, max_size=4),
        st.dictionaries(hashable, inner, max_size=4),
        st.sets(hashable, max_size=4),
        st.frozensets(hashable, max_size=4),
        st.builds(Point, inner, inner),
        st.builds(Frame, st.integers(), inner),
        st.builds(Feed, st.just("n"), st.lists(st.dates(), max_size=2).map(tuple)),
    ),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(k, k2) and same(v, v2) for (k, v), (k2, v2) in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dt.datetime):
        return a.replace(tzinfo=None) == b.replace(tzinfo=None) and a.fold == b.fold and a.utcoffset() == b.utcoffset()
    if isinstance(a, Decimal | float):
        return repr(a) == repr(b)
    return bool(a == b)


@settings(max_examples=400, deadline=None)
@given(values)
def test_what_comes_back_is_equal_and_of_the_same_types(value: Any) -> None:
    assert same(unpack(pack(value), resolve), value)


@settings(max_examples=200, deadline=None)
@given(values)
def test_packing_what_came_back_gives_the_same_bytes(value: Any) -> None:
    data = pack(value)
    assert pack(unpack(data, resolve)) == data


@given(st.lists(hashable, max_size=8, unique=True), st.randoms())
def test_equal_sets_give_equal_bytes_in_whatever_order_they_were_made(items: list[Any], random: Any) -> None:
    shuffled = list(items)
    random.shuffle(shuffled)
    assert pack(set(items)) == pack(set(shuffled))
    assert pack(frozenset(items)) == pack(frozenset(shuffled))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        ("a", b"a"),
        ([1], (1,)),
        ({1}, frozenset({1})),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (None, False),
        (dt.date(2013, 1, 1), dt.datetime(2013, 1, 1)),
        (Decimal("1.0"), Decimal("1.00")),
        (2**64, str(2**64)),
        (Number.ONE, 1),
    ],
)
def test_values_that_are_told_apart_give_different_bytes(one: Any, other: Any) -> None:
    assert pack(one) != pack(other)


def test_a_time_that_happens_twice_keeps_which_one_it_was() -> None:
    zone = ZoneInfo("America/New_York")
    first = dt.datetime(2013, 11, 3, 1, 30, tzinfo=zone)
    second = first.replace(fold=1)
    assert [unpack(pack(t)).utcoffset() for t in (first, second)] == [first.utcoffset(), second.utcoffset()]
    assert unpack(pack(first)).tzinfo.key == "America/New_York"


def test_not_a_number_comes_back_as_such() -> None:
    assert math.isnan(unpack(pack(float("nan"))))
    assert unpack(pack(Decimal("NaN"))).is_nan()


class TestLists:
    @given(st.one_of(st.lists(hashable), st.lists(hashable).map(tuple), st.sets(hashable)))
    def test_the_length_and_the_elements_are_known_without_decoding(self, value: Any) -> None:
        data = pack(value)
        assert length(data) == len(value)
        parts = elements(data)
        assert parts is not None
        assert sorted(parts) == sorted(pack(v) for v in value)
        if isinstance(value, list):
            assert joined(parts) == data
            assert parts == [pack(v) for v in value]

    @pytest.mark.parametrize(
        "value", ["abc", b"abc", 5, None, {"a": 1}, {1: 2}, Point(1, 2), Decimal(1), Frame(1), 2**70]
    )
    def test_what_is_no_list_has_no_length(self, value: Any) -> None:
        assert length(pack(value)) is None
        assert elements(pack(value)) is None

    def test_elements_of_user_classes_are_cut_without_the_class(self) -> None:
        data = pack([Frame(1), (Frame(2),)])
        assert length(data) == 2
        assert elements(data) == [pack(Frame(1)), pack((Frame(2),))]

    @pytest.mark.parametrize("number", [0, 15, 16, 65_535, 65_536])
    def test_a_list_of_any_length_is_known(self, number: int) -> None:
        for value in ([None] * number, (None,) * number):
            assert length(pack(value)) == number
            assert len(elements(pack(value)) or []) == number

    def test_nothing_at_all_has_no_length(self) -> None:
        assert length(b"") is None


class TestNotPlain:
    @pytest.mark.parametrize(
        ("value", "path"),
        [
            (object(), ""),
            ([1, [object()]], "[1][0]"),
            ({"a": {"b": (1, object())}}, "['a']['b'][1]"),
            ({1: object()}, "[1]"),
            ({object(): 1}, " key"),
            ({frozenset({object()})}, " element element"),
            (Frame(1, object()), ".inner"),
            (Point(1, object()), ".y"),
            (Feed("x", (object(),)), ".days[0]"),  # type: ignore[arg-type]
        ],
    )
    def test_it_says_where_in_the_value_it_stands(self, value: Any, path: str) -> None:
        with pytest.raises(NotPlain) as caught:
            pack(value)
        assert caught.value.path == path
        assert caught.value.type_name == "builtins.object"
        assert str(caught.value).endswith("is not plain data")

    def test_functions_generators_and_local_classes_are_not_plain(self) -> None:
        @dataclass
        class Local:
            x: int

        for value in (len, (i for i in ()), Local(1), range(3), memoryview(b"x")):
            with pytest.raises(NotPlain):
                pack(value)

    def test_a_string_with_a_lone_surrogate_is_not_plain(self) -> None:
        for value in ("\ud800", ["\ud800"], {"\ud800": 1}):
            with pytest.raises(NotPlain):
                pack(value)

    def test_a_subclass_is_not_taken_for_its_base(self) -> None:
        class Text(str):
            pass

        with pytest.raises(NotPlain):
            pack([Text("x")])


class TestClasses:
    def test_the_scheduler_holds_their_bytes_but_does_not_decode_them(self) -> None:
        for value in (Frame(1), Point(1, 2), Colour.RED, [Feed("x")]):
            with pytest.raises(LookupError, match="decoded in workers only"):
                unpack(pack(value))

    def test_an_enum_is_kept_by_name(self) -> None:
        assert unpack(pack(Colour.ALSO), resolve) is Colour.ALSO

    def test_fields_that_are_no_arguments_are_left_out(self) -> None:
        assert unpack(pack(Feed("x", (dt.date(2013, 1, 1),))), resolve) == Feed("x", (dt.date(2013, 1, 1),))


def test_ids_paths_and_complex_numbers_come_back() -> None:
    for value in (uuid.UUID(int=7), Path("/a/b"), 1 + 2j, dt.timedelta(days=-1, microseconds=3)):
        assert unpack(pack(value)) == value


def test_nothing_here_imports_user_code() -> None:
    assert "import_module" not in Path(plain.__file__).read_text()
