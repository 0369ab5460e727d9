"""Readers of a document that serve all its requests: what is selected below a field is compiled when it is first met, and once
unless variables have a say in it."""

from collections.abc import Callable

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLOutputType,
    Node,
    Visitor,
    visit,
)

from graph.reads import Show
from graph.upstream import Selected

Place = tuple[object, ...]
"""Of what, and where a document asks for it: a type, and fields of the document."""


class Readers:
    """Of one document. It holds at most ``most`` readers: a client may have fields come together in many ways,
    by variables."""

    def __init__(self, document: DocumentNode, most: int) -> None:
        self._fragments = {
            part.name.value: part for part in document.definitions if isinstance(part, FragmentDefinitionNode)
        }
        self._most = most
        self._kept: dict[Place, Show | None] = {}
        self._varies: dict[int, bool] = {}
        """Whether variables have a say in a field of the document, by its identity."""

    def reader(
        self, kind: str, of: GraphQLOutputType, selected: Selected, compiled: Callable[[], Show | None]
    ) -> Show | None:
        """What ``compiled`` makes of what is ``selected``, or made of it for an earlier request. ``kind``: what the reader is given."""
        place = (kind, str(of), *[id(details.node) for details in selected])
        if place in self._kept:
            return self._kept[place]
        made = compiled()
        if len(self._kept) < self._most and not self._by_variables(selected):
            self._kept[place] = made
        return made

    def _by_variables(self, selected: Selected) -> bool:
        return any(
            details.fragment_variable_values is not None or self._field_varies(details.node)
            for details in selected
        )

    def _field_varies(self, field: FieldNode) -> bool:
        found = self._varies.get(id(field))
        if found is None:
            found = self._varies[id(field)] = self._has_variables(field)
        return found

    def _has_variables(self, field: FieldNode) -> bool:
        """Whether there is a variable in the field, or anywhere below it."""
        looking = _Variables()
        waiting: list[Node] = [field]
        while waiting and not looking.found:
            visit(waiting.pop(), looking)
            waiting += [self._fragments[name] for name in looking.new_fragments()]
        return looking.found


class _Variables(Visitor):
    """Looks for variables, and for fragments that are used."""

    def __init__(self) -> None:
        super().__init__()
        self.found = False
        self._seen: set[str] = set()
        self._new: list[str] = []

    def enter_variable(self, *_: object) -> None:
        self.found = True

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> None:
        name = node.name.value
        if name not in self._seen:
            self._seen.add(name)
            self._new.append(name)

    def new_fragments(self) -> list[str]:
        """Those that were met since it was asked last, each once."""
        new, self._new = self._new, []
        return new
