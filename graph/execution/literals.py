"""Where in a document a value stands that can't be read."""

from collections.abc import Iterable, Sequence
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    GraphQLError,
    ObjectFieldNode,
    ValueNode,
    VariableDefinitionNode,
    Visitor,
    visit,
)

from graph.errors import changed


def with_fields(errors: Iterable[GraphQLError], document: DocumentNode) -> list[GraphQLError]:
    """The errors; one about a value in the document says which argument or input field has it, in its message and as
    ``extensions.field``. An error that has extensions already is as it was."""
    found = list(errors)
    values = [_value_of(error) for error in found]
    if not any(values):
        return found
    fields = _Fields(id(value) for value in values if value)
    visit(document, fields)
    return [_named(error, fields.found.get(id(value))) for error, value in zip(found, values, strict=True)]


def _value_of(error: GraphQLError) -> ValueNode | None:
    """The value that the error is about, if it is about one."""
    if error.extensions or not error.nodes or not isinstance(error.nodes[0], ValueNode):
        return None
    return error.nodes[0]


def _named(error: GraphQLError, field: str | None) -> GraphQLError:
    if field is None:
        return error
    return changed(error, f"{field}: {error.message}", {"field": field})


class _Fields(Visitor):
    """Finds the name of the argument, input field or variable that each of these nodes is the value of, or is in."""

    def __init__(self, nodes: Iterable[int]) -> None:
        super().__init__()
        self._nodes = frozenset(nodes)
        self.found: dict[int, str] = {}

    def enter(self, node: Any, _key: Any, parent: Any, _path: Any, ancestors: Sequence[Any]) -> None:
        if id(node) not in self._nodes:
            return
        for above in (parent, *reversed(ancestors)):
            if isinstance(above, ArgumentNode | ObjectFieldNode):
                self.found[id(node)] = above.name.value
                return
            if isinstance(above, VariableDefinitionNode):
                self.found[id(node)] = f"${above.variable.name.value}"
                return
