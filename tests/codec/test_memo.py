"""What a memo remembers, and what it says has changed; model: the plain decode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.codec import DecodeError, Field, Memo, Runs, Schema, compile_schema

ITEM_FIELDS = (Field("key", 1, "string"), Field("weight", 2, "uint32"))


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    weight: int


@dataclass(frozen=True, slots=True)
class Group:
    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Top:
    groups: tuple[Group, ...]


ITEM = Schema("t.Item", ITEM_FIELDS, Item, others={3: "extra"})
GROUP = Schema(
    "t.Group",
    (Field("name", 1, "string"), Field("items", 2, "message", schema=ITEM, repeated=True, bulk=True)),
    Group,
)
CODEC = compile_schema(Schema("t.Top", (Field("groups", 1, "message", schema=GROUP, repeated=True),), Top))


def top(*groups: list[Item]) -> Top:
    return Top(tuple(Group(f"g{number}", tuple(items)) for number, items in enumerate(groups)))


def items(count: int, prefix: str = "k") -> list[Item]:
    return [Item(f"{prefix}{number}", number) for number in range(count)]


def test_one_change_among_many() -> None:
    memo, before = Memo(), items(1000)
    first = CODEC.decode(CODEC.encode(top(before)), None, memo)
    after = [*before]
    after[500] = Item("k500", 7)
    second = CODEC.decode(CODEC.encode(top(after)), None, memo)
    assert second == top(after)
    assert _kept(first, second) == 1000 - 64


def _kept(first: Top, second: Top) -> int:
    """How many items of ``second`` are the very objects that ``first`` has."""
    there = {id(item) for group in first.groups for item in group.items}
    return sum(id(item) in there for group in second.groups for item in group.items)


def test_nothing_changed_is_nothing_decoded() -> None:
    memo, data = Memo(), CODEC.encode(top(items(200), items(10, "x")))
    first = CODEC.decode(data, None, memo)
    second = CODEC.decode(data, None, memo)
    pairs = zip(first.groups, second.groups, strict=True)
    assert all(a is b for one, two in pairs for a, b in zip(one.items, two.items, strict=True))


def test_inserting_and_removing_moves_no_one_else() -> None:
    memo, before = Memo(), items(300)
    first = CODEC.decode(CODEC.encode(top(before)), None, memo)
    changed = [Item("new", 1), *before[:100], *before[101:]]
    second = CODEC.decode(CODEC.encode(top(changed)), None, memo)
    assert second == top(changed)
    assert _kept(first, second) >= 300 - 2 * 64


def test_a_failed_decode_leaves_the_memo_as_it_was() -> None:
    memo, data = Memo(), CODEC.encode(top(items(100)))
    first = CODEC.decode(data, None, memo)
    with pytest.raises(DecodeError):
        CODEC.decode(data[:-1], None, memo)
    assert _kept(first, CODEC.decode(data, None, memo)) == 100


def test_an_abandoned_slicing_leaves_the_memo_as_it_was() -> None:
    memo, data = Memo(), CODEC.encode(top(items(300)))
    first = CODEC.decode(data, None, memo)
    steps = CODEC.sliced(CODEC.encode(top(items(300, "other"))), None, memo)
    assert next(steps) == 64
    steps.close()
    assert _kept(first, CODEC.decode(data, None, memo)) == 300


def test_unprojected_fields_are_counted_again_from_memory() -> None:
    item = b"\x0a\x01k\x18\x05"
    group = b"".join(b"\x12" + bytes((len(item),)) + item for _ in range(3))
    data, memo = b"\x0a" + bytes((len(group),)) + group, Memo()
    for _ in range(2):
        counts: dict[str, int] = {}
        CODEC.decode(data, counts, memo)
        assert counts == {"groups.items.extra": 3}


def test_one_of_a_message_that_comes_twice_is_read_from_a_copy() -> None:
    codec, memo = compile_schema(Schema("t.One", (Field("group", 1, "message", schema=GROUP),), One)), Memo()
    inner = [compile_schema(GROUP).encode(Group("g", tuple(items(100, prefix)))) for prefix in "ab"]
    data = b"".join(b"\x0a" + bytes((len(part) & 127 | 128, len(part) >> 7)) + part for part in inner)
    for _ in range(2):
        assert codec.decode(data, None, memo) == One(Group("g", (*items(100, "a"), *items(100, "b"))))


@dataclass(frozen=True, slots=True)
class One:
    group: Group


def test_runs_are_a_tuple_in_all_but_name() -> None:
    memo, plain = Memo(), tuple(items(150))
    (group,) = CODEC.decode(CODEC.encode(top([*plain])), None, memo).groups
    runs: Runs[Item] = group.items
    assert type(runs) is Runs and [len(run.items) for run in runs.runs] == [64, 64, 22]
    assert (len(runs), list(runs), repr(runs), hash(runs)) == (150, [*plain], repr(plain), hash(plain))
    assert runs == plain and plain == runs and runs != plain[1:] and bool(runs)
    for index in (0, 63, 64, 149, -1, -150):
        assert runs[index] == plain[index]
    for cut in (slice(None), slice(60, 70), slice(-3, None), slice(64, 128), slice(9, 3), slice(None, None, -1)):
        assert runs[cut] == plain[cut]
    with pytest.raises(IndexError):
        runs[150]


def test_versions_share_the_runs_that_are_the_same() -> None:
    memo, before = Memo(), items(1000)
    first = CODEC.decode(CODEC.encode(top(before)), None, memo).groups[0].items
    again = CODEC.decode(CODEC.encode(top(before)), None, memo).groups[0].items
    assert isinstance(first, Runs) and isinstance(again, Runs)
    assert again.runs == first.runs and again == first
    before[500] = Item("k501", 501)
    second = CODEC.decode(CODEC.encode(top(before)), None, memo).groups[0].items
    assert isinstance(second, Runs)
    assert [one is other for one, other in zip(first.runs, second.runs, strict=True)] == [True] * 7 + [False] + [
        True
    ] * 8


pools = st.lists(st.lists(st.integers(0, 30), max_size=90), max_size=3)


@given(st.lists(pools, max_size=5))
def test_any_history_reads_as_without_memory(history: list[list[list[int]]]) -> None:
    memo = Memo()
    for version in history:
        expected = top(*([Item(f"k{number}", number) for number in group] for group in version))
        assert CODEC.decode(CODEC.encode(expected), None, memo) == expected


def edit(before: list[int], way: str, at: int, number: int) -> list[int]:
    """``before`` after one edit; ``at`` is taken modulo its length."""
    after = [*before]
    place = at % (len(after) + 1)
    match way:
        case "insert":
            after.insert(place, number)
        case "repeat":
            after[place:place] = after[: number % 80]
        case "remove":
            del after[place : place + number % 80]
        case "change":
            after[place : place + 1] = [number]
        case "turn":
            after = after[place:] + after[:place]
        case _:
            after.reverse()
    return after


WAYS = ("insert", "repeat", "remove", "change", "turn", "reverse")
edits = st.lists(st.tuples(st.sampled_from(WAYS), st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=4)
cuts = st.none() | st.integers(0, 10_000)


def outcome(data: bytes, memo: Memo | None) -> Top | str:
    """What comes of ``data``: the object, or all of what is said against it."""
    try:
        return CODEC.decode(data, None, memo)
    except DecodeError as error:
        return str(error)


@given(st.integers(0, 300), st.lists(st.tuples(edits, cuts), min_size=1, max_size=5))
def test_edited_and_cut_versions_read_as_without_memory(count: int, history: list[tuple[Any, int | None]]) -> None:
    memo, numbers = Memo(), [*range(count)]
    outcome(CODEC.encode(top([Item(f"k{number}", number) for number in numbers])), memo)
    for changes, cut in history:
        for way, at, number in changes:
            numbers = edit(numbers, way, at, number)[:600]
        data = CODEC.encode(top([Item(f"k{number}", number) for number in numbers]))
        data = data if cut is None else data[: cut % (len(data) + 1)]
        assert outcome(data, memo) == outcome(data, None)


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4))
def test_damaged_versions_read_as_without_memory(count: int, damage: list[tuple[int, int]]) -> None:
    good = CODEC.encode(top(items(count), items(5, "x")))
    memo, data = Memo(), bytearray(good)
    outcome(good, memo)
    for place, byte in damage:
        data[place % len(data)] = byte
    for version in (bytes(data), good, bytes(data)):
        assert outcome(version, memo) == outcome(version, None)
