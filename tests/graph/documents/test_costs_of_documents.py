"""What a document may cost at most, told before anything of it is executed."""

from pathlib import Path
from typing import Any

import pytest
from graphql import parse

from graph.documents.costs import costs_of
from graph.schema import schema
from rules.prices import Budget, Price
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import DOCUMENTS, ask, data

MOST = Budget().most


def cost(query: str, operation: str | None = None, **variables: Any) -> Price:
    return costs_of(schema._schema, parse(query))[operation].of(variables)


async def refused(instance: Instance, query: str, **variables: Any) -> dict[str, Any]:
    answer = await ask(instance.session("ann"), query, **variables)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] in ("BAD_REQUEST", "TOO_EXPENSIVE")
    told: dict[str, Any] = error
    return told


def field(name: str, value: int) -> int:
    """Bytes of a field: its name in quotes, colon, comma, and room for brackets, 7 in all; then its value."""
    return len(name) + 7 + value


ME = field("me", 3)
ENROLMENTS = field("enrolments", 3)
EDGE = field("edges", 3) + field("node", 3)


@pytest.mark.parametrize(
    ("query", "variables", "members"),
    [
        # A page is 20 unless told.
        ("{ me { enrolments { edges { node { status } } } } }", {}, 20),
        ("{ me { enrolments(first: 200) { edges { node { status } } } } }", {}, 200),
        ("query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }", {"n": 50}, 50),
        ("query ($n: Int = 7) { me { enrolments(first: $n) { edges { node { status } } } } }", {}, 7),
        ("query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }", {}, 20),
        # Whoever asks for more than there may be is refused later, and not for the cost.
        ("{ me { enrolments(first: 1000000) { edges { node { status } } } } }", {}, 200),
        ("query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }", {"n": "x"}, 20),
        # The last ones are as many.
        (
            "query ($n: Int, $m: Int) { me { enrolments(first: $m, last: $n) { edges { node { status } } } } }",
            {"n": 150, "m": None},
            150,
        ),
        # Fragments on the page, on its edges and on its members.
        (
            "{ me { enrolments(first: 9) { ...p } } } fragment p on EnrolmentConnection { edges { ...e } } "
            "fragment e on EnrolmentEdge { node { ... on Enrolment { status } } }",
            {},
            9,
        ),
    ],
)
def test_a_page_costs_what_its_members_cost(query: str, variables: dict[str, Any], members: int) -> None:
    # 2 partitions for the list and 5 for each member; ``me`` reads nothing.
    alone = cost("{ me { enrolments(first: 1) { edges { node { status } } } } }")
    each = EDGE + field("status", 20)
    assert alone == Price(2 + 5, 0, ME + ENROLMENTS + each)
    assert cost(query, **variables) == Price(2 + 5 * members, 0, alone.bytes + each * (members - 1))


COLLECTIONS = field("collections", 0)
NAME = field("name", 40) + 3


@pytest.mark.parametrize(
    ("query", "variables", "read", "members"),
    [
        ('{ collections(identifiers: ["a", "b", "a"]) { name } }', {}, 2, 3),
        ('{ collections(identifiers: "a") { name } }', {}, 1, 1),
        (
            "query ($ids: [String!]!) { collections(identifiers: $ids) { name } }",
            {"ids": ["a"] * 200},
            1,
            200,
        ),
        ("query ($ids: [String!]!) { collections(identifiers: $ids) { name } }", {"ids": [*"abca"]}, 3, 4),
        ("query ($ids: [String!]!) { collections(identifiers: $ids) { name } }", {"ids": [{}, {}]}, 1, 2),
        ("query ($a: String!) { collections(identifiers: [$a, $a]) { name } }", {"a": "a"}, 1, 2),
    ],
)
def test_what_is_named_twice_is_read_once_and_answered_twice(
    query: str, variables: dict[str, Any], read: int, members: int
) -> None:
    assert cost(query, **variables) == Price(read, 0, COLLECTIONS + members * NAME)


def test_lists_within_lists_multiply_and_aliases_count_each() -> None:
    groups = "groups(first: 30) { edges { node { members(first: 40) { totalCount edges { node { learner { name } } } } } } }"
    once = cost(f"{{ me {{ {groups} }} }}")
    # 2 for the list of groups and 1 for each; of each group 2 for its members, and 1 for each name.
    assert once.partitions == 2 + 30 * (1 + 2 + 40 * 1)
    twice = cost(f"{{ a: me {{ {groups} }} b: me {{ {groups} }} }}")
    assert twice.partitions == 2 * once.partitions
    assert twice.bytes == 2 * (once.bytes - 1)  # "a" and "b" are shorter than "me"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # 8 for the tree, and the work of 2,000 bytes: one of a list of ten and their ten children each, as nothing tells of them.
        (
            '{ collection(identifier: "a") { children { children { name } } } }',
            Price(
                1 + 8,
                0,
                field("collection", 3) + field("children", 2_000) + 10 * (field("children", 3) + 10 * NAME),
            ),
        ),
        (
            '{ collection(identifier: "a") { hierarchy } }',
            Price(1 + 2, 0, field("collection", 3) + field("hierarchy", 100_000)),
        ),
        # Each table as if it counted 60,000 states.
        (
            "{ a: activityMetrics(query: {metrics: []}) { asOf } b: activityMetrics(query: {metrics: []}) { asOf } }",
            Price(2 * 5, 2 * 60_000, 2 * (field("a", 3) + field("asOf", 26))),
        ),
        # Fragments wherever they are used.
        (
            "{ a: me { ...f } b: me { ...f ... on Learner { ...f } } } fragment f on Learner { name }",
            Price(3, 0, 2 * (field("a", 3)) + 3 * field("name", 40)),
        ),
    ],
)
def test_what_nothing_tells_of_costs_what_is_usual(query: str, expected: Price) -> None:
    assert cost(query) == expected


@pytest.mark.parametrize(
    ("members", "items"),
    [("{}", 0), ('{remove: ["a", "b"]}', 2), ('{add: [{userId: "a"}, {userId: "b"}], remove: ["c"]}', 3)],
)
def test_a_change_costs_more_for_each_member_of_the_lists_in_its_input(members: str, items: int) -> None:
    literal = (
        f'mutation {{ updateGroup(input: {{groupId: "g", members: {members}}}) {{ group {{ name }} }} }}'
    )
    assert cost(literal).partitions == 20 + 4 * items
    query = "mutation ($i: UpdateGroupInput!) { updateGroup(input: $i) { group { name } } }"
    assert cost(query, i={"groupId": "g", "members": {"remove": ["x"] * items}}).partitions == 20 + 4 * items


@pytest.mark.parametrize(
    ("query", "variables", "trees"),
    [
        ('{ collection(identifier: "a", mode: EDIT) { name } }', {}, 1),
        ('{ hierarchyNode(identifier: "a", mode: EDIT) { name } }', {}, 1),
        ('{ collection(identifier: "a", mode: LIVE) { name } }', {}, 0),
        ('{ collections(identifiers: ["a", "b"], mode: EDIT) { name } }', {}, 2),
        ("query ($m: HierarchyMode!) { a: collection(identifier: 1, mode: $m) { name } }", {"m": "EDIT"}, 1),
        ("query ($m: HierarchyMode!) { a: collection(identifier: 1, mode: $m) { name } }", {"m": "LIVE"}, 0),
        (
            "query ($i: [String!]!, $m: HierarchyMode! = EDIT) { collections(identifiers: $i, mode: $m) { name } }",
            {"i": ["a", "b", "c"]},
            3,
        ),
        ('{ content(identifier: "a", mode: EDIT) { name } }', {}, 0),  # a draft alone
    ],
)
def test_a_tree_that_is_edited_costs_what_it_takes(query: str, variables: dict[str, Any], trees: int) -> None:
    live = cost(query.replace("EDIT", "LIVE"), **variables | ({"m": "LIVE"} if "m" in variables else {}))
    assert cost(query, **variables).partitions - live.partitions == 80 * trees


async def test_one_list_of_200_trees_that_are_edited_is_allowed_and_two_are_not(embedded: Instance) -> None:
    ids = [f"c{number}" for number in range(200)]
    field = "collections(identifiers: $ids, mode: EDIT) { name }"
    creator = embedded.session("ann", Role.CREATOR)
    once = await data(creator, f"query ($ids: [String!]!) {{ {field} }}", ids=ids)
    assert once["collections"] == [None] * 200
    error = await refused(embedded, f"query ($ids: [String!]!) {{ a: {field} b: {field} }}", ids=ids)
    assert error["extensions"]["cost"]["partitions"] == 2 * 200 * (1 + 80)


def test_fragments_within_fragments_are_counted_in_time() -> None:
    """Each doubles the one before; counted naively, this takes 2^100 steps."""
    layers = 100
    fragments = "".join(f"fragment f{n} on Learner {{ ...f{n + 1} ...f{n + 1} }}" for n in range(layers))
    page = "groups(first: $n) { edges { cursor } }"
    query = f"query ($n: Int) {{ me {{ ...f0 }} }} {fragments} fragment f{layers} on Learner {{ {page} }}"
    once = cost("{ me { groups(first: 3) { edges { cursor } } } }")
    assert cost(query, n=3).partitions == 2**layers * once.partitions


def test_the_variables_of_each_operation_have_their_own_defaults() -> None:
    query = """query A($n: Int = 2) { me { ...page } } query B($n: Int = 100) { me { ...page } }
        fragment page on Learner { groups(first: $n) { edges { cursor } } }"""
    assert (cost(query, "A").partitions, cost(query, "B").partitions) == (2 + 2, 2 + 100)


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.graphql")), ids=lambda path: path.stem)
def test_what_clients_ask_for_is_far_from_the_bound(path: Path) -> None:
    """A fifth of it as they are, and within it with pages of 100."""
    for found in costs_of(schema._schema, parse(path.read_text())).values():
        for variables, part in (({}, 5), ({"first": 100}, 1)):
            price = found.of(variables)
            assert price.partitions < MOST.partitions / part
            assert price.druid_rows < MOST.druid_rows / part
            assert price.bytes < MOST.bytes / part


async def test_two_pages_of_200_within_each_other_are_allowed(embedded: Instance) -> None:
    query = """query ($n: Int!) { me { groups(first: $n) { edges { node { members(first: $n) { edges { node {
        userId role status visited invited createdOn createdBy updatedOn updatedBy } } } } } } } }"""
    assert MOST.bytes / 2 < cost(query, n=200).bytes < MOST.bytes
    await data(embedded.session("ann"), query, n=200)


async def test_an_id_that_is_named_twice_is_answered_twice(embedded: Instance) -> None:
    await embedded.publish()
    query = '{ collections(identifiers: ["course", "x", "course"]) { identifier leafNodesCount } }'
    course = {"identifier": "course", "leafNodesCount": 4}
    assert (await data(embedded.session("ann"), query))["collections"] == [course, None, course]
