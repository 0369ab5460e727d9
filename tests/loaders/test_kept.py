"""What a process keeps takes no more memory than was said."""

import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loaders.healing import _size as size_of_sent
from loaders.kept import ENTRY, Kept, texts
from loaders.learner_groups import _size_of_roster
from loaders.library import _size_of_context, _size_of_relations
from loaders.metrics.costs import _size as size_of_filter
from loaders.published_contents import size_of_content
from rules.contents import Content, ContentKind
from rules.contexts import Context
from rules.hierarchy import Relations, RelationTree
from rules.identifiers import ContextType, ProgressKey
from rules.learner_groups import GroupRole, Member, Roster


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 60))), st.integers(1, 100))
def test_the_entries_never_take_more_than_was_said(sets: list[tuple[str, int]], most: int) -> None:
    kept: Kept[str, int] = Kept(most, lambda _, size: size)
    for key, size in sets:
        kept[key] = size
        assert sum(kept.values()) == kept.bytes <= most
        assert (key in kept) == (size <= most)


def test_what_was_used_longest_ago_makes_room() -> None:
    """Room for ten: a and b have four each; a is used; c of four takes b's."""
    kept: Kept[str, str] = Kept(10, lambda _, text: len(text))
    kept.update({"a": "AAAA", "b": "BBBB"})
    assert kept["a"] == "AAAA"
    kept["c"] = "CCCC"
    assert sorted(kept) == ["a", "c"]


def test_what_is_used_again_and_again_stays_however_much_comes_by() -> None:
    kept: Kept[int, int] = Kept(10, lambda *_: 1)
    kept[-1] = -1
    for number in range(100):
        kept[number] = number
        assert kept[-1] == -1
    assert len(kept) == 10


def test_looks_for_many_tell_all_in_their_order_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("loaders.kept.monotonic", lambda: now[0])
    kept: Kept[str, str] = Kept(10, lambda *_: 1, ttl=60)
    kept["a"] = "A"
    now[0] += 30
    kept["b"] = "B"
    assert (kept.all_of("ba"), kept.all_of("abc"), kept.all_of("")) == (["B", "A"], None, [])
    now[0] += 30
    assert (kept.all_of("ba"), kept.of("ba")) == (None, {"b": "B"})


def test_what_has_ended_makes_room_first_however_often_it_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("loaders.kept.monotonic", lambda: now[0])
    kept: Kept[str, str] = Kept(2, lambda *_: 1, ttl=60)
    kept["a"] = "A"
    assert kept["a"] == "A"
    now[0] += 30
    kept["b"] = "B"
    now[0] += 30
    kept["c"] = "C"
    assert sorted(kept) == ["b", "c"]


def test_making_room_spares_no_more_than_a_turn_has_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten that were all used, three are spared; the fourth makes room."""
    monkeypatch.setattr("loaders.kept._SPARED", 3)
    kept: Kept[int, int] = Kept(10, lambda *_: 1)
    kept.update({number: number for number in range(10)})
    assert kept.all_of(range(10)) == [*range(10)]
    kept[10] = 10
    assert sorted(kept) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]


def test_one_that_grew_too_large_is_gone_and_not_left_as_it_was() -> None:
    kept: Kept[str, str] = Kept(10, lambda _, text: len(text))
    kept["a"] = "A"
    kept["a"] = "A" * 11
    assert "a" not in kept


def test_an_entry_ends_after_its_time_and_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("loaders.kept.monotonic", lambda: now[0])
    kept: Kept[str, str] = Kept(10, lambda _, text: len(text), ttl=60)
    kept["a"] = "AAAA"
    now[0] += 59
    kept["b"] = "BBBB"
    assert (kept.get("a"), len(kept), kept.bytes) == ("AAAA", 2, 8)
    now[0] += 1
    assert ("a" in kept, list(kept), kept.get("a"), kept.get("a", "gone")) == (False, ["b"], None, "gone")
    assert kept.bytes == 4
    with pytest.raises(KeyError):
        kept["a"]
    with pytest.raises(KeyError):
        del kept["a"]


def _fresh(text: str) -> str:
    """As a store gives it: a text of its own."""
    return "".join([text])


def _content(number: int) -> tuple[Any, Any]:
    name = _fresh(f"The name of a course, which has some words, {number}")
    identifier = _fresh(f"do_3112345678901234{number:06d}")
    root = _fresh(identifier[:5] + identifier[5:])
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return identifier, Content(identifier, name, ContentKind.CONTENT, "Live", None, 3, root, 1, at)


def _context(number: int) -> tuple[Any, Any]:
    mentors = frozenset(f"mentor-{number}-{one}" for one in range(50))
    name = _fresh(f"Batch {number}")
    return _fresh(f"batch-{number}"), Context(
        f"batch-{number}", ContextType.BATCH, name, ("c",), mentors=mentors
    )


def _relations(number: int) -> tuple[Any, Any]:
    leaves = [f"do_31123456789{number}-{leaf}" for leaf in range(400)]
    root = f"do_{number}"
    nodes = {leaf: Relations(leaf, ancestors=frozenset({_fresh(root)})) for leaf in leaves}
    nodes[root] = Relations(root, frozenset(_fresh(leaf + "") for leaf in leaves))
    return (root, 1), RelationTree(root, 1, nodes)


def _roster(number: int) -> tuple[Any, Any]:
    def member(one: int) -> Member:
        return Member(f"g{number}", f"learner-{number}-{one}", GroupRole.MEMBER, created_by=f"mo-{number}")

    return f"g{number}", Roster(f"g{number}", 1, {m.user_id: m for m in map(member, range(150))})


def _sent(number: int) -> tuple[Any, Any]:
    return (ProgressKey(f"learner-{number}", f"course-{number}", f"batch-{number}"), number * 1_000), None


def _filter(number: int) -> tuple[Any, Any]:
    return (("activity_id", tuple(f"do_3112345678901234{number}-{one}" for one in range(100))),), 5


KINDS: list[tuple[Callable[[int], tuple[Any, Any]], Callable[[Any, Any], int], int]] = [
    (_content, size_of_content, 400),
    (_context, _size_of_context, 100),
    (_relations, _size_of_relations, 20),
    (_roster, _size_of_roster, 20),
    (_sent, size_of_sent, 400),
    (_filter, size_of_filter, 50),
]


@pytest.mark.parametrize(("made", "size", "count"), KINDS, ids=lambda one: getattr(one, "__name__", ""))
def test_what_an_entry_is_said_to_take_is_about_what_it_takes(
    made: Callable[[int], tuple[Any, Any]], size: Callable[[Any, Any], int], count: int
) -> None:
    """Never less than half of it, and no more than three times as much: so the bounds hold, and room is not wasted."""
    tracemalloc.start()
    try:
        kept: Kept[Any, Any] = Kept(2**30, size)
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            key, value = made(number)
            kept[key] = value
        del key, value
        takes = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert takes / 2 <= kept.bytes <= takes * 3, f"{kept.bytes / takes:.2f}"


def test_texts_are_measured_as_they_are_in_memory() -> None:
    """Four bytes for each of these signs, one for each of those of ASCII; an empty text takes some 50 bytes."""
    assert texts("𝔄" * 100) - texts("a" * 100) > 250
    assert texts(None) == 0
    assert texts("") < ENTRY
