"""The schema as a subgraph of a supergraph, by the specification of Apollo Federation 2: the schema that clients have, and two
fields for the router in front of it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

import strawberry
from graphql import ConstDirectiveNode, DefinitionNode, DocumentNode, parse, print_ast

from graph.access import Access, to
from graph.collections import Collection
from graph.contexts import Context
from graph.documents.introspection import SERVICE
from graph.entities import ENTITIES, REPRESENTATIONS, entities
from graph.fields import field
from graph.info import Info
from graph.learner_groups import Group
from graph.learners import Learner
from graph.scalars import Representation
from graph.schema import CohortSchema, Limits, Query, build_schema, printed_schema
from resolvers.paging import MOST

SPECIFICATION = "https://specs.apollo.dev/federation/v2.0"
"""The first version, which every router of Federation 2 reads: it has all that is imported."""
SHAREABLE = ("PageInfo",)
"""Types that other subgraphs may have as well, field by field: Relay's specification says what a page is."""
_OURS = frozenset({"access", "Access"})
"""A directive and its enum that no router is told: the enum would be a type of the whole supergraph. Access is checked here."""

_DIRECTIVES: Mapping[str, str] = {
    **{name: " ".join(f'@key(fields: "{key}")' for key in entity.keys) for name, entity in ENTITIES.items()},
    **dict.fromkeys(SHAREABLE, "@shareable"),
}
_LINK = f'extend schema @link(url: "{SPECIFICATION}", import: ["@key", "@shareable"])'


@cache
def subgraph_sdl() -> str:
    """The schema of clients as a router composes it: with keys and with what may be shared, without who may ask for what."""
    clients = parse(printed_schema(), no_location=True)
    told = [_for_routers(one) for one in clients.definitions if _name(one) not in _OURS]
    return f"{_LINK}\n\n{print_ast(DocumentNode(definitions=tuple(told)))}\n"


def _for_routers(definition: DefinitionNode) -> DefinitionNode:
    node: Any = definition
    name = _name(definition)
    changes: dict[str, Any] = {}
    if getattr(node, "fields", None):
        changes["fields"] = tuple(replace(one, directives=_others(one)) for one in node.fields)
    if hasattr(node, "directives"):
        added = parse(f"type {name} {_DIRECTIVES[name]}").definitions if name in _DIRECTIVES else ()
        changes["directives"] = (*_others(node), *(one for each in added for one in _directives(each)))
    return replace(node, **changes) if changes else definition


def _name(definition: DefinitionNode) -> str:
    name = getattr(definition, "name", None)
    return "" if name is None else str(name.value)


def _directives(node: Any) -> tuple[ConstDirectiveNode, ...]:
    return tuple(node.directives or ())


def _others(node: Any) -> tuple[ConstDirectiveNode, ...]:
    return tuple(one for one in _directives(node) if one.name.value not in _OURS)


@strawberry.type(
    name="_Service", description="What a router asks of a subgraph.", directives=[to(Access.WITH_OBJECT)]
)
class Service:
    sdl: str = strawberry.field(description="The schema, in the words of Apollo Federation 2.")


_Entity = Annotated[
    Collection | Context | Group | Learner,
    strawberry.union("_Entity", description="What other subgraphs may name by a key."),
]


@strawberry.type(name="Query", description="What can be asked, by clients and by the router of a supergraph.")
class SubgraphQuery(Query):
    @field(
        description="The schema as a router composes it.",
        name=SERVICE,
        access=Access.SIGNED_IN,
    )
    def service(self) -> Service:
        return Service(sdl=subgraph_sdl())

    @field(
        description="Entities in the order of what names them; null, with an error, where there is none or the viewer may not "
        "see it. As by `node`, and read together.",
        name="_entities",
        graphql_type=list[_Entity | None],
        access=Access.SIGNED_IN,
    )
    async def entities(
        self,
        info: Info,
        representations: Annotated[
            list[Representation],
            strawberry.argument(
                name=REPRESENTATIONS, description=f"What names them, at most {MOST}: `__typename` and a key."
            ),
        ],
    ) -> list[Any]:
        return await entities(info.context, representations)


@cache
def subgraph_of(limits: Limits) -> CohortSchema:
    """The schema with these limits, as a subgraph, of which there is one in a process."""
    subgraph_sdl()  # so that no request waits for it
    return build_schema(limits, SubgraphQuery)
