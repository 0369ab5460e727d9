"""Cohort as a subgraph: what a router is told, and what it is answered about what other subgraphs name (R-SUPER-1, R-SUPER-2)."""

from functools import cache
from typing import Any

import pytest
from graphql import ConstDirectiveNode, ObjectTypeDefinitionNode, parse
from typer.testing import CliRunner

from gateway.cli import app
from graph.documents.costs import costs_of
from graph.documents.limits import Limits
from graph.entities import ENTITIES
from graph.execution.upstream import core_schema
from graph.schema import schema
from graph.subgraph import subgraph_of, subgraph_sdl
from ingest.commands.learners import ProfileCall, save_profile
from loaders.session import Session
from resolvers.opaque_texts import encode
from resolvers.paging import MOST
from rules.prices import Price
from rules.viewers import Viewer
from tests.access_matrix import CALLERS, make_school
from tests.conftest import NOW, READS, Instance
from tests.graph.conftest import Answer, ask

SUBGRAPH = subgraph_of(Limits())
ENTITIES_OF = """query ($representations: [_Any!]!) { _entities(representations: $representations) {
    __typename
    ... on Learner { userId name }
    ... on Collection { identifier }
    ... on Context { contextId }
    ... on Group { groupId }
} }"""


async def entities(session: Session, *representations: Any) -> Answer:
    return await ask(session, ENTITIES_OF, of=SUBGRAPH, representations=list(representations))


def told(answer: Answer) -> list[tuple[list[Any], str, str | None]]:
    """Of each error: the path, the code and the field."""
    return [
        (error["path"], error["extensions"]["code"], error["extensions"].get("field"))
        for error in answer.get("errors", [])
    ]


def learner(user_id: str) -> dict[str, str]:
    return {"__typename": "Learner", "userId": user_id}


# --- what a router is told: Apollo's assertions about subgraphs, as far as Cohort has what they are about


@cache
def types() -> dict[str, ObjectTypeDefinitionNode]:
    return {
        one.name.value: one
        for one in parse(subgraph_sdl()).definitions
        if isinstance(one, ObjectTypeDefinitionNode)
    }


def arguments(directive: ConstDirectiveNode) -> dict[str, Any]:
    return {one.name.value: getattr(one.value, "value", None) for one in directive.arguments or ()}


def directives(of: str) -> list[tuple[str, dict[str, Any]]]:
    return [(one.name.value, arguments(one)) for one in types()[of].directives or ()]


async def test_the_service_tells_who_has_a_token_its_schema(embedded: Instance) -> None:
    asked = "{ _service { sdl } }"
    answer = await ask(embedded.session("ann"), asked, of=SUBGRAPH)
    assert answer["data"] == {"_service": {"sdl": subgraph_sdl()}}
    refused = await ask(Session(Viewer(), embedded.shared), asked, of=SUBGRAPH)
    assert "data" not in refused or refused["data"] is None
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]


async def test_it_tells_nobody_where_the_schema_is_told_to_nobody(embedded: Instance) -> None:
    closed = subgraph_of(Limits(introspection="off"))
    refused = await ask(embedded.session("ann"), "{ again: _service { sdl } }", of=closed)
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["FORBIDDEN"]
    known = '{ _entities(representations: [{ __typename: "Learner", userId: "ann" }]) { __typename } }'
    answer = await ask(embedded.session("ann"), known, of=closed)
    assert answer["data"] == {"_entities": [{"__typename": "Learner"}]}


def test_the_command_prints_what_the_service_tells() -> None:
    printed = CliRunner().invoke(app, ["schema", "--federation"])
    assert (printed.exit_code, printed.output) == (0, subgraph_sdl())


def test_it_links_the_version_and_what_it_imports() -> None:
    assert subgraph_sdl().startswith(
        'extend schema @link(url: "https://specs.apollo.dev/federation/v2.0", import: ["@key", "@shareable"])\n'
    )


def test_each_entity_has_its_natural_key_and_the_global_id() -> None:
    assert {name: directives(name) for name in ENTITIES} == {
        "Collection": [("key", {"fields": "identifier"}), ("key", {"fields": "id"})],
        "Context": [("key", {"fields": "contextId"}), ("key", {"fields": "id"})],
        "Group": [("key", {"fields": "groupId"}), ("key", {"fields": "id"})],
        "Learner": [("key", {"fields": "userId"}), ("key", {"fields": "id"})],
    }


def test_pages_of_lists_are_shareable_and_nothing_else_is() -> None:
    assert [name for name in types() if ("shareable", {}) in directives(name)] == ["PageInfo"]


def test_a_router_is_told_all_that_clients_are_told_but_who_may_ask() -> None:
    composed = {name: {one.name.value for one in kind.fields or ()} for name, kind in types().items()}
    for name, kind in core_schema(schema).type_map.items():
        if name in composed:
            assert composed[name] == set(kind.fields)  # type: ignore[attr-defined]
    assert {"Query", "Mutation", *ENTITIES} <= composed.keys()
    assert "@access" not in subgraph_sdl()


async def test_clients_do_not_have_the_fields_of_routers_unless_it_is_set(embedded: Instance) -> None:
    answer = await ask(embedded.session("ann"), "{ _service { sdl } }")
    assert answer["errors"][0]["message"].startswith("Cannot query field '_service'")


# --- entities


async def test_entities_are_found_by_either_key_and_in_order(cohort: Instance) -> None:
    await make_school(cohort)
    found = await entities(
        cohort.session("lea"),
        {"__typename": "Group", "groupId": "g"},
        {"__typename": "Context", "id": encode("Context", "batch")},
        learner("lea"),
        {"__typename": "Collection", "identifier": "course", "name": "of another subgraph"},
        {"__typename": "Group", "id": encode("Group", "g")},
    )
    assert found == {
        "data": {
            "_entities": [
                {"__typename": "Group", "groupId": "g"},
                {"__typename": "Context", "contextId": "batch"},
                {"__typename": "Learner", "userId": "lea", "name": None},
                {"__typename": "Collection", "identifier": "course"},
                {"__typename": "Group", "groupId": "g"},
            ]
        }
    }


async def test_what_is_not_there_or_not_for_the_caller_is_null_with_its_error(embedded: Instance) -> None:
    """The others are answered, and access is that of `node`."""
    await make_school(embedded)
    bob = embedded.session("bob")
    named = {
        "Learner": ("userId", "ann"),
        "Group": ("groupId", "g"),
        "Collection": ("identifier", "none"),
        "Context": ("contextId", "none"),
    }
    answer = await entities(
        bob, learner("bob"), *({"__typename": kind, key: value} for kind, (key, value) in named.items())
    )
    assert answer["data"]["_entities"] == [
        {"__typename": "Learner", "userId": "bob", "name": None},
        *[None] * 4,
    ]
    codes = {path[1]: code for path, code, _ in told(answer)}
    assert codes == {1: "FORBIDDEN", 2: "FORBIDDEN", 3: "NOT_FOUND", 4: "NOT_FOUND"}
    for place, (kind, (_, value)) in enumerate(named.items(), 1):
        by_id = await ask(bob, f'{{ node(id: "{encode(kind, value)}") {{ id }} }}')
        assert by_id["errors"][0]["extensions"]["code"] == codes[place]


SHAPES: list[tuple[Any, str]] = [
    ("Learner", "representations"),
    (7, "representations"),
    ([learner("ann")], "representations"),
    ({}, "__typename"),
    ({"__typename": None}, "__typename"),
    ({"__typename": ["Learner"], "userId": "ann"}, "__typename"),
    ({"__typename": "Enrolment", "id": "x"}, "__typename"),
    ({"__typename": "Learner"}, "userId"),
    ({"__typename": "Learner", "userId": None}, "userId"),
    ({"__typename": "Learner", "userId": 7}, "userId"),
    ({"__typename": "Learner", "userId": {"a": 1}}, "userId"),
    ({"__typename": "Learner", "userId": " "}, "userId"),
    ({"__typename": "Learner", "userId": "a" * 10_000}, "userId"),
    ({"__typename": "Learner", "id": "é"}, "id"),
    ({"__typename": "Learner", "id": encode("Group", "g")}, "id"),
    ({"__typename": "Learner", "id": encode("Learner", "a", "b")}, "id"),
]


async def test_each_wrong_representation_is_told_at_its_place(embedded: Instance) -> None:
    answer = await entities(embedded.session("ann"), *(shape for shape, _ in SHAPES), learner("ann"))
    assert answer["data"]["_entities"] == [
        *[None] * len(SHAPES),
        {"__typename": "Learner", "userId": "ann", "name": None},
    ]
    assert sorted(told(answer)) == [
        (["_entities", place], "INVALID_INPUT", field) for place, (_, field) in enumerate(SHAPES)
    ]


async def test_literals_in_a_document_are_representations_too(embedded: Instance) -> None:
    asked = '{ _entities(representations: [{ __typename: "Learner", userId: "ann" }, 7]) { __typename } }'
    answer = await ask(embedded.session("ann"), asked, of=SUBGRAPH)
    assert answer["data"] == {"_entities": [{"__typename": "Learner"}, None]}


async def test_so_many_representations_are_answered_and_no_more(embedded: Instance) -> None:
    most = await entities(embedded.session("ann"), *[learner("ann")] * MOST)
    assert len(most["data"]["_entities"]) == MOST
    more = await entities(embedded.session("ann"), *[learner("ann")] * (MOST + 1))
    assert told(more) == [(["_entities"], "INVALID_INPUT", "representations")]
    none = await entities(embedded.session("ann"))
    assert none == {"data": {"_entities": []}}


# --- what they cost


@pytest.fixture
def statements(embedded: Instance, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Statements that read rows, as they are made: the table, and how many rows or partitions are named."""
    made: list[tuple[str, int]] = []
    rows = type(embedded.shared.stores.rows)

    def counted(name: str) -> None:
        method = getattr(rows, name)

        async def read(self: Any, table: Any, keys: Any, *more: Any, **named: Any) -> Any:
            made.append((table.name, 1 if isinstance(keys, tuple) else len(keys)))
            return await method(self, table, keys, *more, **named)

        monkeypatch.setattr(rows, name, read)

    for name in READS:
        counted(name)
    return made


async def test_many_of_a_type_are_read_by_one_statement(
    embedded: Instance, statements: list[tuple[str, int]]
) -> None:
    service, users = embedded.session(), [f"u{number}" for number in range(30)]
    for user in users:
        await save_profile(service, ProfileCall(user.upper(), {}, user, NOW))
    statements.clear()
    answer = await entities(embedded.session(), *map(learner, users), *map(learner, users))
    assert [one["name"] for one in answer["data"]["_entities"]] == [user.upper() for user in users] * 2
    assert statements == [("learner", 30)]


async def test_many_of_each_type_are_read_by_few_statements(
    embedded: Instance, statements: list[tuple[str, int]]
) -> None:
    """Of learners without a profile the enrolments and views are looked at, too: what is known of them is all there is."""
    await make_school(embedded)
    groups = [{"__typename": "Group", "groupId": f"g-{caller}"} for caller in CALLERS]
    contexts = [{"__typename": "Context", "contextId": one} for one in ("batch", "other", "none")]
    for context_id in ("batch", "other"):
        embedded.shared.library.contexts.forget(context_id)
    statements.clear()
    answer = await entities(embedded.session(), *groups, *contexts, *[learner(f"none{n}") for n in range(9)])
    assert [code for _, code, _ in told(answer)] == ["NOT_FOUND"] * 10
    assert sorted(statements) == [
        ("context", 3),
        *[("group_member", len(groups))] * 2,  # the version of each group's members, and they themselves
        ("learner", 9),
        ("learner_group", len(groups)),
        ("learner_scope", 9),
        ("user_enrolments", 9),
    ]


def price(*representations: Any, asked: str = "... on Learner { userId }", more: str = "") -> Price:
    document = parse(f"query ($of: [_Any!]!) {{ _entities(representations: $of) {{ {asked} }} }} {more}")
    return costs_of(core_schema(SUBGRAPH), document)[None].of({"of": list(representations)})


def test_each_different_representation_has_its_price() -> None:
    """Two partitions for each that is read, and the bytes of each that is answered."""
    assert price(learner("a")).partitions == 2
    assert price(learner("a"), learner("b"), learner("a")).partitions == 2 * 2
    assert price(*[learner("a")] * 3).bytes > price(learner("a")).bytes
    assert price({"__typename": "Learner", "userId": ["a"]}, 7, None).partitions == 3 * 2


LEARNERS = "... on Learner { name enrolments(first: 20) { edges { node { status } } } }"
GROUPS = "... on Group { members(first: 50) { edges { node { role } } } }"
COLLECTION = {"__typename": "Collection", "identifier": "course"}
GROUP = {"__typename": "Group", "groupId": "g"}


def test_each_representation_has_the_price_of_what_is_asked_of_its_type() -> None:
    """A router asks for all types in one document, and often names one of them."""
    both = f"__typename {LEARNERS} {GROUPS}"
    assert price(learner("a"), asked=both) == price(learner("a"), asked=f"__typename {LEARNERS}")
    assert price(GROUP, asked=both) == price(GROUP, asked=f"__typename {GROUPS}")
    assert price(COLLECTION, asked=both) == price(COLLECTION, asked="__typename")
    mixed = price(learner("a"), learner("b"), GROUP, COLLECTION, asked=both).partitions
    # 2 for each of the four; of each learner a name, and 2 and 5 for each enrolment of a page; of the group 2 for its members.
    assert mixed == 4 * 2 + 2 * (1 + 2 + 20 * 5) + 2


def test_fragments_within_fragments_count_for_the_types_that_they_are_on() -> None:
    named = "fragment of on Node { id ...all } "
    named += f"fragment all on _Entity {{ ... on Node {{ {LEARNERS} {GROUPS} }} }}"
    for one, own in ((learner("a"), LEARNERS), (GROUP, GROUPS)):
        assert price(one, asked="...of", more=named) == price(one, asked=f"... on Node {{ id }} {own}")


def test_representations_in_the_document_itself_are_priced_by_their_types_too() -> None:
    asked = '{ _entities(representations: [{ __typename: "Learner", userId: $id }, { __typename: "Group", groupId: "g" }]) '
    document = parse(f"query ($id: String!) {asked} {{ {LEARNERS} {GROUPS} }} }}")
    written = costs_of(core_schema(SUBGRAPH), document)[None].of({"id": "a"})
    assert written == price(learner("a"), GROUP, asked=f"{LEARNERS} {GROUPS}")
