"""It is counted which way lists and mutations are answered, and where figures came from (docs/operations.md)."""

import pytest

from rules.progress import Status
from stores.rows import Write
from stores.tables import AGGREGATES, ENROLMENTS, VIEWS
from tests.conftest import NOW, Instance
from tests.gateway.test_metrics import grown, own
from tests.graph.conftest import ask, data

MANY = 20
"""More members than lists have that are not counted."""


@pytest.fixture
async def enrolled(published: Instance) -> Instance:
    """Ann is in many batches of the course, and no worker has computed anything yet."""
    places = [("ann", "course", f"batch-{number:02d}") for number in range(MANY)]
    await published.stores.rows.write(
        *(Write(ENROLMENTS, place, {"active": True, "enrolled_on": NOW}) for place in places)
    )
    return published


def ways(before: object, what: str) -> set[str]:
    names = {dict(labels)["way"] for name, labels in own() if name == "cohort_compiled_answers_total"}
    return {
        way
        for way in names
        if grown(before, "cohort_compiled_answers_total", what=what, way=way)  # type: ignore[arg-type]
    }


@pytest.mark.parametrize(
    ("asked", "way"),
    [
        ("status completedCount collection { name }", "light"),
        ("id status", "made_whole"),
        ("contextId contentStatus { status }", "unbound"),
        ("status score { percentage }", "unbound"),
    ],
)
async def test_a_list_is_counted_by_the_way_it_was_answered(enrolled: Instance, asked: str, way: str) -> None:
    before = own()
    query = f"{{ me {{ enrolments(first: {MANY}) {{ edges {{ node {{ {asked} }} }} }} }} }}"
    assert len((await data(enrolled.session("ann"), query))["me"]["enrolments"]["edges"]) == MANY
    assert ways(before, "list") == {way}


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
