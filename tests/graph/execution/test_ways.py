"""It is counted which way lists and mutations are answered, and where figures came from (docs/operations.md)."""

from collections.abc import Mapping

import pytest

from rules.contexts import bucket_of
from rules.progress import Status
from rules.viewers import Role
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, ENROLMENTS_BY_CONTEXT, VIEWS
from tests.conftest import NOW, Instance
from tests.gateway.test_metrics import Sample, grown, own
from tests.graph.conftest import ask, data

ANSWERS = "cohort_compiled_answers_total"
MANY = 20
"""More members than lists have that are not counted."""
BUCKETS = 16
"""Of the list of a context."""


@pytest.fixture
async def enrolled(published: Instance) -> Instance:
    """Ann is in many batches of the course, and no worker has computed anything yet."""
    places = [("ann", "course", f"batch-{number:02d}") for number in range(MANY)]
    await published.stores.rows.write(
        *(Write(ENROLMENTS, place, {"active": True, "enrolled_on": NOW}) for place in places)
    )
    return published


def ways(before: Mapping[Sample, float], what: str) -> set[str]:
    return {
        dict(labels)["way"]
        for (name, labels), count in own(ANSWERS).items()
        if name == ANSWERS and dict(labels)["what"] == what and count > before.get((name, labels), 0.0)
    }


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        ("status completedCount collection { name }", "light"),
        ("id status", "light"),
        (
            "__typename n: status collection { id __typename name } context { id ... on Context { name } }",
            "light",
        ),
        ("status collection { versionKey }", "made_whole"),
        ("contextId contentStatus { status }", "unbound"),
        ("status score { percentage }", "unbound"),
    ],
)
async def test_a_list_is_counted_by_the_way_it_was_answered(enrolled: Instance, asked: str, way: str) -> None:
    before = own()
    query = f"{{ me {{ enrolments(first: {MANY}) {{ edges {{ node {{ {asked} }} }} }} }} }}"
    assert len((await data(enrolled.session("ann"), query))["me"]["enrolments"]["edges"]) == MANY
    assert ways(before, "list") == {way}


@pytest.mark.parametrize(
    "asked",
    [
        "edges { cursor node { id status __typename } } pageInfo { hasNextPage endCursor }",
        "edges { ...edge } __typename",
        "edges { cursor }",
        "edges { __typename at: cursor }",
        "totalCount edges { cursor node { status } }",
    ],
)
@pytest.mark.parametrize("order", ["COLLECTION", "NAME", "LAST_ACCESSED_ON", "ENROLLED_ON"])
async def test_what_relay_asks_of_enrolments_is_answered_without_whole_objects(
    enrolled: Instance, asked: str, order: str
) -> None:
    before = own()
    query = f"""query Q {{ me {{ id enrolments(first: {MANY}, orderBy: {{ by: {order} }}) {{ {asked} }} }} }}
      {"fragment edge on EnrolmentEdge { cursor node { ...node } } fragment node on Enrolment { id status }" * ("..." in asked)}"""
    found = (await data(enrolled.session("ann"), query))["me"]["enrolments"]
    assert len(found["edges"]) == MANY
    assert ways(before, "list") == {"light"}


async def test_what_relay_asks_of_a_page_alone_makes_no_member(enrolled: Instance) -> None:
    before = own()
    query = f"{{ me {{ enrolments(first: {MANY}) {{ pageInfo {{ startCursor endCursor hasNextPage }} }} }} }}"
    await data(enrolled.session("ann"), query)
    assert ways(before, "list") == set()


async def test_cursors_and_ids_of_views_and_rosters_are_answered_without_whole_objects(
    published: Instance,
) -> None:
    users = [f"user-{number:02d}" for number in range(MANY)]
    contents = [f"leaf-{number:02d}" for number in range(MANY)]

    def listed_at(user_id: str) -> tuple[str, str, int, str]:
        return "batch", "course", bucket_of(user_id, BUCKETS), user_id

    await published.stores.rows.write(
        *(Write(ENROLMENTS, (u, "course", "batch"), {"active": True, "enrolled_on": NOW}) for u in users),
        *(Write(ENROLMENTS_BY_CONTEXT, listed_at(u), {"active": True, "enrolled_on": NOW}) for u in users),
        *(Write(VIEWS, ("ann", "course", "course", "batch", each), {"status": 1}) for each in contents),
    )
    views = f"""{{ me {{ views(collectionId: "course", contextId: "batch", first: {MANY}) {{
      edges {{ cursor node {{ id __typename status }} }} }} }} }}"""
    before = own()
    found = (await data(published.session("ann"), views))["me"]["views"]["edges"]
    assert [one["node"]["status"] for one in found] == ["IN_PROGRESS"] * MANY
    assert ways(before, "list") == {"light"}
    roster = f"""{{ context(contextId: "batch") {{ roster(first: {MANY}) {{ totalCount edges {{ cursor node {{
      learner {{ id name }} enrolment {{ id __typename status }} }} }} }} }} }}"""
    before = own()
    shown = (await data(published.session("admin", Role.ADMIN), roster))["context"]["roster"]
    assert shown["totalCount"] == len(shown["edges"]) == MANY
    assert ways(before, "list") == {"light"}


async def test_a_short_list_is_not_counted(enrolled: Instance) -> None:
    before = own()
    await data(enrolled.session("ann"), "{ me { enrolments(first: 16) { edges { node { status } } } } }")
    assert ways(before, "list") == set()


VARIABLES = """mutation ($input: StartViewInput!) {
  startView(input: $input) { view { status } PART }
}"""


@pytest.mark.parametrize(
    ("part", "way"), [("errors { code }", "compiled"), ("errors @include(if: true) { code }", "unbound")]
)
async def test_a_mutation_is_counted_by_the_way_it_was_answered(
    enrolled: Instance, part: str, way: str
) -> None:
    query = VARIABLES.replace("PART", part)
    asked = {"contentId": "a", "collectionId": "course"}
    await ask(enrolled.session("ann"), query, input=asked)
    before = own()
    await data(enrolled.session("ann"), query, input=asked)
    assert ways(before, "mutation") == {way}


async def test_it_is_counted_whether_figures_were_stored_or_computed(enrolled: Instance) -> None:
    """A view changed last at 5, which the aggregate of one batch alone has seen."""
    key = ("ann", "course", "course", "batch-00", "a")
    await enrolled.stores.rows.write(
        Write(VIEWS, key, {"status": int(Status.COMPLETED), "last_access_time": NOW, "changed_at": 5}),
        Write(
            AGGREGATES,
            ("Course", "course", "ann", "cb:batch-01", "course"),
            {"version": 7, "seen_changed_at": 5, "seen_version": 1, "status": 1},
        ),
    )
    before = own()
    await data(
        enrolled.session("ann"),
        f"{{ me {{ enrolments(first: {MANY}) {{ edges {{ node {{ status }} }} }} }} }}",
    )
    assert grown(before, "cohort_figures_read_total", source="aggregates") == 1
    assert grown(before, "cohort_figures_read_total", source="views") == MANY - 1


@pytest.mark.parametrize("leaves", ["", "contentStatus { status }"])
async def test_figures_of_what_nobody_viewed_come_from_neither(enrolled: Instance, leaves: str) -> None:
    """Of one batch there is an aggregate, as it was computed before anybody viewed anything."""
    place = ("Course", "course", "ann", "cb:batch-03", "course")
    await enrolled.stores.rows.write(Write(AGGREGATES, place, {"version": 7, "seen_version": 1, "status": 0}))
    before = own()
    await data(
        enrolled.session("ann"),
        f"{{ me {{ enrolments(first: {MANY}) {{ edges {{ node {{ status {leaves} }} }} }} }} }}",
    )
    assert grown(before, "cohort_figures_read_total", source="aggregates") == 1
    assert grown(before, "cohort_figures_read_total", source="views") == 0
