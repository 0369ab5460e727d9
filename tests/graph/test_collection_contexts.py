"""Which batches of a course there are, and which of them a learner may join now."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.contexts import NewContext, create_context, update_context
from ingest.commands.drafts import retire_content
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from loaders.contexts import MOST_PASSED, PORTION
from loaders.library import context_values
from loaders.session import Session, Shared
from resolvers import contexts
from resolvers.opaque_texts import encode
from rules.contexts import Context, EnrolmentType
from rules.errors import EnrolmentClosed, Forbidden
from rules.identifiers import ContextType
from rules.viewers import Role, Viewer
from stores.rows import Write
from stores.tables import CONTEXTS, CONTEXTS_OF_COLLECTIONS
from tests.conftest import NOW, Instance
from tests.graph.conftest import code, data, document

DAY = timedelta(days=1)
MOMENT = timedelta(milliseconds=1)
DOCUMENT = document("collection_contexts")


async def batch(instance: Instance, context_id: str, **dates: Any) -> None:
    new = NewContext(ContextType.BATCH, context_id, ("course",), context_id, **dates)
    await create_context(instance.session(), new)


BATCHES: dict[str, dict[str, Any]] = {
    "always": {},
    "ended": {"start_date": NOW - 9 * DAY, "end_date": NOW - MOMENT},
    "ends now": {"end_date": NOW},
    "enrolment over": {"end_date": NOW + 9 * DAY, "enrolment_end_date": NOW - MOMENT},
    "enrolment over soon": {"end_date": NOW + 9 * DAY, "enrolment_end_date": NOW + DAY},
    "invited": {"enrolment_type": EnrolmentType.INVITE_ONLY},
    "later": {"start_date": NOW + 2 * DAY, "end_date": NOW + 9 * DAY},
}
JOINABLE = ["ends now", "enrolment over soon", "later", "always"]


@pytest.fixture
async def school(embedded: Instance) -> Instance:
    await embedded.publish()
    for context_id, dates in BATCHES.items():
        await batch(embedded, context_id, **dates)
    return embedded


async def shown(instance: Instance, **variables: Any) -> tuple[list[str], dict[str, Any]]:
    """The ids that a page shows, and its page info; nothing being kept from before."""
    shared = Shared.of(instance.stores, instance.shared.now)
    session = Session(Viewer("ann", frozenset({Role.LEARNER})), shared)
    found = (await data(session, DOCUMENT, collection="course", **variables))["collection"]["contexts"]
    return [edge["node"]["contextId"] for edge in found["edges"]], found["pageInfo"]


async def test_open_are_those_that_a_learner_may_join_now_by_the_last_moment_to_do_so(
    school: Instance,
) -> None:
    assert (await shown(school))[0] == JOINABLE
    for context_id in BATCHES:
        call = EnrolmentCall("course", context_id)
        if context_id in JOINABLE:
            await enrol(school.session("ann"), call)
        else:
            with pytest.raises((EnrolmentClosed, Forbidden)):
                await enrol(school.session("ann"), call)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"open": None}, ["invited", "ended", "enrolment over", *JOINABLE]),
        ({"open": False}, ["invited", "ended", "enrolment over"]),
        ({"open": None, "status": "COMPLETED"}, ["ended"]),
        ({"open": None, "status": "UPCOMING"}, ["later"]),
        ({"open": True, "status": "UPCOMING"}, ["later"]),
        ({"open": True, "status": "ONGOING"}, ["ends now", "enrolment over soon", "always"]),
        ({"open": True, "status": "COMPLETED"}, []),
        ({"open": False, "status": "ONGOING"}, ["invited", "enrolment over"]),
    ],
)
async def test_filters_narrow_the_list_and_keep_its_order(
    school: Instance, variables: dict[str, Any], expected: list[str]
) -> None:
    found, page_info = await shown(school, **variables)
    assert (found, page_info["hasNextPage"]) == (expected, False)


@pytest.mark.parametrize("variables", [{}, {"open": None}, {"open": False}])
async def test_pages_of_one_visit_each_once(school: Instance, variables: dict[str, Any]) -> None:
    whole, _ = await shown(school, **variables)
    found: list[str] = []
    after = None
    while True:
        page, info = await shown(school, first=1, after=after, **variables)
        found += page
        after = info["endCursor"]
        if not info["hasNextPage"]:
            break
    assert found == whole


LIST = """query ($open: Boolean, $joinable: Boolean! = false, $status: ContextStatus, $order: ContextOrder, $first: Int,
    $after: String, $last: Int, $before: String) { collection(identifier: "course") {
        contexts(open: $open, joinable: $joinable, status: $status, orderBy: $order, first: $first, after: $after,
            last: $last, before: $before) { totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
                edges { node { contextId } } } } }"""


async def of_list(session: Session, **variables: Any) -> tuple[list[str], Any]:
    page = (await data(session, LIST, **variables))["collection"]["contexts"]
    return [edge["node"]["contextId"] for edge in page["edges"]], page


async def test_batches_to_join_are_those_that_are_open_and_not_the_viewers_own(school: Instance) -> None:
    """Who has left may come back; who is in is not asked to join."""
    ann = school.session("ann")
    assert (await of_list(ann, joinable=True))[0] == JOINABLE
    for context_id in ("later", "always"):
        await enrol(ann, EnrolmentCall("course", context_id))
    found, page = await of_list(ann, joinable=True)
    assert (found, page["totalCount"]) == (["ends now", "enrolment over soon"], 2)
    await unenrol(ann, EnrolmentCall("course", "later"))
    assert (await of_list(ann, joinable=True))[0] == ["ends now", "enrolment over soon", "later"]
    assert (await of_list(school.session("bob"), joinable=True))[0] == JOINABLE
    assert await code(ann, LIST, joinable=True, open=False) == ("INVALID_INPUT", "joinable")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["invited", "ended", "enrolment over", *JOINABLE]),
        (
            {"order": {"by": "JOINABLE_UNTIL", "direction": "DESC"}, "open": True},
            ["always", "later", "enrolment over soon", "ends now"],
        ),
        ({"order": {"by": "NAME"}, "joinable": True}, sorted(JOINABLE)),
        # Only two have one, nine days ago and in two days; none is the smallest, then the id decides.
        (
            {"order": {"by": "START_DATE"}, "open": True},
            ["always", "ends now", "enrolment over soon", "later"],
        ),
    ],
)
async def test_a_collections_contexts_are_found_in_every_order_both_ways(
    school: Instance, wanted: dict[str, Any], expected: list[str]
) -> None:
    """Forward in pages of two, and back from the cursors that these gave out."""
    ann, seen = school.session("ann"), list[str]()
    found, page = await of_list(ann, first=2, **wanted)
    while page["pageInfo"]["hasNextPage"]:
        seen += found
        found, page = await of_list(ann, first=2, after=page["pageInfo"]["endCursor"], **wanted)
    seen += found
    assert (seen, page["totalCount"]) == (expected, len(expected))
    before = len(expected) - len(found)
    back, page = await of_list(ann, last=200, before=page["pageInfo"]["startCursor"], **wanted)
    assert back == expected[:before]
    assert not page["pageInfo"]["hasPreviousPage"]
    assert page["pageInfo"]["hasNextPage"]


async def test_of_too_many_contexts_only_the_order_of_the_list_is_read(
    school: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of 5 instead of 2,000: the school has seven, of which four are open."""
    monkeypatch.setattr(contexts, "MOST_ORDERED", 5)
    ann = school.session("ann")
    found, page = await of_list(ann)
    assert (len(found), page["totalCount"]) == (7, None)
    assert await code(ann, LIST, order={"by": "NAME"}) == ("INVALID_INPUT", "orderBy")
    assert await code(ann, LIST, last=1) == ("INVALID_INPUT", "orderBy")
    assert (await of_list(ann, order={"by": "NAME"}, open=True))[1]["totalCount"] == 4


async def test_a_batch_that_was_opened_again_is_there_at_once_and_one_that_was_closed_is_gone(
    school: Instance,
) -> None:
    creator = school.session("cleo", Role.CREATOR)
    await update_context(creator, "ended", {"end_date": NOW + 5 * DAY})
    await update_context(creator, "always", {"enrolment_type": EnrolmentType.INVITE_ONLY})
    assert (await shown(school))[0] == ["ends now", "enrolment over soon", "ended", "later"]


async def test_no_batch_of_a_retired_course_is_open(school: Instance) -> None:
    await retire_content(Session(Viewer("carla", frozenset({Role.CREATOR})), school.shared), "course")
    assert (await shown(school))[0] == []
    assert set((await shown(school, open=False))[0]) == set(BATCHES)
    assert set((await shown(school, open=None))[0]) == set(BATCHES)
    with pytest.raises(EnrolmentClosed):
        await enrol(school.session("ann"), EnrolmentCall("course", "always"))


async def test_a_cursor_of_another_list_is_refused(school: Instance) -> None:
    ann = school.session("ann")
    for cursor in (
        "nonsense",
        "WyJ4Il0",
        encode("JOINABLE_UNTIL ASC", "1", "soon", "b"),
    ):  # of no list, of one part, of a moment that is none
        assert await code(ann, DOCUMENT, collection="course", after=cursor) == ("INVALID_INPUT", "after")
    assert await code(ann, DOCUMENT, collection="course", first=201) == ("INVALID_INPUT", "first")


async def closed_ones(instance: Instance, count: int) -> None:
    """Batches that ended long ago, as create_context leaves them."""
    ended = [
        Context(
            *(f"old-{number:05}", ContextType.BATCH, "Old", ("course",)),
            end_date=NOW - 100 * DAY + timedelta(seconds=number),
            updated_on=NOW,
        )
        for number in range(count)
    ]
    for first in range(0, count, 500):
        some = ended[first : first + 500]
        await instance.stores.rows.write(
            *(Write(CONTEXTS, (c.context_id,), context_values(c)) for c in some),
            *(
                Write(CONTEXTS_OF_COLLECTIONS, ("course", c.joinable_until, c.context_id), {"type": "batch"})
                for c in some
            ),
        )


async def rows_and_statements(instance: Instance, **variables: Any) -> tuple[list[str], int, bool]:
    with instance.stores.rows.meter.measure() as cost:
        found, info = await shown(instance, **variables)
    return found, sum(cost.values()), info["hasNextPage"]


async def test_many_batches_that_are_over_cost_nothing_where_they_are_not_asked_for(school: Instance) -> None:
    few = await rows_and_statements(school)
    await closed_ones(school, 3 * MOST_PASSED)
    assert await rows_and_statements(school) == few


async def test_what_a_page_passes_over_is_bounded_and_the_next_page_goes_on(school: Instance) -> None:
    """By status the list is passed over, as it is in the order of the last moment to join: an ongoing batch may stand
    anywhere in it."""
    await closed_ones(school, 3 * MOST_PASSED)
    found: list[str] = []
    pages, after = 0, None
    asked: dict[str, Any] = {"open": None, "status": "ONGOING"}
    while True:
        page, statements, more = await rows_and_statements(school, after=after, **asked)
        # A portion of the list and its contexts are a statement each, of at most 100 keys.
        assert statements <= 5 + (MOST_PASSED / PORTION + 1) * (1 + PORTION / 100)
        found += page
        pages += 1
        if not more:
            break
        after = (await shown(school, after=after, **asked))[1]["endCursor"]
        assert after is not None
    assert found == ["invited", "enrolment over", "ends now", "enrolment over soon", "always"]
    assert pages == 3, "a page looks at 21 rows, then five times at 200: 3 × 1,021 are more than 3,007"
