"""The catalogue: what a viewer finds, in which order, with which figures (R-COLL-6)."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.publishing.search_sync import sync_search
from rules.errors import StoreUnavailable
from rules.viewers import Role
from stores.rows import Write
from stores.search import SearchQuery
from stores.tables import CONTENTS
from tests.conftest import LEAF, NOW, Instance
from tests.graph.conftest import ask, code, data, document

CATALOGUE = document("catalogue")
Json = dict[str, Any]


def book(identifier: str, name: str, units: dict[str, int] | None = None, **metadata: object) -> Json:
    """``units``: name and number of leaves of each."""
    children = [
        {
            "identifier": f"{identifier}-{number}",
            "name": unit,
            "children": [
                {"identifier": f"{identifier}-{number}-{leaf}", "name": "L", "mimeType": LEAF}
                for leaf in range(leaves)
            ],
        }
        for number, (unit, leaves) in enumerate((units or {"Unit": 1}).items())
    ]
    return {"identifier": identifier, "name": name, **metadata, "children": children}


BOOKS = [
    book(
        "maths-5",
        "Mathematics 5",
        {"Fractions": 3, "Triangles": 1},
        subject="Mathematics",
        gradeLevel=["Class 5"],
    ),
    book(
        "maths-6", "Mathematics 6", {"Negative numbers": 2}, subject=["Mathematics"], gradeLevel=["Class 6"]
    ),
    book(
        "science-6",
        "Science 6",
        {"Heat": 1},
        subject="Science",
        gradeLevel=["Class 6"],
        description="With some mathematics of heat",
    ),
    book("ganit", "गणित", {"भिन्न": 2}, subject=["Mathematics", "Hindi"], medium="Hindi"),
    book("draft", "Mathematics, a draft", status="Unlisted", subject="Mathematics"),
]


async def publish(cohort: Instance, *books: Json) -> None:
    for number, one in enumerate(books):
        cohort.sets_clock(NOW + timedelta(hours=number))
        await cohort.publish(one)
        await sync_search(cohort.shared, one["identifier"])


@pytest.fixture
async def library(cohort: Instance) -> Instance:
    await publish(cohort, *BOOKS)
    return cohort


async def search(cohort: Instance, *roles: Role, **variables: Any) -> Json:
    found: Json = (await data(cohort.session("ann", *roles), CATALOGUE, **variables))["searchCollections"]
    return found


async def names(cohort: Instance, *roles: Role, **variables: Any) -> list[str]:
    found = await search(cohort, *roles, **variables)
    assert found["totalCount"] == len(found["edges"])
    return [edge["node"]["identifier"] for edge in found["edges"]]


async def test_the_catalogue_with_its_facets(library: Instance) -> None:
    found = await search(library, text="mathem")
    assert found["totalCount"] == 3
    facets = {facet["field"]: facet["values"] for facet in found["facets"]}
    assert facets == {
        "SUBJECT": [{"value": "Mathematics", "count": 2}, {"value": "Science", "count": 1}],
        "MEDIUM": [],
        "GRADE_LEVEL": [{"value": "Class 6", "count": 2}, {"value": "Class 5", "count": 1}],
        "BOARD": [],
        "PRIMARY_CATEGORY": [],
    }
    nodes = [edge["node"] for edge in found["edges"]]
    assert {node["identifier"] for node in nodes[:2]} == {"maths-5", "maths-6"}, "a name before a description"
    assert nodes[2] == {
        "identifier": "science-6",
        "name": "Science 6",
        "leafNodesCount": 1,
        "publishedOn": "2026-03-01T14:00:00.000Z",
        "metadata": {
            "description": "With some mathematics of heat",
            "subject": "Science",
            "gradeLevel": ["Class 6"],
        },
    }


async def test_without_a_text_everything_live_is_listed_by_name(library: Instance) -> None:
    assert await names(library) == ["maths-5", "maths-6", "science-6", "ganit"]
    assert await names(library, text="  ") == ["maths-5", "maths-6", "science-6", "ganit"]
    assert await names(library, text="***") == [], "signs are no words"


async def test_filters_hold_together_and_one_value_of_each_is_enough(library: Instance) -> None:
    async def those(**filter_: list[str]) -> list[str]:
        return await names(library, filter=filter_)

    assert await those(subject=["Mathematics"]) == ["maths-5", "maths-6", "ganit"]
    assert await those(subject=["Hindi", "Science"]) == ["science-6", "ganit"]
    assert await those(subject=["Mathematics"], gradeLevel=["Class 6", "Class 7"]) == ["maths-6"]
    assert await those(subject=[]) == await names(library)
    assert await those(medium=["Hindi"]) == ["ganit"]
    assert await names(library, text="mathem", filter={"gradeLevel": ["Class 6"]}) == ["maths-6", "science-6"]


async def test_a_unit_leads_to_its_collection(library: Instance) -> None:
    found = await search(library, text="fract")
    assert [(edge["node"]["identifier"], edge["units"]) for edge in found["edges"]] == [
        ("maths-5", [{"identifier": "maths-5-0", "name": "Fractions"}])
    ]
    both = await search(library, text="mathematics triangles")
    assert [edge["units"] for edge in both["edges"]] == [[{"identifier": "maths-5-1", "name": "Triangles"}]]
    hindi = await search(library, text="भिन्न")
    assert hindi["edges"][0]["units"] == [{"identifier": "ganit-0", "name": "भिन्न"}]
    assert {len(edge["units"]) for edge in (await search(library))["edges"]} == {0}


async def test_only_authors_find_what_is_not_live(library: Instance) -> None:
    unlisted = {"status": ["Unlisted", "Live"]}
    for role in (Role.CREATOR, Role.ADMIN, Role.SERVICE):
        assert "draft" in await names(library, role, filter=unlisted)
        assert "draft" not in await names(library, role), "who does not ask gets what everybody gets"
    for role in (Role.LEARNER, Role.MENTOR, Role.REPORTER):
        assert "draft" not in await names(library, role, text="draft mathematics")
        assert "draft" not in await names(library, role, filter={"status": ["Live"]})
        for asked in (unlisted, {"status": ["Unlisted"]}, {"status": ["live"]}):
            refused = await code(library.session("ann", role), CATALOGUE, filter=asked)
            assert refused == ("FORBIDDEN", "filter.status")
    nobody = library.session("ann")
    nobody.viewer = type(nobody.viewer)()
    assert (await code(nobody, CATALOGUE))[0] == "UNAUTHENTICATED"


async def test_the_order_is_as_asked(library: Instance) -> None:
    async def order(by: str, direction: str | None = None) -> list[str]:
        return await names(library, orderBy={"by": by, "direction": direction})

    assert await order("NAME") == ["maths-5", "maths-6", "science-6", "ganit"]
    assert await order("NAME", "DESC") == ["ganit", "science-6", "maths-6", "maths-5"]
    assert await order("LAST_PUBLISHED_ON") == ["ganit", "science-6", "maths-6", "maths-5"]
    assert await order("LAST_PUBLISHED_ON", "ASC") == ["maths-5", "maths-6", "science-6", "ganit"]
    # Leaves: 4, 2, 1, 2; of equal ones the identifier decides, upwards either way.
    assert await order("LEAF_NODES_COUNT") == ["maths-5", "ganit", "maths-6", "science-6"]
    assert await order("LEAF_NODES_COUNT", "ASC") == ["science-6", "ganit", "maths-6", "maths-5"]
    assert await order("RELEVANCE") == ["ganit", "maths-5", "maths-6", "science-6"], "all are alike"


async def test_pages_follow_each_other(library: Instance) -> None:
    for order in ({"by": "NAME", "direction": "DESC"}, {"by": "RELEVANCE"}, {"by": "LEAF_NODES_COUNT"}):
        whole = await search(library, text="mathem", orderBy=order)
        after, pages = None, []
        for _ in range(3):
            page = await search(library, text="mathem", orderBy=order, first=1, after=after)
            assert (page["totalCount"], page["facets"]) == (3, whole["facets"])
            pages += page["edges"]
            after = page["pageInfo"]["endCursor"]
        assert page["pageInfo"]["hasNextPage"] is False
        assert pages == whole["edges"]
    last = await search(library, text="mathem", orderBy=order, first=1, after=after)
    assert (last["edges"], last["totalCount"]) == ([], 3)


async def test_what_can_not_be_right_is_refused(library: Instance) -> None:
    ann = library.session("ann")
    page = await search(library, first=1)
    cursor = page["pageInfo"]["endCursor"]
    wrong: dict[str, Json] = {
        "first": {"first": 0},
        "text": {"text": "a" * 501},
        "filter.subject": {"filter": {"subject": ["x"] * 201}},
        "after": {"after": "nonsense"},
    }
    for field, variables in wrong.items():
        assert await code(ann, CATALOGUE, **variables) == ("INVALID_INPUT", field)
    of_another_order = {"after": cursor, "orderBy": {"by": "NAME", "direction": "DESC"}}
    assert await code(ann, CATALOGUE, **of_another_order) == ("INVALID_INPUT", "after")


async def test_a_hit_that_is_gone_or_hidden_meanwhile_is_left_out(library: Instance) -> None:
    """The index lags behind: maths-6 was retired and science-6 unlisted a moment ago."""
    for identifier, status in (("maths-6", "Retired"), ("science-6", "Unlisted")):
        await library.stores.rows.write(Write(CONTENTS, (identifier,), {"status": status}, insert=False))
        library.shared.library.contents.forget(identifier)
    assert (await library.stores.search.find(SearchQuery(filters={"status": ["Live"]}))).total >= 4
    found = await search(library, first=2)
    assert [edge["node"]["identifier"] for edge in found["edges"]] == ["maths-5"]
    after = found["pageInfo"]["endCursor"]
    rest = await search(library, first=2, after=after)
    assert [edge["node"]["identifier"] for edge in rest["edges"]] == ["ganit"], (
        "paging goes on behind what is left out"
    )


async def test_while_the_search_is_away_everything_else_answers(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(embedded, *BOOKS[:1])

    async def away(*_: object) -> None:
        raise StoreUnavailable("the search is away")

    monkeypatch.setattr(type(embedded.stores.search), "find", away)
    both = 'query { searchCollections { totalCount } collection(identifier: "maths-5") { name } }'
    answer = await ask(embedded.session("ann"), both)
    assert answer["data"] == {"searchCollections": None, "collection": {"name": "Mathematics 5"}}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["STORE_UNAVAILABLE"]


async def test_the_units_of_a_whole_page_are_one_search(embedded: Instance) -> None:
    await publish(embedded, *(book(f"b{number}", f"Book {number}", {"Heat": 1}) for number in range(20)))
    with embedded.stores.search.meter.measure() as searches:
        found = await search(embedded, text="heat")
    assert len(found["edges"]) == 20
    assert searches == {"search": 1, "search units": 1}
    with embedded.stores.search.meter.measure() as searches:
        await data(embedded.session("ann"), '{ searchCollections(text: "heat") { totalCount } }')
    assert searches == {"search": 1}
