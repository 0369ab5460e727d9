"""Readers of a document that serve all its requests: what is selected below a field is compiled when it is first met, and once
unless variables have a say in it."""

from collections.abc import Callable
from typing import NamedTuple

from graphql import (
    DocumentNode,
    ExecutableDefinitionNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLOutputType,
    SelectionNode,
    Visitor,
    visit,
)

from graph.execution.reads import Show
from graph.execution.upstream import Selected

Place = tuple[object, ...]
"""Of what, and where a document asks for it: a type, and fields of the document."""


class Readers:
    """Of one document. They read at most ``most`` fields, those that several of them read counted several times: by variables a
    client may have fields come together in many ways."""

    def __init__(self, document: DocumentNode, most: int) -> None:
        self._fragments = {
            part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
        }
        self._room = most
        self.left = most
        """How many fields of operations may still be compiled (graph/execution/compiled_operations.py)."""
        self._kept: dict[Place, Show | None] = {}
        self._known: dict[int, Found] = {}
        """What was found in parts of the document, by their identity."""

    def reader(
        self, kind: str, of: GraphQLOutputType, selected: Selected, compiled: Callable[[], Show | None]
    ) -> Show | None:
        """What ``compiled`` makes of what is ``selected``, or made of it for an earlier request. ``kind``: what the reader is given."""
        place = (kind, str(of), *[id(details.node) for details in selected])
        if place in self._kept:
            return self._kept[place]
        made = compiled()
        found = [self.within(details.node) for details in selected]
        given = any(details.fragment_variable_values is not None for details in selected)
        # What only the executor can answer is a place without a reader.
        fields = len(found) if made is None else sum(one.fields for one in found)
        if fields <= self._room and not given and not any(one.variables for one in found):
            self._room -= fields
            self._kept[place] = made
        return made

    def within(self, part: SelectionNode | ExecutableDefinitionNode) -> "Found":
        """What there is in it and in the fragments below, as often as they are used: so often a reader has their fields."""
        known = self._known.get(id(part))
        if known is None:
            look = _Look()
            visit(part, look)
            look.enter_leave_map.clear()  # has bound methods of the look itself
            parts = [self.within(self._fragments[name]) for name in look.fragments]
            known = self._known[id(part)] = Found(
                look.fields + sum(one.fields for one in parts),
                look.variables or any(one.variables for one in parts),
                look.directives or any(one.directives for one in parts),
            )
        return known


class Found(NamedTuple):
    """How many fields there are in a part of a document, and whether there are variables or directives."""

    fields: int
    variables: bool
    directives: bool


class _Look(Visitor):
    """Sees variables, directives, fields, and which fragments are used."""

    def __init__(self) -> None:
        super().__init__()
        self.variables = self.directives = False
        self.fields = 0
        self.fragments: list[str] = []

    def enter_variable(self, *_: object) -> None:
        self.variables = True

    def enter_directive(self, *_: object) -> None:
        self.directives = True

    def enter_field(self, *_: object) -> None:
        self.fields += 1

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        self.fragments.append(node.name.value)
