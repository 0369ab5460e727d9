"""The reference by noun: pages of the documentation that are made of the schema, so that they say what it says."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    Undefined,
)

from graph.access import Access, declared_by
from graph.documents.limits import Limits
from graph.execution.upstream import core_schema
from graph.subgraph import subgraph_of

ROOTS = ("Query", "Mutation")
_TITLES = {
    "assessment_scores": "Scores",
    "collection_search": "Search of collections",
    "draft_inputs": "Drafts: inputs",
    "errors": "Errors",
    "group_activities": "Activities of groups",
    "learner_groups": "Groups of learners",
    "metrics": "Figures",
    "node": "Ids",
    "paging": "Pages of lists",
    "scalars": "Scalars",
    "subgraph": "Supergraphs",
}
"""Of modules whose names are not the noun."""


def write_schema_pages(folder: Path) -> None:
    """Writes a page for each noun and an index into the folder. A noun is a module of ``graph/``: what is declared together
    is told together."""
    folder.mkdir(exist_ok=True)
    built = core_schema(subgraph_of(Limits()))
    by_noun: defaultdict[str, list[GraphQLNamedType]] = defaultdict(list)
    for one in built.type_map.values():
        if not one.name.startswith("__") and one.name not in ROOTS:
            by_noun[_noun_of(one)].append(one)
    calls = {root: _calls_by_noun(built, root) for root in ROOTS}
    nouns = {*by_noun, *(noun for of_root in calls.values() for noun in of_root)}
    for noun in nouns:
        lines = [f"# {title(noun)}", ""]
        for root in ROOTS:
            lines += _calls(root, calls[root].get(noun, {}))
        for one in sorted(by_noun[noun], key=lambda one: one.name):
            lines += _type(one)
        (folder / f"{noun}.md").write_text("\n".join(lines), encoding="utf-8")
    names = sorted(nouns, key=title)
    index = [
        "# Reference by noun",
        "",
        "What the schema says of each noun: calls, types, fields, arguments.",
        "",
    ]
    index += ["```{toctree}", ":maxdepth: 1", "", *names, "```", ""]
    (folder / "index.md").write_text("\n".join(index), encoding="utf-8")


def title(noun: str) -> str:
    return _TITLES.get(noun) or noun.replace("_", " ").capitalize()


def _noun_of(one: GraphQLNamedType) -> str:
    """The module of ``graph/`` that declares a type. Generic types, such as pages of lists, are of what they are made of."""
    definition = one.extensions.get("strawberry-definition")
    origin = getattr(definition, "origin", None) or getattr(definition, "wrapped_cls", None)
    module = getattr(origin, "__module__", "")
    if one.name.startswith("_"):
        return "subgraph"  # names that the specification of federation keeps for itself
    if isinstance(one, GraphQLScalarType):
        return "scalars"
    name = module.removeprefix("graph.") if module.startswith("graph.") else "enums"
    return "paging" if one.name.endswith(("Connection", "Edge")) else name


def _calls_by_noun(built: GraphQLSchema, root: str) -> dict[str, dict[str, GraphQLField]]:
    """The fields of a root by the noun of what they answer."""
    found: defaultdict[str, dict[str, GraphQLField]] = defaultdict(dict)
    of = built.type_map[root]
    assert isinstance(of, GraphQLObjectType)  # noqa: S101 - the roots are
    for name, field in of.fields.items():
        definition = field.extensions.get("strawberry-definition")
        resolver = getattr(getattr(definition, "base_resolver", None), "wrapped_func", None)
        noun = getattr(resolver, "__module__", "").removeprefix("graph.")
        found["node" if noun == "schema" else noun][name] = field  # the schema itself finds what has an id
    return found


def _calls(root: str, fields: dict[str, GraphQLField]) -> Iterator[str]:
    for name, field in sorted(fields.items()):
        yield from (f"## {root.lower()} `{name}`", "", _text(field.description), "")
        yield from (f"Answers `{field.type}`. {_for_whom(declared_by(field))}".strip(), "")
        yield from _table(field.args)


def _type(one: GraphQLNamedType) -> Iterator[str]:
    yield from (f"## {_kind(one)} `{one.name}`", "", _text(one.description), "")
    if isinstance(one, GraphQLEnumType):
        yield from ("| value | what it means |", "| --- | --- |")
        for name, value in one.values.items():
            yield f"| `{name}` | {_cell(value.description, value.deprecation_reason)} |"
    elif isinstance(one, GraphQLObjectType | GraphQLInterfaceType):
        if implemented := ", ".join(f"`{interface.name}`" for interface in one.interfaces):
            yield from (f"Implements {implemented}.", "")
        if for_whom := _for_whom(declared_by(one)):
            yield from (for_whom, "")
        yield from ("| field | type | what it is |", "| --- | --- | --- |")
        for name, field in one.fields.items():
            arguments = "".join(f", {arg}: {_of(value)}" for arg, value in field.args.items()).lstrip(", ")
            shown = f"{name}({arguments})" if arguments else name
            told = f"{_text(field.description)} {_for_whom(declared_by(field))}".strip()
            yield f"| `{shown}` | `{field.type}` | {_cell(told, field.deprecation_reason)} |"
    elif isinstance(one, GraphQLInputObjectType):
        yield from _table(one.fields)
    yield ""


def _table(fields: dict[str, GraphQLArgument] | dict[str, GraphQLInputField]) -> Iterator[str]:
    if not fields:
        return
    yield from ("| input | type | what it is |", "| --- | --- | --- |")
    for name, value in fields.items():
        yield f"| `{name}` | `{_of(value)}` | {_cell(value.description, value.deprecation_reason)} |"
    yield ""


def _of(value: GraphQLArgument | GraphQLInputField) -> str:
    default = value.default_value
    shown = "" if default is Undefined or default is None else f" = {default}"
    return f"{value.type}{shown}"


def _kind(one: GraphQLNamedType) -> str:
    kinds = {
        GraphQLEnumType: "enum",
        GraphQLInputObjectType: "input",
        GraphQLInterfaceType: "interface",
        GraphQLScalarType: "scalar",
    }
    return kinds.get(type(one), "type")


def _cell(description: str | None, deprecated: str | None) -> str:
    told = _text(description).replace("|", "\\|").replace("\n", " ")
    return f"**Deprecated**: {deprecated} {told}" if deprecated else told


def _for_whom(access: Access | None) -> str:
    """Who may ask, where it is declared."""
    return "" if access is None else f"**For:** {access.value.sentence}"


def _text(description: str | None) -> str:
    return (description or "").strip()
