"""For how long a client may show an answer to a query by GET without asking again."""

from typing import Any

import pytest
from graphql import GraphQLObjectType
from strawberry.types import ExecutionResult

from gateway.graphql_http import seconds_left
from graph.access import Access, access_of
from graph.documents.lifetimes import HOLDING, Holds, Lifetimes
from graph.execution.upstream import core_schema
from graph.schema import schema
from tests.conftest import Instance
from tests.graph.conftest import application, client_of

LIFETIMES = Lifetimes(published=300, figures=60)
TREE = 'collection(identifier: "course") { name children { ...Unit } } '
UNIT = "fragment Unit on HierarchyNode { identifier children { name collection { version } } }"
TABLE = 'activityMetrics(query: {activityIds: ["course"], metrics: [ENROLLED_COUNT]}) { rows asOf }'


async def cache_control(instance: Instance, query: str, user: str = "ann", **parameters: Any) -> str:
    async with client_of(application(instance.shared, lifetimes=LIFETIMES), user) as client:
        answer = await client.get("/graphql", params={"query": query, **parameters})
    assert "errors" not in answer.json(), answer.text
    assert answer.headers["vary"].startswith("Accept, ")
    assert "Authorization" in answer.headers["vary"]
    return answer.headers["cache-control"]


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        (f"{{ {TREE} }} {UNIT}", 300),
        (f"query ($deep: Boolean = true) {{ ... @include(if: $deep) {{ {TREE} }} }} {UNIT}", 300),
        (f"{{ __typename {TREE} tracking {{ mode }} }} {UNIT}", 300),
        ("{ searchCollections(first: 5) { totalCount edges { node { ... on Collection { name } } } } }", 300),
        ('{ content(identifier: "a", mode: LIVE) { name } }', 300),
        # What is the viewer's own, or may change any moment, makes the whole answer one of this moment.
        (f"{{ {TREE} me {{ userId }} }} {UNIT}", 0),
        ('{ collection(identifier: "course") { name viewerProgress { completedCount } } }', 0),
        (
            '{ collection(identifier: "course") { name } again: collection(identifier: "course") { progress { completedCount } } }',
            0,
        ),
        ('{ collection(identifier: "course") { children { viewerView { status } } } }', 0),
        ('{ collection(identifier: "course") { contexts(first: 1) { totalCount } } }', 0),
        ("{ me { userId } }", 0),
        ("{ __typename }", 0),
        ("{ __schema { queryType { name } } }", 0),
    ],
)
async def test_published_collections_hold_for_a_while_and_what_is_ones_own_for_no_moment(
    published: Instance, query: str, seconds: int
) -> None:
    told = f"private, max-age={seconds}" if seconds else "private, no-cache"
    assert await cache_control(published, query) == told


async def test_by_variable_a_draft_may_be_asked_for_so_it_does_not_hold(published: Instance) -> None:
    query = 'query ($mode: HierarchyMode! = LIVE) { collection(identifier: "course", mode: $mode) { name } }'
    assert await cache_control(published, query) == "private, no-cache"


@pytest.mark.parametrize(
    ("published_for", "figures_for", "expected"), [(300, 60, 60), (10, 60, 10), (0, 60, 0), (300, 0, 0)]
)
async def test_the_least_of_the_fields_counts(published_for: int, figures_for: int, expected: int) -> None:
    lifetimes = Lifetimes(published_for, figures_for)
    assert lifetimes.least({Holds.PUBLISHED, Holds.FIGURES}) == expected
    assert lifetimes.least({Holds.PUBLISHED, Holds.FIGURES, None}) == 0
    assert lifetimes.least(()) == 0


def test_what_holds_is_in_the_schema_and_nothing_of_it_is_for_the_viewer_alone() -> None:
    """A field that answers by who asks, and says so, may not be kept; every name of the table is there."""
    types = core_schema(schema).type_map
    for (of, name), holds in HOLDING.items():
        kind = types[of]
        assert isinstance(kind, GraphQLObjectType)
        access = access_of(kind, kind.fields[name])
        expected = {Access.SIGNED_IN, Access.WITH_OBJECT}
        assert access in (expected | {Access.FIGURES} if holds is Holds.FIGURES else expected), (of, name)
        assert not name.startswith("viewer")
        assert name not in {"progress", "view", "package", "contexts"}


async def test_figures_hold_as_long_as_they_would_be_given_again(published: Instance) -> None:
    assert await cache_control(published, f"{{ {TABLE} }}", "admin") == "private, max-age=60"
    assert await cache_control(published, f"{{ {TREE} {TABLE} }} {UNIT}", "admin") == "private, max-age=60"


@pytest.mark.parametrize(
    ("plans", "seconds"),
    [
        ([], 60),
        ([{"origin": "computed", "age": 0.0}], 60),
        # 60 - 12.3 = 47.7: the older of two tables says how much is left.
        ([{"origin": "computed", "age": 0.0}, {"origin": "cached", "age": 12.3}], 47),
        ([{"origin": "cached", "age": 75.0}], 0),
        ([{"origin": "computed", "age": 0.0}, {"origin": "stale", "age": 5.0}], 0),
    ],
)
def test_figures_that_were_kept_hold_for_what_is_left(plans: list[dict[str, Any]], seconds: int) -> None:
    result = ExecutionResult(data={}, errors=None, extensions={"plans": plans})
    assert seconds_left(60, result) == seconds
