"""Figures that say of themselves, without being asked, as of when they are and whether they are complete (R-MCP-3)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    NameNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    print_ast,
    visit,
)

from graph.answer_schemas import AS_OF, COMPLETE, Place, has_figures


class Told(NamedTuple):
    """``as_of``: that of the oldest figures, as texts of moments compare; None where one of them does not know."""

    as_of: str | None
    complete: bool


def asking_figures(schema: GraphQLSchema, document: DocumentNode) -> str | None:
    """The document with ``asOf`` and ``complete`` selected wherever figures are; None where it has none, or selects them all."""
    asking = _Asking(TypeInfo(schema))
    changed = visit(document, TypeInfoVisitor(asking.types, asking))
    return print_ast(changed) if asking.added else None


class _Asking(Visitor):
    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self.types = types
        self.added = False

    def enter_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        if not has_figures(self.types.get_parent_type()):
            return None
        there = {
            (one.alias or one.name).value: one.name.value
            for one in node.selections
            if isinstance(one, FieldNode) and not one.directives
        }
        lacking = [name for name in (AS_OF, COMPLETE) if name not in there]
        if not lacking or any(there.get(name, name) != name for name in (AS_OF, COMPLETE)):
            return None  # a document that calls something else so is left as it is
        self.added = True
        more = tuple(FieldNode(name=NameNode(value=name)) for name in lacking)
        return SelectionSetNode(selections=(*node.selections, *more))


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
