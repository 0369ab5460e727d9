"""What can be found: the groups that I lead, the contexts that I mentor or created, and the learners of a context."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.contexts import NewContext, create_context
from ingest.commands.enrolments import EnrolmentCall, enrol, unenrol
from ingest.commands.learner_groups import NewGroup, create_group, suspend_group
from ingest.commands.learners import ProfileCall, save_profile
from loaders.session import Session, Shared
from resolvers import context_rosters, contexts_of_people, ordering
from rules.group_changes import AddMember
from rules.identifiers import ContextType
from rules.learner_groups import GroupRole
from rules.viewers import Role, Viewer
from tests.conftest import NOW, Instance
from tests.graph.conftest import code, data, document, view_to_end

DAY = timedelta(days=1)


async def walked(session: Session, query: str, field: str, name: str, **variables: Any) -> list[str]:
    """What pages of two show, forward and then backward, which must be the same."""
    found: dict[str, list[str]] = {}
    for size, place, more, end in (
        ("first", "after", "hasNextPage", "endCursor"),
        ("last", "before", "hasPreviousPage", "startCursor"),
    ):
        seen: list[str] = []
        cursor = None
        while True:
            whole = await data(session, query, **{size: 2, place: cursor}, **variables)
            page = next(iter(whole.values()))[field]
            shown = [named(edge["node"], name) for edge in page["edges"]]
            seen = seen + shown if size == "first" else shown + seen
            cursor = page["pageInfo"][end]
            if not page["pageInfo"][more]:
                break
        assert page["totalCount"] == len(seen)
        found[size] = seen
    assert found["first"] == found["last"]
    return found["first"]


def named(node: Any, path: str) -> str:
    for part in path.split("."):
        node = node[part]
    return str(node)


# --- groups by role

GROUPS = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: GroupFilter, $order: GroupOrder) {
    me { groups(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $order) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { node { groupId } } } } }"""


@pytest.fixture
async def grouped(embedded: Instance) -> Instance:
    """Ada leads g1 (Zebra), g2 (apple) and the suspended g3 (Mango), is a member of g4 (Kiwi); g5 is not hers."""
    service = embedded.session()
    for group_id, name, role in (
        ("g1", "Zebra", GroupRole.ADMIN),
        ("g2", "apple", GroupRole.ADMIN),
        ("g3", "Mango", GroupRole.ADMIN),
        ("g4", "Kiwi", GroupRole.MEMBER),
        ("g5", "Other", None),
    ):
        embedded.sets_clock(NOW + int(group_id[1]) * DAY)
        members = (AddMember("bob", GroupRole.ADMIN), *([AddMember("ada", role)] if role else ()))
        await create_group(service, NewGroup(name, members=members, group_id=group_id))
    embedded.sets_clock(NOW + 9 * DAY)
    await suspend_group(embedded.session(), "g3")
    return embedded


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["g1", "g2", "g3", "g4"]),
        ({"order": {"by": "GROUP_ID", "direction": "DESC"}}, ["g4", "g3", "g2", "g1"]),
        ({"filter": {"role": "ADMIN"}}, ["g1", "g2", "g3"]),
        ({"filter": {"role": ["ADMIN"], "status": ["ACTIVE"]}}, ["g1", "g2"]),
        ({"filter": {"role": []}}, []),
        ({"filter": {"role": "ADMIN"}, "order": {"by": "NAME"}}, ["g2", "g3", "g1"]),
        ({"order": {"by": "NAME", "direction": "DESC"}}, ["g1", "g3", "g4", "g2"]),
        # Only g3 was changed; nothing else has a moment, which is the smallest.
        ({"order": {"by": "UPDATED_ON", "direction": "DESC"}}, ["g3", "g4", "g2", "g1"]),
    ],
)
async def test_the_groups_that_i_lead_are_found_in_every_order_both_ways(
    grouped: Instance, wanted: dict[str, Any], expected: list[str]
) -> None:
    assert await walked(grouped.session("ada"), GROUPS, "groups", "groupId", **wanted) == expected


# --- contexts of somebody

CONTEXTS = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: ContextFilter, $order: ContextOrder,
    $user: String!) { learner(userId: $user) { contexts(first: $first, after: $after, last: $last, before: $before,
        filter: $filter, orderBy: $order) { totalCount
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { node { contextId } } } } }"""


@pytest.fixture
async def mentored(cohort: Instance) -> Instance:
    """Mo mentors c1, c2 and c4, and created c3 and c4."""
    await cohort.publish()
    await cohort.publish(
        {
            "identifier": "other",
            "name": "Other",
            "children": [{"identifier": "x", "name": "X", "mimeType": "application/pdf"}],
        }
    )
    root, mo = cohort.session("root", Role.ADMIN), cohort.session("mo", Role.CREATOR)
    for by, context_id, name, values in (
        (root, "c1", "zoo", {"start_date": NOW - 9 * DAY, "end_date": NOW - DAY}),
        (root, "c2", "Ant", {"start_date": NOW + DAY, "collection_ids": ("other",)}),
        (mo, "c3", "bee", {"start_date": NOW - DAY, "mentors": frozenset()}),
        (mo, "c4", "Cow", {"end_date": NOW + DAY, "type": ContextType.PROGRAM}),
        (root, "c5", "eel", {"mentors": frozenset({"else"})}),
    ):
        given: dict[str, Any] = {
            "type": ContextType.BATCH,
            "collection_ids": ("course",),
            "mentors": frozenset({"mo"}),
            **values,
        }
        await create_context(by, NewContext(name=name, context_id=context_id, **given))
    return cohort


def moment(days: int) -> str:
    return (NOW + days * DAY).isoformat()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["c1", "c2", "c3", "c4"]),
        ({"filter": {"relation": "MENTOR"}}, ["c1", "c2", "c4"]),
        ({"filter": {"relation": "CREATOR"}}, ["c3", "c4"]),
        ({"filter": {"type": "PROGRAM"}}, ["c4"]),
        ({"filter": {"status": "COMPLETED"}}, ["c1"]),
        ({"filter": {"status": "ONGOING"}}, ["c3", "c4"]),
        ({"filter": {"collectionId": "other"}}, ["c2"]),
        ({"filter": {"startsAfter": moment(-1)}}, ["c2", "c3"]),
        ({"filter": {"startsBefore": moment(-1)}}, ["c1", "c3"]),
        ({"filter": {"startsAfter": moment(-5), "startsBefore": moment(0)}}, ["c3"]),
        ({"filter": {"endsAfter": moment(0)}}, ["c4"]),
        ({"filter": {"endsBefore": moment(-1)}}, ["c1"]),
        ({"order": {"by": "CONTEXT_ID", "direction": "DESC"}}, ["c4", "c3", "c2", "c1"]),
        ({"order": {"by": "NAME"}}, ["c2", "c3", "c4", "c1"]),
        ({"order": {"by": "START_DATE"}}, ["c4", "c1", "c3", "c2"]),
        ({"order": {"by": "END_DATE", "direction": "DESC"}}, ["c4", "c1", "c3", "c2"]),
    ],
)
async def test_the_contexts_that_i_mentor_or_created_are_found_in_every_order_both_ways(
    mentored: Instance, wanted: dict[str, Any], expected: list[str]
) -> None:
    mo = mentored.session("mo")
    assert await walked(mo, CONTEXTS, "contexts", "contextId", user="mo", **wanted) == expected


async def test_whose_contexts_they_are_is_told_to_themself_admins_and_services_alone(
    mentored: Instance,
) -> None:
    await save_profile(mentored.session(), ProfileCall(name="Mo", user_id="mo"))
    for session in (mentored.session("mo"), mentored.session("root", Role.ADMIN), mentored.session()):
        found = await data(session, CONTEXTS, user="mo")
        assert found["learner"]["contexts"]["totalCount"] == 4
    for role in (Role.MENTOR, Role.REPORTER):
        assert await code(mentored.session("x", role), CONTEXTS, user="mo") == ("FORBIDDEN", "userId")


async def test_of_too_many_contexts_one_relation_is_read_by_id_and_the_rest_is_refused(
    mentored: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of 2 instead of 2,000: Mo mentors three."""
    monkeypatch.setattr(contexts_of_people, "MOST_ORDERED", 2)
    monkeypatch.setattr(ordering, "MOST_ORDERED", 2)
    mo = mentored.session("mo")
    seen: list[str] = []
    after = None
    while True:
        found = await data(mo, CONTEXTS, user="mo", first=1, after=after, filter={"relation": "MENTOR"})
        page = found["learner"]["contexts"]
        assert page["totalCount"] is None
        seen += [edge["node"]["contextId"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == ["c1", "c2", "c4"]
    by_name = {"filter": {"relation": "MENTOR"}, "order": {"by": "NAME"}}
    for refused in ({}, by_name, {"filter": {"relation": "MENTOR"}, "last": 1}):
        assert await code(mo, CONTEXTS, user="mo", **refused) == ("INVALID_INPUT", "orderBy")
    found = await data(mo, CONTEXTS, user="mo", filter={"relation": "CREATOR"}, order={"by": "NAME"})
    assert found["learner"]["contexts"]["totalCount"] == 2, "of which there are few"


# --- the roster of a context

ROSTER = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: RosterFilter, $order: RosterOrder,
    $collection: String) { context(contextId: "batch") { roster(first: $first, after: $after, last: $last, before: $before,
        filter: $filter, orderBy: $order, collectionId: $collection) { totalCount
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            edges { node { learner { userId name } enrolment { active completedCount completionPercentage status lastAccessedOn
                enrolledOn } } } } } }"""


@pytest.fixture
async def school(cohort: Instance) -> Instance:
    """COURSE requires three leaves: a, b, c. Ann (Zora) enrolled first and completed two, Bob (adam) completed one, later; Cleo, without a
    name, did nothing, and Dan (Mia) has left."""
    await cohort.publish()
    await create_context(
        cohort.session("carla", Role.CREATOR),
        NewContext(ContextType.BATCH, "Batch", ("course",), "batch", mentors=frozenset({"mo"})),
    )
    for number, (user, name) in enumerate({"ann": "Zora", "bob": "adam", "cleo": None, "dan": "Mia"}.items()):
        cohort.sets_clock(NOW + timedelta(hours=number))
        await enrol(cohort.session(user), EnrolmentCall("course", "batch"))
        if name:
            await save_profile(cohort.session(), ProfileCall(name=name, user_id=user))
    place = {"collectionId": "course", "contextId": "batch"}
    cohort.sets_clock(NOW + 5 * timedelta(hours=1))
    await view_to_end(cohort, "ann", "a", **place)
    await view_to_end(cohort, "ann", "b", **place)
    cohort.sets_clock(NOW + 6 * timedelta(hours=1))
    await view_to_end(cohort, "bob", "a", **place)
    await unenrol(cohort.session("dan"), EnrolmentCall("course", "batch"))
    await cohort.drain()
    return cohort


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["ann", "bob", "cleo", "dan"]),
        ({"order": {"by": "USER_ID", "direction": "DESC"}}, ["dan", "cleo", "bob", "ann"]),
        ({"filter": {"active": True}}, ["ann", "bob", "cleo"]),
        ({"filter": {"active": False}}, ["dan"]),
        ({"filter": {"status": "IN_PROGRESS"}}, ["ann", "bob"]),
        ({"filter": {"status": ["NOT_STARTED"], "active": True}}, ["cleo"]),
        ({"order": {"by": "NAME"}}, ["cleo", "bob", "dan", "ann"]),
        ({"order": {"by": "PROGRESS", "direction": "DESC"}}, ["ann", "bob", "dan", "cleo"]),
        ({"order": {"by": "LAST_ACCESSED_ON", "direction": "DESC"}}, ["bob", "ann", "dan", "cleo"]),
        ({"order": {"by": "LAST_ACCESSED_ON"}, "filter": {"active": True}}, ["cleo", "ann", "bob"]),
        ({"order": {"by": "ENROLLED_ON", "direction": "DESC"}}, ["dan", "cleo", "bob", "ann"]),
    ],
)
async def test_the_learners_of_a_context_are_found_in_every_order_both_ways(
    school: Instance, wanted: dict[str, Any], expected: list[str]
) -> None:
    found = await walked(school.session("mo"), ROSTER, "roster", "learner.userId", **wanted)
    assert found == expected


async def test_a_roster_tells_how_each_learner_stands(school: Instance) -> None:
    """Of three required leaves two are 66 %, one is 33 %. To who mentors the context, who created it, and who answers for
    learners."""
    for session in (
        school.session("mo"),
        school.session("carla"),
        *(school.session("x", role) for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN)),
        school.session(),
    ):
        page = (await data(session, ROSTER))["context"]["roster"]
        shown = [
            (
                node["learner"]["name"],
                node["enrolment"]["completedCount"],
                node["enrolment"]["completionPercentage"],
                node["enrolment"]["active"],
            )
            for node in (edge["node"] for edge in page["edges"])
        ]
        assert shown == [
            ("Zora", 2, 66, True),
            ("adam", 1, 33, True),
            (None, 0, 0, True),
            ("Mia", 0, 0, False),
        ]
    accessed = [edge["node"]["enrolment"]["lastAccessedOn"] for edge in page["edges"]]
    assert accessed == ["2026-03-01T17:00:00.000Z", "2026-03-01T18:00:00.000Z", None, None]


async def test_a_mentors_page_is_one_document(school: Instance) -> None:
    """Who was here last is at the top, and Dan, who left, is not there."""
    found = (await data(school.session("mo"), document("mentor_page"), status="ONGOING"))["me"]["contexts"]
    assert found["totalCount"] == 1
    (batch,) = (edge["node"] for edge in found["edges"])
    assert (batch["contextId"], batch["collections"]) == (
        "batch",
        [{"identifier": "course", "name": "Course"}],
    )
    assert batch["roster"]["totalCount"] == 3
    shown = [
        (entry["learner"]["userId"], entry["enrolment"]["status"], entry["enrolment"]["requiredCount"])
        for entry in (edge["node"] for edge in batch["roster"]["edges"])
    ]
    assert shown == [("bob", "IN_PROGRESS", 3), ("ann", "IN_PROGRESS", 3), ("cleo", "NOT_STARTED", 3)]


async def test_a_roster_is_for_who_may_have_the_contexts_reports(school: Instance) -> None:
    for session in (school.session("ann"), school.session("eve", Role.CREATOR)):
        assert await code(session, ROSTER) == ("FORBIDDEN", "contextId")
    assert await code(Session(Viewer(), school.shared), ROSTER) == ("UNAUTHENTICATED", None)
    assert await code(school.session("mo"), ROSTER, collection="else") == ("INVALID_INPUT", "contextId")


async def test_a_roster_of_too_many_learners_goes_on_by_user_id_and_the_rest_is_refused(
    school: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of 3 instead of 2,000."""
    monkeypatch.setattr(context_rosters, "MOST_ORDERED", 3)
    monkeypatch.setattr(ordering, "MOST_ORDERED", 3)
    mo = school.session("mo")
    page = (await data(mo, ROSTER, first=3))["context"]["roster"]
    assert page["totalCount"] is None
    rest = (await data(mo, ROSTER, first=3, after=page["pageInfo"]["endCursor"]))["context"]["roster"]
    assert [edge["node"]["learner"]["userId"] for edge in rest["edges"]] == ["dan"]
    for refused in ({"last": 1}, {"order": {"by": "NAME"}}, {"filter": {"status": "COMPLETED"}}):
        assert await code(mo, ROSTER, **refused) == ("INVALID_INPUT", "orderBy")


async def test_a_page_of_a_roster_ends_once_it_has_passed_over_many(
    school: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who left, in pages of one, with a limit of 2 that are passed over: nobody, then Dan."""
    monkeypatch.setattr(context_rosters, "MOST_PASSED", 2)
    seen: list[list[str]] = []
    after = None
    while True:
        found = await data(school.session("mo"), ROSTER, first=1, after=after, filter={"active": False})
        page = found["context"]["roster"]
        seen.append([edge["node"]["learner"]["userId"] for edge in page["edges"]])
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert [user for page in seen for user in page] == ["dan"]
    assert seen[0] == []


async def roster_cost(instance: Instance, context: str, users: int, **variables: Any) -> Any:
    """Statements to the rows for a page of so many, nothing being warm."""
    shared = Shared.of(instance.stores, instance.shared.now)
    query = ROSTER.replace('"batch"', f'"{context}"')
    with instance.stores.rows.meter.measure() as rows:
        found = await data(
            Session(Viewer("mo", frozenset({Role.MENTOR})), shared), query, first=100, **variables
        )
    assert len(found["context"]["roster"]["edges"]) == users
    return rows


async def test_a_page_of_100_learners_costs_what_one_of_2_does(embedded: Instance) -> None:
    await embedded.publish()
    for context, users in (("few", 2), ("many", 100)):
        await embedded.batch(context)
        for number in range(users):
            call = EnrolmentCall("course", context)
            await enrol(embedded.session(f"u{number:03}"), call)
    await embedded.drain()
    for variables in ({}, {"order": {"by": "PROGRESS"}}, {"order": {"by": "NAME"}}):
        few = await roster_cost(embedded, "few", 2, **variables)
        assert few == await roster_cost(embedded, "many", 100, **variables)
        assert sum(few.values()) <= 10, "two of them are for totalCount"
