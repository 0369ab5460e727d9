"""Pages of lists, both ways: each member once, in one order, whichever way and in steps of whatever size."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.opaque_texts import encode
from resolvers.ordering import Ordering, Value
from resolvers.paging import Asked, asked
from rules.errors import InvalidInput
from tests.conftest import Instance
from tests.graph.conftest import code, data


@dataclass(frozen=True)
class Item:
    id: str
    value: Value


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
VALUES: list[st.SearchStrategy[Any]] = [
    st.sampled_from(["Ann", "ann", "Bob", "", "zoë"]),
    st.integers(-3, 120),
    st.integers(-5, 5).map(lambda days: EPOCH + timedelta(days=days)),
]


@st.composite
def lists(draw: st.DrawFn) -> list[Item]:
    value = st.none() | draw(st.sampled_from(VALUES))
    ids = draw(st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=12))
    return [Item(name, draw(value)) for name in ids]


def ordering(*, descending: bool = False) -> Ordering[Item]:
    return Ordering("VALUE", lambda item: item.value, lambda item: item.id, descending)


def walked(order: Ordering[Item], members: list[Item], limit: int, *, backward: bool) -> list[Item]:
    """All members, page by page from one end to the other."""
    seen: list[Item] = []
    place: tuple[str, ...] | None = None
    while True:
        page = order.page(members, Asked(limit, place, backward))
        found = list(page.members)
        assert page.total == len(members)
        assert len(found) <= limit
        seen = found + seen if backward else seen + found
        there_are_more = page.has_earlier if backward else page.has_more
        assert (page.has_more if backward else page.has_earlier) is (place is not None)
        if not there_are_more:
            return seen
        place = order.place(found[0] if backward else found[-1])


@given(lists(), st.integers(1, 5), st.booleans())
def test_a_walk_visits_each_member_once_in_the_same_order_either_way(
    members: list[Item], limit: int, descending: bool
) -> None:
    order = ordering(descending=descending)
    forward = walked(order, members, limit, backward=False)
    assert walked(order, members, limit, backward=True) == forward
    assert sorted(forward, key=lambda item: item.id) == sorted(members, key=lambda item: item.id)
    plain: Any = lambda item: (  # noqa: E731
        (0, item.id)
        if item.value is None
        else (1, item.value.casefold() if isinstance(item.value, str) else item.value, item.id)
    )
    assert forward == sorted(members, key=plain, reverse=descending), "no value is the smallest"


def test_a_walk_goes_on_where_a_member_was_that_is_gone() -> None:
    """Of 1 2 3 4 the cursor of 2 stays good when 2 is gone: 3 and 4 come after it, 1 before it."""
    members = [Item(str(n), n) for n in (4, 2, 1, 3)]
    order = ordering()
    place = order.place(members[1])
    left = [item for item in members if item.id != "2"]
    assert [item.id for item in order.page(left, Asked(5, place)).members] == ["3", "4"]
    assert [item.id for item in order.page(left, Asked(5, place, backward=True)).members] == ["1"]


def test_a_cursor_of_another_order_is_refused() -> None:
    place = ordering().place(Item("a", 1))
    with pytest.raises(InvalidInput) as refusal:
        ordering(descending=True).page([], Asked(5, place, backward=True))
    assert refusal.value.field == "before"


@pytest.mark.parametrize(
    ("first", "after", "last", "before", "field"),
    [
        (1, None, 1, None, "last"),
        (1, None, None, "x", "before"),
        (None, "x", 1, None, "last"),
        (0, None, None, None, "first"),
        (201, None, None, None, "first"),
        (None, None, 0, None, "last"),
        (None, None, 201, None, "last"),
        (None, "x", None, None, "after"),
        (None, None, None, "x", "before"),
        (None, None, None, encode("one", "too many"), "before"),
    ],
)
def test_a_page_goes_one_way_and_is_bounded(
    first: int | None, after: str | None, last: int | None, before: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        asked(first, after, last, before, parts=1)
    assert refusal.value.field == field


def test_without_a_number_a_page_has_twenty() -> None:
    assert asked(None, None, None, None, parts=1) == Asked(20)
    assert asked(None, None, None, encode("m"), parts=1) == Asked(20, ("m",), backward=True)


# --- as clients see it

LEAVES = """query ($first: Int, $after: String, $last: Int, $before: String) {
    collection(identifier: "course") { leafNodes(first: $first, after: $after, last: $last, before: $before) {
        pageInfo { hasPreviousPage hasNextPage startCursor endCursor } edges { node { identifier } } } } }"""


async def leaves(instance: Instance, **variables: object) -> tuple[str, bool, bool, dict[str, Any]]:
    page = (await data(instance.session("ann"), LEAVES, **variables))["collection"]["leafNodes"]
    info = page["pageInfo"]
    ids = "".join(edge["node"]["identifier"] for edge in page["edges"])
    return ids, info["hasPreviousPage"], info["hasNextPage"], info


async def test_a_list_can_be_read_from_its_end(published: Instance) -> None:
    """The leaves are a b c d. The last three are b c d; before b there is a."""
    *page, info = await leaves(published, last=3)
    assert page == ["bcd", True, False]
    *page, _ = await leaves(published, last=3, before=info["startCursor"])
    assert page == ["a", False, True]
    *page, info = await leaves(published, first=3)
    assert page == ["abc", False, True]
    *page, _ = await leaves(published, first=3, after=info["endCursor"])
    assert page == ["d", True, False]


async def test_both_ways_at_once_are_refused(published: Instance) -> None:
    refusal = await code(published.session("ann"), LEAVES, first=1, last=1)
    assert refusal == ("INVALID_INPUT", "last")
