"""Answers that say, without being asked, as of when their figures are, whether those are complete, and why a mutation was refused
(R-MCP-3, R-MCP-4)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLObjectType,
    GraphQLSchema,
    NameNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    print_ast,
    visit,
)

from graph.answer_schemas import AS_OF, COMPLETE, Place, has_figures

REFUSALS, REFUSAL = "errors", ("code", "message", "field")
"""The field by which a payload says why its mutation was refused, and what each of its errors has."""


class Told(NamedTuple):
    """``as_of``: that of the oldest figures, as texts of moments compare; None where one of them does not know."""

    as_of: str | None
    complete: bool


def asking_all_told(schema: GraphQLSchema, document: DocumentNode) -> str | None:
    """The document with ``asOf`` and ``complete`` selected wherever figures are, and ``errors`` in each payload; None where nothing
    is lacking."""
    asking = _Asking(TypeInfo(schema))
    changed = visit(document, TypeInfoVisitor(asking.types, asking))
    return print_ast(changed) if asking.added else None


class _Asking(Visitor):
    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.added = False

    def enter_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        kind = self.types.get_parent_type()
        if has_figures(kind):
            more = _lacking(node, (AS_OF, COMPLETE))
        elif _is_payload(kind) and not _tells_refusals(node):
            more = _lacking(node, (REFUSALS,), even_if_there=True)
        else:
            return None
        self.added = self.added or bool(more)
        return SelectionSetNode(selections=(*node.selections, *more)) if more else None


def _is_payload(kind: Any) -> bool:
    if not isinstance(kind, GraphQLObjectType) or REFUSALS not in kind.fields:
        return False
    told = get_named_type(kind.fields[REFUSALS].type)
    return isinstance(told, GraphQLObjectType) and told.fields.keys() >= set(REFUSAL)


def _tells_refusals(node: SelectionSetNode) -> bool:
    told = _plain(node).get(REFUSALS)
    below = None if told is None else told.selection_set
    return below is not None and _plain(below).keys() >= set(REFUSAL)


def _lacking(
    node: SelectionSetNode, names: Sequence[str], *, even_if_there: bool = False
) -> Sequence[FieldNode]:
    """Those of the fields that are not selected; none where the document calls something else so, which is left as it is."""
    there = {name: field.name.value for name, field in _plain(node).items()}
    if any(there.get(name, name) != name for name in names):
        return ()
    return [_field(name) for name in names if even_if_there or name not in there]


def _plain(node: SelectionSetNode) -> Mapping[str, FieldNode]:
    """The fields that are selected here and by no directive, by their names in the answer."""
    return {
        (one.alias or one.name).value: one
        for one in node.selections
        if isinstance(one, FieldNode) and not one.directives
    }


def _field(name: str) -> FieldNode:
    below = SelectionSetNode(selections=tuple(map(_field, REFUSAL))) if name == REFUSALS else None
    return FieldNode(name=NameNode(value=name), selection_set=below)


def told_in(data: Any, figures: Iterable[Place]) -> Told | None:
    """What the figures of an answer say together; None where there are none."""
    found = [one for place in figures for one in _at(data, place)]
    if not found:
        return None
    moments = [one[AS_OF] for one in found]
    oldest = None if None in moments else min(moments)
    return Told(oldest, all(one[COMPLETE] for one in found))


def _at(data: Any, place: Place) -> Iterable[Mapping[str, Any]]:
    """The objects at the place. In an answer of several types one may be another's, without figures."""
    level = [data]
    for name in (*place, None):
        while any(isinstance(one, list) for one in level):
            level = [inner for one in level for inner in (one if isinstance(one, list) else [one])]
        objects = [one for one in level if isinstance(one, dict)]
        if name is None:
            return [one for one in objects if AS_OF in one and COMPLETE in one]
        level = [one[name] for one in objects if name in one]
    return []
