"""Search of learners: who may, what is found, in which order (R-PEOPLE-1)."""

from datetime import timedelta
from typing import Any

import pytest

from ingest.commands.enrolments import EnrolmentCall, enrol
from ingest.commands.erasures import ErasureCall, erase
from ingest.commands.learners import ProfileCall, save_profile
from rules.errors import StoreUnavailable
from rules.viewers import Role
from tests.conftest import NOW, Instance
from tests.graph.conftest import ask, code, data, document

SEARCH = document("find_learners")
Json = dict[str, Any]

PEOPLE: dict[str, tuple[str | None, dict[str, str]]] = {
    "u-1": ("Ann Lovelace", {"region": "North", "age_band": "0-35"}),
    "u-2": ("Anna Love", {"region": "North", "age_band": "35-55"}),
    "u-3": ("Émile Ångström", {"region": "South"}),
    "u-4": ("गणित शर्मा", {}),
    "u-5": (None, {"region": "South"}),
    "ann": ("Zoe", {}),
}


@pytest.fixture
async def people(cohort: Instance) -> Instance:
    for user, (name, attributes) in PEOPLE.items():
        at = NOW - timedelta(days=1)
        await save_profile(cohort.session(), ProfileCall(name, dict(attributes), user, at))
    await cohort.drain()
    await cohort.index_learners()
    return cohort


async def search(cohort: Instance, **variables: Any) -> Json:
    found: Json = (await data(cohort.session("mo", Role.MENTOR), SEARCH, **variables))["searchLearners"]
    return found


async def users(cohort: Instance, **variables: Any) -> list[str]:
    found = await search(cohort, **variables)
    assert found["totalCount"] == len(found["edges"])
    return [edge["node"]["userId"] for edge in found["edges"]]


async def test_by_beginnings_of_words_of_the_name_and_of_the_user_id(people: Instance) -> None:
    found = await search(people, text="lov ann")
    assert found == {
        "totalCount": 2,
        "pageInfo": {"hasNextPage": False, "endCursor": found["edges"][1]["cursor"]},
        "edges": [
            {
                "cursor": found["edges"][0]["cursor"],
                "node": {"userId": "u-1", "name": "Ann Lovelace", "region": "North", "ageBand": "0-35"},
            },
            {
                "cursor": found["edges"][1]["cursor"],
                "node": {"userId": "u-2", "name": "Anna Love", "region": "North", "ageBand": "35-55"},
            },
        ],
    }
    assert await users(people, text="ann") == ["ann", "u-1", "u-2"], (
        "the user id itself, a whole word, a beginning"
    )
    assert await users(people, text="emile") == ["u-3"]
    assert await users(people, text="शर") == ["u-4"]
    assert await users(people, text="u-5") == ["u-5"]
    assert await users(people, text="***") == []
    assert await users(people, text=" ") == await users(people)


async def test_filters_and_orders(people: Instance) -> None:
    assert await users(people, filter={"region": ["North"]}) == ["u-1", "u-2"]
    assert await users(people, filter={"region": ["North", "South"], "ageBand": ["0-35"]}) == ["u-1"]
    assert await users(people, text="u", filter={"region": ["South"]}) == ["u-3", "u-5"]
    assert await users(people, filter={"region": []}) == await users(people)

    async def order(by: str, direction: str | None = None) -> list[str]:
        return await users(people, orderBy={"by": by, "direction": direction})

    # Ann Lovelace, Anna Love, Émile Ångström, Zoe, गणित शर्मा, without a name
    by_name = ["u-1", "u-2", "u-3", "ann", "u-4", "u-5"]
    assert await order("NAME") == by_name == await users(people)
    assert await order("NAME", "DESC") == by_name[::-1]
    assert await order("USER_ID") == ["ann", "u-1", "u-2", "u-3", "u-4", "u-5"]
    relevance = {"by": "RELEVANCE", "direction": "ASC"}
    assert await users(people, text="ann", orderBy=relevance) == ["u-2", "u-1", "ann"]


async def test_only_those_who_may_see_every_learner_search(people: Instance) -> None:
    for role in (Role.MENTOR, Role.REPORTER, Role.ADMIN, Role.SERVICE):
        answer = await data(people.session("mo", role), SEARCH, text="ann")
        assert answer["searchLearners"]["totalCount"] == 3
    for role in (Role.LEARNER, Role.CREATOR):
        assert (await code(people.session("ann", role), SEARCH, text="ann"))[0] == "FORBIDDEN"
        assert (await code(people.session("ann", role), SEARCH, first=0))[0] == "FORBIDDEN"
    nobody = people.session("ann")
    nobody.viewer = type(nobody.viewer)()
    assert (await code(nobody, SEARCH))[0] == "UNAUTHENTICATED"


async def test_pages_follow_each_other(people: Instance) -> None:
    for variables in (
        {"text": "ann"},
        {"orderBy": {"by": "NAME", "direction": "DESC"}},
        {"orderBy": {"by": "USER_ID"}, "filter": {"region": ["North", "South"]}},
    ):
        whole = await search(people, **variables)
        after, edges = None, []
        while True:
            page = await search(people, **variables, first=1, after=after)
            assert page["totalCount"] == whole["totalCount"]
            edges += page["edges"]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert edges == whole["edges"]


async def test_who_has_no_profile_is_found_by_the_whole_user_id_and_comes_first(course: Instance) -> None:
    await enrol(course.session("an"), EnrolmentCall("course", "batch"))
    for user in ("ann", "anton"):
        await save_profile(course.session(), ProfileCall("An Other", {}, user, NOW))
    await course.drain()
    await course.index_learners()
    assert await users(course, text="an") == ["an", "ann", "anton"]
    assert await users(course, text="an", orderBy={"by": "NAME", "direction": "DESC"}) == [
        "an",
        "anton",
        "ann",
    ]
    assert await users(course, text="a") == ["ann", "anton"], "not by a beginning"
    assert await users(course, text="an", filter={"region": ["North"]}) == []
    first = await search(course, text="an", first=1)
    assert (first["totalCount"], first["edges"][0]["node"]["name"]) == (3, None)
    rest = await search(course, text="an", first=2, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["userId"] for edge in rest["edges"]] == ["ann", "anton"]
    assert (rest["totalCount"], rest["pageInfo"]["hasNextPage"]) == (3, False)
    assert await users(course, text="nobody") == []
    assert await users(course, text="x" * 400) == []


async def test_an_erased_learner_is_not_found_even_before_the_index_follows(people: Instance) -> None:
    await erase(people.session("u-1"), ErasureCall())
    found = await search(people, text="lov ann")
    assert [edge["node"]["userId"] for edge in found["edges"]] == ["u-2"]
    await people.drain()
    await people.index_learners()
    assert await users(people, text="lov ann") == ["u-2"]


async def test_what_can_not_be_right_is_refused(people: Instance) -> None:
    mo = people.session("mo", Role.MENTOR)
    cursor = (await search(people, first=1))["pageInfo"]["endCursor"]
    wrong: list[tuple[str, Json]] = [
        ("first", {"first": 0}),
        ("first", {"first": 201}),
        ("text", {"text": "a" * 501}),
        ("text", {"text": "a\0b"}),
        ("text", {"text": " ".join(f"w{number}" for number in range(51))}),
        ("filter.region", {"filter": {"region": ["x"] * 201}}),
        ("after", {"after": "nonsense"}),
        ("after", {"after": cursor, "orderBy": {"by": "NAME", "direction": "DESC"}}),
        ("after", {"after": cursor, "text": "ann"}),
    ]
    for field, variables in wrong:
        assert await code(mo, SEARCH, **variables) == ("INVALID_INPUT", field), variables


async def test_a_search_that_is_away_is_an_error_and_all_else_goes_on(
    embedded: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("the learners is away")

    monkeypatch.setattr(type(embedded.stores.learner_search), "find", away)
    both = "{ searchLearners { totalCount } me { userId } }"
    answer = await ask(embedded.session("mo", Role.MENTOR), both)
    assert answer["data"] == {"searchLearners": None, "me": {"userId": "mo"}}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["STORE_UNAVAILABLE"]


async def test_a_page_is_one_search_and_one_statement(embedded: Instance) -> None:
    for number in range(40):
        await save_profile(embedded.session(), ProfileCall(f"Name {number}", {}, f"u{number:02}", NOW))
    await embedded.drain()
    await embedded.index_learners()
    for first in (2, 40):
        with (
            embedded.stores.learner_search.meter.measure() as searches,
            embedded.stores.rows.meter.measure() as statements,
        ):
            assert len((await search(embedded, first=first))["edges"]) == first
        assert searches == {"search learners": 1}
        assert sum(statements.values()) == 1, statements
