"""What a document may cost at most, told before anything of it is executed."""

from pathlib import Path
from typing import Any

import pytest
from graphql import parse

from graph.costs import costs_of
from graph.limits import Limits
from graph.schema import schema
from rules.viewers import Role
from tests.conftest import Instance
from tests.graph.conftest import DOCUMENTS, ask, data

MOST = Limits().cost


def cost(query: str, operation: str | None = None, **variables: Any) -> int:
    return costs_of(schema._schema, parse(query))[operation].of(variables)


async def refused(instance: Instance, query: str, **variables: Any) -> dict[str, Any]:
    answer = await ask(instance.session("ann"), query, **variables)
    assert answer["data"] is None
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    told: dict[str, Any] = error
    return told


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{ me { userId name } }", {}, 3),
        # A page is 20 unless told: me, enrolments, then edges, node and status of each.
        ("{ me { enrolments { edges { node { status } } } } }", {}, 2 + 20 * 3),
        ("{ me { enrolments(first: 200) { edges { node { status } } } } }", {}, 2 + 200 * 3),
        (
            "query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }",
            {"n": 50},
            2 + 50 * 3,
        ),
        ("query ($n: Int = 7) { me { enrolments(first: $n) { edges { node { status } } } } }", {}, 2 + 7 * 3),
        ("query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }", {}, 2 + 20 * 3),
        # Whoever asks for more than there may be is refused later, and not for the cost.
        ("{ me { enrolments(first: 1000000) { edges { node { status } } } } }", {}, 2 + 200 * 3),
        (
            "query ($n: Int) { me { enrolments(first: $n) { edges { node { status } } } } }",
            {"n": "x"},
            2 + 20 * 3,
        ),
        # The last ones are as many: collection, leafNodes, then edges, node and name of each.
        (
            'query ($n: Int, $m: Int) { collection(identifier: "c") { leafNodes(first: $m, last: $n) '
            "{ edges { node { name } } } } }",
            {"n": 150, "m": None},
            2 + 150 * 3,
        ),
        ('{ collection(identifier: "c") { leafNodes(last: 4) { edges { node { name } } } } }', {}, 2 + 4 * 3),
        # Pages within pages.
        (
            "{ me { groups(first: 30) { edges { node { members(first: 40) { edges { node { role } } } } } } } }",
            {},
            2 + 30 * (3 + 40 * 3),
        ),
        # As many as are named, in whatever way.
        ('{ collections(identifiers: ["a", "b", "a"]) { name } }', {}, 1 + 3),
        ('{ collections(identifiers: "a") { name } }', {}, 1 + 1),
        (
            "query ($ids: [String!]!) { collections(identifiers: $ids) { name } }",
            {"ids": ["a"] * 200},
            1 + 200,
        ),
        ("query ($a: String!) { collections(identifiers: [$a, $a]) { name } }", {"a": "a"}, 1 + 2),
        # Lists that nothing tells of have 10 members, pages of leaves 20, a text that is a whole tree counts as 50.
        ('{ collection(identifier: "a") { children { children { name } } } }', {}, 2 + 10 * (1 + 10 * 1)),
        ('{ collection(identifier: "a") { leafNodes { totalCount edges { cursor } } } }', {}, 2 + 20 * 3),
        ('{ collection(identifier: "a") { hierarchy } }', {}, 1 + 50),
        # Fragments wherever they are used, aliases each.
        (
            "{ a: me { ...f } b: me { ...f ... on Learner { ...f } } } fragment f on Learner { userId name }",
            {},
            2 + 3 * 2,
        ),
        (
            "query ($n: Int) { a: me { ...f } b: me { ...f } } "
            "fragment f on Learner { groups(first: $n) { edges { cursor } } }",
            {"n": 5},
            2 + 2 * (1 + 5 * 2),
        ),
    ],
)
def test_what_a_document_asks_for_is_counted(query: str, variables: dict[str, Any], expected: int) -> None:
    assert cost(query, **variables) == expected


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
    assert cost(query, **variables) - live == 2_000 * trees


async def test_one_list_of_200_trees_that_are_edited_is_allowed_and_two_are_not(embedded: Instance) -> None:
    ids = [f"c{number}" for number in range(200)]
    field = "collections(identifiers: $ids, mode: EDIT) { name }"
    creator = embedded.session("ann", Role.CREATOR)
    once = await data(creator, f"query ($ids: [String!]!) {{ {field} }}", ids=ids)
    assert once["collections"] == [None] * 200
    error = await refused(embedded, f"query ($ids: [String!]!) {{ a: {field} b: {field} }}", ids=ids)
    assert error["extensions"]["cost"] == 2 * (1 + 200 * (1 + 2_000))


def test_fragments_within_fragments_are_counted_in_time() -> None:
    """Each doubles the one before; counted naively, this takes 2^100 steps."""
    layers = 100
    fragments = "".join(f"fragment f{n} on Learner {{ ...f{n + 1} ...f{n + 1} }}" for n in range(layers))
    page = "groups(first: $n) { edges { cursor } }"
    query = f"query ($n: Int) {{ me {{ ...f0 }} }} {fragments} fragment f{layers} on Learner {{ {page} }}"
    assert cost(query, n=3) == 1 + 2**layers * (1 + 3 * 2)


def test_the_variables_of_each_operation_have_their_own_defaults() -> None:
    query = """query A($n: Int = 2) { me { ...page } } query B($n: Int = 100) { me { ...page } }
        fragment page on Learner { groups(first: $n) { edges { cursor } } }"""
    assert (cost(query, "A"), cost(query, "B")) == (2 + 2 * 2, 2 + 100 * 2)


@pytest.mark.parametrize("path", sorted(DOCUMENTS.glob("*.graphql")), ids=lambda path: path.stem)
def test_what_clients_ask_for_is_far_from_the_bound(path: Path) -> None:
    """With pages as long as they may be."""
    for found in costs_of(schema._schema, parse(path.read_text())).values():
        assert found.of({"first": 200}) < MOST / 5


async def test_two_pages_of_200_within_each_other_are_allowed(embedded: Instance) -> None:
    query = """query ($n: Int!) { me { groups(first: $n) { edges { node { members(first: $n) { edges { node {
        userId role status visited invited createdOn createdBy updatedOn updatedBy } } } } } } } }"""
    assert 400_000 < cost(query, n=200) < MOST
    await data(embedded.session("ann"), query, n=200)


async def test_the_same_id_again_and_again_under_aliases_is_refused(embedded: Instance) -> None:
    """45 times 200: the answer would have had 28 MB."""
    await embedded.publish()
    tree = "leafNodes(first: 100) { edges { node { identifier name kind mimeType } } }"
    aliases = " ".join(f"a{n}: collections(identifiers: $ids) {{ {tree} }}" for n in range(45))
    query = f"query ($ids: [String!]!) {{ {aliases} }}"
    expected = 45 * (1 + 200 * (1 + 100 * (1 + 1 + 4)))
    error = await refused(embedded, query, ids=["course"] * 200)
    assert error["extensions"] == {"code": "BAD_REQUEST", "cost": expected, "most": 500_000}
    assert error["message"].startswith(
        f"the answer may have {expected:,} values; at most 500,000 are allowed"
    )
    few = await data(embedded.session("ann"), query, ids=["course"] * 15)
    assert len(few["a44"]) == 15


async def test_an_id_that_is_named_twice_is_answered_twice(embedded: Instance) -> None:
    await embedded.publish()
    query = '{ collections(identifiers: ["course", "x", "course"]) { identifier leafNodesCount } }'
    course = {"identifier": "course", "leafNodesCount": 4}
    assert (await data(embedded.session("ann"), query))["collections"] == [course, None, course]
