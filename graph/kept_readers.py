"""Readers of a document that serve all its requests: what is selected below a field is compiled when it is first met, and once
unless variables have a say in it."""

from collections.abc import Callable

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLOutputType,
    Visitor,
    visit,
)

from graph.reads import Show
from graph.upstream import Selected

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
        self._kept: dict[Place, Show | None] = {}
        self._looked: dict[int, _Looked] = {}
        """What was found in fields of the document, by their identity."""

    def reader(
        self, kind: str, of: GraphQLOutputType, selected: Selected, compiled: Callable[[], Show | None]
    ) -> Show | None:
        """What ``compiled`` makes of what is ``selected``, or made of it for an earlier request. ``kind``: what the reader is given."""
        place = (kind, str(of), *[id(details.node) for details in selected])
        if place in self._kept:
            return self._kept[place]
        made = compiled()
        found = [self._looked_at(details.node) for details in selected]
        fields = sum(looked.fields for looked in found)
        given = any(details.fragment_variable_values is not None for details in selected)
        if fields <= self._room and not given and not any(looked.variables for looked in found):
            self._room -= fields
            self._kept[place] = made
        return made

    def _looked_at(self, field: FieldNode) -> "_Looked":
        """Looks into the field, and into the fragments that are used below it."""
        looked = self._looked.get(id(field))
        if looked is None:
            looked = self._looked[id(field)] = _Looked()
            visit(field, looked)
            for name in looked.fragments:  # it grows on the way
                visit(self._fragments[name], looked)
        return looked


class _Looked(Visitor):
    """What there is in a field and below it: variables, how many fields, and which fragments."""

    def __init__(self) -> None:
        super().__init__()
        self.variables = False
        self.fields = 0
        self.fragments: list[str] = []

    def enter_variable(self, *_: object) -> None:
        self.variables = True

    def enter_field(self, *_: object) -> None:
        self.fields += 1

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        if node.name.value not in self.fragments:
            self.fragments.append(node.name.value)
