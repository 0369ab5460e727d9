"""Every field says who may ask for it, in the schema as it is printed, and nobody else is let in."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InterfaceTypeDefinitionNode,
    ObjectTypeDefinitionNode,
    parse,
)

from graph.access import Access, access_of, check_before_fields, declared_by
from graph.documents.limits import Limits
from graph.errors import carry_out
from graph.execution.upstream import core_schema
from graph.fields import field, mutation
from graph.info import Info
from graph.reference import write_schema_pages
from graph.scalars import CONFIG
from graph.schema import PRINTED
from graph.subgraph import subgraph_of
from loaders.session import Session
from rules.viewers import Role, Viewer
from tests.conftest import Instance
from tests.test_rooms import ROOT

SUBGRAPH = subgraph_of(Limits())
"""The schema with all fields that it may have."""
CORE = core_schema(SUBGRAPH)
ROOTS = ("Query", "Mutation")


def fields() -> Iterator[tuple[str, str, GraphQLObjectType | GraphQLInterfaceType, GraphQLField]]:
    """Every field that a client can see, by its type and its name."""
    for kind in CORE.type_map.values():
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType) and not kind.name.startswith("__"):
            for name, field in kind.fields.items():
                yield kind.name, name, kind, field


def test_every_field_declares_who_may_ask_for_it_or_its_type_does() -> None:
    assert [f"{kind}.{name}" for kind, name, of, one in fields() if access_of(of, one) is None] == []


def test_every_root_field_declares_it_itself() -> None:
    """A root is no object that somebody was let have: what holds for one of its fields holds for no other."""
    assert [name for kind, name, _, one in fields() if kind in ROOTS and declared_by(one) is None] == []
    assert [declared_by(CORE.type_map[root]) for root in ROOTS] == [None, None]


def test_no_root_field_is_for_anybody() -> None:
    open_to_all = [name for kind, name, of, one in fields() if access_of(of, one) is Access.ANYBODY]
    assert open_to_all == []


def _printed(nodes: Any, within: str = "") -> Iterator[tuple[str, str]]:
    """Of types and their fields: the name, and the kind of access that stands there."""
    for node in nodes:
        if (name := getattr(node, "name", None)) is None:
            continue
        for directive in node.directives or ():
            if directive.name.value == "access":
                yield f"{within}{name.value}", directive.arguments[0].value.value
        if isinstance(node, ObjectTypeDefinitionNode | InterfaceTypeDefinitionNode):
            yield from _printed(node.fields, f"{name.value}.")


def test_the_printed_schema_says_what_is_declared() -> None:
    """Read back from the file that clients get, as a tool of theirs would."""
    printed = dict(_printed(parse(PRINTED.read_text()).definitions))
    printed |= {"Query._entities": "SIGNED_IN", "Query._service": "SIGNED_IN", "_Service": "WITH_OBJECT"}
    declared = {}
    for kind, name, of, asked in fields():
        for what, one in ((kind, declared_by(of)), (f"{kind}.{name}", declared_by(asked))):
            if one is not None:
                declared[what] = one.name
    assert printed == declared


def test_the_reference_says_it_of_each_call_and_type(tmp_path: Path) -> None:
    write_schema_pages(tmp_path)
    search, learners = (tmp_path / "learner_search.md").read_text(), (tmp_path / "learners.md").read_text()
    assert f"**For:** {Access.EVERY_LEARNER.value.sentence}" in search
    assert f"**For:** {Access.LEARNER.value.sentence}" in learners


@strawberry.type
class Unchecked:
    """Resolvers that check nothing."""

    @field(description="Of authors.", access=Access.AUTHORS)
    def drafts(self, info: Info) -> str:
        return "told"

    @field(description="Of everybody.", access=Access.SIGNED_IN)
    def tracking(self, info: Info) -> str:
        return "told"

    @field(description="Of nobody knows whom.")
    def forgotten(self, info: Info) -> str:
        return "told"


@strawberry.type
class Changed:
    done: bool | None
    codes: list[str]


@strawberry.type
class UncheckedChanges:
    @mutation(description="Of authors.", access=Access.AUTHORS)
    async def change(self, info: Info) -> Changed:
        async def command() -> bool:
            return True

        done, errors = await carry_out(info, command())
        return Changed(done=done, codes=[error.code for error in errors])


UNCHECKED = strawberry.Schema(Unchecked, UncheckedChanges, config=CONFIG)
check_before_fields(core_schema(UNCHECKED))

CALLERS: dict[str, tuple[Viewer, set[str], list[str]]] = {
    "anonymous": (Viewer(), set(), ["UNAUTHENTICATED"]),
    "learner": (
        Viewer("bob", frozenset({Role.LEARNER})),
        {"tracking", "forgotten"},
        ["FORBIDDEN"],
    ),
    "creator": (Viewer("cleo", frozenset({Role.CREATOR})), {"tracking", "forgotten", "drafts"}, []),
}
"""Who asks, what they are answered, and with what the change is refused."""


@pytest.mark.parametrize("caller", CALLERS)
async def test_what_is_declared_holds_where_a_resolver_checks_nothing(
    embedded: Instance, caller: str
) -> None:
    viewer, answered, refused = CALLERS[caller]
    session = Session(viewer, embedded.shared)
    for name in ("drafts", "tracking", "forgotten"):
        result = await UNCHECKED.execute(f"{{ {name} }}", context_value=session)
        assert (result.errors is None) == (name in answered), name
    result = await UNCHECKED.execute("mutation { change { done codes } }", context_value=session)
    assert result.data == {"change": {"done": None if refused else True, "codes": refused}}


def test_the_documentation_lists_the_kinds_of_access() -> None:
    listed = re.findall(r"^\| `([A-Z_]+)` \| (.+) \|$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert [row for row in listed if row[0] in Access.__members__] == [
        (access.name, access.value.sentence) for access in Access
    ]
